//! A viewer's change to another variant of its stream, in the session that it has.
//!
//! The hub's rules say when and to which ([`Mover`]). The viewer stays where it is until a key frame of the other variant
//! comes, so that it sees no gap; the other variant is asked for meanwhile, as for any viewer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sluicegate_hub::variants::{Bounds, Move, Mover};
use sluicegate_hub::{Batch, Choice, Next, StreamName, TrackSet, Variant, Viewer};
use sluicegate_media::Timestamp;
use tokio::time::timeout_at;

use crate::engine::{Engine, Place, goes_back};
use crate::metrics;
use crate::splice::Pace;

/// How long a key frame of the other variant may take: a camera that has to be dialled, and a long key-frame interval.
const WAIT: Duration = Duration::from_secs(20);
/// How long the other variant is watched before a key frame is taken: a camera that begins sends what it has at once.
const STEADY: Duration = Duration::from_millis(500);
/// A key frame may come this much later than other pictures do; one that is later comes from the past.
const LATE: Duration = Duration::from_millis(250);

/// Moves one viewer of a plain name.
#[derive(Debug)]
pub(crate) struct Switch {
    engine: Engine,
    name: StreamName,
    viewer: Viewer,
    /// What the viewer itself wants at most.
    most: Option<u64>,
    mover: Mover,
    pending: Option<Pending>,
    /// What the session cannot carry: another codec, or pictures that are not in order.
    unfit: Vec<StreamName>,
}

/// A change that waits for its key frame.
#[derive(Debug)]
struct Pending {
    to: Move,
    place: Place,
    deadline: Instant,
    pace: Pace,
    /// When the first batch came that was not there before.
    began: Option<Instant>,
    last: Option<Timestamp>,
}

/// The other variant is there: the session goes on with this batch of it.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) to: Move,
    pub(crate) place: Place,
    pub(crate) pace: Pace,
    pub(crate) batch: Arc<Batch>,
}

/// Why a change is not made.
enum Refusal {
    /// Not in this session.
    Unfit,
    /// Not now.
    Absent,
}

impl Switch {
    /// For a viewer of `name`; `None` when it has chosen its variant.
    pub(crate) fn new(engine: &Engine, name: &StreamName, viewer: Viewer) -> Option<Self> {
        let Choice::Fitting { most } = viewer.choice else { return None };
        let viewer = viewer.choosing(Choice::Exact);
        let (engine, name) = (engine.clone(), name.clone());
        Some(Self { engine, name, viewer, most, mover: Mover::default(), pending: None, unfit: Vec::new() })
    }

    /// Looks at what the viewer's path carries while it watches `current`, and begins a change where one is due. Returns
    /// the greatest rate that the viewer could get.
    pub(crate) fn look(&mut self, now: Instant, current: &StreamName, estimate: Option<u64>) -> u64 {
        self.engine.note_path(now, self.viewer, estimate);
        let mut variants = self.engine.hub().variants(&self.name);
        variants.retain(|variant| !self.unfit.contains(&variant.name));
        if self.pending.is_none() {
            let viewer = estimate.into_iter().chain(self.most).min();
            let bounds = Bounds { viewer, uplink: self.engine.hub().uplink_left(&variants) };
            if let Some(to) = self.mover.handle_bounds(now, current, &variants, bounds) {
                self.begin(now, to);
            }
        }
        variants.iter().filter_map(|Variant { bits_per_second, .. }| *bits_per_second).max().unwrap_or_default()
    }

    fn begin(&mut self, now: Instant, to: Move) {
        match self.engine.enter(to.to(), self.viewer) {
            Some(place) => {
                place.subscriber.want_key_frame();
                let deadline = now + WAIT;
                self.pending = Some(Pending { to, place, deadline, pace: Pace::new(now), began: None, last: None });
            }
            None => self.mover.failed(now),
        }
    }

    /// Waits until a change can be made; for ever while none is due. `fits` says whether the session carries these tracks.
    pub(crate) async fn ready(switch: &mut Option<Self>, fits: impl Fn(&TrackSet) -> bool) -> Ready {
        if let Some(switch) = switch {
            while let Some(pending) = &mut switch.pending {
                let found = pending.key_frame(&fits).await;
                let Some(Pending { to, place, pace, .. }) = switch.pending.take() else { break };
                match found {
                    Ok(batch) => return Ready { to, place, pace, batch },
                    Err(refusal) => switch.refuse(&to, &refusal),
                }
            }
        }
        std::future::pending().await
    }

    fn refuse(&mut self, to: &Move, refusal: &Refusal) {
        metrics::switch_failed(to.direction());
        tracing::info!(stream = %to.to(), fits = matches!(refusal, Refusal::Absent), "a viewer could not be moved");
        self.mover.failed(Instant::now());
        if matches!(refusal, Refusal::Unfit) {
            self.unfit.push(to.to().clone());
        }
    }

    /// The session goes on in another variant.
    pub(crate) fn moved(&mut self, now: Instant, to: &Move) {
        self.mover.moved(now, to);
        metrics::switched(to.direction());
    }
}

impl Pending {
    /// The next key frame that comes at its time. What was there before is passed over: its time is over, too.
    async fn key_frame(&mut self, fits: impl Fn(&TrackSet) -> bool) -> Result<Arc<Batch>, Refusal> {
        let mut caught_up = self.began.is_some();
        loop {
            match self.place.subscriber.try_next() {
                Next::Ended(_) => return Err(Refusal::Absent),
                Next::Empty => {
                    caught_up = true;
                    let changed = timeout_at(self.deadline.into(), self.place.subscriber.changed()).await;
                    changed.map_err(|_| Refusal::Absent)?;
                }
                Next::Batch(batch) if !fits(&batch.tracks) || goes_back(&batch, &mut self.last) => {
                    return Err(Refusal::Unfit);
                }
                Next::Batch(batch) => {
                    let now = Instant::now();
                    let late = self.pace.note(now, &batch);
                    if !caught_up {
                        continue;
                    }
                    let watched = now.saturating_duration_since(*self.began.get_or_insert(now));
                    if batch.random_access && watched >= STEADY && late <= LATE {
                        return Ok(batch);
                    }
                }
            }
        }
    }
}
