//! What a client sends.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::{Envelope, StreamEvent, insert, read, value, write};
use crate::Error;

/// A client's message. The Web SDK sends exactly one argument; it is `null` where there is none to send.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ClientMessage {
    /// The first one: application, versions, and whatever else the client likes to have echoed.
    Connection(Map<String, Value>),
    /// An offer to publish a stream.
    Publish(StreamRequest),
    /// An offer to play a stream.
    Play(StreamRequest),
    /// The end of a published stream.
    Unpublish(StreamKey),
    /// The end of a played stream.
    Stop(StreamKey),
    /// The answer to the server's ping.
    Pong,
    /// A ping of its own; newer SDKs can be told to send them.
    Ping,
    /// Asks whether somebody publishes a name.
    Available(StreamKey),
    /// A publisher tells its players something.
    StreamEvent {
        /// The published stream's identification.
        media_session_id: String,
        /// `audioMuted`, `audioUnmuted`, `videoMuted`, `videoUnmuted` or `data`.
        kind: String,
        /// Whatever the page sends along.
        payload: Option<Value>,
    },
    /// Data for the server's application.
    SendData {
        /// Names the operation in the answer.
        operation_id: String,
        /// What the page sends.
        payload: Option<Value>,
    },
    /// Something else, which a server skips.
    Other(String),
}

/// `publishStream` and `playStream`. Fields that are not needed to relay media are not kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StreamRequest {
    /// Made by the client; the key of everything that follows.
    pub media_session_id: String,
    /// The stream's name.
    pub name: String,
    /// Whether the client sends it.
    pub published: bool,
    /// Whether the offer has pictures; a player always says so.
    pub has_video: bool,
    /// Whether the offer has sound; a player always says so.
    pub has_audio: bool,
    /// `PENDING`.
    pub status: String,
    /// Whether the server is asked to record.
    pub record: bool,
    /// Pixels that a player asks for; 0 for the stream's own, and what a publisher leaves out.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "number")]
    pub width: Option<u64>,
    /// As for the width.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "number")]
    pub height: Option<u64>,
    /// `WebRTC`.
    pub media_provider: String,
    /// The offer.
    pub sdp: String,
    /// Bits per second, 0 when unset.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "number")]
    pub bitrate: Option<u64>,
    /// Bits per second, 0 when unset.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "number")]
    pub min_bitrate: Option<u64>,
    /// Bits per second, 0 when unset.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "number")]
    pub max_bitrate: Option<u64>,
    /// What a player asks for, 0 when untouched.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "number")]
    pub quality: Option<u64>,
    /// Whatever the page gives for the application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom: Option<Value>,
    /// Where the stream is to be republished by RTMP.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    pub rtmp_url: Option<String>,
}

/// A number that nothing depends on: whatever is none is left out.
fn number<'de, D: Deserializer<'de>>(source: D) -> Result<Option<u64>, D::Error> {
    Value::deserialize(source).map(|value| value.as_u64())
}

/// A text; pages leave fields empty that they do not use.
fn text<'de, D: Deserializer<'de>>(source: D) -> Result<Option<String>, D::Error> {
    let text = Value::deserialize(source)?;
    Ok(text.as_str().filter(|text| !text.is_empty()).map(str::to_owned))
}

/// What names a stream in requests that need no more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StreamKey {
    /// The client's identification.
    pub media_session_id: String,
    /// The stream's name.
    pub name: String,
    /// Whether the client publishes it.
    pub published: bool,
    /// As in the request.
    pub has_video: bool,
    /// As in the request.
    pub has_audio: bool,
    /// What the client takes for the stream's status.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// As in the request.
    pub record: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    operation_id: String,
    #[serde(default)]
    payload: Option<Value>,
}

impl ClientMessage {
    /// Reads a text.
    ///
    /// # Errors
    /// [`Error::Envelope`] for what is no message, [`Error::Argument`] for a known one with a bad argument.
    pub fn decode(text: &str) -> Result<Self, Error> {
        let envelope = Envelope::decode(text)?;
        let name = envelope.message.clone();
        Ok(match name.as_str() {
            "connection" => Self::Connection(read("connection", envelope.first())?),
            "publishStream" => Self::Publish(read("publishStream", envelope.first())?),
            "playStream" => Self::Play(read("playStream", envelope.first())?),
            "unPublishStream" => Self::Unpublish(read("unPublishStream", envelope.first())?),
            "stopStream" => Self::Stop(read("stopStream", envelope.first())?),
            "pong" => Self::Pong,
            "ping" => Self::Ping,
            "availableStream" => Self::Available(read("availableStream", envelope.first())?),
            "sendStreamEvent" => {
                let StreamEvent { media_session_id, kind, payload } = read("sendStreamEvent", envelope.first())?;
                Self::StreamEvent { media_session_id, kind, payload }
            }
            "sendData" => {
                let Data { operation_id, payload } = read("sendData", envelope.first())?;
                Self::SendData { operation_id, payload }
            }
            _ => Self::Other(name),
        })
    }

    /// The text.
    #[must_use]
    pub fn encode(&self) -> String {
        let (name, argument) = match self {
            Self::Connection(fields) => ("connection", Value::Object(fields.clone())),
            Self::Publish(request) => ("publishStream", value(request)),
            Self::Play(request) => ("playStream", value(request)),
            Self::Unpublish(key) => ("unPublishStream", value(key)),
            Self::Stop(key) => ("stopStream", value(key)),
            Self::Pong => ("pong", Value::Null),
            Self::Ping => ("ping", Value::Null),
            Self::Available(key) => {
                ("availableStream", serde_json::json!({ "mediaSessionId": key.media_session_id, "name": key.name }))
            }
            Self::StreamEvent { media_session_id, kind, payload } => {
                let mut event = serde_json::json!({ "mediaSessionId": media_session_id, "type": kind });
                insert(&mut event, "payload", payload.clone());
                ("sendStreamEvent", event)
            }
            Self::SendData { operation_id, payload } => {
                let mut data = serde_json::json!({ "operationId": operation_id });
                insert(&mut data, "payload", payload.clone());
                ("sendData", data)
            }
            Self::Other(name) => (name.as_str(), Value::Null),
        };
        write(name, &[argument])
    }
}
