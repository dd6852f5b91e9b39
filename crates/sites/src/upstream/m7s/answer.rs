//! What an original site answered, for the public: a body without status and type.

use axum::body::Body;
use axum::response::Response;
use http::Method;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};

/// Tells that only the body is the site's: the plugin carries no status and no header fields.
const PROTOCOL: HeaderName = HeaderName::from_static("x-site-protocol");

pub(super) fn to_public(method: &Method, body: Vec<u8>) -> Response {
    let kind = HeaderValue::from_static(sniff(&body));
    let body = if method == Method::HEAD { Vec::new() } else { body };
    let mut response = Response::new(Body::from(body));
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, kind);
    fields.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    fields.insert(PROTOCOL, HeaderValue::from_static("m7s"));
    response
}

/// A type that no browser runs on our origin, whatever the site sends.
fn sniff(body: &[u8]) -> &'static str {
    const MAGIC: [(&[u8], &str); 6] = [
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"GIF8", "image/gif"),
        (b"RIFF", "application/octet-stream"),
        (b"FLV\x01", "video/x-flv"),
        (b"%PDF-", "application/octet-stream"),
    ];
    if let Some((_, kind)) = MAGIC.iter().find(|(magic, _)| body.starts_with(magic)) {
        return kind;
    }
    let Ok(text) = std::str::from_utf8(body) else { return "application/octet-stream" };
    let json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    if json && text.trim_start().starts_with(['{', '[', '"']) {
        "application/json"
    } else {
        "text/plain; charset=utf-8"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_safe_guesses() {
        assert_eq!(sniff(b"{\"a\":1}"), "application/json");
        assert_eq!(sniff(b"[]"), "application/json");
        assert_eq!(sniff(b"<script>alert(1)</script>"), "text/plain; charset=utf-8");
        assert_eq!(sniff(b"ok"), "text/plain; charset=utf-8");
        assert_eq!(sniff(b"\xff\xd8\xff\xe0"), "image/jpeg");
        assert_eq!(sniff(b"\x00\xff"), "application/octet-stream");
    }
}
