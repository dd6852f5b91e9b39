//! A server's end of a connection.

use std::time::{Duration, Instant};

use bytes::Bytes;
use sluicegate_flv::amf0::Value;

use super::capabilities::ours;
use super::command::{object, text};
use super::message::Message;
use super::wire::{Said, Wire, user_control};
use super::writer::MEDIA_STREAM;
use super::{Capabilities, Command, Place, Violation};

/// How long a client may take from its first byte, or from the end of its last stream, until it publishes or plays.
/// 10 s: a handshake and three commands on a slow line.
const SETUP: Duration = Duration::from_secs(10);
/// Bytes of an app or a stream name with its query, at most: four times the longest name, and room for a token.
const MAX_NAME_BYTES: usize = 4_096;

/// The codes of `onStatus` that refuse.
pub mod status {
    /// The name is taken, or it is none.
    pub const BAD_NAME: &str = "NetStream.Publish.BadName";
    /// The credentials are wrong.
    pub const DENIED: &str = "NetStream.Publish.Denied";
    /// What is published cannot be used, or the server cuts it off.
    pub const REJECTED: &str = "NetStream.Publish.Rejected";
    /// There is no such stream.
    pub const NOT_FOUND: &str = "NetStream.Play.StreamNotFound";
    /// It cannot be played: credentials, limits, codecs.
    pub const PLAY_FAILED: &str = "NetStream.Play.Failed";
}

/// What a client asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The stream, and the query with its credentials.
    pub place: Place,
    /// What the client has told of itself.
    pub capabilities: Capabilities,
    /// What software it says it is (`flashVer`).
    pub software: String,
}

/// What has happened.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerEvent {
    /// The client asks to publish; answer with [`ServerSession::accept_publish`] or [`ServerSession::refuse`].
    Publish(Request),
    /// The client asks to play; answer with [`ServerSession::accept_play`] or [`ServerSession::refuse`].
    Play(Request),
    /// Pictures, sound or data of the client's stream.
    Media(Message),
    /// The client has ended what it published or played. It may ask for another.
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Idle,
    AskedToPublish,
    Publishing,
    AskedToPlay,
    Playing,
}

/// A server's session with one client. Order of calls: `handle_bytes`, `poll_event` until there are none, `poll_output`.
///
/// - Input: [`handle_bytes`](Self::handle_bytes), [`handle_timeout`](Self::handle_timeout).
/// - Answers: [`accept_publish`](Self::accept_publish), [`accept_play`](Self::accept_play), [`refuse`](Self::refuse),
///   [`end`](Self::end).
/// - Output: [`poll_event`](Self::poll_event), [`poll_output`](Self::poll_output), [`poll_timeout`](Self::poll_timeout).
#[derive(Debug)]
pub struct ServerSession {
    wire: Wire,
    step: Step,
    deadline: Option<Instant>,
    connected: Option<Connected>,
    /// The transaction of an `FCPublish`, whose sender waits for `onFCPublish`.
    announced: bool,
}

#[derive(Debug)]
struct Connected {
    app: String,
    tc_url: String,
    capabilities: Capabilities,
    software: String,
}

impl ServerSession {
    /// A session with a client that has connected at `now`.
    #[must_use]
    pub fn new(seed: u64, now: Instant) -> Self {
        Self { deadline: now.checked_add(SETUP), ..Self::on(Wire::server(seed)) }
    }

    /// A session behind the handshake and without a deadline, for fuzzing.
    pub(super) fn after_handshake() -> Self {
        Self::on(Wire::after_handshake())
    }

    fn on(wire: Wire) -> Self {
        Self { wire, step: Step::Idle, deadline: None, connected: None, announced: false }
    }

    /// Takes bytes that the client has sent.
    pub fn handle_bytes(&mut self, bytes: Bytes) {
        self.wire.handle_bytes(bytes);
    }

    /// What is to be written next, if anything.
    pub fn poll_output(&mut self) -> Option<Bytes> {
        self.wire.poll_output()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// Time has passed.
    ///
    /// # Errors
    /// The client has asked for nothing in time.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Violation> {
        match self.deadline {
            Some(deadline) if now >= deadline => Err(Violation::Late { what: "publish or play", after: SETUP }),
            _ => Ok(()),
        }
    }

    /// The next event, `None` when more bytes are needed.
    ///
    /// # Errors
    /// The client breaks the protocol or a limit.
    pub fn poll_event(&mut self) -> Result<Option<ServerEvent>, Violation> {
        while let Some(said) = self.wire.poll()? {
            match said {
                Said::Media(message) if self.step == Step::Publishing => return Ok(Some(ServerEvent::Media(message))),
                // Media that nobody has asked for is left out; so is what follows a refusal.
                Said::Media(_) | Said::Eof => {}
                Said::Command(command) => {
                    if let Some(event) = self.command(&command)? {
                        return Ok(Some(event));
                    }
                }
            }
        }
        Ok(None)
    }

    fn command(&mut self, command: &Command) -> Result<Option<ServerEvent>, Violation> {
        match command.name.as_str() {
            "connect" => self.connect(command)?,
            "createStream" => self.result(command, Value::Number(f64::from(MEDIA_STREAM))),
            "publish" => return self.ask(command, Step::AskedToPublish).map(Some),
            "play" | "play2" => return self.ask(command, Step::AskedToPlay).map(Some),
            "FCPublish" => {
                self.announced = true;
                self.result(command, Value::Undefined);
            }
            "FCUnpublish" | "deleteStream" | "closeStream" => {
                self.result(command, Value::Undefined);
                return Ok(self.ended());
            }
            "FCSubscribe" => {
                let about = information("status", "NetStream.Play.Start", "the stream is subscribed to");
                self.wire.send_command(0, &Command::new("onFCSubscribe", 0.0, vec![Value::Null, about]));
            }
            "getStreamLength" => self.result(command, Value::Number(0.0)),
            "releaseStream" | "_checkbw" | "setDataFrame" | "receiveAudio" | "receiveVideo" | "pause" | "seek" => {
                self.result(command, Value::Undefined);
            }
            "_result" | "_error" | "onStatus" => {}
            _ => self.unknown(command),
        }
        Ok(None)
    }

    fn connect(&mut self, command: &Command) -> Result<(), Violation> {
        let app = limited(command.member("app").unwrap_or_default())?;
        let tc_url = limited(command.member("tcUrl").unwrap_or_default())?;
        let software = limited(command.member("flashVer").unwrap_or_default())?;
        let capabilities = Capabilities::parse(&command.arguments);
        let enhanced = capabilities.are_told();
        self.connected = Some(Connected { app, tc_url, capabilities, software });
        self.wire.send_windows();
        self.wire.send_sizes();
        let mut properties = vec![
            ("fmsVer".to_owned(), text("FMS/3,5,7,7009")),
            ("capabilities".to_owned(), Value::Number(31.0)),
            ("mode".to_owned(), Value::Number(1.0)),
        ];
        let mut about = vec![
            ("level".to_owned(), text("status")),
            ("code".to_owned(), text("NetConnection.Connect.Success")),
            ("description".to_owned(), text("connected")),
            ("objectEncoding".to_owned(), Value::Number(0.0)),
        ];
        if enhanced {
            // Clients look in one or the other.
            properties.extend(ours());
            about.extend(ours());
        }
        let arguments = vec![Value::Object(properties), Value::Object(about)];
        self.wire.send_command(0, &Command::new("_result", command.transaction, arguments));
        Ok(())
    }

    fn ask(&mut self, command: &Command, asked: Step) -> Result<ServerEvent, Violation> {
        let Some(connected) = &self.connected else {
            return Err(Violation::Incomplete { what: "a connect before it" });
        };
        if self.step != Step::Idle {
            return Err(Violation::Incomplete { what: "an end of the stream before it" });
        }
        let stream = limited(command.text(1).unwrap_or_default())?;
        let request = Request {
            place: Place::new(&connected.app, &stream, &connected.tc_url),
            capabilities: connected.capabilities.clone(),
            software: connected.software.clone(),
        };
        self.step = asked;
        self.deadline = None;
        let publishes = asked == Step::AskedToPublish;
        Ok(if publishes { ServerEvent::Publish(request) } else { ServerEvent::Play(request) })
    }

    fn ended(&mut self) -> Option<ServerEvent> {
        let was = std::mem::replace(&mut self.step, Step::Idle);
        self.announced = false;
        (was != Step::Idle).then_some(ServerEvent::Ended)
    }

    /// The client may publish.
    pub fn accept_publish(&mut self) {
        self.step = Step::Publishing;
        self.wire.send_user_control(user_control::STREAM_BEGIN, &[MEDIA_STREAM]);
        if self.announced {
            let about = information("status", "NetStream.Publish.Start", "the stream may be published");
            self.wire.send_command(0, &Command::new("onFCPublish", 0.0, vec![Value::Null, about]));
        }
        self.status("status", "NetStream.Publish.Start", "the stream is published");
    }

    /// The client may play; media follows.
    pub fn accept_play(&mut self) {
        self.step = Step::Playing;
        self.wire.send_user_control(user_control::STREAM_BEGIN, &[MEDIA_STREAM]);
        self.status("status", "NetStream.Play.Reset", "the stream starts anew");
        self.status("status", "NetStream.Play.Start", "the stream starts");
    }

    /// The client gets a no, with one of the codes of [`status`]. The caller closes the connection.
    pub fn refuse(&mut self, code: &str, description: &str) {
        self.status("error", code, description);
    }

    /// What the client plays is over.
    pub fn end(&mut self, description: &str) {
        self.wire.send_user_control(user_control::STREAM_EOF, &[MEDIA_STREAM]);
        self.status("status", "NetStream.Play.UnpublishNotify", description);
        self.status("status", "NetStream.Play.Stop", description);
    }

    /// The client that has ended its stream may ask for another one until its time is up again.
    pub fn wait_again(&mut self, now: Instant) {
        self.deadline = now.checked_add(SETUP);
    }

    fn status(&mut self, level: &str, code: &str, description: &str) {
        let about = information(level, code, description);
        self.wire.send_command(MEDIA_STREAM, &Command::new("onStatus", 0.0, vec![Value::Null, about]));
    }

    /// Answers a command whose sender awaits an answer.
    fn result(&mut self, command: &Command, value: Value) {
        if command.transaction != 0.0 {
            self.wire.send_command(0, &Command::new("_result", command.transaction, vec![Value::Null, value]));
        }
    }

    fn unknown(&mut self, command: &Command) {
        if command.transaction != 0.0 {
            let about = information("error", "NetConnection.Call.Failed", "there is no such command here");
            self.wire.send_command(0, &Command::new("_error", command.transaction, vec![Value::Null, about]));
        }
    }
}

fn information(level: &str, code: &str, description: &str) -> Value {
    object([("level", text(level)), ("code", text(code)), ("description", text(description))])
}

fn limited(text: &str) -> Result<String, Violation> {
    if text.len() > MAX_NAME_BYTES {
        return Err(Violation::MessageSize { got: text.len(), limit: MAX_NAME_BYTES });
    }
    Ok(text.to_owned())
}
