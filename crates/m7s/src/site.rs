//! The plugin's routes at a site, which pages of the public side reach through the proxy.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{StatusCode, Uri};
use sluicegate_hub::Hub;
use sluicegate_net::problem::Problem;
use url::Url;

use crate::push::{self, Pushes};
use crate::streams;

/// The authority of the plugin's paths on a link. A service of the site's own that has this name goes before.
pub const SERVICE: &str = "m7s";

/// The service of a site that plays its streams by WebRTC.
const WEBRTC: &str = "webrtc";

/// What a site answers under the plugin's paths. Clones share it.
#[derive(Debug, Clone)]
pub struct SiteRoutes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    hub: Hub,
    services: ArcSwap<Services>,
    pushes: Pushes,
}

/// Where paths lead that are none of the plugin's own.
#[derive(Debug, Clone, Default)]
pub struct Services {
    /// The service that gets every relative path; without one they are refused.
    pub default: Option<String>,
    /// The site's services. An absolute URL must lead to one of them.
    pub listed: Vec<(String, Url)>,
}

impl Services {
    /// The service and the path of what is behind the authority of the plugin.
    fn find(&self, path: &PathAndQuery) -> Result<(Authority, PathAndQuery), String> {
        let text = path.as_str();
        let absolute = text.strip_prefix('/').filter(|rest| rest.starts_with("http:/") || rest.starts_with("https:/"));
        let (name, rest) = match absolute {
            Some(absolute) => self.listed(absolute).ok_or_else(|| {
                format!("{absolute} is none of the services that this site lists, and nothing else is fetched")
            })?,
            None => {
                let nowhere = "this site names no m7s.default_service, so it has nothing at this path";
                (self.default.clone().ok_or(nowhere)?, text.to_owned())
            }
        };
        let bad = |_| format!("{text:?} is no path");
        Ok((name.parse().map_err(bad)?, rest.parse().map_err(|_| format!("{rest:?} is no path"))?))
    }

    fn listed(&self, absolute: &str) -> Option<(String, String)> {
        let asked = Url::parse(absolute).ok()?;
        let whole = &asked[url::Position::BeforePath..url::Position::AfterQuery];
        self.listed.iter().filter(|(_, url)| url.origin() == asked.origin()).find_map(|(name, url)| {
            let rest = whole.strip_prefix(url.path().trim_end_matches('/'))?;
            (rest.is_empty() || rest.starts_with(['/', '?'])).then(|| (name.clone(), with_slash(rest)))
        })
    }
}

fn with_slash(rest: &str) -> String {
    if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") }
}

impl SiteRoutes {
    /// The routes of a site with these streams, services and pushes.
    #[must_use]
    pub fn new(hub: Hub, services: Services, pushes: Pushes) -> Self {
        Self(Arc::new(Inner { hub, services: ArcSwap::from_pointee(services), pushes }))
    }

    /// Other paths lead there from now on.
    pub fn replace(&self, services: Services) {
        self.0.services.store(Arc::new(services));
    }

    /// Answers requests for [`SERVICE`], lets all others on to `next`. For `axum::middleware::from_fn_with_state`.
    pub async fn dispatch(State(routes): State<Self>, mut request: Request, next: Next) -> Response {
        if request.uri().authority().is_none_or(|authority| authority.as_str() != SERVICE) {
            return next.run(request).await;
        }
        match request.uri().path() {
            "/erwscascade/api/streamlist" => return streams::list(&routes.0.hub),
            path @ ("/rtmp/api/push" | "/rtsp/api/push" | "/erwscascade/api/push") => {
                let scheme = path.split('/').nth(1).filter(|scheme| *scheme != "erwscascade");
                let query = request.uri().query().unwrap_or_default();
                return push::answer(&routes.0.pushes, &routes.0.hub, scheme, query).await;
            }
            path if path.starts_with("/webrtc/play/") => {
                hand_over(&mut request, Authority::from_static(WEBRTC), None);
                return next.run(request).await;
            }
            _ => {}
        }
        let path = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        let (service, path) = match routes.0.services.load().find(&path) {
            Ok(found) => found,
            Err(why) => return Problem::new(StatusCode::FORBIDDEN).detail(why).into_response(),
        };
        hand_over(&mut request, service, Some(path));
        next.run(request).await
    }
}

/// Makes it a request for another service, at this path or at its own.
fn hand_over(request: &mut Request, service: Authority, path: Option<PathAndQuery>) {
    let path = path.or_else(|| request.uri().path_and_query().cloned());
    let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
    if let Ok(uri) = Uri::builder().scheme(Scheme::HTTP).authority(service).path_and_query(path).build() {
        *request.uri_mut() = uri;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_places_are_reached() {
        let services = Services {
            default: Some("web".into()),
            listed: vec![("nvr".into(), Url::parse("http://10.0.0.5:81/ui/").unwrap())],
        };
        let find = |path: &str| {
            let found = services.find(&path.parse().unwrap());
            found.map(|(service, path)| format!("{service} {path}"))
        };
        assert_eq!(find("/a?b=1").unwrap(), "web /a?b=1");
        assert_eq!(find("/http://10.0.0.5:81/ui/x?y=1").unwrap(), "nvr /x?y=1");
        assert_eq!(find("/http://10.0.0.5:81/ui").unwrap(), "nvr /");
        for elsewhere in ["/http://10.0.0.5:81/uii", "/http://10.0.0.5/ui/", "/https://10.0.0.5:81/ui/", "/http:/x"] {
            assert!(find(elsewhere).unwrap_err().contains("none of the services"), "{elsewhere}");
        }
        assert!(Services::default().find(&"/a".parse().unwrap()).unwrap_err().contains("default_service"));
    }
}
