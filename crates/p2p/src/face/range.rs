//! Ranges and conditions of requests (RFC 9110, 13 and 14).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, header};

use crate::media::ByteRange;

/// What a request wants of a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it.
    Whole,
    /// A part.
    Part(ByteRange),
    /// A part beyond the end: 416.
    Beyond,
}

/// What identifies the bytes that there are now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Validators {
    /// With its quotes.
    pub(super) etag: String,
    pub(super) modified: Option<SystemTime>,
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// A time as HTTP has it: whole seconds.
fn seconds(time: SystemTime) -> Option<u64> {
    time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

impl Validators {
    /// Whether the client has these bytes already: 304.
    pub(super) fn are_known(&self, headers: &HeaderMap) -> bool {
        if let Some(known) = text(headers, header::IF_NONE_MATCH) {
            let bare = |tag: &str| tag.trim().trim_start_matches("W/") == self.etag;
            return known.trim() == "*" || known.split(',').any(bare);
        }
        let since = text(headers, header::IF_MODIFIED_SINCE).and_then(|date| httpdate::parse_http_date(date).ok());
        let both = since.and_then(seconds).zip(self.modified.and_then(seconds));
        both.is_some_and(|(since, modified)| modified <= since)
    }

    /// Whether a part that the client wants goes with what it has.
    fn allow_part(&self, headers: &HeaderMap) -> bool {
        let Some(condition) = text(headers, header::IF_RANGE) else { return true };
        let date = || seconds(httpdate::parse_http_date(condition).ok()?).zip(self.modified.and_then(seconds));
        condition == self.etag || date().is_some_and(|(date, modified)| date == modified)
    }

    /// `Last-Modified`.
    pub(super) fn date(&self) -> Option<String> {
        // A time before 1970 cannot be written.
        let modified = self.modified?;
        modified.duration_since(UNIX_EPOCH).ok().filter(|since| *since < Duration::from_secs(1 << 37))?;
        Some(httpdate::fmt_http_date(modified))
    }
}

/// Reads the `Range` of a request. One that is damaged, of another unit, or of several parts is left out of account, as
/// a server may.
pub(super) fn wanted(headers: &HeaderMap, validators: &Validators, len: u64) -> Wanted {
    let range = text(headers, header::RANGE).filter(|_| validators.allow_part(headers));
    let Some((unit, range)) = range.and_then(|range| range.split_once('=')) else { return Wanted::Whole };
    let Some((first, last)) = range.trim().split_once('-') else { return Wanted::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Wanted::Whole;
    }
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty();
    // A number beyond 64 bits is beyond every end.
    let number = |text: &str| digits(text).then(|| text.parse().unwrap_or(u64::MAX));
    let (start, end) = match (number(first), number(last)) {
        (Some(start), Some(end)) if start <= end => (start, end),
        (Some(start), None) if last.is_empty() => (start, u64::MAX),
        (None, Some(count)) if first.is_empty() && count > 0 => (len.saturating_sub(count), u64::MAX),
        (None, Some(_)) if first.is_empty() => return Wanted::Beyond,
        _ => return Wanted::Whole,
    };
    match len.checked_sub(1) {
        Some(most) if start <= most => Wanted::Part(ByteRange { start, end: end.min(most) }),
        _ => Wanted::Beyond,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn validators() -> Validators {
        let modified = httpdate::parse_http_date("Fri, 01 Jan 2021 00:00:00 GMT").ok();
        Validators { etag: "\"abc\"".to_owned(), modified: modified.map(|at| at + Duration::from_millis(300)) }
    }

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn ranges_of_ten_bytes() {
        let part = |start, end| Wanted::Part(ByteRange { start, end });
        for (range, expected) in [
            ("bytes=0-0", part(0, 0)),
            ("bytes=2-5", part(2, 5)),
            ("bytes=9-", part(9, 9)),
            ("bytes=5-99", part(5, 9)),
            ("bytes=-3", part(7, 9)),
            ("bytes=-99", part(0, 9)),
            ("Bytes=0-99999999999999999999999", part(0, 9)),
            ("bytes=10-", Wanted::Beyond),
            ("bytes=-0", Wanted::Beyond),
            ("bytes=5-2", Wanted::Whole),
            ("bytes=1-2,4-5", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("lines=1-2", Wanted::Whole),
        ] {
            assert_eq!(wanted(&headers(&[(header::RANGE, range)]), &validators(), 10), expected, "{range}");
        }
        assert_eq!(wanted(&headers(&[(header::RANGE, "bytes=0-")]), &validators(), 0), Wanted::Beyond);
    }

    #[test]
    fn conditions_compare_tags_first_and_dates_by_the_second() {
        let known = |pairs: &[(HeaderName, &str)]| validators().are_known(&headers(pairs));
        assert!(known(&[(header::IF_NONE_MATCH, "\"x\", W/\"abc\"")]));
        assert!(known(&[(header::IF_NONE_MATCH, "*")]));
        let date = (header::IF_MODIFIED_SINCE, "Fri, 01 Jan 2021 00:00:00 GMT");
        assert!(known(std::slice::from_ref(&date)));
        assert!(!known(&[(header::IF_NONE_MATCH, "\"x\""), date]));
        assert!(!known(&[(header::IF_MODIFIED_SINCE, "Thu, 31 Dec 2020 23:59:59 GMT")]));
        let ranged = |condition| {
            let request = headers(&[(header::RANGE, "bytes=0-1"), (header::IF_RANGE, condition)]);
            wanted(&request, &validators(), 10) != Wanted::Whole
        };
        assert!(ranged("\"abc\"") && ranged("Fri, 01 Jan 2021 00:00:00 GMT"));
        assert!(!ranged("W/\"abc\"") && !ranged("\"x\"") && !ranged("Fri, 01 Jan 2021 00:00:01 GMT"));
    }

    proptest! {
        #[test]
        fn a_part_lies_within(range in "[ -~]{0,30}", len in any::<u64>()) {
            for range in [range.clone(), format!("bytes={range}")] {
                if let Wanted::Part(part) = wanted(&headers(&[(header::RANGE, &range)]), &validators(), len) {
                    prop_assert!(part.start <= part.end && part.end < len);
                }
            }
        }
    }
}
