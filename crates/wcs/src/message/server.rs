//! What a server sends.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Envelope, StreamEvent, insert, read, value, write};
use crate::Error;
use crate::muted::state;

/// A server's message.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ServerMessage {
    /// The session is accepted; the client's fields come back with some of the server's.
    UserData(Map<String, Value>),
    /// Asks for a pong.
    Ping,
    /// The answer to a client's ping.
    Pong,
    /// The answer to an offer, with all candidates in it.
    RemoteSdp {
        /// Which stream.
        media_session_id: String,
        /// The description.
        sdp: String,
    },
    /// How a stream stands.
    Status(StreamStatus),
    /// Whether somebody publishes a name.
    Available {
        /// The identification of the question.
        media_session_id: String,
        /// Whether somebody does.
        available: bool,
        /// Why not.
        info: Option<String>,
    },
    /// What a publisher tells its players.
    StreamEvent {
        /// The player's own identification.
        media_session_id: String,
        /// As the publisher says.
        kind: String,
        /// As the publisher says.
        payload: Option<Value>,
    },
    /// Whether data for the application was taken.
    DataStatus {
        /// The client's name of the operation.
        operation_id: String,
        /// Whether it was.
        accepted: bool,
    },
    /// Something else, which a client skips.
    Other(String),
}

/// `notifyStreamStatusEvent`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamStatus {
    /// Which stream.
    pub media_session_id: String,
    /// How it stands.
    pub status: Status,
    /// Why, in the words of [`crate::info`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<String>,
    /// As in the request.
    #[serde(default)]
    pub name: String,
    /// As in the request.
    #[serde(default)]
    pub published: bool,
    /// As in the request.
    #[serde(default)]
    pub has_video: bool,
    /// As in the request.
    #[serde(default)]
    pub has_audio: bool,
    /// Whether it is recorded.
    #[serde(default)]
    pub record: bool,
    /// `WebRTC`.
    #[serde(default)]
    pub media_provider: String,
    /// Whether the publisher of a played stream has muted its sound.
    #[serde(default, rename = "audioState", with = "state", skip_serializing_if = "state::is_audible")]
    pub audio_muted: bool,
    /// Whether it has muted its pictures.
    #[serde(default, rename = "videoState", with = "state", skip_serializing_if = "state::is_audible")]
    pub video_muted: bool,
}

/// How a stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum Status {
    /// The server receives it.
    Publishing,
    /// The server sends it.
    Playing,
    /// Nothing is settled yet.
    Pending,
    /// A publisher's stream has ended.
    Unpublished,
    /// A player's stream has ended.
    Stopped,
    /// It could not be, or ended otherwise.
    Failed,
    /// Something else, such as `RESIZE` or `NOT_ENOUGH_BANDWIDTH`, which changes nothing here.
    #[serde(other)]
    Other,
}

impl Status {
    /// Its name in messages and in the REST interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Publishing => "PUBLISHING",
            Self::Playing => "PLAYING",
            Self::Pending => "PENDING",
            Self::Unpublished => "UNPUBLISHED",
            Self::Stopped => "STOPPED",
            Self::Failed => "FAILED",
            Self::Other => "OTHER",
        }
    }

    /// Whether the stream is over.
    #[must_use]
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Unpublished | Self::Stopped | Self::Failed)
    }
}

#[derive(Deserialize)]
struct Availability {
    id: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    info: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DataStatus {
    operation_id: String,
    status: String,
}

/// `fail`: a server's hook has refused something.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fail {
    #[serde(default)]
    api_method: String,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    info: Option<String>,
}

impl ServerMessage {
    /// Reads a text.
    ///
    /// # Errors
    /// [`Error::Envelope`] for what is no message, [`Error::Argument`] for a known one with a bad argument.
    pub fn decode(text: &str) -> Result<Self, Error> {
        let envelope = Envelope::decode(text)?;
        let name = envelope.message.clone();
        Ok(match name.as_str() {
            "getUserData" => Self::UserData(read::<Option<_>>("getUserData", envelope.first())?.unwrap_or_default()),
            "ping" => Self::Ping,
            "pong" => Self::Pong,
            "setRemoteSDP" => {
                let data = Value::Array(envelope.data.unwrap_or_default());
                let (media_session_id, sdp) = read("setRemoteSDP", data)?;
                Self::RemoteSdp { media_session_id, sdp }
            }
            "notifyStreamStatusEvent" | "notifyVideoFormat" => {
                Self::Status(read("notifyStreamStatusEvent", envelope.first())?)
            }
            "availableStream" => {
                let Availability { id, status, info } = read("availableStream", envelope.first())?;
                Self::Available { media_session_id: id, available: status == "true", info }
            }
            "notifyStreamEvent" => {
                let StreamEvent { media_session_id, kind, payload } = read("notifyStreamEvent", envelope.first())?;
                Self::StreamEvent { media_session_id, kind, payload }
            }
            "DataStatusEvent" => {
                let DataStatus { operation_id, status } = read("DataStatusEvent", envelope.first())?;
                Self::DataStatus { operation_id, accepted: status == "ACCEPTED" }
            }
            "fail" => match read("fail", envelope.first())? {
                Fail { api_method, id: Some(id), info } if api_method == "StreamStatusEvent" => {
                    Self::Status(StreamStatus::failed(id, info))
                }
                _ => Self::Other(name),
            },
            _ => Self::Other(name),
        })
    }

    /// The text.
    #[must_use]
    pub fn encode(&self) -> String {
        match self {
            Self::UserData(fields) => write("getUserData", &[Value::Object(fields.clone())]),
            Self::Ping => write("ping", &[]),
            Self::Pong => write("pong", &[]),
            Self::RemoteSdp { media_session_id, sdp } => {
                write("setRemoteSDP", &[media_session_id.as_str().into(), sdp.as_str().into()])
            }
            Self::Status(status) => write("notifyStreamStatusEvent", &[value(status)]),
            Self::Available { media_session_id, available, info } => {
                // The SDK compares with the text "true".
                let mut answer = json!({ "id": media_session_id, "status": available.to_string() });
                insert(&mut answer, "info", info.as_deref().map(Value::from));
                write("availableStream", &[answer])
            }
            Self::StreamEvent { media_session_id, kind, payload } => {
                let mut event = json!({ "mediaSessionId": media_session_id, "type": kind });
                insert(&mut event, "payload", payload.clone());
                write("notifyStreamEvent", &[event])
            }
            Self::DataStatus { operation_id, accepted } => {
                // The SDK throws at any third status.
                let status = if *accepted { "ACCEPTED" } else { "FAILED" };
                write("DataStatusEvent", &[json!({ "operationId": operation_id, "status": status })])
            }
            Self::Other(name) => write(name, &[]),
        }
    }
}

impl StreamStatus {
    fn failed(media_session_id: String, info: Option<String>) -> Self {
        Self {
            media_session_id,
            status: Status::Failed,
            info,
            name: String::new(),
            published: false,
            has_video: false,
            has_audio: false,
            record: false,
            media_provider: String::new(),
            audio_muted: false,
            video_muted: false,
        }
    }
}
