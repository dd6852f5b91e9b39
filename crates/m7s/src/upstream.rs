//! The plugin's routes at the public host.

use std::sync::Arc;

use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use http::{StatusCode, Uri};
use serde::{Deserialize, Serialize};
use sluicegate_hub::Hub;
use sluicegate_net::link::Directory;
use sluicegate_net::problem::Problem;
use tower::ServiceExt;

use crate::proxy_target::ProxyTarget;
use crate::site::SERVICE;
use crate::streams;

const HTTPPROXY: &str = "/erwscascade/httpproxy";

/// What the routes need.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Streams of this host.
    pub hub: Hub,
    /// The connected sites.
    pub sites: Arc<Directory>,
    /// Answers `/proxy/{site}/{service}/…`.
    pub proxy: Router,
}

/// `/erwscascade/httpproxy/…`, `/erwscascade/api/clientlist`, `/erwscascade/api/streamlist` and `/erwscascade/ui/`.
pub fn router(upstream: Upstream) -> Router {
    Router::new()
        .route("/erwscascade/httpproxy", any(proxy))
        .route("/erwscascade/httpproxy/", any(proxy))
        .route("/erwscascade/httpproxy/{*path}", any(proxy))
        .route("/erwscascade/api/clientlist", get(clients))
        .route("/erwscascade/api/streamlist", get(list))
        .route("/erwscascade/ui", get(page))
        .route("/erwscascade/ui/", get(page))
        .route("/erwscascade/ui/{*page}", get(page))
        .with_state(Arc::new(upstream))
}

async fn proxy(State(upstream): State<Arc<Upstream>>, request: Request) -> Response {
    let rest = request.uri().path().strip_prefix(HTTPPROXY).unwrap_or_default();
    let Ok(target) = ProxyTarget::parse(rest, request.uri().query().unwrap_or_default()) else {
        let detail = "name the site: /erwscascade/httpproxy/PATH?cid=CID, or ?cid=CID&httpPath=PATH";
        return Problem::new(StatusCode::BAD_REQUEST).detail(detail).into_response();
    };
    upstream.at_site(request, &target).await
}

impl Upstream {
    /// Sends the request through the proxy, to where the site answers the plugin's paths.
    async fn at_site(&self, mut request: Request, target: &ProxyTarget) -> Response {
        let uri = format!("/proxy/{}/{SERVICE}{}", target.cid, target.path);
        let Ok(uri) = uri.parse::<Uri>() else {
            let detail = format!("{:?} is no path", target.path);
            return Problem::new(StatusCode::BAD_REQUEST).detail(detail).into_response();
        };
        *request.uri_mut() = uri;
        // A router is ready at once and does not fail.
        let Ok(response) = self.proxy.clone().oneshot(request).await;
        response
    }
}

/// A site in the plugin's list.
#[derive(Debug, Serialize)]
struct ClientDocument {
    cid: String,
    name: String,
    address: String,
    protocol: &'static str,
}

async fn clients(State(upstream): State<Arc<Upstream>>) -> Response {
    let sites = upstream.sites.list();
    let document = |site: &Arc<sluicegate_net::link::Site>| {
        let info = site.info.borrow();
        ClientDocument {
            cid: site.id.clone(),
            name: info.name.clone(),
            address: site.address.to_string(),
            protocol: info.protocol.name(),
        }
    };
    Json(sites.iter().map(document).collect::<Vec<_>>()).into_response()
}

/// The parameter of `streamlist`.
#[derive(Debug, Deserialize)]
struct Of {
    cid: Option<String>,
}

async fn list(State(upstream): State<Arc<Upstream>>, Query(Of { cid }): Query<Of>, request: Request) -> Response {
    match cid.filter(|cid| !cid.is_empty()) {
        Some(cid) => {
            let target = ProxyTarget { cid, path: "/erwscascade/api/streamlist".to_owned() };
            upstream.at_site(request, &target).await
        }
        None => streams::list(&upstream.hub),
    }
}

/// Our own page shows sites, streams and one, four or nine players; the plugin's split screens have the number in
/// their names.
async fn page(request: Request) -> Redirect {
    let page = request.uri().path().rsplit('/').next().unwrap_or_default();
    Redirect::temporary(match page {
        page if page.contains('4') => "/?split=4",
        page if page.contains('9') => "/?split=9",
        _ => "/",
    })
}
