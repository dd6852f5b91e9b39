//! A client's end of a connection.

use std::time::{Duration, Instant};

use bytes::Bytes;
use sluicegate_flv::amf0::Value;

use super::capabilities::ours;
use super::command::text;
use super::message::Message;
use super::wire::{Said, Wire, user_control};
use super::{Address, Capabilities, Command, Violation};

/// How long a server may take for the handshake, and for each answer. 15 s: some look for the stream first.
const ANSWER: Duration = Duration::from_secs(15);
/// Milliseconds of media that a player says it buffers; live servers send as it comes whatever this says.
const BUFFER_MS: u32 = 1_000;
/// What clients of most servers say they are.
const SOFTWARE: &str = "FMLE/3.0 (compatible; Sluicegate)";

/// What a client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Send a stream.
    Publish,
    /// Receive one.
    Play,
}

/// What a client session is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientConfig {
    /// The server's stream.
    pub address: Address,
    /// What is wanted of it.
    pub purpose: Purpose,
}

/// What has happened.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientEvent {
    /// The server takes or sends the stream.
    Started {
        /// The message stream that media travels on.
        stream: u32,
        /// What the server has told of itself.
        capabilities: Capabilities,
    },
    /// Pictures, sound or data.
    Media(Message),
    /// The stream has ended in order.
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Handshake,
    Connect,
    CreateStream,
    Start,
    Running,
}

/// A client's session with one server. Order of calls: `poll_output` first, then as for a server: `handle_bytes`,
/// `poll_event` until there are none, `poll_output`.
#[derive(Debug)]
pub struct ClientSession {
    wire: Wire,
    config: ClientConfig,
    step: Step,
    deadline: Option<Instant>,
    stream: u32,
    capabilities: Capabilities,
    /// The server has begun to send before it said so.
    early: Option<Message>,
}

/// Transactions, in the order in which they are sent.
const CONNECT: f64 = 1.0;
const RELEASE: f64 = 2.0;
const ANNOUNCE: f64 = 3.0;
const CREATE: f64 = 4.0;
const START: f64 = 5.0;
const WITHDRAW: f64 = 6.0;
const DELETE: f64 = 7.0;

impl ClientSession {
    /// A session with a server that was connected to at `now`.
    #[must_use]
    pub fn new(config: ClientConfig, seed: u64, now: Instant) -> Self {
        Self {
            wire: Wire::client(seed),
            config,
            step: Step::Handshake,
            deadline: now.checked_add(ANSWER),
            stream: 0,
            capabilities: Capabilities::default(),
            early: None,
        }
    }

    /// Takes bytes that the server has sent.
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
    /// The server has not answered in time.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Violation> {
        let what = match self.step {
            Step::Handshake => "the handshake",
            Step::Connect => "the answer to connect",
            Step::CreateStream => "the answer to createStream",
            Step::Start | Step::Running => "the stream's start",
        };
        match self.deadline {
            Some(deadline) if now >= deadline => Err(Violation::Late { what, after: ANSWER }),
            _ => Ok(()),
        }
    }

    /// The next event, `None` when more bytes are needed.
    ///
    /// # Errors
    /// The server breaks the protocol or a limit, or refuses.
    pub fn poll_event(&mut self, now: Instant) -> Result<Option<ClientEvent>, Violation> {
        if let Some(message) = self.early.take() {
            return Ok(Some(ClientEvent::Media(message)));
        }
        if self.step == Step::Handshake && self.wire.is_up()? {
            self.connect();
            self.go_to(Step::Connect, now);
        }
        while let Some(said) = self.wire.poll()? {
            match said {
                Said::Media(message) if self.config.purpose == Purpose::Play => match self.step {
                    Step::Running => return Ok(Some(ClientEvent::Media(message))),
                    Step::Start => {
                        self.early = Some(message);
                        return Ok(Some(self.started()));
                    }
                    _ => {}
                },
                Said::Media(_) => {}
                Said::Eof if self.step == Step::Running => return Ok(Some(ClientEvent::Ended)),
                Said::Eof => {}
                Said::Command(command) => {
                    if let Some(event) = self.command(&command, now)? {
                        return Ok(Some(event));
                    }
                }
            }
        }
        Ok(None)
    }

    fn go_to(&mut self, step: Step, now: Instant) {
        self.step = step;
        self.deadline = now.checked_add(ANSWER);
    }

    fn command(&mut self, command: &Command, now: Instant) -> Result<Option<ClientEvent>, Violation> {
        match (command.name.as_str(), self.step) {
            ("_result", Step::Connect) if command.transaction == CONNECT => {
                self.capabilities = Capabilities::parse(&command.arguments);
                self.create();
                self.go_to(Step::CreateStream, now);
            }
            ("_result", Step::CreateStream) if command.transaction == CREATE => {
                let number = command.arguments.iter().find_map(Value::as_number);
                let number = number.ok_or(Violation::Incomplete { what: "a message stream" })?;
                self.stream = stream_number(number).ok_or(Violation::Incomplete { what: "a message stream" })?;
                self.start();
                self.go_to(Step::Start, now);
            }
            ("_error", Step::Connect | Step::CreateStream | Step::Start)
                if [CONNECT, CREATE, START].contains(&command.transaction) =>
            {
                return Err(refusal(command));
            }
            ("onStatus", _) => return self.status(command),
            ("close", _) => return Ok(Some(ClientEvent::Ended)),
            _ => {}
        }
        Ok(None)
    }

    fn status(&mut self, command: &Command) -> Result<Option<ClientEvent>, Violation> {
        if command.member("level") == Some("error") {
            return Err(refusal(command));
        }
        Ok(match command.member("code").unwrap_or_default() {
            "NetStream.Publish.Start" | "NetStream.Play.Start" if self.step == Step::Start => Some(self.started()),
            "NetStream.Play.UnpublishNotify"
            | "NetStream.Play.Stop"
            | "NetStream.Play.Complete"
            | "NetStream.Unpublish.Success"
            | "NetConnection.Connect.Closed"
            | "NetConnection.Connect.ReconnectRequest" => Some(ClientEvent::Ended),
            _ => None,
        })
    }

    fn started(&mut self) -> ClientEvent {
        self.step = Step::Running;
        self.deadline = None;
        ClientEvent::Started { stream: self.stream, capabilities: self.capabilities.clone() }
    }

    fn connect(&mut self) {
        let Address { app, tc_url, .. } = &self.config.address;
        let mut members = vec![("app".to_owned(), text(app))];
        if self.config.purpose == Purpose::Publish {
            members.push(("type".to_owned(), text("nonprivate")));
        }
        members.push(("flashVer".to_owned(), text(SOFTWARE)));
        members.push(("tcUrl".to_owned(), text(tc_url)));
        members.extend(ours());
        self.wire.send_command(0, &Command::new("connect", CONNECT, vec![Value::Object(members)]));
    }

    /// What follows the answer to `connect`, as encoders say it.
    fn create(&mut self) {
        self.wire.send_windows();
        self.wire.send_sizes();
        if self.config.purpose == Purpose::Publish {
            let name = || vec![Value::Null, text(&self.config.address.stream)];
            let (release, announce) = (name(), name());
            self.wire.send_command(0, &Command::new("releaseStream", RELEASE, release));
            self.wire.send_command(0, &Command::new("FCPublish", ANNOUNCE, announce));
        }
        self.wire.send_command(0, &Command::new("createStream", CREATE, vec![Value::Null]));
    }

    fn start(&mut self) {
        let name = text(&self.config.address.stream);
        match self.config.purpose {
            Purpose::Publish => {
                let arguments = vec![Value::Null, name, text("live")];
                self.wire.send_command(self.stream, &Command::new("publish", START, arguments));
            }
            Purpose::Play => {
                let arguments = vec![Value::Null, name, Value::Number(-2000.0)];
                self.wire.send_command(self.stream, &Command::new("play", START, arguments));
                self.wire.send_user_control(user_control::SET_BUFFER_LENGTH, &[self.stream, BUFFER_MS]);
            }
        }
    }

    /// Says goodbye; the caller writes it and closes the connection.
    pub fn finish(&mut self) {
        if self.step != Step::Running {
            return;
        }
        if self.config.purpose == Purpose::Publish {
            let arguments = vec![Value::Null, text(&self.config.address.stream)];
            self.wire.send_command(0, &Command::new("FCUnpublish", WITHDRAW, arguments));
        }
        let arguments = vec![Value::Null, Value::Number(f64::from(self.stream))];
        self.wire.send_command(0, &Command::new("deleteStream", DELETE, arguments));
    }
}

fn refusal(command: &Command) -> Violation {
    let said = |name: &str| command.member(name).unwrap_or_default().chars().take(300).collect();
    Violation::Refused { code: said("code"), description: said("description") }
}

/// A message stream's number that came as a double.
fn stream_number(number: f64) -> Option<u32> {
    let whole = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
    // Through text, since there is no conversion that tells.
    if whole { format!("{number:.0}").parse().ok() } else { None }
}
