//! The few things that the server reads in a message; the rest is passed on as it came.

use serde::Deserialize;
use serde_json::Value;

/// What a message asks of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// Pass it on to whoever has this uid.
    Relay {
        to: String,
        /// The uid that it says it comes from.
        from: Option<String>,
    },
    /// The socket knows `offline` events.
    Hello,
    /// Nothing; existing servers ignore it too.
    Nothing,
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    to: Value,
    #[serde(default)]
    from: Value,
    #[serde(default)]
    event: Value,
}

pub(super) fn read(text: &[u8]) -> Asked {
    let Ok(Envelope { to, from, event }) = serde_json::from_slice(text) else { return Asked::Nothing };
    match to {
        Value::String(to) if !to.is_empty() => Asked::Relay { to, from: from.as_str().map(ToOwned::to_owned) },
        _ if event == "hello" => Asked::Hello,
        _ => Asked::Nothing,
    }
}

/// The first message to a socket.
pub(super) fn init(ids: &[&str]) -> String {
    serde_json::json!({ "event": "init", "ids": ids }).to_string()
}

/// Somebody has come or gone.
pub(super) fn presence(event: &str, uid: &str) -> String {
    serde_json::json!({ "event": event, "id": uid }).to_string()
}
