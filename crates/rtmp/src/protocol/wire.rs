//! What both ends do alike: the handshake, control messages, acknowledgements, and what is to be written.

use bytes::{Bytes, BytesMut};

use super::handshake::Handshake;
use super::message::{Message, kind};
use super::reader::{Limits, Reader};
use super::writer::{CHUNK_BYTES, INITIAL_CHUNK_BYTES, write_message};
use super::{Command, Violation};

/// Bytes that we let the peer send unacknowledged, and take as our own window until it says otherwise. 2.5 MB, the value
/// of most servers. Nobody waits for acknowledgements; TCP does that.
const WINDOW_BYTES: u32 = 2_500_000;
/// The least window that is heeded: a peer that asks for an acknowledgement of every byte would get answers larger than
/// what it sends.
const LEAST_WINDOW_BYTES: u32 = 4_096;
/// "Dynamic" in Set Peer Bandwidth (RTMP 5.4.5).
const DYNAMIC: u8 = 2;

/// Events of User Control Messages (RTMP 7.1.7).
pub(super) mod user_control {
    pub(crate) const STREAM_BEGIN: u16 = 0;
    pub(crate) const STREAM_EOF: u16 = 1;
    pub(crate) const SET_BUFFER_LENGTH: u16 = 3;
    pub(crate) const PING_REQUEST: u16 = 6;
    pub(crate) const PING_RESPONSE: u16 = 7;
}

/// What a peer has said that is not dealt with here.
#[derive(Debug)]
pub(super) enum Said {
    Command(Command),
    Media(Message),
    /// The stream has ended on the server's side.
    Eof,
}

/// One end of a connection.
#[derive(Debug)]
pub(super) struct Wire {
    /// `None` behind the handshake.
    handshake: Option<Handshake>,
    reader: Reader,
    parts: std::collections::VecDeque<Message>,
    out: BytesMut,
    chunk_bytes: u32,
    window: u32,
    /// Bytes of the handshake, which count as received.
    before: u64,
    acknowledged: u64,
}

impl Wire {
    pub(super) fn server(seed: u64) -> Self {
        Self::new(Some(Handshake::server(seed)), BytesMut::new())
    }

    pub(super) fn client(seed: u64) -> Self {
        let (handshake, first) = Handshake::client(seed);
        Self::new(Some(handshake), BytesMut::from(first))
    }

    pub(super) fn after_handshake() -> Self {
        Self::new(None, BytesMut::new())
    }

    fn new(handshake: Option<Handshake>, out: BytesMut) -> Self {
        Self {
            handshake,
            reader: Reader::new(Limits::default()),
            parts: std::collections::VecDeque::new(),
            out,
            chunk_bytes: INITIAL_CHUNK_BYTES,
            window: WINDOW_BYTES,
            before: 0,
            acknowledged: 0,
        }
    }

    pub(super) fn handle_bytes(&mut self, bytes: Bytes) {
        match &mut self.handshake {
            Some(handshake) => handshake.handle_bytes(bytes),
            None => self.reader.handle_bytes(bytes),
        }
    }

    /// Whether the handshake is done; goes on with it otherwise.
    pub(super) fn is_up(&mut self) -> Result<bool, Violation> {
        let Some(handshake) = &mut self.handshake else { return Ok(true) };
        if !handshake.poll(&mut self.out)? {
            return Ok(false);
        }
        self.before = handshake.taken();
        let rest = handshake.rest();
        rest.into_iter().for_each(|piece| self.reader.handle_bytes(piece));
        self.handshake = None;
        Ok(true)
    }

    /// What the peer says next, `None` when more bytes are needed.
    pub(super) fn poll(&mut self) -> Result<Option<Said>, Violation> {
        if !self.is_up()? {
            return Ok(None);
        }
        loop {
            let message = match self.parts.pop_front() {
                Some(part) => part,
                None => match self.reader.poll()? {
                    Some(message) => message,
                    None => return Ok(None),
                },
            };
            self.acknowledge();
            match message.kind {
                kind::COMMAND | kind::COMMAND_AMF3 => {
                    return Command::parse(&message).map(|said| Some(Said::Command(said)));
                }
                kind::AGGREGATE => self.parts.extend(message.disaggregate().into_iter().filter(Message::is_media)),
                kind::WINDOW => self.window = message.number()?.max(LEAST_WINDOW_BYTES),
                kind::PEER_BANDWIDTH => self.send(&Message::control(kind::WINDOW, &message.number()?.to_be_bytes())),
                kind::USER_CONTROL if self.user_control(&message)? => return Ok(Some(Said::Eof)),
                _ if message.is_media() => return Ok(Some(Said::Media(message))),
                // Acknowledgements, shared objects and what is not defined.
                _ => {}
            }
        }
    }

    /// Tells the peer what has arrived, at half its window.
    fn acknowledge(&mut self) {
        let received = self.before.saturating_add(self.reader.taken());
        if received.saturating_sub(self.acknowledged) >= u64::from(self.window / 2) {
            self.acknowledged = received;
            // The number wraps (RTMP 5.4.3).
            let [.., a, b, c, d] = received.to_be_bytes();
            self.send(&Message::control(kind::ACKNOWLEDGEMENT, &[a, b, c, d]));
        }
    }

    /// Answers a ping. Returns whether the stream has ended.
    fn user_control(&mut self, message: &Message) -> Result<bool, Violation> {
        let damaged = Violation::Control { kind: message.kind };
        let (event, rest) = message.payload.split_first_chunk::<2>().ok_or(damaged.clone())?;
        match u16::from_be_bytes(*event) {
            user_control::PING_REQUEST => {
                let stamp = rest.first_chunk::<4>().ok_or(damaged)?;
                self.send_user_control(user_control::PING_RESPONSE, &[u32::from_be_bytes(*stamp)]);
                Ok(false)
            }
            event => Ok(event == user_control::STREAM_EOF),
        }
    }

    /// What is to be written, if anything.
    pub(super) fn poll_output(&mut self) -> Option<Bytes> {
        // The buffer goes along: what it could still hold is not worth keeping for one that says little.
        (!self.out.is_empty()).then(|| std::mem::take(&mut self.out).freeze())
    }

    pub(super) fn send(&mut self, message: &Message) {
        let Message { kind, timestamp, stream, payload } = message;
        write_message(*kind, *timestamp, *stream, payload, self.chunk_bytes, &mut self.out);
    }

    pub(super) fn send_command(&mut self, stream: u32, command: &Command) {
        self.send(&Message { kind: kind::COMMAND, timestamp: 0, stream, payload: command.encode() });
    }

    pub(super) fn send_user_control(&mut self, event: u16, numbers: &[u32]) {
        let mut payload = event.to_be_bytes().to_vec();
        numbers.iter().for_each(|number| payload.extend(number.to_be_bytes()));
        self.send(&Message::control(kind::USER_CONTROL, &payload));
    }

    /// Asks for acknowledgements, and says how large our chunks are from now on.
    pub(super) fn send_sizes(&mut self) {
        self.send(&Message::control(kind::CHUNK_SIZE, &CHUNK_BYTES.to_be_bytes()));
        self.chunk_bytes = CHUNK_BYTES;
    }

    pub(super) fn send_windows(&mut self) {
        let window = WINDOW_BYTES.to_be_bytes();
        self.send(&Message::control(kind::WINDOW, &window));
        self.send(&Message::control(kind::PEER_BANDWIDTH, &[&window[..], &[DYNAMIC]].concat()));
    }
}
