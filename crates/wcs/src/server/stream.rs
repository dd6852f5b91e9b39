//! One stream of a session.

use std::time::Instant;

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
}

impl Phase {
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Answering { deadline } | Self::Connecting { deadline } | Self::Ending { deadline, .. } => {
                Some(deadline)
            }
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
            phase,
            record: request.record,
        }
    }

    /// How it stands, in the REST interface's words.
    #[must_use]
    pub fn standing(&self) -> Status {
        if self.phase == Phase::Up { self.role.up() } else { Status::Pending }
    }

    /// Whether the name is this publisher's: its offer is answered, and its end has not begun.
    #[must_use]
    pub fn holds_its_name(&self) -> bool {
        self.role == Role::Publish && matches!(self.phase, Phase::Connecting { .. } | Phase::Up)
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
