//! The WebRTC engine, as the WCS service knows it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use sluicegate_hub::{Choice, Publish, Reason, StreamName, Viewer};
use sluicegate_rtc_driver::CloseReason;
use sluicegate_wcs::media::{Answer, Event, Failure, Kinds, Leg, MediaFuture, Offer};
use sluicegate_wcs::{Media, Role, info};
use sluicegate_webrtc_relay::{Ending, Engine, Error, Session, Stage};
use tokio::sync::mpsc;

/// The protocol's name in lists of viewers and publishers.
const PROTOCOL: &str = "wcs";
/// A session tells that it is up, and that it is over.
const EVENTS: usize = 2;

/// The engine.
pub(super) struct Bridge(pub(super) Engine);

impl Media for Bridge {
    fn answer(&self, role: Role, stream: StreamName, offer: String, peer: Option<SocketAddr>) -> MediaFuture<Answer> {
        let engine = self.0.clone();
        Box::pin(async move {
            let done = match role {
                Role::Publish => {
                    engine.publish(&stream, &offer, Publish { address: peer, ..Publish::by(PROTOCOL) }).await
                }
                Role::Play => {
                    engine
                        .play(
                            &stream,
                            &offer,
                            Viewer { address: peer, choice: Choice::FITTING, ..Viewer::by(PROTOCOL) },
                        )
                        .await
                }
            };
            let (session, sdp) = done.map_err(|error| refused(&error))?;
            let (tell, events) = mpsc::channel(EVENTS);
            forward(&session, tell);
            let place = Place::default();
            place.take(session);
            Ok(Answer { sdp, leg: Leg { events, guard: Box::new(Closing(place)) } })
        })
    }

    fn offer(&self, role: Role, stream: StreamName) -> MediaFuture<Offer> {
        let engine = self.0.clone();
        Box::pin(async move {
            let offering = match role {
                Role::Publish => engine.offer_push(&stream, Viewer::by(PROTOCOL)).await,
                Role::Play => engine.offer_pull(&stream, Publish::by(PROTOCOL)).await,
            };
            let offering = offering.map_err(|error| refused(&error))?;
            let sdp = offering.description().to_owned();
            let kinds = Kinds { video: has(&sdp, "m=video "), audio: has(&sdp, "m=audio ") };
            let (tell, events) = mpsc::channel(EVENTS);
            let place = Place::default();
            let guard = Box::new(Closing(place.clone()));
            let accept = Box::new(move |answer: String| -> MediaFuture<()> {
                Box::pin(async move {
                    let session = offering.accept(&answer).await.map_err(|error| refused(&error))?;
                    forward(&session, tell);
                    place.take(session);
                    Ok(())
                })
            });
            Ok(Offer { sdp, kinds, accept, leg: Leg { events, guard } })
        })
    }
}

/// Where a session is kept as soon as there is one.
#[derive(Clone, Default)]
struct Place(Arc<Mutex<Option<Session>>>);

impl Place {
    fn take(&self, session: Session) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
    }
}

/// Ends the session with the WCS service's interest in it.
struct Closing(Place);

impl Drop for Closing {
    fn drop(&mut self) {
        let session = self.0.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        session.iter().for_each(Session::close);
    }
}

/// Tells what becomes of a session, as long as somebody listens.
fn forward(session: &Session, tell: mpsc::Sender<Event>) {
    let mut stage = session.stage();
    tokio::spawn(async move {
        loop {
            let now = stage.borrow_and_update().clone();
            let (event, over) = match now {
                Stage::Connecting => (None, false),
                Stage::Live => (Some(Event::Connected), false),
                Stage::Ended(ending) => (Some(Event::Ended(ended(&ending))), true),
            };
            if let Some(event) = event
                && tell.send(event).await.is_err()
            {
                return;
            }
            let changed = tokio::select! {
                changed = stage.changed() => changed.is_ok(),
                () = tell.closed() => false,
            };
            if over || !changed {
                return;
            }
        }
    });
}

/// Whether a description of ours has a media section of a kind.
fn has(sdp: &str, section: &str) -> bool {
    sdp.lines().any(|line| line.strip_prefix(section).is_some_and(|rest| !rest.starts_with("0 ")))
}

/// Why a session never was.
fn refused(error: &Error) -> Failure {
    use sluicegate_hub::Error as Hub;
    let info = match error {
        Error::Hub(Hub::Conflict { .. } | Hub::Reserved { .. }) => info::NAME_IN_USE,
        Error::Hub(Hub::NotFound { .. } | Hub::Ended(_)) => info::STREAM_NOT_FOUND,
        Error::Codec { .. } | Error::Unplayable | Error::Nothing { .. } => info::NO_COMMON_CODECS,
        Error::Reordered => info::TRANSCODING,
        _ => info::FAILED,
    };
    Failure::failed(info, error.line())
}

/// Why a session is over.
fn ended(ending: &Ending) -> Failure {
    let detail = ending.to_string();
    match ending {
        Ending::Transport(CloseReason::Local | CloseReason::Peer) => Failure::ended(info::STOPPED_BY_USER, detail),
        Ending::Transport(CloseReason::NoPath | CloseReason::NoAnswer) => {
            Failure::failed(info::FAILED_BY_ICE_TIMEOUT, detail)
        }
        Ending::Transport(CloseReason::Vanished) => Failure::failed(info::FAILED_BY_ICE_KEEP_ALIVE, detail),
        Ending::Transport(CloseReason::Handshake) => Failure::failed(info::FAILED_BY_DTLS, detail),
        Ending::Transport(_) => Failure::failed(info::FAILED_BY_ICE, detail),
        Ending::Stream(Reason::PublisherGone) => Failure::ended(info::STOPPED_BY_SESSION, detail),
        Ending::Stream(Reason::Cut) => Failure::ended(info::STOPPED_BY_REST, detail),
        Ending::Stream(_) => Failure::ended(info::STOPPED_BY_PUBLISHER, detail),
        // The engine tells of a silent publisher by its text alone.
        Ending::Failed(why) if why.starts_with("nothing was received") => Failure::failed(info::FAILED_BY_RTP, detail),
        _ => Failure::failed(info::FAILED, detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_have_the_words_that_pages_know() {
        let silent = Ending::Failed(Error::Silent { seconds: 10 }.to_string());
        assert_eq!(ended(&silent).end.info, "Failed by RTP activity");
        let finished = ended(&Ending::Stream(Reason::Finished)).end;
        assert!(finished.in_order && finished.info == "Stopped by publisher stop");
        assert!(!ended(&Ending::Transport(CloseReason::Vanished)).end.in_order);
        assert_eq!(refused(&Error::Reordered).end.info, "Transcoding required, but disabled");
    }

    #[test]
    fn sections_are_seen_unless_they_are_refused() {
        let sdp = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\nm=video 0 UDP/TLS/RTP/SAVPF 0\r\n";
        assert!(has(sdp, "m=audio ") && !has(sdp, "m=video "));
    }
}
