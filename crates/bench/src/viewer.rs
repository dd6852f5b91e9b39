//! Viewers: many sockets read as cheaply as possible, a few of them looking for the marks of pictures.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::error::{Doing, Error};
use crate::publisher::{Clock, MARKED, marked};

/// Bytes read at once.
const BUFFER: usize = 64 << 10;
/// One viewer in this many measures latency.
const PROBE_EVERY: usize = 25;

/// What all viewers of a run have seen together.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Bytes of answers.
    pub(crate) bytes: AtomicU64,
    /// Added latencies in milliseconds, of the probing viewers.
    pub(crate) latencies: std::sync::Mutex<Vec<f64>>,
}

/// Connects `count` viewers and returns when all have their answer's head. They read until they are dropped.
pub(crate) async fn connect(
    address: &str,
    request: &[u8],
    count: usize,
    clock: &Clock,
    seen: &Arc<Seen>,
) -> Result<tokio::task::JoinSet<()>, Error> {
    let mut viewers = tokio::task::JoinSet::new();
    for number in 0..count {
        let mut socket = TcpStream::connect(address).await.doing("connecting a viewer")?;
        socket.write_all(request).await.doing("asking for the stream")?;
        let probe = (number % PROBE_EVERY == 0).then(|| clock.clone());
        viewers.spawn(watch(socket, probe, Arc::clone(seen)));
    }
    Ok(viewers)
}

async fn watch(mut socket: TcpStream, probe: Option<Clock>, seen: Arc<Seen>) {
    let mut buffer = vec![0; if probe.is_some() { BUFFER } else { 16 << 10 }];
    let mut scanner = Scanner::default();
    while let Ok(length @ 1..) = socket.read(&mut buffer).await {
        seen.bytes.fetch_add(length as u64, Ordering::Relaxed);
        let (Some(clock), Some(read)) = (&probe, buffer.get(..length)) else { continue };
        let now = Instant::now();
        for number in scanner.scan(read) {
            if let (Some(age), Ok(mut latencies)) = (clock.age(number, now), seen.latencies.lock()) {
                latencies.push(age.as_secs_f64() * 1_000.0);
            }
        }
    }
}

/// Finds the numbers of pictures in a stream of bytes, whatever the container.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    carry: Vec<u8>,
}

impl Scanner {
    /// The numbers in what has been read now.
    pub(crate) fn scan(&mut self, read: &[u8]) -> Vec<u64> {
        self.carry.extend_from_slice(read);
        let found = self.carry.windows(MARKED).filter_map(marked).collect();
        let keep = self.carry.len().saturating_sub(MARKED - 1);
        self.carry.drain(..keep);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publisher::mark;

    #[test]
    fn marks_are_found_once_wherever_the_bytes_are_cut() {
        let mut bytes = b"xx".to_vec();
        for number in [7_u64, 8] {
            bytes.extend(mark(number));
            bytes.extend(b"filler");
        }
        for cut in 0..bytes.len() {
            let mut scanner = Scanner::default();
            let mut found = scanner.scan(&bytes[..cut]);
            found.extend(scanner.scan(&bytes[cut..]));
            assert_eq!(found, [7, 8]);
        }
    }
}
