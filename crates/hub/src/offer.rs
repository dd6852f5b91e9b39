//! A stream that a site can publish when somebody wants it.

use std::sync::Arc;

use tokio::sync::watch;

use crate::StreamName;
use crate::hub::Shared;
use crate::stream::Stream;

/// The reservation of a name by its site. Dropping it withdraws the stream: its viewers end.
#[derive(Debug)]
pub struct Offer {
    shared: Arc<Shared>,
    stream: Arc<Stream>,
    demand: watch::Receiver<usize>,
}

impl Offer {
    pub(crate) fn new(shared: Arc<Shared>, stream: Arc<Stream>, demand: watch::Receiver<usize>) -> Self {
        Self { shared, stream, demand }
    }

    /// The stream.
    #[must_use]
    pub fn name(&self) -> &StreamName {
        &self.stream.name
    }

    /// How many want to watch, now and from now on.
    #[must_use]
    pub fn demand(&self) -> watch::Receiver<usize> {
        self.demand.clone()
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        self.stream.withdraw();
        self.shared.forget_if_idle(&self.stream);
    }
}
