//! The site's end: the service that a downstream serves on its link.
//!
//! A request's authority names a service. What the [`Services`] do not list is refused with 403 and logged, whatever the
//! upstream wishes. The rest is asked of the device over pooled connections, and the answer streams back.

mod answer;
mod connect;
mod forward;
mod services;
mod websocket;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use http::header::HOST;
use http::{Request, Response};

use crate::fault::{End, Fault};
use crate::{Error, metrics};
use forward::Forward;
pub use services::{Service, Services};

/// Times and limits of the site's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How long a connection to a service may take, its name resolution included. Default 3 s: a device on the site's
    /// own network answers in milliseconds, or not at all.
    pub connect_timeout: Duration,
    /// How much longer a connection to an `https` service may take. Default 5 s: small cameras need seconds for RSA.
    pub tls_timeout: Duration,
    /// How long a service may take for the head of its answer, from the end of the request's body or from the last piece
    /// of it that the service took. Default 30 s. The body of the answer has no limit in time.
    pub answer_timeout: Duration,
    /// How long an unused connection to a service is kept. Default 10 s: shorter than most devices' own limit, so that
    /// the device is rarely the one who closes.
    pub idle_timeout: Duration,
    /// The unused connections kept to one service. Default 32.
    pub max_idle: usize,
    /// The header bytes that an answer may have, counted as in HTTP/2 with 32 bytes a field. Default 48 KiB, which is
    /// below what the link takes. Each exchange holds twice this at most.
    pub max_head_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            tls_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(10),
            max_idle: 32,
            max_head_bytes: 48 << 10,
        }
    }
}

impl Config {
    /// Checks that the times leave room to work.
    ///
    /// # Errors
    /// [`Error::Zero`] names the field.
    pub fn validate(&self) -> Result<(), Error> {
        for (field, zero) in [
            ("connect_timeout", self.connect_timeout.is_zero()),
            ("tls_timeout", self.tls_timeout.is_zero()),
            ("answer_timeout", self.answer_timeout.is_zero()),
            ("max_head_bytes", self.max_head_bytes == 0),
        ] {
            if zero {
                return Err(Error::Zero { field });
            }
        }
        Ok(())
    }
}

/// The allow-list at work. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Egress(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Config,
    forwards: ArcSwap<Vec<(String, Arc<Forward>)>>,
    refusals: Refusals,
}

impl Egress {
    /// Sets up the clients of all services.
    ///
    /// # Errors
    /// [`Error::Zero`] when the configuration leaves no room to work.
    pub fn new(services: Services, config: Config) -> Result<Self, Error> {
        config.validate()?;
        let forwards = ArcSwap::from_pointee(forwards(services, &config));
        Ok(Self(Arc::new(Inner { config, forwards, refusals: Refusals::default() })))
    }

    /// Replaces the allow-list, as on a reload. Requests in flight end as they began.
    pub fn replace(&self, services: Services) {
        self.0.forwards.store(Arc::new(forwards(services, &self.0.config)));
    }

    /// The names of the allowed services, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.0.forwards.load().iter().map(|(name, _)| name.clone()).collect()
    }

    /// What the link serves: any method and path, dispatched by authority.
    pub fn router(&self) -> Router {
        Router::new().fallback(serve).with_state(self.clone())
    }

    fn find(&self, name: &str) -> Option<Arc<Forward>> {
        let forwards = self.0.forwards.load();
        let at = forwards.binary_search_by(|(own, _)| own.as_str().cmp(name)).ok()?;
        forwards.get(at).map(|(_, forward)| Arc::clone(forward))
    }
}

/// The service that a downstream serves on its links, for an allow-list that does not change.
///
/// # Errors
/// As [`Egress::new`].
pub fn service(services: Services, config: Config) -> Result<Router, Error> {
    Ok(Egress::new(services, config)?.router())
}

/// In the order of names, because lookups search by halves.
fn forwards(services: Services, config: &Config) -> Vec<(String, Arc<Forward>)> {
    services
        .into_iter()
        .map(|(name, service)| (name.clone(), Arc::new(Forward::new(name, service, config.clone()))))
        .collect()
}

async fn serve(State(egress): State<Egress>, request: Request<Body>) -> Response<Body> {
    let name = authority(&request).unwrap_or_default();
    let answer = match egress.find(&name) {
        Some(forward) => {
            metrics::site_asked();
            forward.ask(request).await
        }
        None => {
            egress.0.refusals.log(&name, &request);
            Err(Fault::NotAllowed { service: name })
        }
    };
    answer.unwrap_or_else(|fault| {
        metrics::problem(&fault, End::Site);
        tracing::debug!(code = fault.code(), %fault, "a request of the upstream is not answered by its service");
        fault.into_response(End::Site)
    })
}

/// The service that a request names: its `:authority`, or `Host` without it.
fn authority<B>(request: &Request<B>) -> Option<String> {
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    authority.or_else(|| request.headers().get(HOST)?.to_str().ok()).map(str::to_owned)
}

/// How often refusals are logged at most: an upstream that asks for everything does not fill the site's disk.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Logs refusals, counted and summed up when they repeat.
#[derive(Debug, Default)]
struct Refusals(Mutex<(Option<Instant>, u64)>);

impl Refusals {
    fn log(&self, service: &str, request: &Request<Body>) {
        let more = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if state.0.is_some_and(|last| last.elapsed() < LOG_EVERY) {
                state.1 += 1;
                return;
            }
            state.0 = Some(Instant::now());
            std::mem::take(&mut state.1)
        };
        let (method, path) = (request.method(), request.uri().path());
        tracing::warn!(
            service,
            %method,
            path,
            not_logged = more,
            "refused: the upstream asked for a service that is not in this site's configuration"
        );
    }
}
