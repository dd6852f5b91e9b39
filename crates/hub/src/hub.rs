//! The table of streams.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::stream::Stream;
use crate::variants::{self, Bounds};
use crate::{
    Choice, Config, Error, Format, Offer, Output, Owner, Publish, Publisher, Reason, StreamName, StreamStatus,
    Subscriber, Variant, Viewer, ViewerStatus, metrics,
};

/// All live streams of the process. Clones share them.
#[derive(Debug, Clone)]
pub struct Hub(Arc<Shared>);

/// What publishers, viewers and offers need of the hub.
pub(crate) struct Shared {
    config: Config,
    /// In order, so that the variants of a stream stand together.
    streams: RwLock<BTreeMap<StreamName, Arc<Stream>>>,
    formats: AtomicUsize,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Hub {
    /// An empty hub.
    ///
    /// # Errors
    /// [`Error::Config`] names a limit that leaves no room to work.
    pub fn new(config: Config) -> Result<Self, Error> {
        config.validate()?;
        Ok(Self(Arc::new(Shared { config, streams: RwLock::default(), formats: AtomicUsize::new(0) })))
    }

    /// Takes the publisher's place of a stream.
    ///
    /// # Errors
    /// [`Error::Conflict`] when somebody publishes it, [`Error::Reserved`] when it is another site's,
    /// [`Error::TooManyStreams`].
    pub fn publish(&self, name: &StreamName, publish: Publish) -> Result<Publisher, Error> {
        let by = publish.kind;
        let (stream, seat) = self.0.with_stream(name, |stream| stream.seat(publish))?;
        tracing::info!(stream = %name, by, "published");
        Ok(Publisher::new(Arc::clone(&self.0), stream, seat))
    }

    /// A viewer's cursor, in the variant that it gets. The stream need not be published yet; viewers beyond a limit end at
    /// once.
    #[must_use]
    pub fn subscribe(&self, name: &StreamName, viewer: Viewer) -> Subscriber {
        let name = &self.choose(name, viewer.choice);
        let enter = |stream: &Arc<Stream>| Ok(Subscriber::new(Arc::clone(&self.0), Arc::clone(stream), viewer));
        match self.0.with_stream(name, enter) {
            Ok((_, subscriber)) => subscriber,
            Err(_) => self.refused(name, viewer),
        }
    }

    /// A viewer of a stream that is not in the table because the table is full; it ends at once.
    fn refused(&self, name: &StreamName, viewer: Viewer) -> Subscriber {
        let none = Config { max_viewers: 0, ..self.0.config.clone() };
        Subscriber::new(Arc::clone(&self.0), Arc::new(Stream::new(name.clone(), &none)), viewer)
    }

    /// Reserves a name for a site that can publish it on demand.
    ///
    /// # Errors
    /// [`Error::Reserved`] when a site has it already, [`Error::Conflict`] when somebody publishes it,
    /// [`Error::TooManyStreams`].
    pub fn offer(&self, name: &StreamName, owner: Owner) -> Result<Offer, Error> {
        let (stream, demand) = self.0.with_stream(name, |stream| stream.offer(Some(owner)))?;
        Ok(Offer::new(Arc::clone(&self.0), stream, demand))
    }

    /// Shows a name that can be had on demand, without reserving it: whoever fetches it publishes as anybody would.
    ///
    /// # Errors
    /// As [`offer`](Self::offer).
    pub fn offer_openly(&self, name: &StreamName) -> Result<Offer, Error> {
        let (stream, demand) = self.0.with_stream(name, |stream| stream.offer(None))?;
        Ok(Offer::new(Arc::clone(&self.0), stream, demand))
    }

    /// Registers an output format.
    ///
    /// A hub has slots for 12 formats; later ones work but are made anew for each viewer.
    #[must_use]
    pub fn output(&self, format: impl Format) -> Output {
        let slot = self.0.formats.fetch_add(1, Ordering::Relaxed);
        Output::new(Arc::new(format), slot)
    }

    /// All streams, ordered by name.
    #[must_use]
    pub fn streams(&self) -> Vec<StreamStatus> {
        let streams: Vec<_> = self.0.read(|streams| streams.values().map(Arc::clone).collect());
        let mut all: Vec<_> = streams.iter().map(|stream| stream.status()).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// One stream.
    #[must_use]
    pub fn stream(&self, name: &StreamName) -> Option<StreamStatus> {
        self.0.find(name).map(|stream| stream.status())
    }

    /// The stream that a viewer of `name` gets at this moment, by the rules of [`variants`].
    #[must_use]
    pub fn choose(&self, name: &StreamName, choice: Choice) -> StreamName {
        let Choice::Fitting { most } = choice else { return name.clone() };
        if name.variant().is_some() {
            return name.clone();
        }
        let ordered = self.variants(name);
        if ordered.iter().all(|variant| variant.name == *name) {
            return name.clone();
        }
        let bounds = Bounds { viewer: most, uplink: self.uplink_left(&ordered) };
        let Some(chosen) = variants::pick(&ordered, bounds) else { return name.clone() };
        metrics::variant_chosen(chosen.name == *name);
        chosen.name.clone()
    }

    /// The variants of the stream that `name` is one of, as far as a viewer could get them, the richest first. The plain
    /// stream is one of them.
    #[must_use]
    pub fn variants(&self, name: &StreamName) -> Vec<Variant> {
        let base = name.base();
        let streams: Vec<_> = self.0.read(|streams| {
            // What begins with `base:` stands before what begins with the next character.
            let (first, end) = (format!("{base}:"), format!("{base};"));
            let others = streams.range::<str, _>((Bound::Included(first.as_str()), Bound::Excluded(end.as_str())));
            others.map(|(_, stream)| stream).chain(streams.get(&base)).map(Arc::clone).collect()
        });
        variants::ordered(streams.iter().map(|stream| stream.variant()).collect())
    }

    /// Bits per second that are left of the uplink of the site whose variants these are; `None` without a limit.
    #[must_use]
    pub fn uplink_left(&self, variants: &[Variant]) -> Option<u64> {
        let owner = variants.iter().find_map(|variant| variant.owner.clone())?;
        let limit = self.0.config.uplinks.of(&owner)?;
        let all: Vec<_> = self.0.read(|streams| streams.values().map(Arc::clone).collect());
        let streams = all.iter().map(|stream| stream.variant());
        let carried = streams.filter(|stream| stream.owner.as_ref() == Some(&owner) && stream.is_carried());
        Some(limit.saturating_sub(carried.filter_map(|stream| stream.bits_per_second).sum()))
    }

    /// The viewers of one stream.
    #[must_use]
    pub fn viewers(&self, name: &StreamName) -> Vec<ViewerStatus> {
        self.0.find(name).map(|stream| stream.viewers()).unwrap_or_default()
    }

    /// Ends a stream for its publisher and its viewers. Returns whether there was something to end.
    pub fn cut(&self, name: &StreamName) -> bool {
        let cut = self.0.find(name).is_some_and(|stream| stream.end(Reason::Cut));
        if cut {
            tracing::info!(stream = %name, "cut");
        }
        cut
    }
}

impl Shared {
    fn read<T>(&self, look: impl FnOnce(&BTreeMap<StreamName, Arc<Stream>>) -> T) -> T {
        look(&self.streams.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn find(&self, name: &StreamName) -> Option<Arc<Stream>> {
        self.read(|streams| streams.get(name).map(Arc::clone))
    }

    /// Finds or makes the stream and acts on it under the table's lock, so that it cannot be forgotten in between.
    fn with_stream<T>(
        &self,
        name: &StreamName,
        act: impl FnOnce(&Arc<Stream>) -> Result<T, Error>,
    ) -> Result<(Arc<Stream>, T), Error> {
        let mut streams = self.streams.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(stream) = streams.get(name) {
            return Ok((Arc::clone(stream), act(stream)?));
        }
        if streams.len() >= self.config.max_streams {
            return Err(Error::TooManyStreams { limit: self.config.max_streams });
        }
        let stream = Arc::new(Stream::new(name.clone(), &self.config));
        let done = act(&stream)?;
        streams.insert(name.clone(), Arc::clone(&stream));
        Ok((stream, done))
    }

    /// Takes the stream out of the table when nothing holds it.
    pub(crate) fn forget_if_idle(&self, stream: &Arc<Stream>) {
        let mut streams = self.streams.write().unwrap_or_else(PoisonError::into_inner);
        let listed = streams.get(&stream.name).is_some_and(|listed| Arc::ptr_eq(listed, stream));
        if listed && stream.is_idle() {
            streams.remove(&stream.name);
        }
    }

    /// Ends the stream when its publisher stays away. Outside a runtime there is nobody to wait, so at once.
    pub(crate) fn end_later(self: &Arc<Self>, stream: &Arc<Stream>, publisher: u64) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return stream.end_if_away(publisher, Reason::PublisherGone);
        };
        let (shared, stream) = (Arc::clone(self), Arc::clone(stream));
        runtime.spawn(async move {
            tokio::time::sleep(shared.config.publisher_away).await;
            stream.end_if_away(publisher, Reason::PublisherGone);
            shared.forget_if_idle(&stream);
        });
    }
}
