//! An FLV file at its own pace, again and again.

use std::path::Path;

use bytes::BytesMut;
use sluicegate_flv::{Limits, Reader};
use sluicegate_hub::Publisher;
use sluicegate_media::{Content, Frame, Timestamp};
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use crate::PortError;

const READ_BYTES: usize = 64 << 10;
/// Between the last frame of one round and the first of the next.
const SEAM: Timestamp = Timestamp::from_millis(40);

/// A file without a single frame would be read again and again without a pause.
#[derive(Debug, thiserror::Error)]
#[error("{0} holds no frame")]
struct Empty(String);

/// Plays the file until the publisher is closed.
pub(super) async fn play(path: &Path, publisher: &Publisher) -> Result<(), PortError> {
    let mut clock = Clock { begun: Instant::now(), start: Timestamp::ZERO, end: Timestamp::ZERO };
    loop {
        let frames = round(path, publisher, &mut clock).await?;
        if frames == 0 {
            return Err(Box::new(Empty(path.display().to_string())));
        }
        clock.start = clock.end.saturating_add(SEAM);
    }
}

/// Times of one round: where it starts on the timeline of all rounds.
struct Clock {
    begun: Instant,
    start: Timestamp,
    end: Timestamp,
}

async fn round(path: &Path, publisher: &Publisher, clock: &mut Clock) -> Result<u64, PortError> {
    let mut file = File::open(path).await.map_err(|error| format!("{}: {error}", path.display()))?;
    let mut reader = Reader::new(Limits::default());
    let (mut buffer, mut first, mut frames) = (BytesMut::new(), None, 0);
    loop {
        while let Some(frame) = reader.poll_frame()? {
            let first = *first.get_or_insert(frame.dts);
            let frame = shift(frame, clock.start.saturating_sub(first));
            if frame.content == Content::Media {
                tokio::time::sleep_until(clock.begun + frame.dts.to_duration()).await;
                clock.end = clock.end.max(frame.dts);
                frames += 1;
            }
            publisher.push(frame)?;
        }
        buffer.reserve(READ_BYTES);
        if file.read_buf(&mut buffer).await? == 0 {
            return Ok(frames);
        }
        reader.handle_bytes(buffer.split().freeze());
    }
}

fn shift(mut frame: Frame, by: Timestamp) -> Frame {
    frame.dts = frame.dts.saturating_add(by);
    frame
}
