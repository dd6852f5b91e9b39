//! The session of one who publishes, without a socket: `OPTIONS`, `ANNOUNCE`, `SETUP` of each track, `RECORD`, then
//! keep-alives, `TEARDOWN` at the end.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http_auth::{PasswordClient, PasswordParams};
use percent_encoding::percent_decode_str;
use url::Url;

use crate::Error;
use crate::wire::{Item, Message, Reader, Start, Violation};

const AGENT: &str = concat!("sluicegate/", env!("CARGO_PKG_VERSION"));
/// How long a server may take for each answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How often something is said, where the server tells no other time (RFC 2326 section 12.37 has 60 s).
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// The shortest and the longest session time that is believed.
const MIN_SESSION: u64 = 4;
const MAX_SESSION: u64 = 600;

/// Where a stream goes.
#[derive(Clone)]
pub(crate) struct Place {
    /// The URL as the server gets to see it.
    url: String,
    user: String,
    password: String,
}

impl std::fmt::Debug for Place {
    /// The password stays out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Place {
    /// Takes apart `rtsp://[USER:PASSWORD@]HOST[:PORT]/PATH`, or `rtsps`.
    pub(crate) fn parse(url: &Url) -> Option<Self> {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let (user, password) = (decoded(url.username()), decoded(url.password().unwrap_or_default()));
        let mut bare = url.clone();
        bare.set_username("").ok()?;
        bare.set_password(None).ok()?;
        let is_one = matches!(bare.scheme(), "rtsp" | "rtsps") && bare.has_host();
        is_one.then(|| Self { url: bare.as_str().trim_end_matches('/').to_owned(), user, password })
    }
}

/// What has come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The server takes packets.
    Started,
}

/// What was asked last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Options,
    Announce,
    SetUp(usize),
    Record,
    KeepAlive,
    Teardown,
}

impl Asked {
    const fn method(self) -> &'static str {
        match self {
            Self::Options | Self::KeepAlive => "OPTIONS",
            Self::Announce => "ANNOUNCE",
            Self::SetUp(_) => "SETUP",
            Self::Record => "RECORD",
            Self::Teardown => "TEARDOWN",
        }
    }
}

/// One push.
#[derive(Debug)]
pub(crate) struct ClientSession {
    place: Place,
    description: String,
    tracks: usize,
    reader: Reader,
    output: VecDeque<Bytes>,
    asked: Asked,
    /// The request is not answered yet.
    open: bool,
    cseq: u32,
    id: Option<String>,
    auth: Option<PasswordClient>,
    /// The request at hand was said with credentials.
    tried: bool,
    keep_alive: Duration,
    deadline: Instant,
}

impl ClientSession {
    /// Begins with `OPTIONS`. `description` has so many `tracks`, whose controls are `trackID=0` and so on.
    pub(crate) fn new(place: Place, description: String, tracks: usize, now: Instant) -> Self {
        let mut session = Self {
            place,
            description,
            tracks,
            reader: Reader::default(),
            output: VecDeque::new(),
            asked: Asked::Options,
            open: false,
            cseq: 0,
            id: None,
            auth: None,
            tried: false,
            keep_alive: KEEP_ALIVE,
            deadline: now,
        };
        session.begin(Asked::Options, now);
        session
    }

    pub(crate) fn handle_bytes(&mut self, bytes: BytesMut) {
        self.reader.handle_bytes(bytes);
    }

    /// Acts on the deadline: an answer that is late ends the session, else it is time for a keep-alive.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Result<(), Violation> {
        if now < self.deadline {
            return Ok(());
        }
        if self.open {
            return Err(Violation::Silent);
        }
        self.begin(Asked::KeepAlive, now);
        Ok(())
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        Some(self.deadline)
    }

    pub(crate) fn poll_output(&mut self) -> Option<Bytes> {
        self.output.pop_front()
    }

    pub(crate) fn poll_event(&mut self, now: Instant) -> Result<Option<Event>, Error> {
        while let Some(item) = self.reader.poll()? {
            // Reports of the server, and its own requests, which nobody has.
            let Item::Message(message) = item else { continue };
            let Start::Answer { status } = message.start else { continue };
            // Interim answers announce the real one.
            if !self.open || message.cseq().is_some_and(|cseq| cseq != self.cseq) || status < 200 {
                continue;
            }
            if let Some(event) = self.answered(status, &message, now)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// Ends the stream.
    pub(crate) fn finish(&mut self) {
        (self.asked, self.tried) = (Asked::Teardown, false);
        self.say();
    }

    fn answered(&mut self, status: u16, message: &Message, now: Instant) -> Result<Option<Event>, Error> {
        let method = self.asked.method();
        if status == 401 && !self.tried {
            let challenges = message.headers("WWW-Authenticate");
            let builder = challenges.fold(PasswordClient::builder(), |all, challenge| all.challenges(challenge));
            self.auth = Some(builder.build().map_err(|_| Error::Credentials)?);
            self.again(now);
            return Ok(None);
        }
        // Whether a server knows keep-alives is all the same, and so is whether it likes OPTIONS.
        let is_needed = !matches!(self.asked, Asked::Options | Asked::KeepAlive);
        if is_needed && status != 200 {
            return Err(Violation::Refused { method, status }.into());
        }
        self.session(message);
        self.open = false;
        match self.asked {
            Asked::Options => self.begin(Asked::Announce, now),
            Asked::Announce => self.begin(Asked::SetUp(0), now),
            Asked::SetUp(place) => {
                let how = message.header("Transport").unwrap_or_default().to_ascii_uppercase();
                if !how.contains("TCP") {
                    return Err(Violation::Answer { method }.into());
                }
                let next = place.saturating_add(1);
                self.begin(if next < self.tracks { Asked::SetUp(next) } else { Asked::Record }, now);
            }
            Asked::Record => {
                self.deadline = now.checked_add(self.keep_alive).unwrap_or(now);
                return Ok(Some(Event::Started));
            }
            Asked::KeepAlive | Asked::Teardown => self.deadline = now.checked_add(self.keep_alive).unwrap_or(now),
        }
        Ok(None)
    }

    /// The session's number, and how long it holds.
    fn session(&mut self, message: &Message) {
        let Some(header) = message.header("Session") else { return };
        let mut parts = header.split(';').map(str::trim);
        self.id = parts.next().map(ToOwned::to_owned);
        let timeout = parts.find_map(|part| part.strip_prefix("timeout=")?.trim().parse::<u64>().ok());
        if let Some(timeout) = timeout {
            self.keep_alive = Duration::from_secs(timeout.clamp(MIN_SESSION, MAX_SESSION) / 2);
        }
    }

    fn begin(&mut self, asked: Asked, now: Instant) {
        (self.asked, self.open, self.tried) = (asked, true, false);
        self.deadline = now.checked_add(ANSWER).unwrap_or(now);
        self.say();
    }

    fn again(&mut self, now: Instant) {
        self.deadline = now.checked_add(ANSWER).unwrap_or(now);
        self.say();
    }

    /// Says what is asked at the moment.
    fn say(&mut self) {
        self.cseq = self.cseq.wrapping_add(1);
        let method = self.asked.method();
        let uri = match self.asked {
            Asked::SetUp(place) => format!("{}/trackID={place}", self.place.url),
            _ => self.place.url.clone(),
        };
        let mut headers = vec![("CSeq", self.cseq.to_string()), ("User-Agent", AGENT.to_owned())];
        headers.extend(self.id.clone().map(|id| ("Session", id)));
        headers.extend(self.authorization(method, &uri).map(|value| ("Authorization", value)));
        let mut body = Bytes::new();
        match self.asked {
            Asked::Announce => {
                headers.push(("Content-Type", "application/sdp".to_owned()));
                body = self.description.clone().into();
            }
            Asked::SetUp(place) => {
                let rtp = place.saturating_mul(2);
                let channels = format!("RTP/AVP/TCP;unicast;interleaved={rtp}-{};mode=record", rtp.saturating_add(1));
                headers.push(("Transport", channels));
            }
            Asked::Record => headers.push(("Range", "npt=0.000-".to_owned())),
            _ => {}
        }
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let start = Start::Request { method: method.to_owned(), uri };
        self.output.push_back(Message { start, headers, body }.encode());
    }

    fn authorization(&mut self, method: &'static str, uri: &str) -> Option<String> {
        let auth = self.auth.as_mut()?;
        let (username, password) = (self.place.user.as_str(), self.place.password.as_str());
        let value = auth.respond(&PasswordParams { username, password, uri, method, body: None }).ok()?;
        self.tried = true;
        Some(value)
    }
}

/// One fuzzed run of a server's answers.
pub fn fuzz_client(data: &[u8]) {
    let now = Instant::now();
    let place = Place { url: "rtsp://h/x".to_owned(), user: "a".to_owned(), password: "b".to_owned() };
    let mut session = ClientSession::new(place, "v=0\r\n".to_owned(), 2, now);
    session.handle_bytes(data.into());
    while let Ok(Some(_)) = session.poll_event(now) {}
    while session.poll_output().is_some() {}
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn session(url: &str, now: Instant) -> ClientSession {
        let place = Place::parse(&url.parse().unwrap()).unwrap();
        ClientSession::new(place, "v=0\r\n".to_owned(), 2, now)
    }

    fn said(session: &mut ClientSession) -> String {
        String::from_utf8(std::iter::from_fn(|| session.poll_output()).collect::<Vec<_>>().concat()).unwrap()
    }

    fn hear(session: &mut ClientSession, answer: &str, now: Instant) -> Result<Option<Event>, Error> {
        session.handle_bytes(answer.as_bytes().into());
        session.poll_event(now)
    }

    #[test]
    fn a_push_from_the_beginning_to_the_end() {
        let now = Instant::now();
        let mut session = session("rtsp://h:8554/live/x", now);
        assert!(said(&mut session).starts_with("OPTIONS rtsp://h:8554/live/x RTSP/1.0\r\nCSeq: 1\r\n"));
        // Also a server that does not know OPTIONS.
        assert!(hear(&mut session, "RTSP/1.0 501 No\r\nCSeq: 1\r\n\r\n", now).unwrap().is_none());
        assert!(said(&mut session).ends_with("Content-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"));
        hear(&mut session, "RTSP/1.0 200 OK\r\nCSeq: 2\r\n\r\n", now).unwrap();
        assert!(said(&mut session).starts_with("SETUP rtsp://h:8554/live/x/trackID=0 RTSP/1.0"));
        let answer =
            "RTSP/1.0 200 OK\r\nCSeq: 3\r\nSession: 77;timeout=20\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n\r\n";
        hear(&mut session, answer, now).unwrap();
        let second = said(&mut session);
        assert!(second.contains("trackID=1") && second.contains("Session: 77\r\n"), "{second}");
        hear(&mut session, &answer.replace("CSeq: 3", "CSeq: 4"), now).unwrap();
        assert!(said(&mut session).starts_with("RECORD "));
        assert_eq!(hear(&mut session, "RTSP/1.0 200 OK\r\nCSeq: 5\r\n\r\n", now).unwrap(), Some(Event::Started));
        // A keep-alive after half of the session's time, whose answer has to come.
        let later = now + Duration::from_secs(10);
        assert_eq!(session.poll_timeout(), Some(later));
        session.handle_timeout(later).unwrap();
        assert!(said(&mut session).starts_with("OPTIONS "));
        assert_eq!(session.handle_timeout(later + ANSWER), Err(Violation::Silent));
        hear(&mut session, "$\x01\0\x02xxRTSP/1.0 200 OK\r\nCSeq: 6\r\n\r\n", later).unwrap();
        assert_eq!(session.poll_timeout(), Some(later + Duration::from_secs(10)));
        session.finish();
        assert!(said(&mut session).starts_with("TEARDOWN "));
    }

    #[test]
    fn credentials_are_shown_when_asked_for_and_once_only() {
        let now = Instant::now();
        let mut session = session("rtsp://me:p%40ss@h/x", now);
        assert!(!said(&mut session).contains("Authorization"));
        let challenge =
            |cseq| format!("RTSP/1.0 401 No\r\nCSeq: {cseq}\r\nWWW-Authenticate: Basic realm=\"x\"\r\n\r\n");
        hear(&mut session, &challenge(1), now).unwrap();
        // me:p@ss
        assert!(said(&mut session).contains("CSeq: 2\r\nUser-Agent: ") && session.tried);
        hear(&mut session, "RTSP/1.0 200 OK\r\nCSeq: 2\r\n\r\n", now).unwrap();
        assert!(said(&mut session).contains("Authorization: Basic bWU6cEBzcw==\r\n"));
        let refused = hear(&mut session, &challenge(3), now).unwrap_err();
        assert!(matches!(refused, Error::Wire(Violation::Refused { method: "ANNOUNCE", status: 401 })), "{refused}");
    }

    #[test]
    fn urls() {
        let place = |url: &str| Place::parse(&url.parse().unwrap()).map(|place| place.url);
        assert_eq!(place("rtsp://a:b@h:1/x?y=z").as_deref(), Some("rtsp://h:1/x?y=z"));
        assert!(place("rtmp://h/x").is_none() && place("rtsp:x").is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            fuzz_client(&bytes);
        }

        #[test]
        fn damaged_answers_never_panic(damage in prop::collection::vec((0usize..300, any::<u8>()), 0..8)) {
            let mut bytes = b"RTSP/1.0 401 No\r\nCSeq: 1\r\nWWW-Authenticate: Digest realm=\"a\", nonce=\"b\"\r\n\r\n\
                RTSP/1.0 200 OK\r\nCSeq: 2\r\n\r\nRTSP/1.0 200 OK\r\nCSeq: 3\r\nSession: 7;timeout=9\r\n\r\n"
                .to_vec();
            for (at, value) in damage {
                let length = bytes.len();
                bytes[at % length] = value;
            }
            fuzz_client(&bytes);
        }
    }
}
