//! Our page's script in Chromium, fetching what the node has as fast as it comes.

use std::path::Path;
use std::time::Duration;

use sluicegate_netsim::{Net, Side};
use sluicegate_testbed::browser::Browser;

use super::origin::{ITAG, Layout, SEGMENT, VID};
use crate::error::Error;

/// Fetches `parallel` segments at a time; notes when chunks come, and which segments are wrong.
const SCRIPT: &str = "
    (async () => {
        const {Swarm} = await import('/play/peers.js');
        const swarm = new Swarm(SIGNAL, []);
        const seen = globalThis.seen = {bytes: 0, wrong: 0, segments: 0, gap: 0, late: [], last: 0, strands: 0};
        while (swarm.open().length === 0) await new Promise((done) => setTimeout(done, 20));
        const [peer] = swarm.open();
        const chunk = peer.chunk.bind(peer);
        peer.chunk = (buffer) => {
            const now = performance.now();
            if (seen.last) seen.gap = Math.max(seen.gap, now - seen.last);
            if (seen.last && now - seen.last > 200) seen.late.push(Math.round(now - seen.last));
            seen.last = now;
            seen.bytes += buffer.byteLength;
            seen.strands = Math.max(seen.strands, peer.strands.size);
            chunk(buffer);
        };
        const check = (index, bytes) => {
            for (let at = 0; at < bytes.length; at += 997) {
                const place = FIRST + index * LENGTH + at;
                if (bytes[at] !== (Math.floor(place / 7) + place * 13) % 251) return false;
            }
            return bytes.length === LENGTH;
        };
        let next = 0;
        const work = async () => {
            for (;;) {
                const index = next++ % SEGMENTS;
                await swarm.segment('NAME', index, (bytes) => {
                    seen.wrong += check(index, bytes) ? 0 : 1;
                    return true;
                });
                seen.segments += 1;
            }
        };
        for (let at = 0; at < PARALLEL; at += 1) work();
        return true;
    })()";

/// What a page has seen.
#[derive(Debug)]
pub(super) struct Seen {
    /// Mbit/s of chunks.
    pub(super) rate: f64,
    /// Segments that were wrong.
    pub(super) wrong: f64,
    /// The longest time without a chunk, in milliseconds.
    pub(super) gap: f64,
    /// Further connections, at most.
    pub(super) strands: f64,
}

/// Fetches from a browser on `side` for `time` after `warm`.
#[expect(clippy::panic, reason = "the testbed's browser stops at the first surprise as well")]
pub(super) async fn run(
    net: &Net,
    side: Side,
    chromium: &Path,
    addresses: (&str, &str),
    layout: &Layout,
    (segments, parallel): (usize, usize),
    (warm, time): (Duration, Duration),
) -> Result<Seen, Error> {
    let (node, signal) = addresses;
    let command = net.command(side, &chromium.display().to_string());
    let dial = async |devtools| net.connect(side, devtools).unwrap_or_else(|error| panic!("{error}"));
    let mut browser = Browser::open_with(command, dial, &format!("http://{node}/healthz")).await;
    browser.until("location.pathname === '/healthz' && document.readyState === 'complete'").await;
    let script = SCRIPT
        .replace("SIGNAL", &format!("'ws://{signal}/uid/'"))
        .replace("FIRST", &layout.media().to_string())
        .replace("LENGTH", &SEGMENT.to_string())
        .replace("SEGMENTS", &segments.to_string())
        .replace("PARALLEL", &parallel.to_string())
        .replace("NAME", &format!("{VID}:{ITAG}"));
    if browser.value(&script).await != true {
        return Err(Error::Answer("the page's script did not start".into()));
    }
    tokio::time::sleep(warm).await;
    browser.value("Object.assign(seen, {bytes: 0, gap: 0, late: [], since: performance.now()})").await;
    tokio::time::sleep(time).await;
    let seen = browser.value("({...seen, time: performance.now() - seen.since})").await;
    let number = |name: &str| seen[name].as_f64().unwrap_or(f64::NAN);
    let rate = number("bytes") * 8.0 / 1e3 / number("time");
    Ok(Seen { rate, wrong: number("wrong"), gap: number("gap"), strands: number("strands") })
}
