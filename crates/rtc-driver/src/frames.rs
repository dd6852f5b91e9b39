//! Datagrams on a byte stream, each behind its length (RFC 4571 section 2, as RFC 6544 section 3 asks for).
//!
//! ```text
//!  0                   1                   2
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 ...
//! +-------------------------------+--------------
//! | length, big endian            | STUN, DTLS, RTP or RTCP
//! +-------------------------------+--------------
//! ```

use bytes::{Buf, BytesMut};

/// Bytes of one frame. What peers send fits a datagram of a path, mostly 1,500 bytes; a longer one ends its connection.
pub(crate) const MAX_FRAME: usize = 4096;

/// A frame is longer than [`MAX_FRAME`], or empty: the peer's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {0} bytes")]
pub(crate) struct BadFrame(usize);

/// Takes the next frame from the front of what has arrived; `None` means that more is needed.
pub(crate) fn decode(arrived: &mut BytesMut) -> Result<Option<BytesMut>, BadFrame> {
    let Some((head, body)) = arrived.split_first_chunk::<2>() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes(*head));
    if length == 0 || length > MAX_FRAME {
        return Err(BadFrame(length));
    }
    if body.len() < length {
        return Ok(None);
    }
    arrived.advance(2);
    Ok(Some(arrived.split_to(length)))
}

/// Appends a frame. One that is longer than its head can say is left out, as a datagram would be.
pub(crate) fn encode(frame: &[u8], out: &mut Vec<u8>) {
    let Ok(length) = u16::try_from(frame.len()) else { return };
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(frame);
}

/// What `decode` takes of a stream that arrives in pieces, and how many bytes it leaves.
#[cfg(test)]
pub(crate) fn in_pieces(
    stream: &[u8],
    cuts: &[proptest::sample::Index],
    mut decode: impl FnMut(&mut BytesMut) -> Option<BytesMut>,
) -> (Vec<Vec<u8>>, usize) {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).chain([0, stream.len()]).collect();
    cuts.sort_unstable();
    let (mut arrived, mut taken) = (BytesMut::new(), Vec::new());
    for piece in cuts.windows(2) {
        arrived.extend_from_slice(&stream[piece[0]..piece[1]]);
        taken.extend(std::iter::from_fn(|| decode(&mut arrived)).map(|message| message.to_vec()));
    }
    (taken, arrived.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_frame_stands_behind_its_length() {
        let mut bytes = Vec::new();
        encode(&[7, 8, 9], &mut bytes);
        assert_eq!(bytes, [0, 3, 7, 8, 9]);
        encode(&vec![0; 70_000], &mut bytes);
        assert_eq!(bytes.len(), 5);
    }

    #[test]
    fn frames_that_cannot_be_are_refused() {
        assert_eq!(decode(&mut BytesMut::from(&[0, 0, 1][..])), Err(BadFrame(0)));
        assert_eq!(decode(&mut BytesMut::from(&[16, 1][..])), Err(BadFrame(MAX_FRAME + 1)));
        assert_eq!(decode(&mut BytesMut::from(&[16, 0][..])), Ok(None));
    }

    proptest! {
        #[test]
        fn any_split_decodes_alike(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..8), cuts: Vec<prop::sample::Index>) {
            let mut bytes = Vec::new();
            frames.iter().for_each(|frame| encode(frame, &mut bytes));
            let (taken, left) = in_pieces(&bytes, &cuts, |arrived| decode(arrived).unwrap());
            prop_assert_eq!((taken, left), (frames, 0));
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let mut arrived = BytesMut::from(&bytes[..]);
            while let Ok(Some(frame)) = decode(&mut arrived) {
                prop_assert!((1..=MAX_FRAME).contains(&frame.len()));
            }
        }
    }
}
