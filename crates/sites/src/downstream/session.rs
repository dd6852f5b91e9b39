//! The control streams that one upstream opens, and the pushes that it leases.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::StatusCode;
use sluicegate_cascade::downstream::{Event, Session};
use sluicegate_cascade::{Hello, LeaseId, Offers};
use sluicegate_net::problem::Problem;
use sluicegate_net::shutdown::Shutdown;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::push::Pusher;
use crate::control::{AUTHORITY, Receiver, Sender};

/// The site's side of one upstream's control. Clones share it.
#[derive(Clone)]
pub(super) struct Control(Arc<Inner>);

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}

struct Inner {
    state: Mutex<Shared>,
    /// Something was done to the session that its timer has to know.
    changed: Notify,
    pusher: Arc<Pusher>,
}

struct Shared {
    session: Session,
    /// The newest control stream; an older one is silent.
    sender: Option<Sender>,
    pushes: HashMap<String, Push>,
}

/// A push under way.
struct Push {
    lease: watch::Sender<LeaseId>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Control {
    pub(super) fn new(hello: Hello, offers: Offers, pusher: Pusher) -> Self {
        let session = Session::new(hello, offers);
        let state = Mutex::new(Shared { session, sender: None, pushes: HashMap::new() });
        Self(Arc::new(Inner { state, changed: Notify::new(), pusher: Arc::new(pusher) }))
    }

    /// Offers this from now on.
    pub(super) fn offer(&self, offers: Offers) {
        let mut shared = self.lock();
        shared.session.handle_offers(offers);
        self.settle(&mut shared);
    }

    /// Requests with the authority of control come here, all others go to the services.
    pub(super) fn router(&self, services: Router) -> Router {
        services.layer(axum::middleware::from_fn_with_state(self.clone(), dispatch))
    }

    /// Ends leases that lapse, until `shutdown`; then all pushes end.
    pub(super) async fn run(self, shutdown: Shutdown) {
        loop {
            let due = self.lock().session.poll_timeout();
            let timer = async {
                match due {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = timer => {}
                () = self.0.changed.notified() => {}
                () = shutdown.begun() => break,
            }
            let mut shared = self.lock();
            shared.session.handle_timeout(Instant::now());
            self.act(&mut shared);
        }
        let pushes: Vec<_> = self.lock().pushes.drain().map(|(_, push)| push).collect();
        pushes.iter().for_each(|push| push.stop.cancel());
        for push in pushes {
            // One that panicked has ended too.
            let _ = push.task.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what is to be done after something was done to the session, and lets the timer know.
    fn settle(&self, shared: &mut Shared) {
        self.act(shared);
        self.0.changed.notify_one();
    }

    /// Sends what is to be sent and does what is to be done.
    fn act(&self, shared: &mut Shared) {
        while let Some(event) = shared.session.poll_event() {
            match event {
                Event::Push(stream, lease) => self.push(shared, stream, lease),
                Event::Stop(stream) => {
                    if let Some(push) = shared.pushes.remove(&stream) {
                        push.stop.cancel();
                        tracing::info!(stream, "push stopped: nobody watches");
                    }
                }
                _ => {}
            }
        }
        while let Some(message) = shared.session.poll_message() {
            if !shared.sender.as_ref().is_some_and(|sender| sender.send(&message)) {
                break;
            }
        }
    }

    fn push(&self, shared: &mut Shared, stream: String, lease: LeaseId) {
        if let Some(push) = shared.pushes.get(&stream).filter(|push| !push.task.is_finished()) {
            push.lease.send_replace(lease);
            return;
        }
        let (sender, leases) = watch::channel(lease);
        let (pusher, control, name) = (Arc::clone(&self.0.pusher), self.clone(), stream.clone());
        let tell = move |stream: &str, reason: &str| {
            let mut shared = control.lock();
            shared.session.handle_failure(stream, reason);
            control.settle(&mut shared);
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move { pusher.run(&name, leases, &stopped, tell).await });
        shared.pushes.insert(stream, Push { lease: sender, stop, task });
    }

    /// Takes a control stream: answers with our messages, reads the upstream's on a task of its own.
    fn open(&self, request: Request) -> Response {
        let (sender, body) = Sender::new();
        {
            let mut shared = self.lock();
            shared.sender = Some(sender);
            shared.session.handle_opened();
            self.settle(&mut shared);
        }
        let control = self.clone();
        tokio::spawn(async move {
            let mut messages = Receiver::new(request.into_body());
            while let Some(message) = messages.next().await {
                let mut shared = control.lock();
                shared.session.handle_message(message, Instant::now());
                control.settle(&mut shared);
            }
        });
        Response::new(body)
    }
}

async fn dispatch(State(control): State<Control>, request: Request<Body>, next: Next) -> Response {
    if request.uri().authority().is_none_or(|authority| authority.as_str() != AUTHORITY) {
        return next.run(request).await;
    }
    if request.uri().path() == "/control" && request.method() == http::Method::POST {
        return control.open(request);
    }
    Problem::new(StatusCode::NOT_FOUND).detail("control takes POST /control only").into_response()
}
