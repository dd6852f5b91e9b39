//! What the two ends tell each other of codecs (E-RTMP, "Enhancing `NetConnection` connect Command").

use sluicegate_flv::FourCc;
use sluicegate_flv::amf0::Value;
use sluicegate_media::{Codec, Kind};

/// Bits of `capsEx`.
pub mod caps_ex {
    /// Several tracks of a kind in one stream.
    pub const MULTITRACK: u32 = 2;
    /// Extended headers.
    pub const MOD_EX: u32 = 4;
    /// Nanoseconds in extended headers.
    pub const NANOSECONDS: u32 = 8;
}

/// What a codec in an information map can be used for: decoded 1, encoded 2, forwarded 4.
const CAN_FORWARD: f64 = 4.0;
/// Names of codecs that a peer may list, at most; there are a dozen.
const MAX_NAMES: usize = 64;
const VIDEO: [Codec; 5] = [Codec::H264, Codec::H265, Codec::Av1, Codec::Vp8, Codec::Vp9];
const AUDIO: [Codec; 6] = [Codec::Aac, Codec::Opus, Codec::Mp3, Codec::Ac3, Codec::Eac3, Codec::Flac];

/// What a peer has told of itself. One that tells nothing is taken at its word about nothing: it gets what there is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// Names of codecs in enhanced headers; `*` is any.
    video: Vec<String>,
    audio: Vec<String>,
    /// Bits of [`caps_ex`].
    pub extensions: u32,
}

impl Capabilities {
    /// Reads what a `connect` or its answer says, in any of its objects.
    #[must_use]
    pub fn parse(values: &[Value]) -> Self {
        let mut told = Self::default();
        for value in values {
            if let Some(Value::StrictArray(names)) = value.get("fourCcList") {
                let names: Vec<String> =
                    names.iter().filter_map(Value::as_str).map(str::to_owned).take(MAX_NAMES).collect();
                told.video.extend_from_slice(&names);
                told.audio.extend(names);
            }
            told.video.extend(keys(value.get("videoFourCcInfoMap")));
            told.audio.extend(keys(value.get("audioFourCcInfoMap")));
            if let Some(bits) = value.get("capsEx").and_then(Value::as_number) {
                told.extensions |= bits_of(bits);
            }
        }
        told
    }

    /// Whether the peer has said anything.
    #[must_use]
    pub fn are_told(&self) -> bool {
        !self.video.is_empty() || !self.audio.is_empty()
    }

    /// Whether the peer takes a codec: each that has a legacy number, each that is listed, and all where nothing is.
    #[must_use]
    pub fn takes(&self, codec: Codec) -> bool {
        let list = if codec.kind() == Kind::Video { &self.video } else { &self.audio };
        if list.is_empty() || is_legacy(codec) {
            return true;
        }
        let Some(name) = FourCc::of(codec).map(|name| name.to_string()) else { return true };
        list.iter().any(|have| have == "*" || *have == name)
    }

    /// Whether the peer takes several tracks of a kind.
    #[must_use]
    pub fn multitrack(&self) -> bool {
        self.extensions & caps_ex::MULTITRACK != 0
    }
}

const fn is_legacy(codec: Codec) -> bool {
    matches!(codec, Codec::H264 | Codec::Aac | Codec::Mp3 | Codec::G711A | Codec::G711U | Codec::Amf0)
}

fn keys(map: Option<&Value>) -> Vec<String> {
    let Some(Value::Object(members) | Value::EcmaArray(members)) = map else { return Vec::new() };
    members.iter().map(|(name, _)| name.clone()).take(MAX_NAMES).collect()
}

/// The lower bits of a number that came as a double.
fn bits_of(number: f64) -> u32 {
    (0..16_u32).filter(|bit| (number / f64::from(1_u32 << bit)) % 2.0 >= 1.0).map(|bit| 1 << bit).sum()
}

/// The members that tell of ourselves: we forward all that we carry.
pub(super) fn ours() -> Vec<(String, Value)> {
    let names = |codecs: &[Codec]| -> Vec<String> {
        codecs.iter().filter_map(|codec| FourCc::of(*codec)).map(|name| name.to_string()).collect()
    };
    let map = |codecs: &[Codec]| {
        Value::Object(names(codecs).into_iter().map(|name| (name, Value::Number(CAN_FORWARD))).collect())
    };
    let list = names(&VIDEO).into_iter().chain(names(&AUDIO)).map(Value::String).collect();
    let bits = caps_ex::MULTITRACK | caps_ex::MOD_EX | caps_ex::NANOSECONDS;
    vec![
        ("fourCcList".to_owned(), Value::StrictArray(list)),
        ("videoFourCcInfoMap".to_owned(), map(&VIDEO)),
        ("audioFourCcInfoMap".to_owned(), map(&AUDIO)),
        ("capsEx".to_owned(), Value::Number(f64::from(bits))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_tell_is_understood() {
        let told = Capabilities::parse(&[Value::Null, Value::Object(ours())]);
        assert!(told.are_told() && told.multitrack() && told.extensions == 14);
        assert!(VIDEO.iter().chain(&AUDIO).all(|codec| told.takes(*codec)));
    }

    #[test]
    fn a_list_leaves_out_what_it_does_not_name() {
        let list = |names: &[&str]| {
            let names = names.iter().map(|name| Value::String((*name).to_owned())).collect();
            Capabilities::parse(&[Value::Object(vec![("fourCcList".to_owned(), Value::StrictArray(names))])])
        };
        let some = list(&["hvc1", "Opus"]);
        assert!(
            some.takes(Codec::H265) && some.takes(Codec::Opus) && some.takes(Codec::H264) && some.takes(Codec::Aac)
        );
        assert!(!some.takes(Codec::Av1) && !some.takes(Codec::Flac) && !some.multitrack());
        assert!(list(&["*"]).takes(Codec::Av1) && Capabilities::default().takes(Codec::Av1));
    }

    #[test]
    fn bits_are_read_from_any_number() {
        assert_eq!((bits_of(6.0), bits_of(65_535.0), bits_of(-2.0), bits_of(f64::NAN)), (6, 65_535, 0, 0));
    }
}
