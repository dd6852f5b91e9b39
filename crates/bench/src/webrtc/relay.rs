//! A stream copied from one node to another, watched by HTTP-FLV at both.

use std::sync::Arc;
use std::time::Duration;

use super::{PUBLISHED, SETTLE, STREAM, http, upstream};
use crate::error::Error;
use crate::publisher::{Clock, Sound, publish_with};
use crate::report::{percentile, row};
use crate::viewer::{Seen, connect};

/// Until the copy is watched, at most.
const SHOWN: Duration = Duration::from_secs(15);

/// Measures a pull by WHEP and a push by WHIP.
pub(super) async fn run(seconds: u64) -> Result<(), Error> {
    for (what, push) in [("pulled by WHEP", false), ("pushed by WHIP", true)] {
        let (near, far) = (upstream("").await?, upstream("").await?);
        let clock = Clock::default();
        let publisher = tokio::spawn(publish_with(Sound::Opus, near.address.clone(), PUBLISHED, clock.clone()));
        tokio::time::sleep(SETTLE).await;
        let (at, asked) = if push {
            (&near, body("push", STREAM, &far.address, "whip", "copy/stream"))
        } else {
            (&far, body("pull", "copy/stream", &near.address, "whep", STREAM))
        };
        make(&at.address, &asked).await?;
        let (here, there) = (Arc::new(Seen::default()), Arc::new(Seen::default()));
        let request =
            |address: &str, path: &str| format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").into_bytes();
        let asked = request(&near.address, PUBLISHED);
        let _source = connect(&near.address, &asked, 1, &clock, &here).await?;
        let asked = request(&far.address, "/live/copy/stream.flv");
        let _copy = connect(&far.address, &asked, 1, &clock, &there).await?;
        let shown = tokio::time::timeout(SHOWN, async {
            while p50(&there).is_nan() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        shown.await.map_err(|_| Error::Answer(format!("no picture of the copy {what}")))?;
        tokio::time::sleep(SETTLE).await;
        for seen in [&here, &there] {
            seen.latencies.lock().map(|mut latencies| latencies.clear()).ok();
        }
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        publisher.abort();
        row(&format!("relay {what}: at the source p50"), p50(&here), "ms", None);
        row(&format!("relay {what}: added latency p50"), p50(&there) - p50(&here), "ms", Some(10.0));
    }
    Ok(())
}

/// Makes a relay and returns its resource.
pub(super) async fn make(address: &str, body: &str) -> Result<String, Error> {
    let made = http::ask(address, "POST", "/api/v1/relays", "application/json", body).await?;
    if made.status != 201 {
        return Err(Error::Answer(format!("{} to a relay: {}", made.status, made.body)));
    }
    Ok(made.location)
}

/// What asks for a relay.
pub(super) fn body(direction: &str, stream: &str, address: &str, protocol: &str, there: &str) -> String {
    format!(
        r#"{{"direction":"{direction}","stream":"{stream}","target":"http://{address}/{protocol}/{there}","protocol":"{protocol}"}}"#
    )
}

fn p50(seen: &Seen) -> f64 {
    let mut latencies = seen.latencies.lock().map(|latencies| latencies.clone()).unwrap_or_default();
    latencies.sort_by(f64::total_cmp);
    percentile(&latencies, 50)
}
