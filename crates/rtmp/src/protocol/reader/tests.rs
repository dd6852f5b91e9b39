//! Every header type, however it is cut, and whatever is wrong with it.

use proptest::prelude::*;

use super::*;
use crate::protocol::writer::write_message;

fn read(reader: &mut Reader, bytes: &[u8]) -> Vec<Message> {
    reader.handle_bytes(Bytes::copy_from_slice(bytes));
    std::iter::from_fn(|| reader.poll().unwrap()).collect()
}

fn all(bytes: &[u8]) -> Vec<Message> {
    read(&mut Reader::new(Limits::default()), bytes)
}

fn summary(messages: &[Message]) -> Vec<(u8, u32, u32, Vec<u8>)> {
    messages.iter().map(|m| (m.kind, m.timestamp, m.stream, m.payload.to_vec())).collect()
}

#[test]
fn the_four_header_formats() {
    // fmt csid | timestamp | length | type | message stream | payload
    let mut bytes = vec![0x04, 0, 0, 100, 0, 0, 2, 8, 1, 0, 0, 0, 0xaf, 1];
    bytes.extend([0x44, 0, 0, 23, 0, 0, 1, 8, 0xaf]);
    bytes.extend([0x84, 0, 0, 20, 0xae]);
    bytes.extend([0xc4, 0xad]);
    let expected =
        vec![(8, 100, 1, vec![0xaf, 1]), (8, 123, 1, vec![0xaf]), (8, 143, 1, vec![0xae]), (8, 163, 1, vec![0xad])];
    assert_eq!(summary(&all(&bytes)), expected);
}

#[test]
fn chunk_stream_ids_of_two_and_three_bytes() {
    let header = [0, 0, 1, 0, 0, 1, 9, 1, 0, 0, 0, 7];
    let two = [&[0x00, 10][..], &header].concat();
    let three = [&[0x01, 1, 2][..], &header].concat();
    for bytes in [two, three] {
        assert_eq!(summary(&all(&bytes)), [(9, 1, 1, vec![7])]);
    }
}

#[test]
fn chunks_of_several_messages_lie_between_each_other() {
    let mut bytes = vec![2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 2];
    bytes.extend([0x06, 0, 0, 9, 0, 0, 3, 9, 1, 0, 0, 0, b'a', b'b']);
    bytes.extend([0x04, 0, 0, 8, 0, 0, 1, 8, 1, 0, 0, 0, b'x']);
    bytes.extend([0xc6, b'c']);
    assert_eq!(summary(&all(&bytes)), [(8, 8, 1, vec![b'x']), (9, 9, 1, b"abc".to_vec())]);
}

#[test]
fn an_extended_timestamp_may_be_repeated_or_not() {
    let first = |length: u8| vec![0x06, 0xff, 0xff, 0xff, 0, 0, length, 9, 1, 0, 0, 0, 1, 2, 3, 4];
    let size = [2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 4];
    let repeated = [&size[..], &first(8), b"abcd", &[0xc6, 1, 2, 3, 4], b"efgh"].concat();
    let left_out = [&size[..], &first(8), b"abcd", &[0xc6], b"efgh"].concat();
    for bytes in [repeated, left_out] {
        assert_eq!(summary(&all(&bytes)), [(9, 0x0102_0304, 1, b"abcdefgh".to_vec())]);
    }
}

#[test]
fn an_aborted_message_is_forgotten() {
    let mut bytes = vec![2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 2];
    bytes.extend([0x06, 0, 0, 9, 0, 0, 3, 9, 1, 0, 0, 0, b'a', b'b']);
    bytes.extend([0x02, 0, 0, 0, 0, 0, 4, 2, 0, 0, 0, 0, 0, 0, 0xc2, 0, 6]);
    bytes.extend([0xc6, b'd', b'e', 0xc6, b'f']);
    assert_eq!(summary(&all(&bytes)), [(9, 18, 1, b"def".to_vec())]);
}

#[test]
fn limits_and_breaches_end_the_reader() {
    let limits = Limits { message_bytes: 10, chunk_streams: 2 };
    let fails = |bytes: &[u8]| {
        let mut reader = Reader::new(limits);
        reader.handle_bytes(Bytes::copy_from_slice(bytes));
        loop {
            match reader.poll() {
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(violation) => return Some(violation),
            }
        }
    };
    assert_eq!(fails(&[0xc4]), Some(Violation::Header { chunk_stream: 4 }));
    let long = [4, 0, 0, 0, 0, 0, 11, 8, 1, 0, 0, 0];
    assert_eq!(fails(&long), Some(Violation::MessageSize { got: 11, limit: 10 }));
    let size = |value: u32| [&[2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0][..], &value.to_be_bytes()].concat();
    assert_eq!(fails(&size(0)), Some(Violation::ChunkSize { got: 0 }));
    assert_eq!(fails(&size(1 << 31)), Some(Violation::ChunkSize { got: 1 << 31 }));
    assert_eq!(fails(&[2, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1]), Some(Violation::Control { kind: 1 }));
    let empty = |id: u8| vec![id, 0, 0, 0, 0, 0, 0, 8, 1, 0, 0, 0];
    assert_eq!(fails(&[empty(3), empty(4)].concat()), None);
    assert_eq!(fails(&[empty(3), empty(4), empty(5)].concat()), Some(Violation::ChunkStreams { limit: 2 }));
    let begun = |id: u8| vec![id, 0, 0, 0, 0, 0, 10, 8, 1, 0, 0, 0, 1, 2, 3, 4];
    let small = size(4);
    assert_eq!(fails(&[small.clone(), begun(2), begun(4)].concat()), None);
    let more = vec![0xc4, 1, 2, 3, 4];
    let unfinished = [small, begun(2), begun(4), more].concat();
    assert_eq!(fails(&unfinished), Some(Violation::Unfinished { limit: 10 }));
}

fn message() -> impl Strategy<Value = Message> {
    let kinds = prop::sample::select(vec![kind::AUDIO, kind::VIDEO, kind::DATA, kind::COMMAND, kind::WINDOW]);
    let times = prop_oneof![0u32..1_000, 0x00ff_fff0u32..0x0100_0010, any::<u32>()];
    (kinds, times, 0u32..3, prop::collection::vec(any::<u8>(), 0..400))
        .prop_map(|(kind, timestamp, stream, payload)| Message { kind, timestamp, stream, payload: payload.into() })
}

proptest! {
    #[test]
    fn what_is_written_is_read_however_it_is_cut(
        messages in prop::collection::vec(message(), 1..12),
        cuts in prop::collection::vec(1usize..300, 1..20),
    ) {
        let mut bytes = BytesMut::new();
        for m in &messages {
            write_message(m.kind, m.timestamp, m.stream, &m.payload, 128, &mut bytes);
        }
        let (mut reader, mut read_back, mut rest) = (Reader::new(Limits::default()), Vec::new(), &bytes[..]);
        for cut in cuts.iter().cycle() {
            let (piece, more) = rest.split_at((*cut).min(rest.len()));
            read_back.extend(read(&mut reader, piece));
            rest = more;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(read_back, messages);
        prop_assert_eq!(reader.taken(), bytes.len() as u64);
    }

    #[test]
    fn damaged_bytes_never_panic_and_hold_no_more_than_the_limit(
        mut bytes in prop::collection::vec(any::<u8>(), 0..600),
        size in any::<bool>(),
    ) {
        if size {
            bytes.splice(0..0, [2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 9]);
        }
        let mut reader = Reader::new(Limits { message_bytes: 64, chunk_streams: 8 });
        for piece in bytes.chunks(7) {
            reader.handle_bytes(Bytes::copy_from_slice(piece));
            loop {
                match reader.poll() {
                    Ok(Some(_)) => prop_assert!(reader.unfinished <= 64),
                    Ok(None) => break,
                    Err(_) => return Ok(()),
                }
            }
        }
    }
}
