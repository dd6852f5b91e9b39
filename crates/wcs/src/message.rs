//! The envelope and the messages, as texts of one WebSocket message each.
//!
//! `{"message": NAME, "data": [ARGUMENT, …]}` in both directions. What is sent has `data` always, and as an array: the
//! Web SDK reads `data[0]` before it looks at the name. What arrives without it is read as if it were empty.

mod client;
mod server;

pub use client::{ClientMessage, StreamKey, StreamRequest};
pub use server::{ServerMessage, Status, StreamStatus};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Error;

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The client sends the stream.
    Publish,
    /// The client receives it.
    Play,
}

impl Role {
    /// The status of a stream that is up.
    #[must_use]
    pub const fn up(self) -> Status {
        match self {
            Self::Publish => Status::Publishing,
            Self::Play => Status::Playing,
        }
    }

    /// The status of a stream that has ended in order.
    #[must_use]
    pub const fn down(self) -> Status {
        match self {
            Self::Publish => Status::Unpublished,
            Self::Play => Status::Stopped,
        }
    }
}

#[derive(Deserialize)]
struct Envelope {
    message: String,
    #[serde(default)]
    data: Option<Vec<Value>>,
}

impl Envelope {
    fn decode(text: &str) -> Result<Self, Error> {
        serde_json::from_str(text).map_err(Error::Envelope)
    }

    /// The first argument; `null` without one.
    fn first(self) -> Value {
        self.data.into_iter().flatten().next().unwrap_or_default()
    }
}

/// The name of a message.
pub(crate) fn name(text: &str) -> Option<String> {
    Envelope::decode(text).ok().map(|envelope| envelope.message)
}

fn read<T: DeserializeOwned>(message: &'static str, argument: Value) -> Result<T, Error> {
    serde_json::from_value(argument).map_err(|source| Error::Argument { message, source })
}

/// A message of any arguments. What this crate sends always has a text: none of its types can fail to be one.
fn write(message: &str, data: &[Value]) -> String {
    serde_json::json!({ "message": message, "data": data }).to_string()
}

fn value(argument: &impl Serialize) -> Value {
    serde_json::to_value(argument).unwrap_or_default()
}

fn insert(object: &mut Value, key: &str, value: Option<Value>) {
    if let (Some(fields), Some(value)) = (object.as_object_mut(), value) {
        fields.insert(key.to_owned(), value);
    }
}

/// `sendStreamEvent`, and `notifyStreamEvent` in the other direction.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StreamEvent {
    media_session_id: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    payload: Option<Value>,
}

#[cfg(test)]
mod tests;
