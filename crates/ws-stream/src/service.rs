//! The routes, and what they share.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use http::{HeaderMap, Method, header};
use sluicegate_hub::{Choice, Hub, Output, Publish, Publisher, StreamName, Viewer};
use sluicegate_net::listener::ConnectInfo;
use sluicegate_net::ws;
use sluicegate_writers::Writers;
use tokio_util::sync::CancellationToken;

use crate::formats::{Container, Flv, FlvWebSocket, Fmp4, Fmp4WebSocket};
use crate::target::{Target, percent_decoded, wants_to_publish};
use crate::watching::Watching;
use crate::{Config, Error, answer, ingest};

/// Publishing and playing by FLV and fragmented MP4. Clones share viewers and output formats; make one per hub.
#[derive(Debug, Clone)]
pub struct Service(pub(crate) Arc<Shared>);

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) hub: Hub,
    pub(crate) config: Config,
    pub(crate) outputs: Outputs,
    pub(crate) writers: Writers<Watching>,
    pub(crate) shutdown: CancellationToken,
}

/// The registered output formats.
#[derive(Debug, Clone)]
pub struct Outputs {
    /// FLV as HTTP-FLV sends it.
    pub flv: Output,
    /// FLV in server WebSocket frames.
    pub flv_websocket: Output,
    /// Fragmented MP4.
    pub mp4: Output,
    /// Fragmented MP4 in server WebSocket frames, after a text message with the MIME type.
    pub mp4_websocket: Output,
}

impl Outputs {
    fn new(hub: &Hub) -> Self {
        Self {
            flv: hub.output(Flv),
            flv_websocket: hub.output(FlvWebSocket),
            mp4: hub.output(Fmp4),
            mp4_websocket: hub.output(Fmp4WebSocket),
        }
    }

    pub(crate) fn bare(&self, container: Container) -> Output {
        match container {
            Container::Flv => self.flv.clone(),
            Container::Mp4 => self.mp4.clone(),
        }
    }

    pub(crate) fn websocket(&self, container: Container) -> Output {
        match container {
            Container::Flv => self.flv_websocket.clone(),
            Container::Mp4 => self.mp4_websocket.clone(),
        }
    }
}

impl Service {
    /// A service over `hub`.
    ///
    /// # Errors
    /// [`Error::Config`] names a limit that leaves no room to work.
    pub fn new(hub: Hub, config: Config) -> Result<Self, Error> {
        config.validate()?;
        let outputs = Outputs::new(&hub);
        let shutdown = CancellationToken::new();
        let writers = Writers::new(config.writers);
        Ok(Self(Arc::new(Shared { hub, config, outputs, writers, shutdown })))
    }

    /// `/live/{name…}.flv`, `/live/{name…}.mp4`, `/publish` and `/play`.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/live/{*path}", any(live))
            .route("/play", any(play))
            .route("/publish", any(publish))
            .with_state(Arc::clone(&self.0))
    }

    /// The path prefixes whose plain `GET`s may give their socket to our writers, for
    /// [`Config::handover_paths`](sluicegate_net::listener::Config::handover_paths). Without them HTTP viewers are
    /// served as well, at about a third more CPU time and twice the memory.
    #[must_use]
    pub fn handover_paths() -> Vec<String> {
        vec!["/live/".into(), "/play?".into()]
    }

    /// The output formats, to see how often batches were converted.
    #[must_use]
    pub fn outputs(&self) -> &Outputs {
        &self.0.outputs
    }

    /// Ends all connections with close code 1001 and lets no new ones begin.
    pub fn shut_down(&self) {
        self.0.shutdown.cancel();
    }
}

/// `/live/{name…}.flv` and `.mp4`: every method.
async fn live(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let publishes = wants_to_publish(query);
    let plays = !publishes && !matches!(*request.method(), Method::POST | Method::PUT);
    let target = decoded_path(request.uri().path()).and_then(|path| Target::from_path(&path));
    match target.and_then(|target| if plays { target.chosen_by(query) } else { Ok(target) }) {
        Ok(target) => shared.serve(request, target, publishes).await,
        Err(error) => answer::problem(&error),
    }
}

/// `/play?app=&stream=`: a viewer by WebSocket, as RTCPilot has it, or by HTTP.
async fn play(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    match Target::from_query(query).and_then(|target| target.chosen_by(query)) {
        Ok(_) if matches!(*request.method(), Method::POST | Method::PUT) => {
            answer::method_not_allowed(request.method())
        }
        Ok(target) => shared.serve(request, target, false).await,
        Err(error) => answer::problem(&error),
    }
}

/// `/publish?app=&stream=`: a publisher by WebSocket, as RTCPilot has it, or by HTTP.
async fn publish(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    match Target::from_query(request.uri().query().unwrap_or_default()) {
        Ok(target) => shared.serve(request, target, true).await,
        Err(error) => answer::problem(&error),
    }
}

impl Shared {
    async fn serve(self: Arc<Self>, request: Request, target: Target, publishes: bool) -> Response {
        let upgrades = ws::is_upgrade(&request);
        let done = match *request.method() {
            Method::OPTIONS => Ok(answer::options()),
            _ if upgrades && publishes => self.publish_websocket(request, &target),
            _ if upgrades => self.play_websocket(request, &target),
            Method::GET | Method::HEAD if publishes => Ok(answer::upgrade_required()),
            Method::GET => self.play_http(request, &target).await,
            Method::HEAD => self.describe(&target),
            Method::POST | Method::PUT => self.publish_http(request, &target).await,
            _ => Ok(answer::method_not_allowed(request.method())),
        };
        done.unwrap_or_else(|error| {
            tracing::debug!(stream = %target.name, error = ingest::reason(&error), "refused");
            answer::problem(&error)
        })
    }

    pub(crate) fn viewer(request: &Request, choice: Choice, protocol: &'static str) -> Viewer {
        let viewer = Viewer::by(protocol).choosing(choice);
        peer(request).map_or(viewer, |address| viewer.from_address(address))
    }

    /// Takes the publisher's place, after a check that no foreign page asks for it.
    pub(crate) fn publisher(
        &self,
        request: &Request,
        name: &StreamName,
        kind: &'static str,
    ) -> Result<Publisher, Error> {
        if !is_same_origin(request.headers(), request.uri().host()) {
            return Err(Error::Origin);
        }
        let by = Publish { replace: self.config.replace_publisher, ..Publish::by(kind) };
        let by = peer(request).map_or(by.clone(), |address| by.from_address(address));
        Ok(self.hub.publish(name, by)?)
    }
}

/// What follows `/live/`, percent-decoded.
fn decoded_path(path: &str) -> Result<String, Error> {
    percent_decoded(path.strip_prefix("/live/").unwrap_or(path)).ok_or(Error::Path)
}

fn peer(request: &Request) -> Option<SocketAddr> {
    request.extensions().get::<ConnectInfo>().map(|info| info.peer)
}

/// Whether the request is not from a browser's page, or from a page of this very host (RFC 6454 §7).
fn is_same_origin(headers: &HeaderMap, authority: Option<&str>) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).or(authority);
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    origin.is_some() && origin == host
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn paths_are_decoded() {
        assert_eq!(decoded_path("/live/cams/door%3Asub.flv").unwrap(), "cams/door:sub.flv");
        assert_eq!(decoded_path("/live/a+b&c=d.flv").unwrap(), "a+b&c=d.flv");
        assert!(decoded_path("/live/%ff.flv").is_err());
    }

    #[test]
    fn foreign_pages_are_told_apart() {
        let headers = |origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("gate.example:8440"));
            origin.map(|origin| headers.insert(header::ORIGIN, HeaderValue::from_static(origin)));
            headers
        };
        assert!(is_same_origin(&headers(None), None));
        assert!(is_same_origin(&headers(Some("https://gate.example:8440")), None));
        assert!(!is_same_origin(&headers(Some("https://evil.example")), None));
        assert!(!is_same_origin(&headers(Some("null")), None));
    }
}
