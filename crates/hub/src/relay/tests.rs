//! Relays against a target that does as it is told, on a paused clock.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::StreamName;

/// Fails so often, then publishes until it is stopped.
struct Moody {
    failures: u32,
    tried: AtomicU32,
}

impl Target for Moody {
    fn transfer(&self, _spec: Spec, progress: Progress) -> Transfer {
        let fails = self.tried.fetch_add(1, Ordering::Relaxed) < self.failures;
        Box::pin(async move {
            if fails {
                return Err("no route".into());
            }
            progress.publishing();
            progress.stopped().cancelled().await;
            Ok(())
        })
    }
}

fn relays(failures: u32) -> Relays {
    let relays = Relays::new();
    let target: Arc<dyn Target> = Arc::new(Moody { failures, tried: AtomicU32::new(0) });
    relays.register(&["ws", "wss"], &target);
    relays
}

fn spec(target: &str, retry: Retry) -> Spec {
    Spec::push(StreamName::parse("live/a").unwrap(), target, retry)
}

async fn until(standing: &mut watch::Receiver<Standing>, state: State) -> Standing {
    standing.wait_for(|standing| standing.state == state).await.unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn a_relay_is_tried_until_it_publishes_and_stops_in_order() {
    let relays = relays(3);
    let (id, mut standing) = relays.push(spec("ws://h/x", Retry::Always)).unwrap();
    let retrying = until(&mut standing, State::Retrying).await;
    assert_eq!(retrying.reason.as_deref(), Some("no route"));
    assert_eq!(until(&mut standing, State::Publishing).await.attempts, 4);
    assert_eq!(relays.push(spec("ws://h/x", Retry::Always)).unwrap().0, id, "the same is begun once");
    assert!(relays.stop(id));
    until(&mut standing, State::Stopped).await;
    assert!(!relays.stop(id));
    assert_eq!(relays.list()[0].standing.state.name(), "STOPPED");
}

#[tokio::test(start_paused = true)]
async fn never_and_so_often_mean_that() {
    for (times, attempts) in [(0, 1), (2, 3)] {
        let (_, mut standing) = relays(99).push(spec("ws://h/x", Retry::Times(times))).unwrap();
        let failed = until(&mut standing, State::Failed).await;
        assert_eq!((failed.attempts, failed.reason.as_deref()), (attempts, Some("no route")));
    }
}

#[tokio::test(start_paused = true)]
async fn limits_and_schemes_are_told() {
    let relays = relays(0);
    let refused = relays.push(spec("rtmp://h/x", Retry::Always)).map(|(id, _)| id);
    assert_eq!(refused, Err(Error::Scheme { scheme: "rtmp".into() }));
    for number in 0..MAX_RELAYS {
        relays.push(spec(&format!("ws://h/{number}"), Retry::Always)).unwrap();
    }
    assert_eq!(relays.push(spec("ws://h/more", Retry::Always)).map(|(id, _)| id), Err(Error::TooMany));
}

#[tokio::test(start_paused = true)]
async fn what_is_saved_stays_saved_until_it_is_stopped() {
    let relays = relays(0);
    let (id, _) = relays.push(spec("ws://h/a", Retry::Always)).unwrap();
    let kept = Spec { saved: true, ..spec("ws://h/b", Retry::Times(7)) };
    relays.push(kept.clone()).unwrap();
    assert_eq!(relays.saved(), std::slice::from_ref(&kept));
    relays.push(Spec { saved: true, ..spec("ws://h/a", Retry::Always) }).unwrap();
    assert_eq!(relays.saved().len(), 2);
    relays.stop(id);
    relays.shut_down();
    assert_eq!(relays.saved(), [kept]);
}

/// Pulls until the stream there ends.
struct Puller;

impl Target for Puller {
    fn transfer(&self, spec: Spec, progress: Progress) -> Transfer {
        Box::pin(async move {
            progress.asked(format!("{}-there", spec.remote.unwrap_or_default()));
            progress.playing();
            progress.stopped().cancelled().await;
            Ok(())
        })
    }

    fn pulls(&self) -> bool {
        true
    }
}

#[tokio::test(start_paused = true)]
async fn protocols_are_chosen_by_name_and_pull_if_they_can() {
    let relays = relays(0);
    let target: Arc<dyn Target> = Arc::new(Puller);
    relays.register(&["pull"], &target);
    let pull = Spec { direction: Direction::Pull, remote: Some("b".into()), ..spec("ws://h/x", Retry::Times(0)) };
    let refused = relays.begin(pull.clone()).map(|(id, _)| id);
    assert_eq!(refused, Err(Error::Direction { protocol: "ws".into() }));
    let pull = Spec { protocol: Some("pull".into()), ..pull };
    let (id, mut standing) = relays.begin(pull.clone()).unwrap();
    assert_eq!(until(&mut standing, State::Playing).await.remote_id.as_deref(), Some("b-there"));
    assert_eq!(relays.begin(pull.clone()).map(|(id, _)| id), Err(Error::Exists { id }));
    assert!(relays.begin(Spec { remote: Some("c".into()), ..pull }).is_ok(), "another stream there");
    assert!(relays.forget(id) && !relays.forget(id));
    assert_eq!(relays.list().len(), 1);
    until(&mut standing, State::Stopped).await;
}

#[tokio::test(start_paused = true)]
async fn a_pull_on_demand_runs_while_somebody_watches() {
    let hub = Hub::new(crate::Config::default()).unwrap();
    let relays = Relays::of(&hub);
    let target: Arc<dyn Target> = Arc::new(Puller);
    relays.register(&["pull"], &target);
    let pull = Spec { direction: Direction::Pull, on_demand: true, ..spec("pull://h/x", Retry::Always) };
    let (id, mut standing) = relays.push(pull.clone()).unwrap();
    let name = pull.stream.clone();
    for _ in 0..2 {
        let waits = standing.wait_for(|standing| standing.reason.is_some()).await.unwrap().clone();
        assert_eq!((waits.state, waits.reason.as_deref()), (State::New, Some("waits for a viewer")));
        assert_eq!(hub.stream(&name).unwrap().state, crate::State::Offered);
        let viewer = hub.subscribe(&name, crate::Viewer::by("test"));
        until(&mut standing, State::Playing).await;
        // One who comes back soon finds it running.
        drop(viewer);
        let viewer = hub.subscribe(&name, crate::Viewer::by("test"));
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(standing.borrow().state, State::Playing);
        drop(viewer);
        until(&mut standing, State::New).await;
    }
    assert!(relays.stop(id));
    until(&mut standing, State::Stopped).await;
    assert!(hub.stream(&name).is_none());
    let push = Spec { on_demand: true, ..spec("pull://h/x", Retry::Always) };
    assert_eq!(relays.push(push).unwrap_err(), Error::Demand);
}
