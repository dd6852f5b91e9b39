//! Original sites: the register route and the pushes of the m7s plugin `erwscascade`.
//!
//! Behind its register connection an original site becomes a site like any other: a small HTTP/2 server stands in for it
//! at the near end of a link in memory, and turns requests into the plugin's messages. So the proxy, its limits and the
//! API know one kind of site only.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use http::header::{HeaderValue, WWW_AUTHENTICATE};
use sluicegate_cascade::m7s::{MAX_MESSAGE_BYTES, Register, Wspush};
use sluicegate_hub::{Owner, Publish, StreamName};
use sluicegate_net::problem::Problem;
use sluicegate_net::ws::{self, Accepted};

use super::credentials::Caller;
use super::{Inner, Sites, UPGRADE, peer};
use crate::error::check_site_id;
use crate::metrics;

mod answer;
mod register;
pub(super) mod stand_in;

/// The one service of an original site: whatever its plugin fetches.
pub const SERVICE: &str = "m7s";

/// How original sites are treated.
#[derive(Debug, Clone)]
pub struct Config {
    /// Sites that may join and push without a token, beside those that anybody may be where the upstream is open.
    pub cids: Vec<String>,
    /// How long a site may take for an answer, the wait behind others included. Default 10 s, the original's.
    pub deadline: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { cids: Vec::new(), deadline: Duration::from_secs(10) }
    }
}

/// `/erwscascade/wsocket/register?cid=CID`, in the original's spelling and in the plain one.
pub(super) async fn take_register(State(sites): State<Sites>, mut request: Request) -> Response {
    let taken = target(&request, Register::parse).and_then(|register| {
        let caller = sites.0.check_m7s(&register.cid, register.token.as_deref())?;
        let config = ws::Config { max_message_bytes: MAX_MESSAGE_BYTES, ..ws::Config::default() };
        let (response, accepted) = ws::accept(&mut request, &[], config)?;
        Ok((caller, response, accepted))
    });
    match taken {
        Ok((caller, response, accepted)) => {
            let peer = peer(&request);
            tokio::spawn(async move { register::run(&sites.0, caller, peer, accepted).await });
            response
        }
        Err(problem) => problem.into_response(),
    }
}

/// `/erwscascade/wspush/A/B?cid=CID`.
pub(super) async fn take_push(State(sites): State<Sites>, mut request: Request) -> Response {
    let taken = target(&request, Wspush::parse).and_then(|push| {
        let caller = sites.0.check_m7s(&push.cid, push.token.as_deref())?;
        let bad = |error: sluicegate_hub::Error| Problem::new(StatusCode::BAD_REQUEST).detail(error.to_string());
        let name = StreamName::parse(&push.stream).and_then(|name| name.at_site(&caller.site)).map_err(bad)?;
        let (response, accepted) = ws::accept(&mut request, &[], ws::Config::default())?;
        Ok((caller, name, response, accepted))
    });
    match taken {
        Ok((caller, name, response, accepted)) => {
            let peer = peer(&request);
            tokio::spawn(async move { sites.0.run_m7s_push(caller, name, peer, accepted).await });
            response
        }
        Err(problem) => problem.into_response(),
    }
}

fn target<T>(request: &Request, parse: impl Fn(&str) -> Option<T>) -> Result<T, Problem> {
    let target = request.uri().path_and_query().map_or("", |target| target.as_str());
    let detail = "the target must name a cid: /erwscascade/wsocket/register?cid=CID or /erwscascade/wspush/A/B?cid=CID";
    parse(target).ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST).detail(detail))
}

impl Inner {
    /// Whether this cid may come with this token; the plugin cannot send headers of ours.
    fn check_m7s(&self, cid: &str, token: Option<&str>) -> Result<Caller, Problem> {
        check_site_id(cid).map_err(|error| Problem::new(StatusCode::BAD_REQUEST).detail(error.to_string()))?;
        let caller = |token| Caller { site: cid.to_owned(), instance: String::new(), token };
        if let Some(token) = token {
            let (site, hash) = self.tokens.verify(token).ok_or_else(unauthorized)?;
            if site != cid {
                metrics::refused("site");
                let detail = format!("the token belongs to another site than {cid}");
                return Err(Problem::new(StatusCode::FORBIDDEN).detail(detail));
            }
            return Ok(caller(Some(hash)));
        }
        let listed = self.config.m7s.cids.iter().any(|listed| listed == cid);
        let free = self.config.open && !self.tokens.list().contains_key(cid);
        if listed || free { Ok(caller(None)) } else { Err(unauthorized()) }
    }

    async fn run_m7s_push(self: Arc<Self>, caller: Caller, name: StreamName, peer: SocketAddr, accepted: Accepted) {
        let (mut socket, read_ahead) = match tokio::time::timeout(UPGRADE, accepted.socket()).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) => return tracing::debug!(%peer, %error, "a push left during its upgrade"),
            Err(_) => return tracing::debug!(%peer, "a push's upgrade took too long"),
        };
        if let Some(site) = self.directory.get(&caller.site) {
            socket.count_reads(site.media_counter());
        }
        let publish = Publish::by("m7s").owned_by(Owner::new(&caller.site)).from_address(peer);
        // An original dials again without closing the push that it has given up.
        let publisher = match self.hub.publish(&name, Publish { replace: true, ..publish }) {
            Ok(publisher) => publisher,
            Err(error) => return tracing::warn!(stream = %name, %error, "a push was refused"),
        };
        tracing::info!(site = caller.site, stream = %name, "push by the m7s plugin");
        tokio::select! {
            done = self.intake.ingest_m7s(socket, read_ahead, publisher) => match done {
                Ok(()) => tracing::info!(stream = %name, "push ended"),
                Err(error) => tracing::info!(stream = %name, error = error.as_ref() as &dyn std::error::Error, "push ended"),
            },
            () = self.revoked(&caller) => tracing::info!(stream = %name, "the token was revoked; the push is cut"),
        }
    }
}

fn unauthorized() -> Problem {
    metrics::refused("token");
    let detail = "a token of this site is needed, in the path (/t/TOKEN/erwscascade/…) or the query (token=TOKEN): \
                  `upstream site add SITE` makes one";
    let challenge = HeaderValue::from_static("Bearer realm=\"sluicegate\"");
    Problem::new(StatusCode::UNAUTHORIZED).detail(detail).header(WWW_AUTHENTICATE, challenge)
}
