//! All connections of one site: requests go where the least is under way.

use std::sync::{Arc, PoisonError, RwLock};

use axum::body::Body as RequestBody;
use http::{Request, Response};
use tokio::sync::Semaphore;

use super::body::Load;
use super::{Body, Connection};

/// Requests at once to one site, in all. Beyond it the answer is 503: what queues behind them would only wait.
pub const MAX_REQUESTS: usize = 4_096;

/// Bytes of a request's head, counted as HTTP/2 does (RFC 9113 §6.5.2). A larger one would cost the whole link: the
/// HTTP/2 library ends a connection for it.
pub const MAX_HEAD_BYTES: usize = 60 << 10;
/// What HTTP/2 adds to the count for each field.
const FIELD_OVERHEAD: usize = 32;

/// A request could not be sent to a site.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The site has as many requests under way as it may; try again soon.
    #[error("the site has {limit} requests in flight, which is the limit")]
    Busy {
        /// [`MAX_REQUESTS`].
        limit: usize,
    },
    /// The request's head is too large for the link.
    #[error("the request's head has {bytes} bytes, more than the limit of {limit}")]
    Head {
        /// Its size.
        bytes: usize,
        /// [`MAX_HEAD_BYTES`].
        limit: usize,
    },
    /// The site has no connection at the moment.
    #[error("the site is not connected")]
    Gone,
    /// The connection was lost before the answer's head came; the site may have acted on the request.
    #[error("the link to the site was lost")]
    Lost(#[source] hyper::Error),
    /// The site refused this one request, for instance because its head is too large.
    #[error("the link refused the request")]
    Refused(#[source] hyper::Error),
}

/// The connections of one site.
#[derive(Debug)]
pub struct Pool {
    connections: RwLock<Vec<Arc<Connection>>>,
    places: Arc<Semaphore>,
}

impl Default for Pool {
    fn default() -> Self {
        Self { connections: RwLock::default(), places: Arc::new(Semaphore::new(MAX_REQUESTS)) }
    }
}

impl Pool {
    /// Adds a connection; it leaves the pool when it ends.
    pub fn add(self: &Arc<Self>, connection: Arc<Connection>) {
        self.write().push(Arc::clone(&connection));
        let pool = Arc::downgrade(self);
        tokio::spawn(async move {
            connection.ended().await;
            if let Some(pool) = pool.upgrade() {
                pool.write().retain(|other| !Arc::ptr_eq(other, &connection));
            }
        });
    }

    /// The connections that are open now. One that has ended is not among them, though it may not have left yet.
    #[must_use]
    pub fn connections(&self) -> Vec<Arc<Connection>> {
        let all = self.connections.read().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter(|connection| !connection.has_ended()).map(Arc::clone).collect()
    }

    /// Requests under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        MAX_REQUESTS.saturating_sub(self.places.available_permits())
    }

    /// Sends a request on the connection with the least under way. One that was not sent, because the connection
    /// ended just then, goes to another.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn send(&self, request: Request<RequestBody>) -> Result<Response<Body>, Error> {
        let bytes = head_bytes(&request);
        if bytes > MAX_HEAD_BYTES {
            return Err(Error::Head { bytes, limit: MAX_HEAD_BYTES });
        }
        let busy = |_| Error::Busy { limit: MAX_REQUESTS };
        let mut place = Arc::clone(&self.places).try_acquire_owned().map_err(busy)?;
        let mut request = request;
        loop {
            let (connection, mut sender) = self.least_loaded().ok_or(Error::Gone)?;
            let load = Load::pending(Arc::clone(&connection.load), place);
            // An extended CONNECT must not be sent to a site that has not offered it (RFC 8441 §3).
            match sender.try_send_request(request).await {
                Ok(response) => return Ok(response.map(|incoming| Body::new(incoming, load))),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => {
                        connection.drain();
                        request = unsent;
                        drop(load);
                        place = Arc::clone(&self.places).try_acquire_owned().map_err(busy)?;
                    }
                    None => return Err(classify(error.into_error())),
                },
            }
        }
    }

    /// Sends on one connection only, for what belongs to its life.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn send_on(
        connection: &Connection,
        request: Request<RequestBody>,
    ) -> Result<Response<hyper::body::Incoming>, Error> {
        let mut sender = connection.sender().ok_or(Error::Gone)?;
        sender.send_request(request).await.map_err(Error::Lost)
    }

    fn least_loaded(&self) -> Option<(Arc<Connection>, hyper::client::conn::http2::SendRequest<RequestBody>)> {
        let connections = self.connections.read().unwrap_or_else(PoisonError::into_inner);
        let open = connections.iter().filter_map(|connection| Some((Arc::clone(connection), connection.sender()?)));
        open.min_by_key(|(connection, _)| connection.bytes_in_flight())
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Vec<Arc<Connection>>> {
        self.connections.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that the site reset alone is a refusal; everything else took the connection with it.
fn classify(error: hyper::Error) -> Error {
    let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<h2::Error>());
    if source.is_some_and(h2::Error::is_reset) || error.is_user() { Error::Refused(error) } else { Error::Lost(error) }
}

fn head_bytes<B>(request: &Request<B>) -> usize {
    let fields = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD_OVERHEAD);
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    fields.sum::<usize>() + target + 4 * FIELD_OVERHEAD
}
