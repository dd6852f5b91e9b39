//! What is below `/video/`.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use http::header;
use http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::answer::{Answer, Cache, Sent, beyond, etag, failure, set};
use super::mpd;
use super::range::Validators;
use super::target::Target;
use crate::media::{ByteRange, DocumentKind, Itag, Library, MediaError, SegmentId, Stream, VideoId, VideoInfo};

/// A part up to this size is asked of the origin as it is, so that a player that asks for a segment and a peer that
/// does the same share it; more goes in blocks.
const SINGLE: u64 = 8 << 20;
/// A block.
const BLOCK: u64 = 1 << 20;
/// How much of the cache one of them may be, so that it is still there when its reader comes back for more.
const SHARE: u64 = 8;
/// What a reader is given at once, as a copy: however slowly it reads, it holds no more than that.
const PIECE: u64 = 64 << 10;
/// What stands for itself in the value of a parameter (RFC 8187, 3.2.1), most of it.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_').remove(b'~');
/// Bytes of a query that are looked at.
const MAX_QUERY: usize = 4 << 10;

/// Answers a request.
pub(super) async fn answer(library: Option<&Library>, target: Target, request: &Parts) -> Response {
    let is_document = matches!(&target, Target::Info(_) | Target::Mpd(_))
        || matches!(&target, Target::Document(_, DocumentKind::Captions { .. }));
    let Some(library) = library else { return failure(&MediaError::NoOrigin, is_document) };
    let video = Video { library, request };
    let answered = match target {
        Target::Info(vid) => video.info(&vid).await,
        Target::Mpd(vid) => video.mpd(&vid).await,
        Target::Document(vid, kind) => video.document(&vid, kind).await,
        Target::Muxed(vid, extension) => video.muxed(&vid, extension).await,
        Target::Whole(vid, itag) => video.whole(&vid, itag).await,
        Target::Part(vid, itag, range) => video.part(&vid, itag, range).await,
        Target::Hash(id) => video.hash(&id).await,
    };
    answered.unwrap_or_else(|error| failure(&error, is_document))
}

struct Video<'a> {
    library: &'a Library,
    request: &'a Parts,
}

impl Video<'_> {
    /// A value of the query.
    fn query(&self, name: &str) -> Option<String> {
        let query = self.request.uri.query().filter(|query| query.len() <= MAX_QUERY)?;
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    /// A list of itags of the query.
    fn itags(&self, name: &str) -> Vec<Itag> {
        let list = self.query(name).unwrap_or_default();
        list.split([',', ';', '|']).filter_map(|itag| itag.trim().parse().ok()).collect()
    }

    fn head<'a>(&'a self, mime: &'a str, validators: Validators, len: u64, cache: Cache) -> Answer<'a> {
        let (method, headers) = (&self.request.method, &self.request.headers);
        let has_parts = cache == Cache::Media;
        Answer { method, request: headers, mime, validators, len, has_parts, cache }
    }

    /// A document that is in memory.
    fn text(&self, mime: &str, body: &Bytes, modified: Option<std::time::SystemTime>) -> Response {
        let validators = Validators { etag: etag(&[body]), modified };
        let len = u64::try_from(body.len()).unwrap_or(u64::MAX);
        self.head(mime, validators, len, Cache::Document).with(body)
    }

    async fn info(&self, vid: &VideoId) -> Result<Response, MediaError> {
        let info = self.library.info(vid).await?;
        let shows_all = self.query("info").is_some_and(|info| info == "all");
        let shown = if shows_all { info } else { Arc::new(VideoInfo::clone(&info).without_urls()) };
        let wrong = |error: serde_json::Error| MediaError::Answer { what: error.to_string() };
        let body = Bytes::from(serde_json::to_vec(&*shown).map_err(wrong)?);
        Ok(self.text("application/json; charset=utf-8", &body, None))
    }

    async fn mpd(&self, vid: &VideoId) -> Result<Response, MediaError> {
        let info = self.library.info(vid).await?;
        let body = mpd::document(&info, &self.itags("v"), &self.itags("a")).ok_or(MediaError::NoIndex)?;
        Ok(self.text("application/dash+xml", &body.into(), None))
    }

    async fn document(&self, vid: &VideoId, kind: DocumentKind) -> Result<Response, MediaError> {
        let kind = match kind {
            DocumentKind::Captions { .. } => DocumentKind::Captions { language: self.query("lang") },
            kind => kind,
        };
        let document = self.library.document(vid, &kind).await?;
        Ok(self.text(document.mime, &document.bytes, document.modified))
    }

    async fn muxed(&self, vid: &VideoId, extension: &str) -> Result<Response, MediaError> {
        let info = self.library.info(vid).await?;
        let stream = muxed(&info, &self.itags("prefer"), extension).ok_or(MediaError::UnknownStream)?;
        let mut response = self.stream(&info, stream).await?;
        if self.query("download").is_some_and(|download| download == "1") {
            let name = format!("{}.{extension}", info.title);
            let name = utf8_percent_encode(&name, VALUE);
            let value = format!("attachment; filename*=UTF-8''{name}");
            set(response.headers_mut(), header::CONTENT_DISPOSITION, &value);
        }
        Ok(response)
    }

    async fn whole(&self, vid: &VideoId, itag: Itag) -> Result<Response, MediaError> {
        let info = self.library.info(vid).await?;
        self.stream(&info, info.stream(itag)?).await
    }

    /// A whole stream, or the part of it that is wanted.
    async fn stream(&self, info: &Arc<VideoInfo>, stream: &Stream) -> Result<Response, MediaError> {
        let len = self.library.length(info, stream).await?;
        let (response, sent) = self.head(stream.essence(), validators(info, stream), len, Cache::Media).head();
        match sent {
            Sent::Head => Ok(response),
            Sent::Part(start, end) => {
                let body = self.body(info, stream, ByteRange { start, end }).await?;
                Ok(response.map(|_| body))
            }
        }
    }

    /// A part that the path names: it is a resource of its own, and `Range` is left out of account.
    async fn part(&self, vid: &VideoId, itag: Itag, mut range: ByteRange) -> Result<Response, MediaError> {
        let info = self.library.info(vid).await?;
        let stream = info.stream(itag)?;
        if let Some(len) = stream.len {
            if range.count() == 0 || range.start >= len {
                return Ok(beyond(len));
            }
            range.end = range.end.min(len.saturating_sub(1));
        } else if range.count() == 0 {
            return Ok(Answer::not_found());
        }
        let mut head = self.head(stream.essence(), validators(&info, stream), range.count(), Cache::Media);
        let tag = head.validators.etag.trim_matches('"').to_owned();
        head.validators.etag = format!("\"{tag}-{}-{}\"", range.start, range.end);
        head.has_parts = false;
        let (response, sent) = head.head();
        if sent == Sent::Head {
            return Ok(response);
        }
        let body = self.body(&info, stream, range).await?;
        Ok(response.map(|_| body))
    }

    async fn hash(&self, id: &SegmentId) -> Result<Response, MediaError> {
        let hash = self.library.sha256(id).await?;
        let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(self.text("text/plain; charset=utf-8", &format!("{digits}\n").into(), None))
    }

    /// The bytes of a range; the first of them are there before the answer begins, so that a failure is told as one.
    async fn body(&self, info: &Arc<VideoInfo>, of: &Stream, range: ByteRange) -> Result<Body, MediaError> {
        let cache = u64::try_from(self.library.limits().cache_bytes).unwrap_or(u64::MAX) / SHARE;
        let parts = parts(range, SINGLE.min(cache), BLOCK.min(cache).max(PIECE));
        let (library, info, of) = (self.library.clone(), Arc::clone(info), of.clone());
        let read = move |(part, piece): (ByteRange, ByteRange)| {
            let (library, info, of) = (library.clone(), Arc::clone(&info), of.clone());
            async move {
                // It is found in the cache for all pieces but the first, unless others needed the room.
                let whole = library.part_of(&info, &of, part, None).await?;
                let place = |at: u64| usize::try_from(at - part.start).unwrap_or(usize::MAX);
                let piece = whole.get(place(piece.start)..=place(piece.end)).unwrap_or_default();
                Ok::<_, MediaError>(Bytes::copy_from_slice(piece))
            }
        };
        let mut pieces = Box::pin(stream::iter(parts).then(read));
        let first = pieces.next().await.unwrap_or(Err(MediaError::Range { length: 0 }))?;
        let all = stream::once(std::future::ready(Ok(first))).chain(pieces);
        Ok(Body::from_stream(all.inspect_err(|error| {
            tracing::debug!(error = error as &dyn std::error::Error, "a body is broken off");
        })))
    }
}

/// A range in pieces, each with the part that is read for it: the whole range up to `single` bytes, else blocks, which
/// are at the same places whatever the range, so that readers share them.
fn parts(range: ByteRange, single: u64, block: u64) -> impl Iterator<Item = (ByteRange, ByteRange)> + Send {
    let block = if range.count() <= single { None } else { Some(block) };
    let part = move |at: u64| {
        let Some(block) = block else { return range };
        let start = at / block * block;
        ByteRange { start: start.max(range.start), end: start.saturating_add(block - 1).min(range.end) }
    };
    let mut next = Some(range.start);
    std::iter::from_fn(move || {
        let start = next.filter(|start| *start <= range.end)?;
        let part = part(start);
        let end = start.saturating_add(PIECE - 1).min(part.end);
        next = end.checked_add(1);
        Some((part, ByteRange { start, end }))
    })
}

/// What identifies a stream's bytes: its document, since names do not change their meaning.
fn validators(info: &VideoInfo, stream: &Stream) -> Validators {
    let since = stream.modified.and_then(|modified| modified.duration_since(UNIX_EPOCH).ok());
    let modified = since.map_or(0, |since| since.as_nanos());
    let place = format!("{:?} {:?} {:?}", stream.len, stream.init, stream.index);
    let parts: [&[u8]; 4] =
        [info.id.as_str().as_bytes(), stream.mime.as_bytes(), place.as_bytes(), &modified.to_be_bytes()];
    let tag = etag(&parts).trim_matches('"').to_owned();
    Validators { etag: format!("\"{}-{tag}\"", stream.itag), modified: stream.modified }
}

/// The stream with picture and sound: of a preferred number, else one with two codecs, else one without an index, else
/// any of that container.
fn muxed<'a>(info: &'a VideoInfo, preferred: &[Itag], extension: &str) -> Option<&'a Stream> {
    let kind = format!("video/{extension}");
    let of_kind = || info.streams.values().filter(|stream| stream.essence() == kind);
    let wanted = preferred.iter().find_map(|itag| info.streams.get(itag));
    let both = || of_kind().find(|stream| stream.codecs().contains(','));
    let plain = || of_kind().find(|stream| stream.index.is_none());
    wanted.or_else(both).or_else(plain).or_else(|| of_kind().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_up_the_range_and_blocks_meet_at_fixed_places() {
        let range = ByteRange { start: 5, end: 2 * BLOCK };
        for (single, expected) in [
            (u64::MAX, vec![(5, 2 * BLOCK)]),
            (SINGLE / 8, vec![(5, BLOCK - 1), (BLOCK, 2 * BLOCK - 1), (2 * BLOCK, 2 * BLOCK)]),
        ] {
            let all: Vec<_> = parts(range, single, BLOCK).collect();
            let mut blocks: Vec<_> = all.iter().map(|(part, _)| (part.start, part.end)).collect();
            blocks.dedup();
            assert_eq!(blocks, expected);
            assert!(all.iter().all(|(part, piece)| part.start <= piece.start && piece.end <= part.end));
            assert!(all.iter().all(|(_, piece)| (1..=PIECE).contains(&piece.count())));
            assert!(all.windows(2).all(|pair| pair[0].1.end + 1 == pair[1].1.start));
            assert_eq!((all[0].1.start, all.last().unwrap().1.end), (5, 2 * BLOCK));
        }
        assert_eq!(parts(ByteRange { start: 7, end: 7 }, 1, 1).count(), 1);
    }
}
