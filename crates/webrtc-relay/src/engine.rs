//! Offers in, sessions out.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use sluicegate_hub::{Batch, Choice, Expects, Hub, Next, Output, Publish, StreamName, Subscriber, TrackSet, Viewer};
use sluicegate_media::{Codec, Frame, Kind};
use sluicegate_rtc_driver::media::{self, Options, Track as Wanted};
use sluicegate_rtc_driver::{Connection, Driver};

use crate::cut::AllCuts;
use crate::format::Rtp;
use crate::offer::Section;
use crate::play::{Playing, Source};
use crate::publish::Publishing;
use crate::recent::Recent;
use crate::sound::{Feed, Feeds};
use crate::switch::Switch;
use crate::{Config, Error, Session, choose, offer};

/// Makes a stream's source run while somebody holds what it returns; `None` for a stream that may not be asked for.
pub type Demand = Arc<dyn Fn(&StreamName) -> Option<Held> + Send + Sync>;
/// What keeps a source running.
pub(crate) type Held = Box<dyn Send + Sync>;

/// How long viewers wait for sound or pictures that a publisher has agreed to send. A camera that begins, or a lost key
/// frame, takes seconds on a busy host; whoever comes before has the one kind for ever, since sessions do not grow.
const AGREED: Duration = Duration::from_secs(5);

/// Makes sessions between WebRTC peers and the streams of a hub. Clones share everything.
#[derive(Debug, Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    hub: Hub,
    driver: Driver,
    config: Config,
    output: Output,
    cuts: AllCuts,
    feeds: Feeds,
    recent: Recent,
    sessions: Mutex<HashMap<String, Session>>,
    demand: OnceLock<Demand>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Inner")
            .field("driver", &self.driver)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// What a viewer's session is to send.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) tracks: Vec<Wanted>,
    pub(crate) lanes: Vec<Sent>,
}

/// A viewer's place in the stream, with its source kept running.
pub(crate) struct Place {
    pub(crate) subscriber: Subscriber,
    _held: Option<Held>,
}

impl fmt::Debug for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.subscriber.fmt(formatter)
    }
}

/// A track of the stream, and as what it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) source: Codec,
    pub(crate) codec: Codec,
}

impl Engine {
    /// An engine over a hub and a driver.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn new(hub: Hub, driver: Driver, config: Config) -> Result<Self, Error> {
        config.validate()?;
        let output = hub.output(Rtp { payload: config.payload });
        let feeds = Feeds::new(hub.clone());
        Ok(Self(Arc::new(Inner {
            hub,
            driver,
            config,
            output,
            cuts: AllCuts::default(),
            feeds,
            recent: Recent::default(),
            sessions: Mutex::default(),
            demand: OnceLock::new(),
        })))
    }

    /// Asks for sources from now on: at a site they run only while somebody wants their streams. The first call counts.
    pub fn on_demand(&self, demand: Demand) {
        let _ = self.0.demand.set(demand);
    }

    pub(crate) fn config(&self) -> &Config {
        &self.0.config
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.0.hub
    }

    pub(crate) fn driver(&self) -> &Driver {
        &self.0.driver
    }

    /// The addresses that sessions announce.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        self.0.driver.addresses()
    }

    /// How often batches were made into packets; with any number of viewers at most once a batch.
    #[must_use]
    pub fn conversions(&self) -> u64 {
        self.0.output.conversions()
    }

    /// Opus packets made of AAC; with any number of viewers each piece of sound once.
    #[must_use]
    pub fn encoded_packets(&self) -> u64 {
        self.0.feeds.encoded()
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session under way.
    #[must_use]
    pub fn session(&self, id: &str) -> Option<Session> {
        self.sessions().get(id).filter(|session| !session.is_ended()).cloned()
    }

    /// Ends all sessions; their peers are told.
    pub fn shut_down(&self) {
        self.sessions().values().for_each(Session::close);
    }

    /// Takes a publisher's offer and returns the session and the answer.
    ///
    /// # Errors
    /// [`Error::Hub`] when the name is taken, [`Error::Codec`], [`Error::Nothing`], [`Error::Description`],
    /// [`Error::Transport`].
    pub async fn publish(&self, name: &StreamName, offer: &str, by: Publish) -> Result<(Session, String), Error> {
        let taking = choose::to_receive(&offer::sections(offer)?, self.config())?;
        let expects = Expects { video: taking.video, audio: taking.audio };
        let publisher = self.claim(name, by.expecting(expects))?;
        let options = Options { tracks: taking.tracks, ..Options::default() };
        let (connection, answer) = self.0.driver.answer(offer, options).await?;
        Ok((self.run_publisher(connection, publisher, expects, offer.to_owned()), answer))
    }

    pub(crate) fn claim(&self, name: &StreamName, by: Publish) -> Result<sluicegate_hub::Publisher, Error> {
        Ok(self.0.hub.publish(name, Publish { patience: Some(AGREED), ..by })?)
    }

    pub(crate) fn run_publisher(
        &self,
        connection: Connection,
        publisher: sluicegate_hub::Publisher,
        expects: Expects,
        offer: String,
    ) -> Session {
        let session = Session::new(publisher.name().clone(), connection.handle().clone(), offer);
        let publishing = Publishing::new(connection, publisher, expects, session.clone(), self.config().clone());
        self.run(&session, publishing.run());
        session
    }

    /// Takes a viewer's offer and returns the session and the answer. Waits for a stream that is not there yet.
    ///
    /// # Errors
    /// [`Error::Hub`] when nothing comes in time, [`Error::Codec`], [`Error::Reordered`], [`Error::Unplayable`],
    /// [`Error::Nothing`], [`Error::Description`], [`Error::Transport`].
    pub async fn play(&self, name: &StreamName, offer: &str, viewer: Viewer) -> Result<(Session, String), Error> {
        let sections = offer::sections(offer)?;
        if !sections.iter().any(|section| section.receives) {
            return Err(Error::Nothing { what: "receive" });
        }
        let (place, tracks) = self.look(name, viewer).await?;
        let plan = answer_plan(&sections, &tracks)?;
        let options = Options { tracks: plan.tracks, ..Options::default() };
        let (connection, answer) = self.0.driver.answer(offer, options).await?;
        Ok((self.run_viewer(connection, name, viewer, place, &plan.lanes, offer.to_owned()), answer))
    }

    pub(crate) fn run_viewer(
        &self,
        connection: Connection,
        name: &StreamName,
        viewer: Viewer,
        place: Place,
        lanes: &[Sent],
        offer: String,
    ) -> Session {
        let session = Session::new(name.clone(), connection.handle().clone(), offer);
        let transcodes = lanes.iter().any(|lane| lane.source != lane.codec);
        let (source, switch) = (self.source(place, viewer, transcodes), Switch::new(self, name, viewer));
        self.run(&session, Playing::new(connection, source, switch, session.clone(), lanes).run());
        session
    }

    /// What a viewer's session needs of the stream that it has a place in; `transcodes` when its sound is made for it.
    pub(crate) fn source(&self, place: Place, viewer: Viewer, transcodes: bool) -> Source {
        let name = place.subscriber.name().clone();
        let feed = transcodes.then(|| self.feed(&name));
        let (engine, output, cuts) = (self.clone(), self.0.output.clone(), self.0.cuts.of(&name));
        Source { engine, name, viewer: viewer.choosing(Choice::Exact), output, place, cuts, feed }
    }

    /// The sound that is made of a stream's.
    pub(crate) fn feed(&self, name: &StreamName) -> Arc<Feed> {
        self.0.feeds.of(name)
    }

    /// A viewer's choice, with what the path from its address carried a moment ago.
    fn expected(&self, viewer: Viewer) -> Choice {
        let carried = viewer.address.and_then(|address| self.0.recent.of(Instant::now(), address.ip()));
        match viewer.choice {
            Choice::Fitting { most } => Choice::Fitting { most: most.into_iter().chain(carried).min() },
            Choice::Exact => Choice::Exact,
        }
    }

    /// Notes what the path of a viewer carries, for the next from its address.
    pub(crate) fn note_path(&self, now: Instant, viewer: Viewer, estimate: Option<u64>) {
        viewer.address.into_iter().for_each(|address| self.0.recent.note(now, address.ip(), estimate));
    }

    /// A viewer's place in the stream of that very name; `None` for one that may not be asked for.
    pub(crate) fn enter(&self, name: &StreamName, viewer: Viewer) -> Option<Place> {
        let held = match self.0.demand.get() {
            Some(demand) => Some(demand(name)?),
            None => None,
        };
        let subscriber = self.0.hub.subscribe(name, viewer.choosing(Choice::Exact));
        Some(Place { subscriber, _held: held })
    }

    /// Waits for a stream, in the variant that the viewer gets, and looks at what of it is there.
    ///
    /// # Errors
    /// [`Error::Hub`] when nothing comes in time, [`Error::Reordered`].
    pub(crate) async fn look(&self, name: &StreamName, viewer: Viewer) -> Result<(Place, Arc<TrackSet>), Error> {
        let gone = || Error::Hub(sluicegate_hub::Error::NotFound { name: name.clone() });
        let chosen = self.0.hub.choose(name, self.expected(viewer));
        let mut place = self.enter(&chosen, viewer).ok_or_else(gone)?;
        place.subscriber.ready(self.config().wait).await?;
        let (mut tracks, mut last) = (None, None);
        while let Next::Batch(batch) = place.subscriber.try_next() {
            if goes_back(&batch, &mut last) {
                return Err(Error::Reordered);
            }
            tracks = Some(Arc::clone(&batch.tracks));
        }
        Ok((place, tracks.ok_or_else(gone)?))
    }

    fn run(&self, session: &Session, life: impl Future<Output = ()> + Send + 'static) {
        self.sessions().insert(session.id().to_owned(), session.clone());
        let (engine, id) = (self.clone(), session.id().to_owned());
        tokio::spawn(async move {
            life.await;
            engine.sessions().remove(&id);
        });
    }
}

/// Whether a picture stands behind one that is shown later.
pub(crate) fn goes_back(batch: &Batch, last: &mut Option<sluicegate_media::Timestamp>) -> bool {
    let mut shown = batch.frames.iter().filter(|frame| frame.kind() == Kind::Video).map(Frame::pts);
    shown.any(|pts| last.replace(pts).is_some_and(|last| pts < last))
}

/// What viewers get of a codec. WebRTC has no AAC (RFC 7874 section 3): they hear Opus that is made of it.
pub(crate) fn sent_as(codec: Codec) -> Codec {
    if codec == Codec::Aac { Codec::Opus } else { codec }
}

/// Which tracks a viewer gets, of those that its offer has room for.
fn answer_plan(sections: &[Section], tracks: &TrackSet) -> Result<Plan, Error> {
    plan(tracks, |codec, track| choose::to_send(sections, codec, Some(track)))
}

/// The tracks of a stream that WebRTC carries, as our own offer names them.
pub(crate) fn offer_plan(tracks: &TrackSet) -> Result<Plan, Error> {
    plan(tracks, |codec, _| Ok(choose::ours(codec)))
}

fn plan(
    tracks: &TrackSet,
    mut choose: impl FnMut(Codec, &sluicegate_media::Track) -> Result<Option<media::Codec>, Error>,
) -> Result<Plan, Error> {
    let mut plan = Plan { tracks: Vec::new(), lanes: Vec::new() };
    for kind in [Kind::Audio, Kind::Video] {
        let Some(track) = tracks.first(kind) else { continue };
        let codec = sent_as(track.codec);
        if !sluicegate_rtp::supports(codec) {
            tracing::debug!(codec = %track.codec, "left out, WebRTC does not carry it");
            continue;
        }
        if let Some(chosen) = choose(codec, track)? {
            plan.tracks.push(Wanted::Send(chosen));
            plan.lanes.push(Sent { source: track.codec, codec });
        }
    }
    if plan.lanes.is_empty() { Err(Error::Unplayable) } else { Ok(plan) }
}
