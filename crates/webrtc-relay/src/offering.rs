//! Sessions that begin with an offer of ours: pushes to other servers, and pulls from there.

use sluicegate_hub::{Expects, Publish, Publisher, StreamName, Viewer};
use sluicegate_media::Codec;
use sluicegate_rtc_driver::Connection;
use sluicegate_rtc_driver::media::{Kind, Options, Track};

use crate::engine::{Place, Sent, offer_plan};
use crate::{Engine, Error, Session, choose, offer};

/// An offer of ours that waits for its answer; dropping it takes it back.
#[derive(Debug)]
pub struct Offering {
    engine: Engine,
    connection: Connection,
    offer: String,
    end: End,
}

/// This end of the session.
#[derive(Debug)]
enum End {
    Push { name: StreamName, viewer: Viewer, place: Place, lanes: Vec<Sent> },
    Pull(Publisher),
}

impl Engine {
    /// An offer that pushes a stream: its tracks as they are. Waits for a stream that is not there yet.
    ///
    /// # Errors
    /// As [`play`](Self::play).
    pub async fn offer_push(&self, name: &StreamName, viewer: Viewer) -> Result<Offering, Error> {
        let (place, tracks) = self.look(name, viewer).await?;
        let plan = offer_plan(&tracks)?;
        let options = Options { tracks: plan.tracks, own_port: true, ..Options::default() };
        let (connection, offer) = self.driver().offer(options).await?;
        let end = End::Push { name: name.clone(), viewer, place, lanes: plan.lanes };
        Ok(Offering { engine: self.clone(), connection, offer, end })
    }

    /// An offer that pulls a stream into `name`: sound and pictures in any codec that we know.
    ///
    /// # Errors
    /// [`Error::Hub`] when the name is taken, [`Error::Transport`].
    pub async fn offer_pull(&self, name: &StreamName, by: Publish) -> Result<Offering, Error> {
        let publisher = self.claim(name, by)?;
        let video = self.config().video_codecs.iter().filter_map(|codec| choose::ours(*codec)).collect();
        let audio = [Codec::Opus, Codec::G711A, Codec::G711U].into_iter().filter_map(choose::ours).collect();
        let tracks = vec![Track::Receive(audio), Track::Receive(video)];
        let options = Options { tracks, own_port: true, ..Options::default() };
        let (connection, offer) = self.driver().offer(options).await?;
        Ok(Offering { engine: self.clone(), connection, offer, end: End::Pull(publisher) })
    }
}

impl Offering {
    /// The offer, with all candidates.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.offer
    }

    /// Takes the peer's answer.
    ///
    /// # Errors
    /// [`Error::Transport`] for an answer that does not fit.
    pub async fn accept(self, answer: &str) -> Result<Session, Error> {
        self.connection.handle().accept_answer(answer).await?;
        Ok(match self.end {
            End::Push { name, viewer, place, lanes } => {
                self.engine.run_viewer(self.connection, &name, viewer, place, &lanes, String::new())
            }
            End::Pull(publisher) => {
                // What the answer leaves out is not waited for.
                let sections = offer::sections(answer)?;
                let sends = |kind| sections.iter().any(|section| section.kind == kind && section.sends);
                let expects = Expects { video: sends(Kind::Video), audio: sends(Kind::Audio) };
                publisher.expect(expects);
                self.engine.run_publisher(self.connection, publisher, expects, String::new())
            }
        })
    }
}
