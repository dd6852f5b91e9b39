//! Records of real encoders, and damaged ones.

use super::*;
use proptest::prelude::*;

/// x264, `testsrc` 1280x720, High profile, level 3.1, by ffmpeg 5.1.
const X264_720P: &[u8] = &[
    0x01, 0x64, 0x00, 0x1f, 0xff, 0xe1, 0x00,
    0x1a, // version, High, level 3.1, 4-byte lengths, one SPS of 26 bytes
    0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00,
    0x03, 0x03, 0x20, 0xf1, 0x83, 0x19, 0x60, // SPS
    0x01, 0x00, 0x06, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0, // one PPS of 6 bytes
];

#[test]
fn a_720p_record() {
    let record = DecoderConfigurationRecord::parse(X264_720P).unwrap();
    assert_eq!(record.rfc6381(), "avc1.64001F");
    assert_eq!(record.video_info(), VideoInfo { width: 1280, height: 720 });
    assert_eq!((record.nal_length_size, record.sps.len(), record.pps.len()), (4, 1, 1));
}

#[test]
fn a_constrained_baseline_sps_with_cropping() {
    // 1920x1080: 120 x 68 macroblocks less 8 lines; libx264 baseline, level 4.0.
    let sps = [0x67, 0x42, 0xc0, 0x28, 0xda, 0x01, 0xe0, 0x08, 0x9f, 0x97, 0x01, 0x6a, 0x02, 0x02, 0x02, 0x80];
    assert_eq!(picture_size(&sps).unwrap(), VideoInfo { width: 1920, height: 1080 });
}

#[test]
fn a_record_says_what_is_wrong() {
    assert!(matches!(DecoderConfigurationRecord::parse(&[2]), Err(Error::Version { got: 2, .. })));
    assert!(matches!(DecoderConfigurationRecord::parse(&X264_720P[..20]), Err(Error::Truncated { .. })));
    let without_sps = [1, 0x64, 0, 0x1f, 0xff, 0xe0, 0];
    assert!(matches!(
        DecoderConfigurationRecord::parse(&without_sps),
        Err(Error::Missing { parameter_set: "SPS", .. })
    ));
}

proptest! {
    #[test]
    fn damaged_records_never_panic(at in 0..X264_720P.len(), value: u8, cut in 0..=X264_720P.len()) {
        let mut bytes = X264_720P.to_vec();
        bytes[at] = value;
        let _ = DecoderConfigurationRecord::parse(&bytes[..cut]);
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = DecoderConfigurationRecord::parse(&bytes);
        let _ = picture_size(&bytes);
    }
}

#[test]
fn parameter_sets_make_the_record_that_the_encoder_makes() {
    let read = DecoderConfigurationRecord::parse(X264_720P).unwrap();
    let made = record(&read.sps[0], &read.pps).unwrap();
    // 4:2:0, 8 bits and no extensions follow, which this ffmpeg leaves out.
    assert_eq!(made, [X264_720P, &[0xfd, 0xf8, 0xf8, 0x00]].concat());
    assert_eq!(DecoderConfigurationRecord::parse(&made).unwrap(), read);
    assert!(record(&[], &read.pps).is_err());
    let none: [&[u8]; 0] = [];
    assert!(record(&read.sps[0], &none).is_err());
}
