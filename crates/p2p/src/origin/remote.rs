//! Origins with the shape of the HTTP face: `{vid}.json` and `{vid}/{itag}/{start}-{end}.ts`.

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::{CONTENT_LENGTH, LAST_MODIFIED};
use http::{HeaderMap, Method, StatusCode};
use url::Url;

use super::{Client, SetupError, servers, turns};
use crate::media::{Document, DocumentKind, MediaError, Origin, SegmentId, Stream, VideoId, VideoInfo};

/// Bytes of a video's document, at most; those of 30 streams have 8 KiB.
const MAX_INFO: u64 = 1 << 20;
/// Bytes of a segment's hash, at most.
const MAX_HASH: u64 = 256;
/// How long a server that has no hash is not asked again; existing servers have none.
const HASHLESS: Duration = Duration::from_secs(600);
/// Bytes of captions or a picture, at most.
const MAX_DOCUMENT: u64 = 8 << 20;

/// Servers that have the same videos.
///
/// One is chosen at random; when it fails the next one is asked, once.
#[derive(Debug, Clone)]
pub struct Remote {
    client: Client,
    bases: Vec<Url>,
    /// Until when none is asked for a hash, because one had no such thing.
    hashless: Arc<Mutex<Option<Instant>>>,
}

impl Remote {
    /// What lies below these URLs: `{base}/{vid}.json`.
    ///
    /// # Errors
    /// There is none, or one is no http or https URL.
    pub fn new(client: Client, bases: Vec<Url>) -> Result<Self, SetupError> {
        Ok(Self { client, bases: servers(bases)?, hashless: Arc::default() })
    }

    async fn try_each<'a, T>(
        &self,
        ask: impl Fn(Url) -> BoxFuture<'a, Result<T, MediaError>> + Send,
    ) -> Result<T, MediaError> {
        let mut last = MediaError::NoOrigin;
        for base in turns(&self.bases) {
            match ask(base.clone()).await {
                Err(error) if error != MediaError::Denied => last = error,
                found => return found,
            }
            // The same server gives the same answer, unless the connection was at fault.
            let may_pass = match &last {
                MediaError::Status { status } => *status >= 500,
                MediaError::Unreachable { .. } | MediaError::Answer { .. } => true,
                _ => false,
            };
            if self.bases.len() == 1 && !may_pass {
                break;
            }
        }
        Err(last)
    }

    async fn info_at(&self, base: Url, vid: &VideoId) -> Result<VideoInfo, MediaError> {
        let url = below(base, &[&format!("{vid}.json")])?;
        let (document, headers) = self.client.get(url, MAX_INFO, MediaError::UnknownVideo).await?;
        let mut info = VideoInfo::parse(&document)?;
        let modified = modified(&headers);
        info.streams.values_mut().for_each(|stream| stream.modified = modified);
        Ok(info)
    }

    async fn part_at(&self, base: Url, path: [&str; 3], count: u64) -> Result<Bytes, MediaError> {
        let url = below(base, &path)?;
        let (bytes, _) = self.client.get(url, count, MediaError::Status { status: 404 }).await?;
        let got = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let short = || MediaError::Answer { what: format!("{got} bytes of {count}") };
        if got == count { Ok(bytes) } else { Err(short()) }
    }

    /// What the whole stream has, by a request for its head.
    async fn length_at(&self, base: Url, vid: &VideoId, stream: &Stream) -> Result<u64, MediaError> {
        let extension = if stream.is_webm() { "webm" } else { "mp4" };
        let url = below(base, &[vid.as_str(), &format!("{}.{extension}", stream.itag)])?;
        let response = self.client.ask(Method::HEAD, url, HeaderMap::new()).await?;
        if response.status() != StatusCode::OK {
            return Err(MediaError::Status { status: response.status().as_u16() });
        }
        let length = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        length.ok_or(MediaError::Answer { what: "it does not say how long the stream is".to_owned() })
    }

    async fn sha256_at(&self, base: Url, id: &SegmentId) -> Result<[u8; 32], MediaError> {
        let url = below(base, &[id.vid.as_str(), &id.itag.to_string(), &format!("{}.sha256", id.index)])?;
        let (text, _) = self.client.get(url, MAX_HASH, MediaError::Status { status: 404 }).await?;
        digits(&text).ok_or(MediaError::Answer { what: "its hash is none".to_owned() })
    }

    async fn document_at(&self, base: Url, vid: &VideoId, kind: &DocumentKind) -> Result<Document, MediaError> {
        let mut url = below(base, &[&format!("{vid}.{}", kind.extension())])?;
        if let DocumentKind::Captions { language: Some(language) } = kind {
            url.query_pairs_mut().append_pair("lang", language);
        }
        let (bytes, headers) = self.client.get(url, MAX_DOCUMENT, MediaError::UnknownVideo).await?;
        Ok(Document { bytes, mime: kind.mime(), modified: modified(&headers) })
    }
}

/// A hash as 64 hexadecimal digits, and perhaps something after them.
fn digits(text: &[u8]) -> Option<[u8; 32]> {
    let (pairs, _) = text.first_chunk::<64>()?.as_chunks::<2>();
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(pairs) {
        // A sign would be read as well.
        let text = str::from_utf8(pair).ok().filter(|text| text.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(text, 16).ok()?;
    }
    Some(hash)
}

/// A URL below another.
fn below(mut base: Url, segments: &[&str]) -> Result<Url, MediaError> {
    let what = || MediaError::Answer { what: "the origin's URL has no path".to_owned() };
    base.path_segments_mut().map_err(|()| what())?.pop_if_empty().extend(segments);
    Ok(base)
}

fn modified(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(LAST_MODIFIED)?.to_str().ok()?).ok()
}

impl Origin for Remote {
    fn info<'a>(&'a self, vid: &'a VideoId) -> BoxFuture<'a, Result<VideoInfo, MediaError>> {
        self.try_each(move |base| self.info_at(base, vid).boxed()).boxed()
    }

    fn part<'a>(
        &'a self,
        info: &'a VideoInfo,
        stream: &'a Stream,
        range: RangeInclusive<u64>,
    ) -> BoxFuture<'a, Result<Bytes, MediaError>> {
        async move {
            let count = (range.end() - range.start()).saturating_add(1);
            let (itag, name) = (stream.itag.to_string(), format!("{}-{}.ts", range.start(), range.end()));
            let path = [info.id.as_str(), &itag, &name];
            self.try_each(|base| self.part_at(base, path, count).boxed()).await
        }
        .boxed()
    }

    fn length<'a>(&'a self, info: &'a VideoInfo, stream: &'a Stream) -> BoxFuture<'a, Result<u64, MediaError>> {
        self.try_each(move |base| self.length_at(base, &info.id, stream).boxed()).boxed()
    }

    fn sha256<'a>(&'a self, id: &'a SegmentId) -> BoxFuture<'a, Option<[u8; 32]>> {
        async move {
            let hashless = || self.hashless.lock().unwrap_or_else(PoisonError::into_inner);
            if hashless().is_some_and(|until| Instant::now() < until) {
                return None;
            }
            let told = self.try_each(|base| self.sha256_at(base, id).boxed()).await;
            if told == Err(MediaError::Status { status: 404 }) {
                *hashless() = Some(Instant::now() + HASHLESS);
            }
            told.ok()
        }
        .boxed()
    }

    fn document<'a>(&'a self, vid: &'a VideoId, kind: &'a DocumentKind) -> BoxFuture<'a, Result<Document, MediaError>> {
        self.try_each(move |base| self.document_at(base, vid, kind).boxed()).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_has_64_digits() {
        let text = format!("{}ff\n", "0a".repeat(31));
        let mut expected = [10; 32];
        expected[31] = 255;
        assert_eq!(digits(text.as_bytes()), Some(expected));
        for text in ["", "0a", &"+a".repeat(32), &"é".repeat(32), &text[1..64]] {
            assert_eq!(digits(text.as_bytes()), None, "{text}");
        }
    }
}
