//! One stream of a session.

use std::time::Instant;

use super::Players;
use crate::Muted;
use crate::message::{Role, Status, StreamRequest, StreamStatus};

/// A stream that a client publishes or plays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// What the client wants.
    pub role: Role,
    /// The stream's name.
    pub name: String,
    /// Whether the offer has pictures.
    pub has_video: bool,
    /// Whether the offer has sound.
    pub has_audio: bool,
    /// Where the client wants it republished by RTMP.
    pub republish: Option<String>,
    /// What its publisher has muted.
    pub(super) muted: Muted,
    /// Whether a player whose media ends waits for what its publisher's session says.
    pub(super) waits: bool,
    pub(super) phase: Phase,
    record: bool,
}

/// How far a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The media engine makes the answer.
    Answering { deadline: Instant },
    /// The client has the answer.
    Connecting { deadline: Instant },
    /// Media flows.
    Up,
    /// The publisher is to be told this when its media has ended, so that its name is free by then.
    Ending { deadline: Instant, status: Status, info: Option<&'static str> },
    /// The media has ended, and the publisher's socket may yet say why.
    Parting { deadline: Instant },
}

impl Phase {
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Answering { deadline }
            | Self::Connecting { deadline }
            | Self::Ending { deadline, .. }
            | Self::Parting { deadline } => Some(deadline),
            Self::Up => None,
        }
    }
}

impl Stream {
    pub(super) fn new(role: Role, request: &StreamRequest, phase: Phase) -> Self {
        Self {
            role,
            name: request.name.clone(),
            has_video: request.has_video,
            has_audio: request.has_audio,
            republish: request.rtmp_url.clone().filter(|_| role == Role::Publish),
            muted: Muted::default(),
            waits: false,
            phase,
            record: request.record,
        }
    }

    /// How it stands, in the REST interface's words.
    #[must_use]
    pub fn standing(&self) -> Status {
        if self.phase == Phase::Up || self.is_parting() { self.role.up() } else { Status::Pending }
    }

    /// Whether the name is this publisher's: its offer is answered, and its end has not begun.
    #[must_use]
    pub fn holds_its_name(&self) -> bool {
        self.role == Role::Publish && matches!(self.phase, Phase::Connecting { .. } | Phase::Up)
    }

    /// Whether its client would say that it has it: a publisher's ends with its media, a player's when it is told.
    pub(super) fn is_listed(&self) -> bool {
        !self.is_ending() && (self.role == Role::Play || !self.is_parting())
    }

    pub(super) fn is_parting(&self) -> bool {
        matches!(self.phase, Phase::Parting { .. })
    }

    pub(super) fn plays(&self, name: &str) -> bool {
        self.role == Role::Play && self.name == name
    }

    /// Who hears of its end, and why it ends.
    pub(super) fn players(&self, info: &'static str) -> Players {
        match self.role {
            Role::Publish if self.holds_its_name() => Players::All(info),
            Role::Publish if self.is_parting() => Players::Waiting(info),
            Role::Publish | Role::Play => Players::None,
        }
    }

    pub(super) fn is_ending(&self) -> bool {
        matches!(self.phase, Phase::Ending { .. })
    }

    pub(super) fn status(&self, id: String, status: Status, info: Option<&str>) -> StreamStatus {
        let muted = if status == Status::Playing { self.muted } else { Muted::default() };
        StreamStatus {
            media_session_id: id,
            status,
            info: info.map(ToOwned::to_owned),
            name: self.name.clone(),
            published: self.role == Role::Publish,
            has_video: self.has_video,
            has_audio: self.has_audio,
            record: self.record,
            media_provider: "WebRTC".to_owned(),
            audio_muted: muted.audio,
            video_muted: muted.video,
        }
    }
}
