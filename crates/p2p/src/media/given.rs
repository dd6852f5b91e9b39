//! An origin in memory.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{ByteRange, Itag, MediaError, Origin, Stream, VideoId, VideoInfo};
use crate::index::{IndexError, Reference, Sidx, write_sidx};

/// Videos of given segments, for tests and demonstrations: what the segments hold does not matter.
#[derive(Debug, Clone, Default)]
pub struct Given {
    videos: BTreeMap<VideoId, (VideoInfo, BTreeMap<Itag, Bytes>)>,
}

impl Given {
    /// No video.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with one more stream, each of whose segments lasts a second.
    ///
    /// # Errors
    /// There are too many segments, or a segment is too large or empty.
    pub fn with(mut self, vid: &VideoId, itag: Itag, segments: &[Bytes]) -> Result<Self, IndexError> {
        let reference = |segment: &Bytes| {
            let size = u32::try_from(segment.len()).map_err(|_| IndexError::Wrong("a segment of 4 GiB"))?;
            Ok(Reference { is_index: false, size, duration: 1 })
        };
        let references = segments.iter().map(reference).collect::<Result<Vec<_>, IndexError>>()?;
        let sidx = write_sidx(&Sidx { timescale: 1, earliest: 0, first_offset: 0, references })?;
        let index = ByteRange { start: 8, end: 7 + sidx.len() as u64 };
        let mut file = BytesMut::from(&b"\0\0\0\x08free"[..]);
        file.extend_from_slice(&sidx);
        segments.iter().for_each(|segment| file.extend_from_slice(segment));
        let stream = Stream {
            mime: "video/mp4; codecs=\"avc1.42c01e\"".to_owned(),
            itag,
            len: Some(file.len() as u64),
            init: Some(ByteRange { start: 0, end: 7 }),
            index: Some(index),
            ..Stream::default()
        };
        let video = || (VideoInfo::named(vid), BTreeMap::new());
        let (info, files) = self.videos.entry(vid.clone()).or_insert_with(video);
        info.streams.insert(itag, stream);
        info.duration = segments.len().to_string();
        files.insert(itag, file.freeze());
        Ok(self)
    }

    fn find(&self, vid: &VideoId, itag: Itag, range: &RangeInclusive<u64>) -> Result<Bytes, MediaError> {
        let (_, files) = self.videos.get(vid).ok_or(MediaError::UnknownVideo)?;
        let file = files.get(&itag).ok_or(MediaError::UnknownStream)?;
        let beyond = MediaError::Range { length: file.len() as u64 };
        let place = |at: u64| usize::try_from(at).ok().filter(|at| *at < file.len()).ok_or(beyond.clone());
        let (start, end) = (place(*range.start())?, place(*range.end())?);
        if start <= end { Ok(file.slice(start..=end)) } else { Err(beyond) }
    }
}

impl Origin for Given {
    fn info<'a>(&'a self, vid: &'a VideoId) -> BoxFuture<'a, Result<VideoInfo, MediaError>> {
        let info = self.videos.get(vid).map(|(info, _)| info.clone()).ok_or(MediaError::UnknownVideo);
        std::future::ready(info).boxed()
    }

    fn part<'a>(
        &'a self,
        info: &'a VideoInfo,
        stream: &'a Stream,
        range: RangeInclusive<u64>,
    ) -> BoxFuture<'a, Result<Bytes, MediaError>> {
        std::future::ready(self.find(&info.id, stream.itag, &range)).boxed()
    }
}
