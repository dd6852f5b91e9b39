//! The first page: plain ES modules inside the binary.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::HeaderMap;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH};

use crate::State;

/// Our pages run our scripts only, talk to us only, and play what our scripts make.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws: wss:; \
                      media-src 'self' blob:; img-src 'self' data:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

const FILES: [(&str, &str, &str); 9] = [
    ("/", "text/html; charset=utf-8", include_str!("../page/index.html")),
    ("/page/style.css", "text/css; charset=utf-8", include_str!("../page/style.css")),
    ("/page/app.js", "text/javascript; charset=utf-8", include_str!("../page/app.js")),
    ("/page/player.js", "text/javascript; charset=utf-8", include_str!("../page/player.js")),
    ("/page/webrtc.js", "text/javascript; charset=utf-8", include_str!("../page/webrtc.js")),
    ("/page/view.js", "text/javascript; charset=utf-8", include_str!("../page/view.js")),
    ("/page/stage.js", "text/javascript; charset=utf-8", include_str!("../page/stage.js")),
    ("/page/token.js", "text/javascript; charset=utf-8", include_str!("../page/token.js")),
    ("/page/list.js", "text/javascript; charset=utf-8", include_str!("../page/list.js")),
];

pub(crate) fn router() -> Router<State> {
    FILES.into_iter().fold(Router::new(), |router, (path, kind, text)| {
        router.route(path, get(move |headers: HeaderMap| async move { file(&headers, kind, text) }))
    })
}

/// The files change with the binary only, so its version and the length of the file tell them apart.
fn file(headers: &HeaderMap, kind: &'static str, text: &'static str) -> Response {
    let tag = format!("\"{}-{}\"", env!("CARGO_PKG_VERSION"), text.len());
    if headers.get(IF_NONE_MATCH).is_some_and(|have| have.as_bytes() == tag.as_bytes()) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let headers = [
        (CONTENT_TYPE, kind.to_owned()),
        (CACHE_CONTROL, "no-cache".to_owned()),
        (ETAG, tag),
        (CONTENT_SECURITY_POLICY, POLICY.to_owned()),
    ];
    (headers, text).into_response()
}
