//! Opus decoder configurations: the identification header `OpusHead` (RFC 7845 §5.1).

use crate::{AudioInfo, Error};

const HEAD: &str = "OpusHead";
/// Opus always decodes to 48 kHz, whatever its input was (RFC 6716 §2).
const SAMPLE_RATE: u32 = 48_000;

/// The format of the decoded sound. An empty configuration, as WebRTC has it, means stereo.
///
/// # Errors
/// The header is there but damaged.
pub fn audio_info(bytes: &[u8]) -> Result<AudioInfo, Error> {
    if bytes.is_empty() {
        return Ok(AudioInfo { sample_rate: SAMPLE_RATE, channels: 2 });
    }
    let Some(head) = bytes.strip_prefix(b"OpusHead").filter(|head| head.len() >= 11) else {
        return Err(Error::Missing { what: HEAD, parameter_set: "identification header" });
    };
    match head.get(..2) {
        Some(&[_, 0]) => Err(Error::OutOfRange { what: HEAD, field: "channel count", got: 0 }),
        Some(&[version, channels]) if version < 16 => Ok(AudioInfo { sample_rate: SAMPLE_RATE, channels }),
        _ => Err(Error::Version { what: HEAD, got: head.first().copied().unwrap_or_default(), expected: 1 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STEREO: &[u8] = b"OpusHead\x01\x02\x38\x01\x80\xbb\x00\x00\x00\x00\x00";

    #[test]
    fn heads_and_none() {
        assert_eq!(audio_info(STEREO).unwrap(), AudioInfo { sample_rate: 48_000, channels: 2 });
        assert_eq!(audio_info(&[]).unwrap().channels, 2);
        assert!(audio_info(b"OpusTags").is_err());
        assert!(audio_info(b"OpusHead\x01\x00\x38\x01\x80\xbb\x00\x00\x00\x00\x00").is_err());
        assert!(audio_info(b"OpusHead\x10\x02\x38\x01\x80\xbb\x00\x00\x00\x00\x00").is_err());
    }

    proptest! {
        #[test]
        fn damaged_heads_never_panic(at in 0..STEREO.len(), value: u8, cut in 0..=STEREO.len()) {
            let mut bytes = STEREO.to_vec();
            bytes[at] = value;
            let _ = audio_info(&bytes[..cut]);
        }
    }
}
