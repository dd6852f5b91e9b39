//! A push to an original upstream, in the form that it takes and that conforms to RFC 6455: an empty binary message
//! before each tag. The original drops one frame header, then reads a frame; so the empty one is what it drops.
//!
//! Between the empty message and the tag is the one place where the original answers a ping and loses nothing.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sluicegate_hub::{Batch, Reason, Subscriber, TrackSet};
use sluicegate_media::{Kind, Tracks};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;
use url::Url;

use self::keep_alive::{KeepAlive, Times};
use super::legacy;
use crate::{Error, client};

mod keep_alive;

/// Where an original at `base` takes the push of `stream`, as site `cid`: `{base}/erwscascade/wspush/A/B?cid=CID`.
/// `None` when the name has not exactly two segments: the original refuses it.
#[must_use]
pub fn push_url(base: &Url, stream: &str, cid: &str) -> Option<Url> {
    let (app, name) = stream.split_once('/')?;
    if app.is_empty() || name.is_empty() || name.contains('/') {
        return None;
    }
    let mut url = base.clone();
    url.path_segments_mut().ok()?.pop_if_empty().extend(["erwscascade", "wspush", app, name]);
    url.query_pairs_mut().clear().append_pair("cid", cid);
    Some(url)
}

/// Pushes the stream until it ends, `stop` is cancelled or the server closes. The socket is pinged every 5 s where the
/// original bears it, and given up when a server that has answered before is silent for 15 s.
///
/// An original knows legacy FLV only: pictures of H.264 and H.265 (`CodecID` 12), sound of AAC and G.711. Other sound is
/// left out beside pictures.
///
/// # Errors
/// As [`client::push`](crate::client::push); [`Error::Codec`] for a stream of other codecs, [`Error::Silent`] when the
/// server answers no more.
pub async fn push<S>(
    subscriber: Subscriber,
    websocket: WebSocketStream<S>,
    stop: CancellationToken,
) -> Result<Reason, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    run(subscriber, websocket, stop, Times::default()).await
}

async fn run<S>(
    subscriber: Subscriber,
    websocket: WebSocketStream<S>,
    stop: CancellationToken,
    times: Times,
) -> Result<Reason, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let form = FormB { tags: Tags::default(), keep_alive: KeepAlive::new(times, Instant::now()) };
    client::push::run(form, subscriber, websocket, stop).await
}

/// The form that an original takes.
#[derive(Debug)]
struct FormB {
    tags: Tags,
    keep_alive: KeepAlive,
}

impl client::push::Form for FormB {
    fn messages(&mut self, batch: &Batch) -> Result<Vec<Message>, Error> {
        let now = Instant::now();
        match self.keep_alive.silence(now) {
            Some(after) => Err(Error::Silent { after }),
            None => self.tags.messages(batch, &mut self.keep_alive, now),
        }
    }

    fn handle_pong(&mut self) {
        self.keep_alive.handle_pong();
    }
}

/// Makes messages of batches; knows which tracks the upstream has been told of.
#[derive(Debug, Default)]
struct Tags {
    set: Option<Arc<TrackSet>>,
    told: Option<Tracks>,
}

impl Tags {
    /// The messages of a batch: at the beginning the file header and the metadata, then a pair for each tag, those of
    /// decoder configurations that have changed first.
    fn messages(&mut self, batch: &Batch, keep_alive: &mut KeepAlive, now: Instant) -> Result<Vec<Message>, Error> {
        let mut messages = Vec::new();
        let known = self.set.as_ref().is_some_and(|set| Arc::ptr_eq(set, &batch.tracks));
        if !known {
            let tracks = legacy::carried(&batch.tracks).inspect_err(
                |_| tracing::warn!(tracks = ?codecs(&batch.tracks), "an original m7s knows no enhanced FLV, which this stream needs"),
            )?;
            if tracks.len() < batch.tracks.iter().filter(|track| track.kind() != Kind::Data).count() {
                tracing::info!(tracks = ?codecs(&batch.tracks), "tracks that an original m7s cannot read are left out");
            }
            let at = batch.start();
            if self.told.is_none() {
                messages.extend(legacy::beginning(&tracks, at).map(Message::Binary));
            }
            let told = self.told.take().unwrap_or_default();
            let changed = tracks.iter().filter(|track| told.get(track.id) != Some(*track));
            pairs(changed.filter_map(|track| legacy::configuration(track, at)), keep_alive, now, &mut messages);
            (self.set, self.told) = (Some(Arc::clone(&batch.tracks)), Some(tracks));
        }
        pairs(batch.frames.iter().filter_map(legacy::tag), keep_alive, now, &mut messages);
        Ok(messages)
    }
}

/// Each tag behind an empty message, and a ping between the two when one is due.
fn pairs(tags: impl Iterator<Item = Bytes>, keep_alive: &mut KeepAlive, now: Instant, messages: &mut Vec<Message>) {
    for tag in tags {
        messages.push(Message::Binary(Bytes::new()));
        if keep_alive.ping(now) {
            messages.push(Message::Ping(Bytes::new()));
        }
        messages.push(Message::Binary(tag));
    }
}

fn codecs(tracks: &Tracks) -> Vec<String> {
    tracks.iter().map(|track| track.codec.to_string()).collect()
}

#[cfg(test)]
mod tests;
