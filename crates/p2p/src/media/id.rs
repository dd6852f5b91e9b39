//! Names of videos, streams and segments. They go into URLs and file names, so they hold nothing that means something there.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Characters of a video's name.
const VIDEO_ID: std::ops::RangeInclusive<usize> = 6..=15;
/// The greatest itag: three digits.
const MAX_ITAG: u16 = 999;

/// A text that is no name of a video or stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadId {
    /// Not 6 to 15 of `A-Z a-z 0-9 _ -`.
    #[error("a video's name has 6 to 15 of A-Z a-z 0-9 _ -")]
    Video,
    /// Not a number of one to three digits without leading zeros.
    #[error("an itag is a number from 0 to 999")]
    Itag,
    /// Not `VIDEO:ITAG`.
    #[error("a stream's name is VIDEO:ITAG")]
    Stream,
}

/// A video's name: 6 to 15 of `A-Z a-z 0-9 _ -`. Clones share it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VideoId(Arc<str>);

impl VideoId {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VideoId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        let fits = VIDEO_ID.contains(&text.len()) && text.bytes().all(letters);
        if fits { Ok(Self(text.into())) } else { Err(BadId::Video) }
    }
}

impl fmt::Display for VideoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for VideoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The number of a stream of a video, 0 to 999. It is also its name, so that leading zeros are refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Itag(u16);

impl Itag {
    /// The number; `None` above 999.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        if number <= MAX_ITAG { Some(Self(number)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl FromStr for Itag {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let digits = (1..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| digits && (text == "0" || !text.starts_with('0')));
        number.map(Self).ok_or(BadId::Itag)
    }
}

impl fmt::Display for Itag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A segment of media: a stream of a video, and the segment's number from 0.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId {
    /// The video.
    pub vid: VideoId,
    /// The stream.
    pub itag: Itag,
    /// The segment, from 0.
    pub index: u32,
}

impl SegmentId {
    /// Reads the `VIDEO:ITAG` of the chunk protocol.
    ///
    /// # Errors
    /// [`BadId`] when it has not exactly two parts that are names.
    pub fn parse(stream: &str, index: u32) -> Result<Self, BadId> {
        let (vid, itag) = stream.split_once(':').ok_or(BadId::Stream)?;
        Ok(Self { vid: vid.parse()?, itag: itag.parse()?, index })
    }

    /// The `VIDEO:ITAG` of the chunk protocol.
    #[must_use]
    pub fn stream(&self) -> String {
        format!("{}:{}", self.vid, self.itag)
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}|{}", self.vid, self.itag, self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_nothing_that_means_something_in_a_url_or_path() {
        let id = SegmentId::parse("testvideo01:134", 7).unwrap();
        assert_eq!((id.vid.as_str(), id.itag.number(), id.index), ("testvideo01", 134, 7));
        assert_eq!((id.stream().as_str(), id.to_string().as_str()), ("testvideo01:134", "testvideo01:134|7"));
        for bad in ["short:1", "sixteen-letters0:1", "../../x:1", "a?b#cdef:1", "täglich:1", "abcdef", "abcdef:1:2"] {
            assert!(SegmentId::parse(bad, 0).is_err(), "{bad}");
        }
        for bad in ["", "1234", "+1", "-1", "01", "1a", " 1", "١"] {
            assert_eq!(bad.parse::<Itag>(), Err(BadId::Itag), "{bad}");
        }
        assert_eq!("0".parse::<Itag>().ok(), Itag::new(0));
        assert_eq!(Itag::new(1_000), None);
    }
}
