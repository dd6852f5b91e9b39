//! WebRTC straight from the site: its streams by WHEP, to those whom a request through the link brings.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use sluicegate_hub::Hub;
use sluicegate_launch::Failure;
use sluicegate_sites::downstream::Wants;
use sluicegate_webrtc_relay::Engine;
use tower::ServiceExt;

use crate::config::Config;

/// The service on the link. A service of the site's own that has this name goes before.
pub(crate) const SERVICE: &str = "webrtc";

/// The engine, and the streams that it may ask for once the site runs.
pub(crate) struct WebRtc {
    engine: Option<Engine>,
    wants: Arc<OnceLock<Wants>>,
}

impl WebRtc {
    pub(crate) fn start(config: &Config, hub: &Hub) -> Result<Self, Failure> {
        let wants: Arc<OnceLock<Wants>> = Arc::default();
        let taken = config.services.contains_key(SERVICE);
        if taken {
            tracing::warn!("a service of this site is called {SERVICE}: its streams do not play by WebRTC from here");
        }
        let engine = if taken { None } else { config.webrtc.start(0, hub, false)? };
        if let Some(engine) = &engine {
            let wants = Arc::clone(&wants);
            // Only what the site offers can be asked for; its source runs as long as the viewer stays.
            engine.on_demand(Arc::new(move |name| {
                let want = wants.get()?.want(name)?;
                Some(Box::new(want))
            }));
        }
        Ok(Self { engine, wants })
    }

    /// Its sources from now on.
    pub(crate) fn feed(&self, wants: Wants) {
        // It is called once.
        let _ = self.wants.set(wants);
    }

    /// Whether the site offers it as a service.
    pub(crate) fn is_offered(&self) -> bool {
        self.engine.is_some()
    }

    /// The same routes, with requests for this service taken out of them.
    pub(crate) fn before(&self, router: Router) -> Router {
        let Some(engine) = &self.engine else { return router };
        router.layer(from_fn_with_state(engine.router(), dispatch))
    }

    pub(crate) fn shut_down(&self) {
        self.engine.iter().for_each(Engine::shut_down);
    }
}

async fn dispatch(State(whep): State<Router>, request: Request, next: Next) -> Response {
    let uri = request.uri();
    let ours = uri.authority().is_some_and(|authority| authority.as_str() == SERVICE);
    // Publishing at a site is for its own encoders.
    if ours && !uri.path().starts_with("/whip/") {
        return whep.oneshot(request).await.unwrap_or_else(|never| match never {});
    }
    next.run(request).await
}
