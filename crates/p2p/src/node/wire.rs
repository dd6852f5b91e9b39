//! Signalling messages as a peer writes and reads them.

use serde_json::{Value, json};

use crate::chunk::VERSION;
use crate::signal::UID_LENGTH;

/// What the signalling server, or a peer through it, says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Who is online, without us.
    Init(Vec<String>),
    /// Somebody came, or came again.
    Online(String),
    /// The last socket of somebody is gone.
    Offline(String),
    /// A peer calls.
    Offer {
        /// Who.
        from: String,
        /// Its description.
        sdp: String,
        /// Whether it is a node of ours, which knows what to do when two call each other.
        ours: bool,
    },
    /// A peer answers our call.
    Answer {
        /// Who.
        from: String,
        /// Its description.
        sdp: String,
    },
    /// An address of a peer.
    Candidate {
        /// Who.
        from: String,
        /// In the form `candidate:…`.
        candidate: String,
    },
}

/// Whether a text can be a uid.
#[must_use]
pub fn is_uid(text: &str) -> bool {
    text.len() == UID_LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

impl Heard {
    /// Reads a message for `own`. `None` for what is not for us, or no message at all.
    #[must_use]
    pub fn decode(text: &str, own: &str) -> Option<Self> {
        let mut value: Value = serde_json::from_str(text).ok()?;
        let uid = |value: &Value| value.as_str().filter(|uid| is_uid(uid) && *uid != own).map(str::to_owned);
        let event = value.get("event")?.as_str()?.to_owned();
        match event.as_str() {
            "init" => return Some(Self::Init(value.get("ids")?.as_array()?.iter().filter_map(uid).collect())),
            "online" => return Some(Self::Online(uid(value.get("id")?)?)),
            "offline" => return Some(Self::Offline(uid(value.get("id")?)?)),
            _ => {}
        }
        let from = uid(value.get("from")?)?;
        if value.get("to")? != own {
            return None;
        }
        let data = value.get_mut("data")?;
        let ours = data.get("v").is_some_and(Value::is_u64);
        let mut field = |name: &str| match data.get_mut(name)?.take() {
            Value::String(text) => Some(text),
            _ => None,
        };
        Some(match event.as_str() {
            "offer" => Self::Offer { from, sdp: field("sdp")?, ours },
            "answer" => Self::Answer { from, sdp: field("sdp")? },
            "candidate" => Self::Candidate { from, candidate: field("candidate")? },
            _ => return None,
        })
    }
}

/// A description of ours; `kind` is `offer` or `answer`.
#[must_use]
pub fn description(kind: &str, from: &str, to: &str, sdp: &str) -> String {
    json!({"event": kind, "from": from, "to": to, "data": {"type": kind, "sdp": sdp, "v": VERSION}}).to_string()
}

/// An address of ours, as the existing node writes it.
#[must_use]
pub fn candidate(from: &str, to: &str, candidate: &str) -> String {
    let data = json!({"candidate": candidate, "sdpMid": "", "sdpMLineIndex": 0, "usernameFragment": null});
    json!({"event": "candidate", "from": from, "to": to, "data": data}).to_string()
}

/// Tells the server that we know `offline`; existing servers ignore it.
pub const HELLO: &str = "{\"event\":\"hello\"}";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: &str = "aaaaaaaa-1111-1111-1111-aaaaaaaaaaaa";
    const B: &str = "bbbbbbbb-2222-2222-2222-bbbbbbbbbbbb";

    #[test]
    fn recorded_messages_are_read() {
        let init = format!("{{\"event\":\"init\",\"ids\":[\"{A}\",\"{B}\",\"short\",1]}}");
        assert_eq!(Heard::decode(&init, B), Some(Heard::Init(vec![A.to_owned()])));
        let online = format!("{{\"event\":\"online\",\"id\":\"{B}\"}}");
        assert_eq!(Heard::decode(&online, A), Some(Heard::Online(B.to_owned())));
        assert_eq!(Heard::decode(&online, B), None);
        let recorded = "candidate:1785526713 1 udp 2130706431 10.77.0.2 45192 typ host";
        let text = format!(
            "{{\"data\":{{\"candidate\":\"{recorded}\",\"sdpMid\":\"\",\"sdpMLineIndex\":0,\"usernameFragment\":null}},\
             \"event\":\"candidate\",\"from\":\"{A}\",\"to\":\"{B}\"}}"
        );
        let heard = Heard::Candidate { from: A.to_owned(), candidate: recorded.to_owned() };
        assert_eq!(Heard::decode(&text, B), Some(heard.clone()));
        assert_eq!(Heard::decode(&candidate(A, B, recorded), B), Some(heard));
        // What is for another is not for us, and nobody calls himself.
        assert_eq!(Heard::decode(&text, A), None);
        assert_eq!(Heard::decode(&candidate(A, A, recorded), A), None);
        let offer = format!(
            "{{\"data\":{{\"type\":\"offer\",\"sdp\":\"v=0\\r\\n\"}},\"event\":\"offer\",\"from\":\"{A}\",\"to\":\"{B}\"}}"
        );
        let heard = |ours| Some(Heard::Offer { from: A.to_owned(), sdp: "v=0\r\n".to_owned(), ours });
        assert_eq!(Heard::decode(&offer, B), heard(false));
        assert_eq!(Heard::decode(&description("offer", A, B, "v=0\r\n"), B), heard(true));
    }

    proptest! {
        #[test]
        fn damaged_messages_are_harmless(at in 0..150_usize, byte: u8) {
            let mut bytes = description("offer", A, B, "v=0\r\n").into_bytes();
            let at = at % bytes.len();
            bytes[at] = byte;
            for text in [&bytes[..], &bytes[..at]] {
                if let Some(Heard::Offer { from, .. }) = Heard::decode(&String::from_utf8_lossy(text), B) {
                    prop_assert!(is_uid(&from));
                }
            }
        }
    }
}
