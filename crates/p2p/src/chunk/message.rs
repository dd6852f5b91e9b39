//! Text messages: `{"event":E,"data":{…}}`, read as leniently as existing peers read them.

use serde_json::{Value, json};

use super::Key;

/// The version of what only our own peers speak to each other.
pub const VERSION: u64 = 1;
/// Bytes of a text message that are read. The longest that somebody needs asks for a thousand chunks again.
pub const MAX_TEXT: usize = 16 << 10;
/// Chunks that one message may ask for again.
const MAX_RESEND: usize = 2_048;

/// Why a segment does not come; only told to peers that said hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Code {
    /// There is no such segment.
    NotFound,
    /// Its chunk headers do not fit.
    Unframed,
    /// Where it comes from failed, or took too long.
    Source,
    /// As much as allowed waits for this peer already.
    Busy,
}

impl Code {
    /// As it stands in the message, and in metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Unframed => "unframed",
            Self::Source => "source",
            Self::Busy => "busy",
        }
    }

    fn read(name: &str) -> Self {
        let known = [Self::NotFound, Self::Unframed, Self::Busy];
        // A later version may know more; they all mean that it does not come from there.
        known.into_iter().find(|code| code.name() == name).unwrap_or(Self::Source)
    }
}

/// A text message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Are you there?
    Ping,
    /// I am.
    Pong,
    /// Who has it?
    Query(Key),
    /// Who has it at hand? To existing nodes this is the question above; of our own, only those answer that need not ask
    /// anybody else, so that nodes do not ask each other in a circle.
    QueryCached(Key),
    /// I have.
    Found(Key),
    /// Send it.
    Resolve(Key),
    /// No more of it.
    Quit(Key),
    /// No more of anything: `quit` with the id `""` and index 0.
    QuitAll,
    /// Said once at the start by our own peers, who then speak what follows.
    Hello {
        /// What the sender speaks.
        version: u64,
        /// Bytes that it can take in one burst. Nodes tell it; who does not is treated as a browser.
        window: Option<u32>,
        /// Further connections that it takes from the receiver.
        strands: usize,
    },
    /// A further connection to this peer, numbered by its caller, and the description of the caller.
    Offer(u32, String),
    /// The description of who takes it, or none where it is not taken.
    Answer(u32, Option<String>),
    /// It does not come.
    Error(Key, Code),
    /// Send these chunks again.
    Resend(Key, Vec<usize>),
}

/// The existing node's reading of a number: text and fractions count, what is missing is 0, and -1 the largest.
fn index(value: &Value) -> u64 {
    match value {
        Value::Number(number) => number.as_u64().unwrap_or_else(|| match number.as_f64() {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates, as intended")]
            Some(float) if float >= 0.0 => float as u64,
            _ => u64::MAX,
        }),
        Value::String(text) => text.parse().unwrap_or(u64::MAX),
        Value::Null => 0,
        _ => u64::MAX,
    }
}

impl Message {
    /// Reads a message. `None` for what is none, which existing peers ignore too.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let value: Value = serde_json::from_str(text).ok()?;
        let data = value.get("data").unwrap_or(&Value::Null);
        let key = || {
            let id = data.get("id").and_then(Value::as_str).unwrap_or_default();
            Key::new(id, index(data.get("index").unwrap_or(&Value::Null)))
        };
        let strand = || u32::try_from(data.get("strand")?.as_u64()?).ok();
        let sdp = || data.get("sdp").and_then(Value::as_str).map(str::to_owned);
        Some(match value.get("event")?.as_str()? {
            "ping" => Self::Ping,
            "pong" => Self::Pong,
            "query" if data.get("cached") == Some(&Value::Bool(true)) => Self::QueryCached(key()),
            "query" => Self::Query(key()),
            "found" => Self::Found(key()),
            "resolve" => Self::Resolve(key()),
            "quit" => match key() {
                Key { id, index: 0 } if id.is_empty() => Self::QuitAll,
                key => Self::Quit(key),
            },
            "hello" => Self::Hello {
                version: data.get("v").and_then(Value::as_u64).filter(|version| *version > 0)?,
                window: data
                    .get("window")
                    .and_then(Value::as_u64)
                    .map(|bytes| u32::try_from(bytes).unwrap_or(u32::MAX)),
                strands: data
                    .get("strands")
                    .and_then(Value::as_u64)
                    .and_then(|strands| usize::try_from(strands).ok())
                    .unwrap_or_default(),
            },
            "offer" => Self::Offer(strand()?, sdp()?),
            "answer" => Self::Answer(strand()?, sdp()),
            "error" => {
                let code = data.get("code").and_then(Value::as_str).unwrap_or_default();
                Self::Error(key(), Code::read(code))
            }
            "resend" => {
                let chunks = data.get("chunks")?.as_array()?.iter().take(MAX_RESEND);
                let numbers = chunks.filter_map(Value::as_u64).filter_map(|number| usize::try_from(number).ok());
                Self::Resend(key(), numbers.collect())
            }
            _ => return None,
        })
    }

    /// The message's text, in the order of keys that the existing node writes.
    #[must_use]
    pub fn encode(&self) -> String {
        let about = |event: &str, key: &Key| {
            // By hand: `serde_json` would sort the keys.
            format!("{{\"event\":\"{event}\",\"data\":{{\"id\":{},\"index\":{}}}}}", json!(key.id), key.index)
        };
        match self {
            Self::Ping => "{\"event\":\"ping\"}".to_owned(),
            Self::Pong => "{\"event\":\"pong\"}".to_owned(),
            Self::Query(key) => about("query", key),
            Self::QueryCached(Key { id, index }) => {
                json!({"event": "query", "data": {"id": id, "index": index, "cached": true}}).to_string()
            }
            Self::Found(key) => about("found", key),
            Self::Resolve(key) => about("resolve", key),
            Self::Quit(key) => about("quit", key),
            Self::QuitAll => about("quit", &Key::new("", 0)),
            Self::Hello { version, window, strands } => {
                let mut data = json!({"v": version, "strands": strands});
                if let Some(bytes) = window {
                    data["window"] = json!(bytes);
                }
                json!({"event": "hello", "data": data}).to_string()
            }
            Self::Offer(strand, sdp) => json!({"event": "offer", "data": {"strand": strand, "sdp": sdp}}).to_string(),
            Self::Answer(strand, sdp) => json!({"event": "answer", "data": {"strand": strand, "sdp": sdp}}).to_string(),
            Self::Error(Key { id, index }, code) => {
                json!({"event": "error", "data": {"id": id, "index": index, "code": code.name()}}).to_string()
            }
            Self::Resend(Key { id, index }, chunks) => {
                let chunks = chunks.get(..MAX_RESEND).unwrap_or(chunks);
                json!({"event": "resend", "data": {"id": id, "index": index, "chunks": chunks}}).to_string()
            }
        }
    }
}
