//! What is known of a video: the `{vid}.json` of the HTTP face.
//!
//! The document has its numbers as texts, and what is not known is `""` or `{}`. Numbers are taken too.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::SystemTime;

use serde::de::IgnoredAny;
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use super::{Itag, MediaError, VideoId};

/// Streams of a video that are read; further ones are left out. Videos have some 30.
const MAX_STREAMS: usize = 256;

/// A video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoInfo {
    /// Its name, as its origin spells it.
    pub id: VideoId,
    /// For people.
    pub title: String,
    /// Seconds, as text: `60`, `61.5`.
    pub duration: String,
    /// For people.
    pub author: String,
    /// Its captions.
    pub captions: Vec<Caption>,
    /// Its streams.
    pub streams: BTreeMap<Itag, Stream>,
}

/// Captions in a language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caption {
    /// Where they are; not shown to everybody.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// Their language: `en`.
    #[serde(default)]
    pub language: String,
}

/// A stream of a video.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stream {
    /// For people: `720p`, `medium`.
    pub quality: String,
    /// MIME type with codecs: `video/mp4; codecs="avc1.42c01e"`.
    pub mime: String,
    /// Its number.
    pub itag: Itag,
    /// Bytes of the whole, where that is known.
    pub len: Option<u64>,
    /// Where its initialisation segment is.
    pub init: Option<ByteRange>,
    /// Where its segment index is.
    pub index: Option<ByteRange>,
    /// Where it is, when it is not at its origin's usual place; not shown to everybody.
    pub url: Option<String>,
    /// When it was changed, where that is known. It is not part of the document.
    pub modified: Option<SystemTime>,
}

/// A part of a stream, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteRange {
    /// The first byte.
    pub start: u64,
    /// The last byte.
    pub end: u64,
}

impl ByteRange {
    /// How many bytes; 0 when it is reversed.
    #[must_use]
    pub fn count(self) -> u64 {
        self.end.checked_sub(self.start).map_or(0, |more| more.saturating_add(1))
    }
}

impl From<ByteRange> for RangeInclusive<u64> {
    fn from(range: ByteRange) -> Self {
        range.start..=range.end
    }
}

impl Stream {
    /// The container and kind without codecs: `video/mp4`.
    #[must_use]
    pub fn essence(&self) -> &str {
        self.mime.split(';').next().unwrap_or_default().trim()
    }

    /// The codecs, as the type has them.
    #[must_use]
    pub fn codecs(&self) -> &str {
        let after = self.mime.split_once("codecs=").map_or("", |(_, codecs)| codecs.trim());
        after.split('"').find(|part| !part.is_empty()).unwrap_or_default().trim()
    }

    /// Whether it is `WebM`, whose index is Cues; else it is MP4.
    #[must_use]
    pub fn is_webm(&self) -> bool {
        self.essence().ends_with("webm")
    }
}

impl VideoInfo {
    /// A video of which nothing but the name is known.
    #[must_use]
    pub fn named(vid: &VideoId) -> Self {
        Self {
            id: vid.clone(),
            title: vid.to_string(),
            duration: String::new(),
            author: String::new(),
            captions: Vec::new(),
            streams: BTreeMap::new(),
        }
    }

    /// The same, without the addresses that its origin has.
    #[must_use]
    pub fn without_urls(mut self) -> Self {
        self.captions.iter_mut().for_each(|caption| caption.url.clear());
        self.streams.values_mut().for_each(|stream| stream.url = None);
        self
    }
}

/// A text that may have come as a number, or as nothing.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Text {
    Is(String),
    Number(serde_json::Number),
    Other(IgnoredAny),
}

impl Default for Text {
    fn default() -> Self {
        Self::Is(String::new())
    }
}

impl Text {
    fn into_text(self) -> String {
        match self {
            Self::Is(text) => text,
            Self::Number(number) => number.to_string(),
            Self::Other(_) => String::new(),
        }
    }

    fn number(self) -> Option<u64> {
        self.into_text().parse().ok()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawRange {
    start: Text,
    end: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawStream {
    quality: Text,
    r#type: Text,
    itag: Text,
    len: Text,
    init_range: Option<RawRange>,
    index_range: Option<RawRange>,
    url: Option<String>,
}

#[derive(Debug, Deserialize)]
struct RawInfo {
    id: String,
    #[serde(default)]
    title: Text,
    #[serde(default)]
    duration: Text,
    #[serde(default)]
    author: Text,
    captions: Option<Vec<Caption>>,
    #[serde(default)]
    streams: BTreeMap<String, RawStream>,
}

fn range(raw: Option<RawRange>) -> Option<ByteRange> {
    let raw = raw?;
    let (start, end) = (raw.start.number()?, raw.end.number()?);
    (start <= end).then_some(ByteRange { start, end })
}

impl RawStream {
    /// A stream, if it stands under its own number.
    fn stream(self, key: &str) -> Option<(Itag, Stream)> {
        let itag: Itag = key.parse().ok()?;
        let (len, init, index) = (self.len.number(), range(self.init_range), range(self.index_range));
        let url = self.url.filter(|url| !url.is_empty());
        let (quality, mime) = (self.quality.into_text(), self.r#type.into_text());
        (self.itag.into_text() == key)
            .then_some((itag, Stream { quality, mime, itag, len, init, index, url, modified: None }))
    }
}

impl VideoInfo {
    /// Reads the document. A stream that does not stand under its own number is left out.
    ///
    /// # Errors
    /// It is no JSON of this shape, or its name is none.
    pub fn parse(document: &[u8]) -> Result<Self, MediaError> {
        let wrong = |error: &dyn std::fmt::Display| MediaError::Answer { what: format!("no video document: {error}") };
        let raw: RawInfo = serde_json::from_slice(document).map_err(|error| wrong(&error))?;
        let streams = raw.streams.into_iter().filter_map(|(key, stream)| stream.stream(&key));
        Ok(Self {
            id: raw.id.parse().map_err(|error: super::BadId| wrong(&error))?,
            title: raw.title.into_text(),
            duration: raw.duration.into_text(),
            author: raw.author.into_text(),
            captions: raw.captions.unwrap_or_default(),
            streams: streams.take(MAX_STREAMS).collect(),
        })
    }

    /// The stream of a number.
    ///
    /// # Errors
    /// There is none.
    pub fn stream(&self, itag: Itag) -> Result<&Stream, MediaError> {
        self.streams.get(&itag).ok_or(MediaError::UnknownStream)
    }
}

#[derive(Debug, Serialize)]
struct ShownRange {
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<String>,
}

impl Serialize for VideoInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", self.id.as_str())?;
        map.serialize_entry("title", &self.title)?;
        map.serialize_entry("duration", &self.duration)?;
        map.serialize_entry("author", &self.author)?;
        map.serialize_entry("captions", &self.captions)?;
        let streams: BTreeMap<String, &Stream> =
            self.streams.iter().map(|(itag, stream)| (itag.to_string(), stream)).collect();
        map.serialize_entry("streams", &streams)?;
        map.end()
    }
}

impl Serialize for Stream {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shown = |range: Option<ByteRange>| ShownRange {
            start: range.map(|range| range.start.to_string()),
            end: range.map(|range| range.end.to_string()),
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("quality", &self.quality)?;
        map.serialize_entry("type", &self.mime)?;
        map.serialize_entry("itag", &self.itag.to_string())?;
        map.serialize_entry("len", &self.len.map_or_else(String::new, |len| len.to_string()))?;
        map.serialize_entry("initRange", &shown(self.init))?;
        map.serialize_entry("indexRange", &shown(self.index))?;
        if let Some(url) = &self.url {
            map.serialize_entry("url", url)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests;
