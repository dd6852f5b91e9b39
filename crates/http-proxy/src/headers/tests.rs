//! Tests of the hop rules.

use proptest::prelude::*;

use super::*;

fn map(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap());
    }
    headers
}

#[test]
fn fields_named_by_connection_stop_here() {
    let mut headers = map(&[
        ("connection", "close, X-One"),
        ("connection", "x-two"),
        ("x-one", "1"),
        ("x-two", "2"),
        ("x-three", "3"),
        ("upgrade", "h2c"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authorization", "Basic eA=="),
        ("te", "gzip, trailers"),
        ("trailer", "x-sum"),
    ]);
    remove_hop_by_hop(&mut headers);
    assert_eq!(headers, map(&[("x-three", "3"), ("te", "trailers"), ("trailer", "x-sum")]));
}

#[test]
fn the_sandbox_stands_beside_the_devices_policy() {
    let mut headers = map(&[
        ("content-security-policy", "default-src 'self'"),
        ("service-worker-allowed", "/"),
        ("strict-transport-security", "max-age=1"),
        ("alt-svc", "h3=\":443\""),
        ("clear-site-data", "\"*\""),
        ("x-frame-options", "DENY"),
    ]);
    confine(&mut headers);
    let policies: Vec<_> = headers.get_all("content-security-policy").iter().collect();
    assert_eq!(policies, ["default-src 'self'", "sandbox allow-scripts allow-forms"]);
    assert_eq!(headers.keys_len(), 2);
    assert!(headers.contains_key("x-frame-options"));
}

#[test]
fn trailers_lose_what_frames_routes_or_authorises() {
    let mut trailers =
        map(&[("x-checksum", "abc"), ("content-length", "3"), ("sluicegate-problem", "x"), ("set-cookie", "a=b")]);
    clean_trailers(&mut trailers);
    assert_eq!(trailers, map(&[("x-checksum", "abc")]));
}

#[test]
fn underscores_are_no_disguise() {
    let mut headers = map(&[("x_forwarded_for", "6.6.6.6"), ("x-forwarded_host", "evil"), ("my_own", "1")]);
    remove_own(&mut headers);
    assert_eq!(headers, map(&[("my_own", "1")]));
}

#[test]
fn max_forwards_counts_down() {
    let mut headers = map(&[("max-forwards", "2")]);
    assert!(!is_last_hop(&mut headers));
    assert!(!is_last_hop(&mut headers));
    assert!(is_last_hop(&mut headers));
    assert!(!is_last_hop(&mut map(&[("max-forwards", "many")])));
}

fn field() -> impl Strategy<Value = (String, String)> {
    let name = prop_oneof![
        "[a-z][a-z0-9-]{0,12}",
        Just("connection".to_owned()),
        Just("te".to_owned()),
        Just("sluicegate-x".to_owned()),
    ];
    (name, "[ -~]{0,30}")
}

proptest! {
    #[test]
    fn removal_is_complete_and_idempotent(fields in prop::collection::vec(field(), 0..20)) {
        let mut headers = HeaderMap::new();
        for (name, value) in &fields {
            headers.append(HeaderName::try_from(name.as_str()).unwrap(), HeaderValue::try_from(value.as_str()).unwrap());
        }
        let before = headers.clone();
        let named: Vec<String> = tokens(&before, &CONNECTION).map(str::to_ascii_lowercase).collect();
        remove_hop_by_hop(&mut headers);
        remove_own(&mut headers);
        for name in headers.keys() {
            prop_assert!(name == TE || !named.iter().any(|gone| gone == name.as_str()));
            prop_assert!(name == TE || !HOP_BY_HOP.contains(name));
            prop_assert!(!name.as_str().starts_with(OWN_PREFIX));
        }
        // Whatever nothing names is kept, every value in its order.
        for name in before.keys() {
            let ends = named.iter().any(|gone| gone == name.as_str()) || HOP_BY_HOP.contains(name)
                || name.as_str().starts_with(OWN_PREFIX);
            if !ends {
                prop_assert!(before.get_all(name).iter().eq(headers.get_all(name).iter()));
            }
        }
        let once = headers.clone();
        remove_hop_by_hop(&mut headers);
        remove_own(&mut headers);
        prop_assert_eq!(once, headers);
    }

    #[test]
    fn the_size_counts_every_field(fields in prop::collection::vec(field(), 0..20)) {
        let mut headers = HeaderMap::new();
        let mut expected = 0;
        for (name, value) in &fields {
            headers.append(HeaderName::try_from(name.as_str()).unwrap(), HeaderValue::try_from(value.as_str()).unwrap());
            expected += name.len() + value.len() + 32;
        }
        prop_assert_eq!(list_size(&headers), expected);
    }
}
