//! The media of a session's streams.

use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::media::{Answer, Event, Failure, MediaFuture};

/// What happens to a stream's media.
pub(super) enum Heard {
    /// The application has given it another name.
    Named(String),
    Answered(String),
    Connected,
    Ended(Failure),
    /// Of the session itself: whether the application takes the client.
    Admitted(Option<Map<String, Value>>),
    /// Of the session itself: whether the application took data.
    Taken(bool),
}

/// A stream's media, and which of all that the session ever had it is.
pub(super) struct Leg {
    pub(super) number: u64,
    pub(super) stop: CancellationToken,
}

impl Drop for Leg {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Follows a stream's media to its end, and ends it when it is told to.
pub(super) async fn live(answering: MediaFuture<Answer>, stop: CancellationToken, tell: impl AsyncFn(Heard)) {
    let Answer { sdp, leg } = match stop.run_until_cancelled(answering).await {
        None => return tell(Heard::Ended(Failure::silent())).await,
        Some(Err(failure)) => return tell(Heard::Ended(failure)).await,
        Some(Ok(answer)) => answer,
    };
    tell(Heard::Answered(sdp)).await;
    let crate::media::Leg { mut events, guard } = leg;
    let mut guard = Some(guard);
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            () = stop.cancelled(), if guard.is_some() => {
                guard = None;
                continue;
            }
        };
        match event {
            Some(Event::Connected) => tell(Heard::Connected).await,
            Some(Event::Ended(failure)) => return tell(Heard::Ended(failure)).await,
            None => return tell(Heard::Ended(Failure::silent())).await,
        }
    }
}
