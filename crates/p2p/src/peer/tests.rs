//! Sessions with peers old and new, on a virtual clock.

use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;

use super::{Fetch, Limits, Output, Progress, Session, Step};
use crate::chunk::{Assembly, CHUNK_LENGTH, Code, Key, Message, unframe};

const FOUND: Duration = Duration::from_millis(300);

fn key(index: u64) -> Key {
    Key::new("testvideo01:134", index)
}

fn look(key: Key) -> Output {
    Output::Look { key, cached: false }
}

fn outputs(session: &mut Session) -> Vec<Output> {
    std::iter::from_fn(|| session.poll_output()).collect()
}

fn session() -> (Session, Instant) {
    let now = Instant::now();
    let mut session = Session::new(now, Limits::default(), 500_000, 15);
    let hello = Message::Hello { version: 1, window: Some(500_000), strands: 15 };
    assert_eq!(outputs(&mut session), [Output::Say(Message::Ping), Output::Say(hello)]);
    (session, now)
}

fn says(session: &mut Session, now: Instant, message: &Message) -> Vec<Output> {
    session.handle_text(now, &message.encode());
    outputs(session)
}

/// Names of the chunks that go out.
fn chunks(session: &mut Session) -> Vec<(u64, usize)> {
    std::iter::from_fn(|| {
        let length = session.next_length();
        let message = session.poll_chunk();
        assert_eq!(length, message.as_ref().map(Bytes::len));
        message.and_then(|message| unframe(&message)).map(|(header, _)| (header.key.index, header.number))
    })
    .collect()
}

#[test]
fn found_is_said_only_of_what_exists_and_can_be_framed() {
    let (mut session, now) = session();
    assert_eq!(says(&mut session, now, &Message::Query(key(0))), [look(key(0))]);
    session.handle_looked(key(0), Some(668_753));
    assert_eq!(outputs(&mut session), [Output::Say(Message::Found(key(0)))]);
    assert_eq!(says(&mut session, now, &Message::Query(key(99_999_999))), []);
    assert_eq!(says(&mut session, now, &Message::Query(key(9999))), [look(key(9999))]);
    session.handle_looked(key(9999), None);
    assert_eq!(outputs(&mut session), []);
    // Eleven chunks need one digit more than there is room for.
    let long = Key::new("testvideo01xxxx:134", 0);
    assert_eq!(says(&mut session, now, &Message::Query(long.clone())), [look(long.clone())]);
    session.handle_looked(long.clone(), Some(11 * CHUNK_LENGTH as u64));
    assert_eq!(outputs(&mut session), []);
    session.handle_looked(long.clone(), Some(10 * CHUNK_LENGTH as u64));
    assert_eq!(outputs(&mut session), [Output::Say(Message::Found(long))]);
    let at_hand = Output::Look { key: key(3), cached: true };
    assert_eq!(says(&mut session, now, &Message::QueryCached(key(3))), [at_hand]);
    for nothing in ["", "testvideo01", "testvideo01:134:1"] {
        assert_eq!(says(&mut session, now, &Message::Query(Key::new(nothing, 0))), []);
    }
}

#[test]
fn segments_of_a_peer_take_turns() {
    let (mut session, now) = session();
    for index in [0, 1] {
        assert_eq!(says(&mut session, now, &Message::Resolve(key(index))), [Output::Load(key(index))]);
    }
    // The one that waits is not taken twice.
    assert_eq!(says(&mut session, now, &Message::Resolve(key(1))), []);
    session.handle_loaded(&key(0), Ok(vec![0; 3 * CHUNK_LENGTH].into()));
    session.handle_loaded(&key(1), Ok(vec![0; CHUNK_LENGTH + 1].into()));
    assert_eq!(chunks(&mut session), [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2)]);
    assert_eq!((session.tasks(), session.next_length()), (0, None));
}

#[test]
fn quit_stops_what_is_being_sent() {
    let (mut session, now) = session();
    for index in [0, 1, 2] {
        says(&mut session, now, &Message::Resolve(key(index)));
    }
    session.handle_loaded(&key(0), Ok(vec![0; 3 * CHUNK_LENGTH].into()));
    session.poll_chunk();
    assert_eq!(says(&mut session, now, &Message::Quit(key(0))), []);
    assert_eq!(session.next_length(), None);
    says(&mut session, now, &Message::Quit(key(1)));
    session.handle_loaded(&key(1), Ok(vec![0; 5].into()));
    assert_eq!(chunks(&mut session), []);
    session.handle_loaded(&key(2), Ok(vec![0; CHUNK_LENGTH * 2].into()));
    session.poll_chunk();
    says(&mut session, now, &Message::QuitAll);
    assert_eq!((chunks(&mut session), session.tasks()), (vec![], 0));
}

#[test]
fn errors_are_told_to_our_own_only() {
    let (mut session, now) = session();
    says(&mut session, now, &Message::Resolve(key(7)));
    session.handle_loaded(&key(7), Err(Code::NotFound));
    assert_eq!(outputs(&mut session), [Output::Failed(key(7), Code::NotFound)]);
    let hello = Message::Hello { version: 1, window: None, strands: 0 };
    assert_eq!(says(&mut session, now, &hello), [Output::Hello { window: None, strands: 0 }]);
    says(&mut session, now, &Message::Resolve(key(8)));
    session.handle_loaded(&key(8), Err(Code::Source));
    let told = |key: Key, code| [Output::Say(Message::Error(key.clone(), code)), Output::Failed(key, code)];
    assert_eq!(outputs(&mut session), told(key(8), Code::Source));
    let long = Key::new("testvideo01xxxxyyyyyyyyyyyyyy:140", 1);
    assert_eq!(says(&mut session, now, &Message::Resolve(long.clone())), told(long, Code::Unframed));
    let long = Key::new("testvideo01xxxx:134", 11);
    says(&mut session, now, &Message::Resolve(long.clone()));
    session.handle_loaded(&long, Ok(vec![0; CHUNK_LENGTH * 12].into()));
    assert_eq!(outputs(&mut session), told(long, Code::Unframed));
}

#[test]
fn chunks_are_sent_again() {
    let (mut session, now) = session();
    let again = Message::Resend(key(3), vec![2, 0, 9]);
    assert_eq!(says(&mut session, now, &again), [Output::Load(key(3))]);
    session.handle_loaded(&key(3), Ok(vec![0; CHUNK_LENGTH * 3].into()));
    // The ninth does not exist, and ends the list.
    assert_eq!(chunks(&mut session), [(3, 2), (3, 0)]);
    assert_eq!(session.tasks(), 0);
    // What is still to come is not sent twice.
    says(&mut session, now, &Message::Resolve(key(3)));
    session.handle_loaded(&key(3), Ok(vec![0; CHUNK_LENGTH * 3].into()));
    session.poll_chunk();
    assert_eq!(says(&mut session, now, &Message::Resend(key(3), vec![1, 2])), []);
    assert_eq!(says(&mut session, now, &Message::Resend(key(3), vec![0, 1])), [Output::Load(key(3))]);
    session.handle_loaded(&key(3), Ok(vec![0; CHUNK_LENGTH * 3].into()));
    assert_eq!(chunks(&mut session), [(3, 1), (3, 0), (3, 2)]);
}

#[test]
fn a_peer_that_asks_for_much_is_bounded() {
    let (mut session, now) = session();
    let mut loads = 0;
    for index in 0..100 {
        let came = says(&mut session, now, &Message::Resolve(key(index)));
        loads += came.iter().filter(|output| matches!(output, Output::Load(_))).count();
        // Leaving does not free the load that is under way.
        says(&mut session, now, &Message::Quit(key(index)));
    }
    assert_eq!(loads, Limits::default().active);
    for index in 0..200 {
        says(&mut session, now, &Message::Resolve(key(index)));
    }
    assert_eq!(session.tasks(), Limits::default().tasks);
    assert_eq!(says(&mut session, now, &Message::Ping), [Output::Dropped("rate")]);
    let later = now + Duration::from_secs(10);
    assert_eq!(says(&mut session, later, &Message::Ping), [Output::Say(Message::Pong)]);
    let asked = (0..100).flat_map(|index| says(&mut session, later, &Message::Query(key(index))));
    let looks = asked.filter(|output| matches!(output, Output::Look { .. })).count();
    assert_eq!(looks, Limits::default().lookups);
}

/// Serves a fetch from sessions that have the segment; `lost` says which chunks do not arrive the first time.
fn fetch(lost: &[usize], ours: bool) -> (Option<Bytes>, Vec<Message>) {
    let segment: Bytes = (0..CHUNK_LENGTH * 4 + 9).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let (mut server, mut now) = session();
    let mut lost = lost.to_vec();
    let mut fetch = Fetch::new(now, key(0), &["a"], FOUND);
    let mut said = Vec::new();
    loop {
        while let Some(step) = fetch.poll_step() {
            match step {
                Step::Say(_, message) => {
                    server.handle_text(now, &message.encode());
                    said.push(message);
                }
                Step::Done(segment) => return (Some(segment), said),
                Step::Failed => return (None, said),
            }
        }
        let mut progress = Vec::new();
        while let Some(output) = server.poll_output() {
            match output {
                Output::Look { key, .. } => server.handle_looked(key, Some(segment.len() as u64)),
                Output::Load(key) => server.handle_loaded(&key, Ok(segment.clone())),
                Output::Say(Message::Found(_)) => progress.push(Progress::Found { ours }),
                other => panic!("{other:?}"),
            }
        }
        while let Some((header, payload)) = server.poll_chunk().and_then(|chunk| unframe(&chunk)) {
            if let Some(at) = lost.iter().position(|number| *number == header.number) {
                lost.remove(at);
            } else {
                progress.push(Progress::Chunk(header, payload));
            }
        }
        if progress.is_empty() {
            now = fetch.poll_timeout();
            fetch.handle_timeout(now);
        }
        for progress in progress {
            fetch.handle_progress(now, &"a", progress);
        }
    }
}

#[test]
fn a_segment_is_fetched_and_what_is_lost_is_asked_for_again() {
    let (segment, said) = fetch(&[], false);
    assert_eq!(segment.unwrap().len(), CHUNK_LENGTH * 4 + 9);
    assert_eq!(said, [Message::QueryCached(key(0)), Message::Resolve(key(0))]);
    let (segment, said) = fetch(&[1, 3, 3], true);
    assert_eq!(segment.unwrap()[CHUNK_LENGTH..CHUNK_LENGTH * 2].len(), CHUNK_LENGTH);
    let again = [Message::Resend(key(0), vec![1, 3]), Message::Resend(key(0), vec![3])];
    assert_eq!(said[2..], again);
    // An existing peer does not know `resend`, and is asked for all again.
    let (segment, said) = fetch(&[1], false);
    assert!(segment.is_some());
    assert_eq!(said[1..], [Message::Resolve(key(0)), Message::Resolve(key(0))]);
    let (segment, said) = fetch(&[1; 50], true);
    assert!(segment.is_none());
    assert_eq!(said.last(), Some(&Message::Quit(key(0))));
}

#[test]
fn the_next_peer_is_asked_when_one_fails() {
    let now = Instant::now();
    let mut fetch = Fetch::new(now, key(0), &[1, 2, 3], FOUND);
    let steps = |fetch: &mut Fetch<i32>| std::iter::from_fn(|| fetch.poll_step()).collect::<Vec<_>>();
    assert_eq!(steps(&mut fetch).len(), 3);
    for peer in [2, 3, 1] {
        fetch.handle_progress(now, &peer, Progress::Found { ours: true });
    }
    assert_eq!(steps(&mut fetch), [Step::Say(2, Message::Resolve(key(0)))]);
    fetch.handle_progress(now, &2, Progress::Gone);
    assert_eq!(steps(&mut fetch), [Step::Say(3, Message::Resolve(key(0)))]);
    let chunk = |number, length| {
        let (header, _) =
            unframe(&crate::chunk::chunk(&key(0), &vec![0; length].into(), number).unwrap().unwrap()).unwrap();
        Progress::Chunk(header, vec![0; CHUNK_LENGTH.min(length - number * CHUNK_LENGTH)].into())
    };
    // One that was not asked to send changes nothing.
    fetch.handle_progress(now, &1, chunk(0, 5));
    fetch.handle_progress(now, &3, chunk(0, CHUNK_LENGTH + 5));
    assert_eq!(steps(&mut fetch), []);
    let later = fetch.poll_timeout();
    fetch.handle_timeout(later);
    let switched = [Step::Say(3, Message::Quit(key(0))), Step::Say(1, Message::Resend(key(0), vec![1]))];
    assert_eq!(steps(&mut fetch), switched);
    fetch.handle_progress(later, &1, chunk(1, CHUNK_LENGTH + 5));
    assert_eq!(steps(&mut fetch), [Step::Done(vec![0; CHUNK_LENGTH + 5].into())]);
    // A sender without another falls silent: the others are asked again, and one has it now.
    let mut alone = Fetch::new(now, key(0), &[1, 2], FOUND);
    alone.handle_progress(now, &1, Progress::Found { ours: true });
    assert_eq!(steps(&mut alone).len(), 3);
    let later = alone.poll_timeout();
    alone.handle_timeout(later);
    assert_eq!(steps(&mut alone), [Step::Say(2, Message::QueryCached(key(0)))]);
    alone.handle_progress(later, &2, Progress::Found { ours: true });
    assert!(alone.poll_timeout() <= later);
    alone.handle_timeout(later);
    let switched = [Step::Say(1, Message::Quit(key(0))), Step::Say(2, Message::Resolve(key(0)))];
    assert_eq!(steps(&mut alone), switched);
    // Nobody there, and nobody who has it.
    let mut nobody = Fetch::<i32>::new(now, key(0), &[], FOUND);
    assert_eq!(steps(&mut nobody), [Step::Failed]);
    let mut silent = Fetch::new(now, key(0), &[1], FOUND);
    let until = silent.poll_timeout();
    silent.handle_timeout(until);
    assert_eq!(steps(&mut silent)[1..], [Step::Failed]);
}

proptest! {
    /// Whatever a peer says, what comes back is bounded and nothing panics.
    #[test]
    fn any_talk_is_harmless(texts in proptest::collection::vec("[ -~]{0,60}", 0..20), bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let (mut session, now) = session();
        for text in &texts {
            session.handle_text(now, text);
            let framed = format!("{{\"event\":\"resolve\",\"data\":{{\"id\":{text:?},\"index\":0}}}}");
            session.handle_text(now, &framed);
        }
        session.handle_binary(&bytes.into());
        prop_assert!(outputs(&mut session).len() <= 3 * texts.len() + 1);
    }

    #[test]
    fn every_chunk_of_every_segment_arrives_once(lengths in proptest::collection::vec(1..200_000_usize, 1..6)) {
        let (mut session, now) = session();
        let mut assemblies: Vec<(Assembly, Option<usize>)> = lengths.iter().map(|_| Default::default()).collect();
        for index in 0..lengths.len() {
            session.handle_text(now, &Message::Resolve(key(index as u64)).encode());
        }
        loop {
            while let Some(output) = session.poll_output() {
                if let Output::Load(key) = output {
                    let length = lengths[usize::try_from(key.index).unwrap()];
                    session.handle_loaded(&key, Ok(vec![0; length].into()));
                }
            }
            let Some(message) = session.poll_chunk() else { break };
            let (header, payload) = unframe(&message).unwrap();
            let (assembly, done) = &mut assemblies[usize::try_from(header.key.index).unwrap()];
            prop_assert!(done.is_none());
            *done = assembly.insert(&header, payload).unwrap().map(|segment| segment.len());
        }
        let done: Vec<usize> = assemblies.into_iter().filter_map(|(_, done)| done).collect();
        prop_assert_eq!(done, lengths);
    }
}
