//! WHEP with `?via=site`: the offer goes through the link to the site that has the stream, and media straight from there.

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::LOCATION;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, StatusCode, Uri};
use sluicegate_hub::{Choice, Hub, StreamName};
use sluicegate_net::problem::Problem;
use tower::ServiceExt;

/// The service that sites play their streams by.
const SERVICE: &str = "webrtc";
const PREFIX: &str = "/whep/";

/// Where a stream's site is found, and how it is reached.
#[derive(Clone)]
pub(crate) struct Direct {
    pub(crate) hub: Hub,
    pub(crate) proxy: Router,
}

/// What a request means at the site.
struct Target {
    /// The stream's name here.
    name: StreamName,
    /// Its path through the proxy.
    path: String,
}

impl Direct {
    /// Takes requests for sites out of the routes behind it. For `axum::middleware::from_fn_with_state`.
    pub(crate) async fn dispatch(State(direct): State<Self>, mut request: Request, next: Next) -> Response {
        let query = request.uri().query().unwrap_or_default();
        let wants = query.split('&').any(|pair| pair == "via=site");
        let path = request.uri().path().strip_prefix(PREFIX).filter(|_| wants);
        let Some(path) = path.filter(|_| *request.method() != Method::OPTIONS) else { return next.run(request).await };
        let Some(target) = direct.target(path, query, request.method()) else {
            let detail = "no site that is connected offers this stream by WebRTC of its own";
            return Problem::new(StatusCode::NOT_FOUND).detail(detail).into_response();
        };
        let Ok(path) = PathAndQuery::try_from(target.path) else {
            return Problem::new(StatusCode::BAD_REQUEST).detail("the path is not readable").into_response();
        };
        *request.uri_mut() = Uri::from(path);
        let mut response = direct.proxy.oneshot(request).await.unwrap_or_else(|never| match never {});
        name_here(&mut response, &target.name);
        response
    }

    /// `{name…}` for an offer, `{name…}/{id}` for a session.
    fn target(&self, path: &str, query: &str, method: &Method) -> Option<Target> {
        let (name, id) = if *method == Method::POST {
            (path, None)
        } else {
            path.rsplit_once('/').map(|(name, id)| (name, Some(id)))?
        };
        let (name, choice) = Choice::of(&StreamName::parse(name).ok()?, query).ok()?;
        let site = self.hub.stream(&name)?.owner?;
        let own = name.of_site(site.as_str())?;
        let id = id.map(|id| format!("/{id}")).unwrap_or_default();
        let bound = match choice {
            Choice::Fitting { most: Some(most) } => format!("?max_kbps={}", most / 1_000),
            _ => String::new(),
        };
        let path = format!("/proxy/{site}/{SERVICE}{PREFIX}{own}{id}{bound}");
        Some(Target { name, path })
    }
}

/// The session's resource under the path that it was asked for at.
fn name_here(response: &mut Response, name: &StreamName) {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let id = location.and_then(|location| location.rsplit('/').next());
    let here = id.and_then(|id| HeaderValue::try_from(format!("{PREFIX}{name}/{id}?via=site")).ok());
    if let Some(here) = here {
        response.headers_mut().insert(LOCATION, here);
    }
}
