//! The order in which the ends of media and socket are heard, and who hears of them.

use std::time::Duration;

use super::*;
use crate::server::tests::{ask, established, pair, told};
use crate::server::{Config, Players};

const PARTING: Duration = Duration::from_millis(500);

fn end(info: &'static str) -> End {
    End { in_order: true, info }
}

fn actions(session: &mut Session) -> Vec<Action> {
    std::iter::from_fn(|| session.poll_action()).collect()
}

/// A session whose stream is up, and has told so.
fn up(config: Config, now: Instant, message: &str, id: &str) -> Session {
    let mut session = established(config, now);
    begin(&mut session, now, message, id);
    session
}

fn begin(session: &mut Session, now: Instant, message: &str, id: &str) {
    ask(session, now, message, id, "door");
    session.handle_answer(now, id, "answer".into());
    session.handle_connected(id);
    assert_eq!(told(session).len(), 1);
    assert!(matches!(&actions(session)[..], [Action::Answer { .. }]));
}

/// One whose publisher has just said goodbye by its media.
fn parting(config: Config, now: Instant) -> Session {
    let mut session = up(config, now, "publishStream", "p");
    session.handle_end(now, "p", &end(info::STOPPED_BY_USER));
    assert_eq!(actions(&mut session), [Action::Part { name: "door".into() }]);
    assert_eq!((told(&mut session), session.streams().count()), (vec![], 0), "the name is free, the reason not known");
    session
}

fn released(info: &'static str) -> [Action; 1] {
    let (id, name, players) = ("p".into(), "door".into(), Players::Waiting(info));
    [Action::Release { id, role: Role::Publish, name, info, players }]
}

#[test]
fn a_goodbye_waits_for_what_the_socket_says() {
    let now = Instant::now();
    let config = Config::default();
    assert_eq!(config.parting, PARTING);
    let soon = now + PARTING / 10;
    let mut stops = parting(config.clone(), now);
    ask(&mut stops, soon, "unPublishStream", "p", "door");
    assert_eq!(actions(&mut stops), released(info::STOPPED_BY_PUBLISHER));
    assert_eq!(told(&mut stops), [pair("UNPUBLISHED", "")]);

    let mut leaves = parting(config.clone(), now);
    assert!(!leaves.handle_lost(soon));
    leaves.handle_closed();
    assert_eq!(actions(&mut leaves), released(info::STOPPED_BY_SESSION));
    assert_eq!((leaves.poll_timeout(), leaves.poll_text()), (None, None));

    let mut says_nothing = parting(config.clone(), now);
    assert_eq!(says_nothing.poll_timeout(), Some(now + PARTING));
    says_nothing.handle_timeout(now + PARTING - Duration::from_millis(1));
    assert_eq!((actions(&mut says_nothing), told(&mut says_nothing)), (vec![], vec![]));
    says_nothing.handle_timeout(now + PARTING);
    assert_eq!(actions(&mut says_nothing), released(info::STOPPED_BY_PUBLISHER));
    assert_eq!(told(&mut says_nothing), [pair("UNPUBLISHED", "")]);

    // Nothing of it is left, and it ends once.
    for mut over in [stops, leaves, says_nothing] {
        over.handle_end(now, "p", &end(info::STOPPED_BY_USER));
        over.handle_timeout(now + 2 * PARTING);
        over.handle_closed();
        assert_eq!(actions(&mut over), []);
    }
}

#[test]
fn a_session_that_is_kept_says_the_same_by_either_order() {
    let now = Instant::now();
    let mut session = established(Config::default(), now);
    session.keep_as("token".into());
    session.kept = true;
    for id in ["p", "q"] {
        begin(&mut session, now, "publishStream", id);
    }
    session.handle_end(now, "p", &end(info::STOPPED_BY_USER));
    assert!(session.handle_lost(now), "another goes on");
    session.handle_end(now, "q", &end(info::STOPPED_BY_USER));
    let parted = |action: &Action| matches!(action, Action::Part { .. });
    let left = |action: &Action| {
        matches!(
            action,
            Action::Release { info: info::STOPPED_BY_SESSION, players: Players::Waiting(info::STOPPED_BY_SESSION), .. }
        )
    };
    let did = actions(&mut session);
    assert!(matches!(&did[..], [a, b, c, d] if parted(a) && left(b) && parted(c) && left(d)), "{did:?}");
    assert!(session.is_deserted());
}

#[test]
fn what_has_said_goodbye_is_in_nobodys_way() {
    let now = Instant::now();
    let mut session = parting(Config { streams: 1, ..Config::default() }, now);
    begin(&mut session, now, "publishStream", "another");
    assert_eq!(session.streams().count(), 1);
    // The old end spares what is there by now.
    session.handle_timeout(now + PARTING);
    assert_eq!(actions(&mut session), released(info::STOPPED_BY_PUBLISHER));
    assert_eq!(session.streams().count(), 1);

    let mut again = parting(Config::default(), now);
    ask(&mut again, now, "publishStream", "p", "door");
    assert_eq!(told(&mut again), [pair("UNPUBLISHED", "")]);
    assert!(matches!(&actions(&mut again)[..], [Action::Release { .. }, Action::Answer { .. }]));
}

#[test]
fn players_of_a_client_hear_its_reason_in_any_order() {
    let now = Instant::now();
    type Step = fn(&mut Session, Instant);
    let parts: Step = |session, _| session.handle_parting("door");
    let here: Step = |session, _| session.handle_published_here("v");
    let media: Step = |session, now| session.handle_end(now, "v", &end(info::STOPPED_BY_PUBLISHER));
    let told_why: Step = |session, now| session.handle_publisher_end(now, "door", info::STOPPED_BY_SESSION, true);
    for steps in [
        &[parts, media, told_why][..],
        &[parts, told_why, media],
        &[here, media, parts, told_why],
        &[here, media, told_why],
    ] {
        let mut session = up(Config::default(), now, "playStream", "v");
        steps.iter().for_each(|step| step(&mut session, now));
        assert_eq!(told(&mut session), [pair("STOPPED", info::STOPPED_BY_SESSION)]);
        assert!(matches!(&actions(&mut session)[..], [Action::Release { players: Players::None, .. }]));
        assert_eq!(session.streams.len(), 0);
    }
    // A publisher that never says why.
    let mut session = up(Config::default(), now, "playStream", "v");
    [parts, media].iter().for_each(|step| step(&mut session, now));
    assert_eq!((told(&mut session), session.poll_timeout()), (vec![], Some(now + 2 * PARTING)));
    session.handle_timeout(now + 2 * PARTING);
    assert_eq!(told(&mut session), [pair("STOPPED", info::STOPPED_BY_PUBLISHER)]);
    assert_eq!(session.streams.len(), 0);
}

#[test]
fn players_of_others_hear_at_once() {
    let now = Instant::now();
    // Who publishes by another protocol has no socket here.
    let mut session = up(Config::default(), now, "playStream", "v");
    session.handle_end(now, "v", &end(info::STOPPED_BY_PUBLISHER));
    assert_eq!(told(&mut session), [pair("STOPPED", info::STOPPED_BY_PUBLISHER)]);
    // Who plays what is published anew is not meant.
    let mut session = up(Config::default(), now, "playStream", "old");
    session.handle_parting("door");
    begin(&mut session, now, "playStream", "new");
    session.handle_publisher_end(now, "door", info::STOPPED_BY_SESSION, true);
    assert_eq!(session.streams().map(|(id, _)| id).collect::<Vec<_>>(), ["new"]);
    // A player that leaves while it waits.
    let mut session = up(Config::default(), now, "playStream", "v");
    session.handle_parting("door");
    session.handle_end(now, "v", &end(info::STOPPED_BY_PUBLISHER));
    ask(&mut session, now, "stopStream", "v", "door");
    assert_eq!(told(&mut session), [pair("STOPPED", info::STOPPED_BY_USER)]);
}

#[test]
fn an_end_by_the_media_alone_is_released_too() {
    let now = Instant::now();
    let lost = End { in_order: false, info: info::FAILED_BY_ICE_KEEP_ALIVE };
    for (message, id, players) in
        [("publishStream", "p", Players::All(info::STOPPED_BY_PUBLISHER)), ("playStream", "v", Players::None)]
    {
        let mut session = up(Config::default(), now, message, id);
        session.handle_end(now, id, &lost);
        assert_eq!(told(&mut session), [pair("FAILED", lost.info)]);
        let did = actions(&mut session);
        assert!(
            matches!(&did[..], [Action::Release { info, players: told, .. }] if *info == lost.info && *told == players),
            "{did:?}"
        );
        // What was never answered was nobody's.
        ask(&mut session, now, message, "refused", "door");
        session.handle_end(now, "refused", &lost);
        assert!(matches!(&actions(&mut session)[..], [Action::Answer { .. }]));
    }
    let mut viewer = up(Config::default(), now, "playStream", "v");
    viewer.handle_end(now, "v", &end(info::STOPPED_BY_USER));
    assert!(matches!(&actions(&mut viewer)[..], [Action::Release { info: info::STOPPED_BY_USER, .. }]));
}
