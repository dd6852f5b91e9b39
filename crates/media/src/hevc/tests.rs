//! Records of real encoders, and damaged ones.

use super::*;
use proptest::prelude::*;

/// x265, `testsrc` 1280x720, Main profile, by ffmpeg 5.1; without the encoder's SEI message.
const X265_720P: &[u8] = &[
    0x01, 0x01, 0x60, 0x00, 0x00, 0x00, 0x90, 0x00, 0x00, 0x00, 0x00, 0x00, 0x5d, // version, Main, level 3.1
    0xf0, 0x00, 0xfc, 0xfd, 0xf8, 0xf8, 0x00, 0x00, 0x0f, 0x03, // 4:2:0, 8 bits, 4-byte lengths, three arrays
    0xa0, 0x00, 0x01, 0x00, 0x18, 0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00,
    0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x5d, 0x95, 0x98, 0x09, // VPS
    0xa1, 0x00, 0x01, 0x00, 0x2b, 0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00,
    0x00, 0x03, 0x00, 0x5d, 0xa0, 0x02, 0x80, 0x80, 0x2d, 0x16, 0x59, 0x59, 0xa4, 0x93, 0x2b, 0xc0, 0x5a, 0x02, 0x00,
    0x00, 0x03, 0x00, 0x02, 0x00, 0x00, 0x03, 0x00, 0x32, 0x10, // SPS
    0xa2, 0x00, 0x01, 0x00, 0x07, 0x44, 0x01, 0xc1, 0x72, 0xb4, 0x62, 0x40, // PPS
];

#[test]
fn a_720p_record() {
    let record = DecoderConfigurationRecord::parse(X265_720P).unwrap();
    assert_eq!(record.rfc6381(), "hvc1.1.6.L93.90");
    assert_eq!(record.video_info(), VideoInfo { width: 1280, height: 720 });
    assert_eq!((record.nal_length_size, record.parameter_sets.len()), (4, 3));
}

#[test]
fn a_record_says_what_is_wrong() {
    assert!(matches!(DecoderConfigurationRecord::parse(&[2]), Err(Error::Version { got: 2, .. })));
    assert!(matches!(DecoderConfigurationRecord::parse(&X265_720P[..60]), Err(Error::Truncated { .. })));
    let mut without_arrays = X265_720P[..23].to_vec();
    without_arrays[22] = 0;
    let missing = DecoderConfigurationRecord::parse(&without_arrays);
    assert!(matches!(missing, Err(Error::Missing { parameter_set: "SPS", .. })));
}

proptest! {
    #[test]
    fn damaged_records_never_panic(at in 0..X265_720P.len(), value: u8, cut in 0..=X265_720P.len()) {
        let mut bytes = X265_720P.to_vec();
        bytes[at] = value;
        if let Ok(record) = DecoderConfigurationRecord::parse(&bytes[..cut]) {
            let _ = record.rfc6381();
        }
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = DecoderConfigurationRecord::parse(&bytes);
        let _ = sequence(&bytes);
    }
}

#[test]
fn parameter_sets_make_the_record_that_the_encoder_makes() {
    let read = DecoderConfigurationRecord::parse(X265_720P).unwrap();
    let set = |index: usize| read.parameter_sets[index].1.as_slice();
    assert_eq!(record(set(0), set(1), &[set(2)]).unwrap(), X265_720P);
    assert!(record(set(0), &[], &[set(2)]).is_err());
}
