//! `api/push`: a stream of the site to another server, as a relay.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use percent_encoding::percent_decode_str;
use sluicegate_hub::relay::{self, Relays, Retry, Spec, State};
use sluicegate_hub::{Hub, StreamName};
use sluicegate_net::problem::Problem;
use url::Url;

/// How long an answer waits for the push to come about. The original upstream waits 10 s for a site.
const COMES_ABOUT: Duration = Duration::from_secs(8);

/// Pushes that pages may ask for. Clones share them.
#[derive(Debug, Clone)]
pub struct Pushes {
    relays: Relays,
    allowed: Arc<RwLock<Allowed>>,
}

/// What may be pushed, and where.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    /// The site's streams; beside them whatever is published in its hub.
    pub streams: BTreeSet<StreamName>,
    /// URLs below which a target must lie: the same scheme, host and port, and a path that begins with theirs.
    pub targets: Vec<Url>,
}

impl Allowed {
    fn admits(&self, target: &Url) -> bool {
        self.targets.iter().any(|allowed| {
            let same = (allowed.scheme(), allowed.host_str(), allowed.port_or_known_default())
                == (target.scheme(), target.host_str(), target.port_or_known_default());
            let prefix = allowed.path().trim_end_matches('/');
            let rest = target.path().strip_prefix(prefix);
            same && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

impl Pushes {
    /// Pushes in `relays`, within what is allowed.
    #[must_use]
    pub fn new(relays: Relays, allowed: Allowed) -> Self {
        Self { relays, allowed: Arc::new(RwLock::new(allowed)) }
    }

    /// Allows this from now on; what is under way goes on.
    pub fn replace(&self, allowed: Allowed) {
        *self.allowed.write().unwrap_or_else(PoisonError::into_inner) = allowed;
    }

    /// Checks a push and begins it.
    fn begin(&self, hub: &Hub, query: &str) -> Result<tokio::sync::watch::Receiver<relay::Standing>, Problem> {
        let value = |name: &str| {
            let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
            pairs.filter(|(have, _)| *have == name).map(|(_, value)| decoded(value)).next()
        };
        let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST).detail(detail);
        let needed =
            |name: &str| value(name).filter(|value| !value.is_empty()).ok_or_else(|| bad(format!("{name} is missing")));
        let (stream, target) = (needed("streamPath")?, needed("target")?);
        let stream = StreamName::parse(&stream).map_err(|error| bad(error.to_string()))?;
        let url: Url = target.parse().map_err(|error| bad(format!("target {target:?}: {error}")))?;
        let retry = match value("repush").as_deref().map(str::parse::<i64>) {
            None | Some(Ok(-1)) => Retry::Always,
            Some(Ok(times)) if times >= 0 => Retry::Times(u32::try_from(times).unwrap_or(u32::MAX)),
            Some(_) => return Err(bad("repush must be -1 for ever, 0 for never, or a count".to_owned())),
        };
        let scheme = url.scheme().to_owned();
        if !self.relays.speaks(&scheme) {
            let detail = relay::Error::Scheme { scheme }.to_string();
            return Err(Problem::new(StatusCode::NOT_IMPLEMENTED).detail(detail));
        }
        let allowed = self.allowed.read().unwrap_or_else(PoisonError::into_inner);
        if !allowed.streams.contains(&stream) && hub.stream(&stream).is_none_or(|status| status.publisher.is_none()) {
            let detail = format!("this site has no stream {stream}");
            return Err(Problem::new(StatusCode::NOT_FOUND).detail(detail));
        }
        if !allowed.admits(&url) {
            tracing::warn!(%stream, %target, "a push to a target that is not in push_targets was refused");
            let detail = format!("{url} is not in this site's push_targets");
            return Err(Problem::new(StatusCode::FORBIDDEN).detail(detail));
        }
        drop(allowed);
        let saved = value("save").is_some_and(|save| save != "0" && save != "false");
        let spec = Spec { saved, ..Spec::push(stream, target, retry) };
        let full = |error: relay::Error| Problem::new(StatusCode::SERVICE_UNAVAILABLE).detail(error.to_string());
        self.relays.push(spec).map(|(_, standing)| standing).map_err(full)
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// `ok` when the target takes the stream; else why not, though it may be tried again.
pub(crate) async fn answer(pushes: &Pushes, hub: &Hub, scheme: Option<&str>, query: &str) -> Response {
    if let Some(scheme) = scheme.filter(|_| !query.contains("target=")) {
        let detail = format!("target is missing; it should be an {scheme} URL");
        return Problem::new(StatusCode::BAD_REQUEST).detail(detail).into_response();
    }
    let mut standing = match pushes.begin(hub, query) {
        Ok(standing) => standing,
        Err(problem) => return problem.into_response(),
    };
    let settled = |standing: &relay::Standing| !matches!(standing.state, State::New | State::Connecting);
    let settled = tokio::time::timeout(COMES_ABOUT, standing.wait_for(settled)).await;
    let (state, reason) = match settled {
        Ok(Ok(standing)) => (standing.state, standing.reason.clone()),
        _ => (State::Connecting, Some("the target has not answered yet".to_owned())),
    };
    if state == State::Publishing {
        return "ok\n".into_response();
    }
    let again = if state.is_ended() { "" } else { "; it is tried again" };
    let detail = format!("{}{again}", reason.unwrap_or_else(|| "it was stopped".to_owned()));
    Problem::new(StatusCode::BAD_GATEWAY).title("The push did not come about").detail(detail).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_lie_below_what_is_allowed() {
        let targets = ["ws://host:8080/erwscascade/", "wss://other.example.org"];
        let targets = targets.iter().map(|url| url.parse().unwrap()).collect();
        let allowed = Allowed { streams: BTreeSet::new(), targets };
        let admits = |url: &str| allowed.admits(&url.parse().unwrap());
        assert!(admits("ws://host:8080/erwscascade/wspush/a/b?cid=c"));
        assert!(admits("wss://other.example.org:443/publish?app=a"));
        for url in [
            "ws://host:8080/erwscascadex/",
            "ws://host/erwscascade/a",
            "wss://host:8080/erwscascade/a",
            "ws://host.evil:8080/",
        ] {
            assert!(!admits(url), "{url}");
        }
    }
}
