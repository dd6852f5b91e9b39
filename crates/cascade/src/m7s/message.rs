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
    #[serde(default, deserialize_with = "values")]
    pub header: BTreeMap<String, Vec<String>>,
    /// The method. One that is missing or empty is read as GET, as Go's client takes it.
    #[serde(default = "get", deserialize_with = "or_get")]
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

    /// Reads a message. `None` for what the original ignores too: bad JSON, bad base64, unknown types; and for more than
    /// [`MAX_MESSAGE_BYTES`].
    #[must_use]
    pub fn decode(text: &[u8]) -> Option<Self> {
        match read(text) {
            Incoming::Message(message) => Some(message),
            Incoming::DamagedRequest(_) | Incoming::Nothing => None,
        }
    }
}

/// What a text is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    Message(Message),
    /// A request by its type and number, whose content cannot be read: somebody waits for an answer all the same.
    DamagedRequest(i64),
    /// No message that we know.
    Nothing,
}

pub(super) fn read(text: &[u8]) -> Incoming {
    if text.len() > MAX_MESSAGE_BYTES {
        return Incoming::Nothing;
    }
    let Ok(Envelope { sn, r#type, pad }) = serde_json::from_slice(text) else { return Incoming::Nothing };
    let pad = STANDARD.decode(pad.unwrap_or_default()).ok();
    let content = match (r#type, pad) {
        (0, Some(pad)) => serde_json::from_slice(&pad).ok().map(Content::Info),
        (1, Some(pad)) => serde_json::from_slice(&pad).ok().map(Content::Request),
        (2, Some(pad)) => Some(Content::Response(pad)),
        _ => None,
    };
    match content {
        Some(content) => Incoming::Message(Message { sn, content }),
        None if r#type == 1 => Incoming::DamagedRequest(sn),
        None => Incoming::Nothing,
    }
}

/// Go writes an empty map and an empty list as null.
fn values<'de, D>(deserializer: D) -> Result<BTreeMap<String, Vec<String>>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    let fields = Option::<BTreeMap<String, Option<Vec<String>>>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(fields.into_iter().map(|(name, values)| (name, values.unwrap_or_default())).collect())
}

fn get() -> String {
    "GET".to_owned()
}

fn or_get<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let method = Option::<String>::deserialize(deserializer)?;
    Ok(method.filter(|method| !method.is_empty()).unwrap_or_else(get))
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
