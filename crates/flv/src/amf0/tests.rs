//! Golden documents, the round trip, and damaged ones.

use super::*;
use proptest::prelude::*;

fn encoded(value: &Value) -> Bytes {
    let mut out = BytesMut::new();
    encode(value, &mut out);
    out.freeze()
}

#[test]
fn every_marker_has_its_bytes() {
    let named = vec![("a".to_owned(), Value::Boolean(true))];
    let golden: [(Value, &[u8]); 11] = [
        (Value::Number(25.0), b"\x00\x40\x39\x00\x00\x00\x00\x00\x00"),
        (Value::Boolean(true), b"\x01\x01"),
        (Value::String("avc1".into()), b"\x02\x00\x04avc1"),
        (Value::Object(named.clone()), b"\x03\x00\x01a\x01\x01\x00\x00\x09"),
        (Value::Null, b"\x05"),
        (Value::Undefined, b"\x06"),
        (Value::Reference(2), b"\x07\x00\x02"),
        (Value::EcmaArray(named.clone()), b"\x08\x00\x00\x00\x01\x00\x01a\x01\x01\x00\x00\x09"),
        (Value::StrictArray(vec![Value::Null]), b"\x0a\x00\x00\x00\x01\x05"),
        (Value::Date(0.0), b"\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
        (Value::TypedObject("C".into(), named), b"\x10\x00\x01C\x00\x01a\x01\x01\x00\x00\x09"),
    ];
    for (value, bytes) in golden {
        assert_eq!(encoded(&value), bytes);
        assert_eq!(decode(Bytes::from_static(bytes)).unwrap(), [value]);
    }
}

#[test]
fn metadata_of_the_original_plugin() {
    let tag = Bytes::from_static(include_bytes!("../../testdata/m7s-onmetadata.flvtag"));
    let values = decode(tag.slice(11..tag.len() - 4)).unwrap();
    assert_eq!(values[0].as_str(), Some("onMetaData"));
    assert!(values[1].get("width").and_then(Value::as_number).is_some(), "{values:?}");
}

#[test]
fn a_wrong_count_and_a_missing_end_do_no_harm() {
    let bytes = b"\x08\x00\x00\x00\x63\x00\x01a\x05";
    assert_eq!(decode(Bytes::from_static(bytes)).unwrap(), [Value::EcmaArray(vec![("a".into(), Value::Null)])]);
}

#[test]
fn a_hostile_document_is_refused() {
    let deep = [10, 0, 0, 0, 1].repeat(100);
    assert!(matches!(decode(deep.into()), Err(Fault::Amf0TooLarge { .. })));
    let mut wide = vec![10, 0xff, 0xff, 0xff, 0xff];
    wide.resize(100_000, 5);
    assert!(matches!(decode(wide.into()), Err(Fault::Amf0TooLarge { .. })));
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<f64>().prop_filter("comparable", |number| !number.is_nan()).prop_map(Value::Number),
        any::<bool>().prop_map(Value::Boolean),
        ".{0,20}".prop_map(Value::String),
        Just(Value::Null),
        Just(Value::Undefined),
        any::<u16>().prop_map(Value::Reference),
        ".{0,20}".prop_map(Value::Xml),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let members = prop::collection::vec((".{1,8}", inner.clone()), 0..6);
        prop_oneof![
            members.clone().prop_map(Value::Object),
            members.clone().prop_map(Value::EcmaArray),
            prop::collection::vec(inner, 0..6).prop_map(Value::StrictArray),
            (".{0,8}", members).prop_map(|(class, members)| Value::TypedObject(class, members)),
        ]
    })
}

proptest! {
    #[test]
    fn values_survive_the_round_trip(value in values()) {
        prop_assert_eq!(decode(encoded(&value)).unwrap(), vec![value]);
    }

    #[test]
    fn damaged_bytes_never_panic(value in values(), at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let mut bytes = encoded(&value).to_vec();
        let index = at.index(bytes.len());
        bytes[index] = byte;
        bytes.truncate(cut.index(bytes.len() + 1));
        let _ = decode(bytes.into());
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(bytes.into());
    }
}
