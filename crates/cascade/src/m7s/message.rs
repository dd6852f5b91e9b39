//! Messages to text and back.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// Bytes of one message, at most: a body of 48 MiB, which base64 makes a third larger, twice where it is itself within
/// JSON. A peer can make us hold this much; the original has no limit.
pub const MAX_MESSAGE_BYTES: usize = 96 << 20;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Pairs answers with requests.
    pub sn: i64,
    /// What it says.
    pub content: Content,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Type 0, the site's first message.
    Info(Info),
    /// Type 1, to the site.
    Request(Request),
    /// Type 2, from the site: the body of the answer.
    Response(Vec<u8>),
}

/// Who a site says that it is. The id in the URL of its dial counts; this one is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Info {
    /// Its id.
    pub cid: String,
    /// Its name for people.
    pub name: String,
    /// Its serial number.
    pub serial: String,
}

/// An HTTP request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// A path with its query, or an absolute URL.
    pub url: String,
    /// Header fields. The original uses the first value of each.
    #[serde(default, deserialize_with = "or_default")]
    pub header: BTreeMap<String, Vec<String>>,
    /// The method.
    pub method: String,
    /// The body; null without one.
    #[serde(default, with = "optional_base64")]
    pub body: Option<Vec<u8>>,
}

/// The envelope, in the original's order of keys.
#[derive(Serialize, Deserialize)]
struct Envelope {
    sn: i64,
    r#type: i64,
    #[serde(default)]
    pad: Option<String>,
}

impl Message {
    /// The text of a message.
    #[must_use]
    pub fn encode(&self) -> String {
        // Maps of strings and numbers cannot fail to become JSON.
        let json = |value: serde_json::Result<Vec<u8>>| value.unwrap_or_default();
        let (kind, pad) = match &self.content {
            Content::Info(info) => (0, json(serde_json::to_vec(info))),
            Content::Request(request) => (1, json(serde_json::to_vec(request))),
            Content::Response(body) => (2, body.clone()),
        };
        let envelope = Envelope { sn: self.sn, r#type: kind, pad: Some(STANDARD.encode(pad)) };
        serde_json::to_string(&envelope).unwrap_or_default()
    }

    /// Reads a message. `None` for what the original ignores too: bad JSON, bad base64, unknown types.
    #[must_use]
    pub fn decode(text: &[u8]) -> Option<Self> {
        let Envelope { sn, r#type, pad } = serde_json::from_slice(text).ok()?;
        let pad = STANDARD.decode(pad.unwrap_or_default()).ok()?;
        let content = match r#type {
            0 => Content::Info(serde_json::from_slice(&pad).ok()?),
            1 => Content::Request(serde_json::from_slice(&pad).ok()?),
            2 => Content::Response(pad),
            _ => return None,
        };
        Some(Self { sn, content })
    }
}

/// Go writes empty maps as null.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

mod optional_base64 {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(body: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
        body.as_ref().map(|body| STANDARD.encode(body)).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| STANDARD.decode(text).map_err(serde::de::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests;
