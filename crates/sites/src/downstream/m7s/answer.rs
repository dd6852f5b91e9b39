//! An answer to an original upstream: the bytes of a body, whatever happens.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{HeaderName, HeaderValue, Method, Response, Uri};
use http_body_util::BodyExt;
use sluicegate_cascade::m7s::Request;
use tokio::time::Instant;
use tower::ServiceExt;

/// The authority under which the site answers the plugin's paths.
const AUTHORITY: &str = "m7s";
/// The original upstream waits for 10 s.
const DEADLINE: Duration = Duration::from_millis(9_000);
/// Bytes of an answer, at most: it is held as a whole, and base64 makes it larger.
const MAX_BODY_BYTES: usize = 32 << 20;

/// The body to answer with. An answer that does not end is cut where it is when time is up.
pub(super) async fn to(router: Router, request: Request) -> Vec<u8> {
    let until = Instant::now() + DEADLINE;
    let request = match http_request(request) {
        Ok(request) => request,
        Err(why) => return why.into_bytes(),
    };
    // A router is ready at once and does not fail.
    match tokio::time::timeout_at(until, router.oneshot(request)).await {
        Ok(Ok(response)) => collect(response, until).await,
        Err(_) => b"the service did not answer in time".to_vec(),
    }
}

async fn collect(response: Response<Body>, until: Instant) -> Vec<u8> {
    let (mut body, mut bytes) = (response.into_body(), Vec::new());
    loop {
        match tokio::time::timeout_at(until, body.frame()).await {
            Ok(Some(Ok(frame))) => {
                let data = frame.into_data().unwrap_or_default();
                if bytes.len().saturating_add(data.len()) > MAX_BODY_BYTES {
                    return format!("the answer has more than {MAX_BODY_BYTES} bytes").into_bytes();
                }
                bytes.extend_from_slice(&data);
            }
            Ok(None) | Err(_) => return bytes,
            Ok(Some(Err(error))) => return format!("the answer broke off: {error}").into_bytes(),
        }
    }
}

/// The plugin asks by a path, or by an absolute URL, which goes behind a slash.
fn http_request(request: Request) -> Result<http::Request<Body>, String> {
    let Request { url, header, method, body } = request;
    let path = if url.starts_with('/') { url } else { format!("/{url}") };
    let uri: Uri = format!("http://{AUTHORITY}{path}").parse().map_err(|_| format!("{path:?} is no path"))?;
    let method: Method = method.parse().map_err(|_| format!("{method:?} is no method"))?;
    let mut http = http::Request::new(Body::from(body.unwrap_or_default()));
    (*http.uri_mut(), *http.method_mut()) = (uri, method);
    for (name, values) in header {
        let Ok(name) = name.parse::<HeaderName>() else { continue };
        // As the original: Host is the service's own, and the length follows the body.
        if name == http::header::HOST || name == http::header::CONTENT_LENGTH {
            continue;
        }
        for value in values.iter().filter_map(|value| HeaderValue::from_str(value).ok()) {
            http.headers_mut().append(name.clone(), value);
        }
    }
    Ok(http)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use std::collections::BTreeMap;

    fn request(url: &str) -> Request {
        let header = BTreeMap::from([("X-Test".to_owned(), vec!["a".to_owned()])]);
        Request { url: url.into(), header, method: "GET".into(), body: None }
    }

    #[tokio::test(start_paused = true)]
    async fn every_request_has_an_answer() {
        let endless = || async {
            let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>("first")]);
            Body::from_stream(futures_util::StreamExt::chain(chunks, futures_util::stream::pending()))
        };
        let echo = |headers: http::HeaderMap, uri: Uri| async move { format!("{uri} {:?}", headers["x-test"]) };
        let router = Router::new()
            .route("/endless", get(endless))
            .route("/never", get(std::future::pending::<String>))
            .fallback(echo);
        let ask = |url: &'static str| to(router.clone(), request(url));
        assert_eq!(ask("/a?b=1").await, b"http://m7s/a?b=1 \"a\"");
        assert_eq!(ask("http://10.0.0.9/x").await, b"http://m7s/http://10.0.0.9/x \"a\"");
        assert_eq!(ask("/endless").await, b"first");
        assert_eq!(ask("/never").await, b"the service did not answer in time");
        assert!(String::from_utf8(ask("/ /").await).unwrap().contains("is no path"));
    }
}
