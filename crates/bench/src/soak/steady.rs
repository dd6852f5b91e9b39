//! Two streams that last, and a viewer of each kind that stays: nothing that comes and goes may disturb them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use super::players::{Play, Player, Shown};
use super::stage::{Shared, Stage};
use super::{OPUS, STEADY};
use crate::error::Error;
use crate::publisher::{Clock, Sound, publish_with};
use crate::report::line;

/// A viewer that sees no picture for so long has stalled.
const STALLED: Duration = Duration::from_secs(10);

/// What lasts; it ends with this.
pub(super) struct Steady {
    stalls: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

impl Steady {
    /// Begins, and waits until every viewer sees its stream.
    pub(super) async fn begin(stage: &Shared) -> Result<Self, Error> {
        let mut tasks = JoinSet::new();
        let stalls = Arc::new(AtomicU64::new(0));
        for (sound, path) in [(Sound::Aac, "/live/soak/steady.flv"), (Sound::Opus, "/live/soak/opus.flv")] {
            let address = stage.address().to_owned();
            tasks.spawn(async move {
                if let Err(error) = publish_with(sound, address, path, Clock::default()).await {
                    line(&format!("failed: {path}: {error}"));
                }
            });
        }
        for by in Play::ALL {
            let mut player = begin(stage, by).await?;
            let (stage, stalls) = (Arc::clone(stage), Arc::clone(&stalls));
            tasks.spawn(async move {
                loop {
                    let seen = tokio::time::timeout(STALLED, player.shown(Shown::Mark)).await;
                    let fault = match seen {
                        Ok(Ok(())) => continue,
                        Ok(Err(error)) => error.to_string(),
                        Err(_) => "nothing comes".to_owned(),
                    };
                    line(&format!("failed: steady {}: {fault}", by.name()));
                    stalls.fetch_add(1, Ordering::Relaxed);
                    // The next stall is one more.
                    match begin(&stage, by).await {
                        Ok(again) => player = again,
                        Err(error) => return line(&format!("failed: steady {}: {error}", by.name())),
                    }
                }
            });
        }
        Ok(Self { stalls, _tasks: tasks })
    }

    /// How often a viewer has seen nothing, or has been sent away.
    pub(super) fn stalls(&self) -> u64 {
        self.stalls.load(Ordering::Relaxed)
    }
}

async fn begin(stage: &Stage, by: Play) -> Result<Player, Error> {
    let stream = if by == Play::Whep { OPUS } else { STEADY };
    let begin = async {
        let mut player = Player::begin(stage, by, stream).await?;
        player.shown(Shown::Mark).await?;
        Ok(player)
    };
    let late = |_| Error::Answer(format!("{} shows nothing within {} s", by.name(), STALLED.as_secs()));
    tokio::time::timeout(STALLED, begin).await.map_err(late)?
}
