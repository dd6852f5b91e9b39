//! The client's end of a session: one stream that is published at another server, or played from it.

use std::collections::VecDeque;
use std::time::Instant;

use serde_json::{Map, Value, json};
use sluicegate_net::allowance::Allowance;

mod action;
mod config;
mod event;

pub use action::{Action, Ended, Media, Wish};
pub use config::Config;

use crate::message::{ClientMessage, Role, ServerMessage, Status, StreamKey, StreamRequest, StreamStatus};
use crate::{Error, Muted};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// `connection` is sent.
    Greeting {
        deadline: Instant,
    },
    /// Our media engine makes the offer.
    Offering {
        deadline: Instant,
    },
    /// The offer is sent.
    Asking {
        deadline: Instant,
    },
    /// The answer is here.
    Connecting {
        deadline: Instant,
    },
    Up,
    /// The end is sent.
    Leaving {
        deadline: Instant,
    },
    Over,
}

/// One stream at another server.
///
/// *Input*: [`handle_text`](Self::handle_text), what became of [`Action`]s, [`handle_timeout`](Self::handle_timeout),
/// [`handle_closed`](Self::handle_closed); [`stop`](Self::stop) ends it in order.
/// *Output* after any input: [`poll_text`](Self::poll_text) and [`poll_action`](Self::poll_action) until they are empty,
/// then [`poll_timeout`](Self::poll_timeout).
#[derive(Debug)]
pub struct Session {
    config: Config,
    wish: Wish,
    state: State,
    heard: Instant,
    allowance: Allowance,
    /// Events that go to the server.
    events: Allowance,
    media: Media,
    texts: VecDeque<String>,
    actions: VecDeque<Action>,
}

impl Session {
    /// A session whose socket has just opened.
    #[must_use]
    pub fn new(config: Config, wish: Wish, now: Instant) -> Self {
        let greeting = ClientMessage::Connection(greeting(&wish.app_key)).encode();
        Self {
            state: State::Greeting { deadline: now + config.answer },
            heard: now,
            allowance: Allowance::new(now, config.burst, config.rate),
            events: Allowance::new(now, config.event_burst, config.event_rate),
            config,
            wish,
            media: Media { video: true, audio: true },
            texts: VecDeque::from([greeting]),
            actions: VecDeque::new(),
        }
    }

    /// Takes a message of the server.
    ///
    /// # Errors
    /// What is wrong with a text that is skipped.
    pub fn handle_text(&mut self, now: Instant, text: &str) -> Result<(), Error> {
        if self.state == State::Over {
            return Ok(());
        }
        if !self.allowance.take(now) {
            self.end(Ended::Flood);
            return Ok(());
        }
        self.heard = now;
        match ServerMessage::decode(text)? {
            ServerMessage::Ping => self.send(&ClientMessage::Pong),
            ServerMessage::UserData(_) => self.welcomed(now),
            ServerMessage::RemoteSdp { media_session_id, sdp } if media_session_id == self.wish.media_session_id => {
                self.answered(now, sdp);
            }
            ServerMessage::Status(status) if status.media_session_id == self.wish.media_session_id => {
                self.told(status);
            }
            ServerMessage::StreamEvent { media_session_id, kind, payload }
                if media_session_id == self.wish.media_session_id =>
            {
                self.heard_event(kind, payload);
            }
            _ => {}
        }
        Ok(())
    }

    fn welcomed(&mut self, now: Instant) {
        if matches!(self.state, State::Greeting { .. }) {
            self.state = State::Offering { deadline: now + self.config.answer };
            self.actions.push_back(Action::Offer);
        }
    }

    /// Our offer.
    pub fn handle_offer(&mut self, now: Instant, sdp: String, media: Media) {
        if !matches!(self.state, State::Offering { .. }) {
            return;
        }
        self.state = State::Asking { deadline: now + self.config.answer };
        self.media = media;
        let play = self.wish.role == Role::Play;
        let request = StreamRequest {
            media_session_id: self.wish.media_session_id.clone(),
            name: self.wish.name.clone(),
            published: !play,
            has_video: media.video,
            has_audio: media.audio,
            status: Status::Pending.name().to_owned(),
            media_provider: "WebRTC".to_owned(),
            sdp,
            width: play.then_some(0),
            height: play.then_some(0),
            quality: play.then_some(0),
            bitrate: Some(0),
            min_bitrate: Some(0),
            max_bitrate: Some(0),
            record: false,
            custom: None,
            rtmp_url: None,
        };
        self.send(&if play { ClientMessage::Play(request) } else { ClientMessage::Publish(request) });
    }

    fn answered(&mut self, now: Instant, sdp: String) {
        // The status may come before the answer.
        match self.state {
            State::Asking { .. } => self.state = State::Connecting { deadline: now + self.config.connect },
            State::Up => {}
            _ => return,
        }
        self.actions.push_back(Action::Accept(sdp));
    }

    fn told(&mut self, StreamStatus { status, info, audio_muted, video_muted, .. }: StreamStatus) {
        if status.is_ended() {
            let leaving = matches!(self.state, State::Leaving { .. });
            return self.end(if leaving { Ended::Stopped } else { Ended::Server { status, info } });
        }
        let waiting = matches!(self.state, State::Asking { .. } | State::Connecting { .. });
        if waiting && status == self.wish.role.up() {
            self.state = State::Up;
            self.actions.push_back(Action::Up);
            let muted = Muted { audio: audio_muted, video: video_muted };
            muted.events().for_each(|kind| self.heard_event(kind.to_owned(), None));
        }
    }

    /// Ends the stream in order: the server is told, and waited for as long as [`Config::goodbye`].
    pub fn stop(&mut self, now: Instant) {
        match self.state {
            State::Over | State::Leaving { .. } => return,
            State::Greeting { .. } | State::Offering { .. } => return self.end(Ended::Stopped),
            State::Asking { .. } | State::Connecting { .. } | State::Up => {}
        }
        self.state = State::Leaving { deadline: now + self.config.goodbye };
        let publishes = self.wish.role == Role::Publish;
        let key = StreamKey {
            media_session_id: self.wish.media_session_id.clone(),
            name: self.wish.name.clone(),
            published: publishes,
            has_video: self.media.video,
            has_audio: self.media.audio,
            status: self.wish.role.up().name().to_owned(),
            record: false,
        };
        self.send(&if publishes { ClientMessage::Unpublish(key) } else { ClientMessage::Stop(key) });
    }

    /// Our media has ended, or no offer could be made.
    pub fn handle_media_end(&mut self, info: &'static str) {
        self.end(Ended::Media(info));
    }

    /// The socket is closed.
    pub fn handle_closed(&mut self) {
        let leaving = matches!(self.state, State::Leaving { .. });
        self.end(if leaving { Ended::Stopped } else { Ended::Closed });
    }

    fn end(&mut self, why: Ended) {
        if self.state != State::Over {
            self.state = State::Over;
            self.actions.push_back(Action::Ended(why));
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let Some(due) = self.poll_timeout().filter(|due| *due <= now) else { return };
        if due >= self.heard + self.config.silence {
            return self.end(Ended::Silence);
        }
        let what = match self.state {
            State::Greeting { .. } => "connection",
            State::Offering { .. } => return self.end(Ended::Media(crate::info::FAILED)),
            State::Asking { .. } | State::Connecting { .. } if self.wish.role == Role::Publish => "publishStream",
            State::Asking { .. } | State::Connecting { .. } => "playStream",
            State::Leaving { .. } => return self.end(Ended::Stopped),
            State::Up | State::Over => return,
        };
        self.end(Ended::Timeout { what });
    }

    fn send(&mut self, message: &ClientMessage) {
        self.texts.push_back(message.encode());
    }

    /// The next text for the server.
    pub fn poll_text(&mut self) -> Option<String> {
        self.texts.pop_front()
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; never once the session is over.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let silence = self.heard + self.config.silence;
        match self.state {
            State::Greeting { deadline }
            | State::Offering { deadline }
            | State::Asking { deadline }
            | State::Connecting { deadline }
            | State::Leaving { deadline } => Some(deadline.min(silence)),
            State::Up => Some(silence),
            State::Over => None,
        }
    }
}

/// What a Web SDK without a browser would say of itself.
fn greeting(app_key: &str) -> Map<String, Value> {
    let fields = json!({
        "appKey": app_key,
        "mediaProviders": ["WebRTC"],
        "clientVersion": "2.0",
        "clientOSVersion": std::env::consts::OS,
        "clientBrowserVersion": concat!("Sluicegate/", env!("CARGO_PKG_VERSION")),
        "msePacketizationVersion": 2,
    });
    fields.as_object().cloned().unwrap_or_default()
}

/// Lets a session in each of its states hear a text.
pub(crate) fn fuzz(text: &str) {
    let now = Instant::now();
    for steps in 0..3 {
        let wish = Wish { role: Role::Play, name: "a".into(), media_session_id: "id".into(), app_key: "x".into() };
        let mut session = Session::new(Config::default(), wish, now);
        if steps > 0 {
            session.welcomed(now);
        }
        if steps > 1 {
            session.handle_offer(now, String::new(), Media { video: true, audio: true });
        }
        let _ = session.handle_text(now, text);
        session.handle_timeout(now + std::time::Duration::from_secs(60));
        while session.poll_text().is_some() || session.poll_action().is_some() {}
    }
}

#[cfg(test)]
mod tests;
