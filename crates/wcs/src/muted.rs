//! What a publisher has muted, which players that come later are told as well.

/// Its sound is muted.
const AUDIO_MUTED: &str = "audioMuted";
/// Its pictures are.
const VIDEO_MUTED: &str = "videoMuted";

/// What a publisher may tell its players (`STREAM_EVENT_TYPE` in the SDK's constants). A server's own events, such as
/// `resize`, are about one player's connection.
const OF_PUBLISHERS: [&str; 5] = [AUDIO_MUTED, "audioUnmuted", VIDEO_MUTED, "videoUnmuted", "data"];

/// Which of a stream's media its publisher has muted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Muted {
    /// Its sound.
    pub audio: bool,
    /// Its pictures.
    pub video: bool,
}

impl Muted {
    /// Takes note of an event, if it is one that mutes or unmutes.
    pub fn note(&mut self, kind: &str) {
        match kind {
            AUDIO_MUTED => self.audio = true,
            "audioUnmuted" => self.audio = false,
            VIDEO_MUTED => self.video = true,
            "videoUnmuted" => self.video = false,
            _ => {}
        }
    }

    /// The events that tell the same.
    pub fn events(self) -> impl Iterator<Item = &'static str> {
        let (audio, video) = (self.audio.then_some(AUDIO_MUTED), self.video.then_some(VIDEO_MUTED));
        audio.into_iter().chain(video)
    }
}

/// Whether an event is a publisher's.
pub(crate) fn is_of_publishers(kind: &str) -> bool {
    OF_PUBLISHERS.contains(&kind)
}

/// `audioState` and `videoState` of a status: `{"muted": true}`. The SDK hands them on as they are.
pub(crate) mod state {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_json::{Value, json};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands fields over so")]
    pub(crate) fn is_audible(muted: &bool) -> bool {
        !muted
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands fields over so")]
    pub(crate) fn serialize<S: Serializer>(muted: &bool, to: S) -> Result<S::Ok, S::Error> {
        json!({ "muted": muted }).serialize(to)
    }

    /// Another shape is none that anybody has seen, and says nothing.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(source: D) -> Result<bool, D::Error> {
        Value::deserialize(source).map(|state| state.get("muted") == Some(&Value::Bool(true)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_tell_what_is_muted() {
        let mut muted = Muted::default();
        for (kind, expected) in [
            ("audioMuted", vec!["audioMuted"]),
            ("data", vec!["audioMuted"]),
            ("videoMuted", vec!["audioMuted", "videoMuted"]),
            ("audioUnmuted", vec!["videoMuted"]),
            ("videoUnmuted", vec![]),
        ] {
            muted.note(kind);
            assert_eq!(muted.events().collect::<Vec<_>>(), expected, "{kind}");
            assert!(is_of_publishers(kind));
        }
        assert!(!is_of_publishers("resize"));
    }
}
