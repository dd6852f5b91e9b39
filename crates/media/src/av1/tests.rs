//! Records of real encoders, and damaged ones.

use super::*;
use proptest::prelude::*;

/// libaom, `testsrc` 642x362, by ffmpeg 5.1: the record and a sequence header of 11 bytes.
const AOM_642X362: &[u8] =
    &[0x81, 0x01, 0x0c, 0x00, 0x0a, 0x0b, 0x00, 0x00, 0x00, 0x0c, 0xc5, 0x03, 0x69, 0x36, 0xbe, 0x40, 0x10];

#[test]
fn a_small_record() {
    let record = CodecConfigurationRecord::parse(AOM_642X362).unwrap();
    assert_eq!(record.rfc6381(), "av01.0.01M.08");
    assert_eq!(record.video_info(), VideoInfo { width: 642, height: 362 });
}

#[test]
fn a_record_may_lack_the_sequence_header_or_have_it_behind_another_obu() {
    assert_eq!(CodecConfigurationRecord::parse(&AOM_642X362[..4]).unwrap().video_info(), VideoInfo::default());
    let padding = [0x7a, 0x02, 0xff, 0xff];
    let later = [&AOM_642X362[..4], &padding, &AOM_642X362[4..]].concat();
    assert_eq!(CodecConfigurationRecord::parse(&later).unwrap().video_info().width, 642);
}

#[test]
fn a_record_says_what_is_wrong() {
    assert!(matches!(CodecConfigurationRecord::parse(&[0x01]), Err(Error::Version { got: 1, .. })));
    assert!(matches!(CodecConfigurationRecord::parse(&AOM_642X362[..9]), Err(Error::Truncated { .. })));
}

proptest! {
    #[test]
    fn damaged_records_never_panic(at in 0..AOM_642X362.len(), value: u8, cut in 0..=AOM_642X362.len()) {
        let mut bytes = AOM_642X362.to_vec();
        bytes[at] = value;
        let _ = CodecConfigurationRecord::parse(&bytes[..cut]);
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = CodecConfigurationRecord::parse(&bytes);
        let _ = picture_size(&bytes);
    }
}

#[test]
fn a_sequence_header_makes_the_record_that_the_encoder_makes() {
    assert_eq!(record(&AOM_642X362[6..]).unwrap(), AOM_642X362);
    assert!(record(&[]).is_err());
}
