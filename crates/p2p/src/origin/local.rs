//! Videos of a folder of this machine.
//!
//! | file | what |
//! |---|---|
//! | `{vid}/{itag}.mp4`, `{vid}/{itag}.webm` | a stream of a video |
//! | `{vid}.mp4`, `{vid}.webm` | a video of one stream: 18 for MP4, 43 for `WebM` |
//! | `{vid}/{language}.xml` | captions |
//! | `{vid}/poster.jpg`, `{vid}/poster.webp`, or `{vid}.jpg`, `{vid}.webp` | a picture for lists |
//!
//! The document is made of what the files hold. MP4 in fragments without a `sidx` gets one, and `WebM` whose Cues stand
//! behind the clusters gets them before, so that such a file is served a little longer than it is; MP4 in one piece has no
//! segments.

mod cues;
mod fragments;
mod layout;
mod movie;
mod mp4;
mod source;
mod webm;

use std::fs::File;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

use crate::cache::Lru;
use crate::media::{ByteRange, Caption, Document, DocumentKind, Itag, MediaError, Origin, Stream, VideoId, VideoInfo};
use layout::Layout;
use source::OpenFile;

/// The stream of a video that is one file.
const SINGLE_MP4: u16 = 18;
const SINGLE_WEBM: u16 = 43;
/// Files of a video's folder that are looked at, at most.
const MAX_FILES: usize = 1_024;
/// Bytes of what is remembered of scanned files. An index of an hour has some 10 KiB.
const REMEMBERED: usize = 16 << 20;
/// For how long a scan is good while the file stays as it is.
const SCAN_TIME: Duration = Duration::from_secs(86_400);
/// How soon a changed folder is noticed.
const FRESH: Duration = Duration::from_secs(2);
/// KiB of parts that are being read, at most; what is more waits.
const READING: usize = 64 << 10;
/// Bytes of captions or a picture, at most.
const MAX_DOCUMENT: u64 = 8 << 20;

/// A folder of videos. Clones share what they know of it.
#[derive(Debug, Clone)]
pub struct Local {
    folder: Arc<Path>,
    scans: Arc<Mutex<Lru<Version, Arc<Layout>>>>,
    room: Arc<Semaphore>,
}

/// A file as it was.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Version {
    path: PathBuf,
    len: u64,
    modified: SystemTime,
}

impl Local {
    /// The videos of a folder.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        let scans = Arc::new(Mutex::new(Lru::new(REMEMBERED)));
        Self { folder: folder.into(), scans, room: Arc::new(Semaphore::new(READING)) }
    }

    /// The files that a stream may be, the better first.
    fn candidates(&self, vid: &VideoId, itag: Itag) -> Vec<(PathBuf, bool)> {
        let own = self.folder.join(vid.as_str());
        let mut found = vec![(own.join(format!("{itag}.mp4")), false), (own.join(format!("{itag}.webm")), true)];
        match itag.number() {
            SINGLE_MP4 => found.push((self.folder.join(format!("{vid}.mp4")), false)),
            SINGLE_WEBM => found.push((self.folder.join(format!("{vid}.webm")), true)),
            _ => {}
        }
        found
    }

    /// Opens a stream's file and finds out, or remembers, how it is served.
    fn open(&self, vid: &VideoId, itag: Itag) -> Result<(OpenFile, Arc<Layout>, SystemTime), MediaError> {
        for (path, is_webm) in self.candidates(vid, itag) {
            let Ok(file) = File::open(&path) else { continue };
            let unreadable = |_| MediaError::Answer { what: "a file cannot be read".to_owned() };
            let metadata = file.metadata().map_err(unreadable)?;
            if !metadata.is_file() {
                continue;
            }
            let modified = metadata.modified().map_err(unreadable)?;
            let version = Version { path, len: metadata.len(), modified };
            let file = OpenFile { file, len: metadata.len() };
            let layout = self.layout(version, &file, is_webm)?;
            return Ok((file, layout, modified));
        }
        Err(MediaError::UnknownStream)
    }

    fn layout(&self, version: Version, file: &OpenFile, is_webm: bool) -> Result<Arc<Layout>, MediaError> {
        let known = || self.scans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(layout) = known().get(&version, Instant::now()) {
            return Ok(Arc::clone(layout));
        }
        let scanned = if is_webm { webm::scan(file) } else { mp4::scan(file) };
        let layout = scanned.map_err(|error| {
            tracing::warn!(path = %version.path.display(), error = &error as &dyn std::error::Error, "a file is no media");
            MediaError::Answer { what: format!("a file is no media: {error}") }
        })?;
        if layout.index.is_none() {
            tracing::info!(path = %version.path.display(), "a file has no segments; it is served as a whole");
        }
        let layout = Arc::new(layout);
        let bytes = layout.bytes();
        known().insert(version, Arc::clone(&layout), bytes, SCAN_TIME, Instant::now());
        Ok(layout)
    }

    fn read_info(&self, vid: &VideoId) -> Result<VideoInfo, MediaError> {
        let mut info = VideoInfo::named(vid);
        let mut itags: Vec<Itag> = [SINGLE_MP4, SINGLE_WEBM].into_iter().filter_map(Itag::new).collect();
        let entries = std::fs::read_dir(self.folder.join(vid.as_str())).into_iter().flatten().flatten();
        for name in entries.take(MAX_FILES).filter_map(|entry| entry.file_name().into_string().ok()) {
            match name.rsplit_once('.') {
                Some((itag, "mp4" | "webm")) => itags.extend(itag.parse::<Itag>().ok()),
                Some((language, "xml")) if is_language(language) => {
                    info.captions.push(Caption { url: String::new(), language: language.to_owned() });
                }
                _ => {}
            }
        }
        info.captions.sort_by(|one, two| one.language.cmp(&two.language));
        let mut duration = 0;
        for itag in itags {
            // What is no media is told in the log; the other streams are there.
            let Ok((_, layout, modified)) = self.open(vid, itag) else { continue };
            duration = duration.max(layout.duration);
            info.streams.insert(itag, stream(itag, &layout, modified));
        }
        if info.streams.is_empty() {
            return Err(MediaError::UnknownVideo);
        }
        info.duration = seconds(duration);
        Ok(info)
    }

    fn read_part(&self, vid: &VideoId, wanted: &Stream, range: ByteRange) -> Result<Bytes, MediaError> {
        let (file, layout, modified) = self.open(vid, wanted.itag)?;
        if wanted.len != Some(layout.len) || wanted.modified != Some(modified) {
            return Err(MediaError::Answer { what: "the file has changed meanwhile".to_owned() });
        }
        if range.count() == 0 || range.end >= layout.len {
            return Err(MediaError::Range { length: layout.len });
        }
        layout
            .read(&file, range)
            .map_err(|error| MediaError::Answer { what: format!("a file cannot be read: {error}") })
    }

    fn read_document(&self, vid: &VideoId, kind: &DocumentKind) -> Result<Document, MediaError> {
        let own = self.folder.join(vid.as_str());
        let extension = kind.extension();
        let mut paths = vec![own.join(format!("poster.{extension}")), self.folder.join(format!("{vid}.{extension}"))];
        if let DocumentKind::Captions { language } = kind {
            let known = self.read_info(vid)?.captions;
            let wanted = known.iter().find(|caption| Some(&caption.language) == language.as_ref());
            // The existing server gives the last for a language that there is not.
            let other = if language.is_some() { known.last() } else { known.first() };
            let chosen = wanted.or(other).ok_or(MediaError::UnknownVideo)?;
            paths = vec![own.join(format!("{}.xml", chosen.language))];
        }
        for path in paths {
            let Ok(metadata) = std::fs::metadata(&path) else { continue };
            if metadata.len() > MAX_DOCUMENT {
                let (bytes, limit) = (metadata.len(), MAX_DOCUMENT);
                return Err(MediaError::TooLarge { what: "a file", bytes, limit });
            }
            let Ok(bytes) = std::fs::read(&path) else { continue };
            return Ok(Document { bytes: bytes.into(), mime: kind.mime(), modified: metadata.modified().ok() });
        }
        Err(MediaError::UnknownVideo)
    }

    /// Runs what reads files apart from the tasks that must not wait.
    async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, MediaError> + Send + 'static,
    ) -> Result<T, MediaError> {
        let local = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&local)).await;
        done.unwrap_or_else(|_| Err(MediaError::Answer { what: "reading was broken off".to_owned() }))
    }
}

fn is_language(text: &str) -> bool {
    (1..=35).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn stream(itag: Itag, layout: &Layout, modified: SystemTime) -> Stream {
    let quality = if layout.height == 0 { "medium".to_owned() } else { format!("{}p", layout.height) };
    let (mime, len, init, index) = (layout.mime.clone(), Some(layout.len), layout.init, layout.index);
    Stream { quality, mime, itag, len, init, index, url: None, modified: Some(modified) }
}

/// Seconds with as many digits as are needed.
fn seconds(milliseconds: u64) -> String {
    let text = format!("{}.{:03}", milliseconds / 1_000, milliseconds % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl Origin for Local {
    fn info<'a>(&'a self, vid: &'a VideoId) -> BoxFuture<'a, Result<VideoInfo, MediaError>> {
        let vid = vid.clone();
        self.apart(move |local| local.read_info(&vid)).boxed()
    }

    fn fresh(&self) -> Duration {
        FRESH
    }

    fn part<'a>(
        &'a self,
        info: &'a VideoInfo,
        stream: &'a Stream,
        range: RangeInclusive<u64>,
    ) -> BoxFuture<'a, Result<Bytes, MediaError>> {
        let (vid, stream) = (info.id.clone(), stream.clone());
        let range = ByteRange { start: *range.start(), end: *range.end() };
        async move {
            let all = u32::try_from(READING).unwrap_or(u32::MAX);
            let kib = u32::try_from(range.count() >> 10).unwrap_or(u32::MAX).clamp(1, all);
            // Files of this machine are read soon; the semaphore is never closed.
            let _room = self.room.acquire_many(kib).await;
            self.apart(move |local| local.read_part(&vid, &stream, range)).await
        }
        .boxed()
    }

    fn document<'a>(&'a self, vid: &'a VideoId, kind: &'a DocumentKind) -> BoxFuture<'a, Result<Document, MediaError>> {
        let (vid, kind) = (vid.clone(), kind.clone());
        self.apart(move |local| local.read_document(&vid, &kind)).boxed()
    }
}

/// Scans bytes as a file of media and reads what the scan finds, for fuzzing. The first byte chooses the container.
pub fn fuzz_scan(data: &[u8]) {
    let Some((kind, file)) = data.split_first() else { return };
    let scanned = if kind & 1 == 0 { mp4::scan(file) } else { webm::scan(file) };
    let Ok(layout) = scanned else { return };
    for range in [layout.init, layout.index].into_iter().flatten() {
        let _ = layout.read(file, range);
    }
    if let Some(end) = layout.len.checked_sub(1) {
        let _ = layout.read(file, ByteRange { start: 0, end });
    }
}
