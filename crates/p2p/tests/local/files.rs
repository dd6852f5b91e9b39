//! Files of media, made by ffmpeg.

use std::path::{Path, PathBuf};

use sluicegate_testbed::soon;
use tokio::process::Command;

/// How a file is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sidx1,
    Sidx0,
    Fragments,
    FragmentsWithSound,
    PictureFragments,
    AbsoluteFragments,
    SidxEach,
    Sound,
    OnePiece,
    CuesFirst,
    CuesLast,
    CuesWithRoom,
    Opus,
}

const H264: &str =
    "-an -c:v libx264 -profile:v baseline -level 3.0 -preset ultrafast -g 25 -keyint_min 25 -sc_threshold 0";
const VP8: &str = "-an -c:v libvpx -deadline realtime -cpu-used 8 -g 25 -keyint_min 25";

impl Kind {
    pub(crate) fn itag(self) -> u16 {
        match self {
            Self::OnePiece => 18,
            Self::CuesLast => 43,
            Self::CuesFirst | Self::CuesWithRoom => 242,
            Self::Opus => 251,
            Self::Sound => 140,
            _ => 134,
        }
    }

    fn options(self) -> String {
        match self {
            Self::Sidx1 | Self::Sidx0 => format!("{H264} -movflags +dash+global_sidx+frag_keyframe -f mp4"),
            Self::Fragments => format!("{H264} -movflags +frag_keyframe+empty_moov+default_base_moof -f mp4"),
            Self::FragmentsWithSound => {
                let video = H264.replace("-an", "-c:a aac");
                format!("{video} -movflags +frag_keyframe+empty_moov+default_base_moof -f mp4")
            }
            Self::PictureFragments => {
                format!("{H264} -movflags +frag_every_frame+empty_moov+default_base_moof -f mp4")
            }
            Self::AbsoluteFragments => format!("{H264} -movflags +frag_keyframe+empty_moov -f mp4"),
            Self::SidxEach => format!("{H264} -movflags +dash+frag_keyframe -f mp4"),
            Self::Sound => {
                "-vn -c:a aac -movflags +empty_moov+default_base_moof -frag_duration 300000 -f mp4".to_owned()
            }
            Self::OnePiece => format!("{H264} -movflags +faststart -f mp4"),
            Self::CuesFirst => format!("{VP8} -cues_to_front 1 -f webm"),
            Self::CuesLast => format!("{VP8} -f webm"),
            Self::CuesWithRoom => format!("{VP8} -reserve_index_space 2000 -f webm"),
            Self::Opus => "-vn -c:a libopus -cluster_time_limit 1000 -cues_to_front 1 -f webm".to_owned(),
        }
    }

    fn path(self, folder: &Path, vid: &str) -> PathBuf {
        match self {
            // A video of one file.
            Self::OnePiece => folder.join(format!("{vid}.mp4")),
            Self::CuesLast => folder.join(format!("{vid}.webm")),
            Self::CuesFirst | Self::CuesWithRoom | Self::Opus => folder.join(vid).join(format!("{}.webm", self.itag())),
            _ => folder.join(vid).join(format!("{}.mp4", self.itag())),
        }
    }

    /// Whether its fragments say where they are in the file, so that an index before them moves them.
    pub(crate) fn has_absolute_places(self) -> bool {
        self == Self::AbsoluteFragments
    }

    /// Where the media ends: before the index that ffmpeg writes last, and that is not served.
    pub(crate) fn media_end(self, file: &[u8]) -> usize {
        let size = file.last_chunk::<4>().map_or(0, |size| u32::from_be_bytes(*size) as usize);
        let at = file.len().saturating_sub(size);
        // Or before the Cues, which are served elsewhere.
        let cues = || file.windows(4).rposition(|window| window == [0x1c, 0x53, 0xbb, 0x6b]);
        match file.get(at + 4..at + 8) {
            Some(b"mfra") => at,
            _ if self == Self::CuesLast => cues().unwrap_or_default(),
            _ => file.len(),
        }
    }
}

/// Makes six seconds of a test pattern and a tone.
pub(crate) async fn make(ffmpeg: &Path, folder: &Path, vid: &str, kind: Kind) -> PathBuf {
    let path = kind.path(folder, vid);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let sources = "-f lavfi -i testsrc2=size=320x180:rate=25:duration=6 -f lavfi -i sine=frequency=440:duration=6";
    let script = format!("-hide_banner -loglevel error -y {sources} -pix_fmt yuv420p {}", kind.options());
    let mut command = Command::new(ffmpeg);
    command.args(script.split_whitespace()).arg(&path).kill_on_drop(true);
    let output = soon("ffmpeg", command.output()).await.unwrap();
    assert!(output.status.success(), "{kind:?}: {}", String::from_utf8_lossy(&output.stderr));
    if kind == Kind::Sidx0 {
        std::fs::write(&path, version_0(&std::fs::read(&path).unwrap())).unwrap();
    }
    path
}

/// The same file with a `sidx` of version 0, which is 8 bytes shorter; a `free` box takes their place.
fn version_0(file: &[u8]) -> Vec<u8> {
    let at = file.windows(4).position(|window| window == b"sidx").unwrap() - 4;
    let number = |at: usize| u32::from_be_bytes(file[at..at + 4].try_into().unwrap());
    let (size, end) = (number(at), at + number(at) as usize);
    assert_eq!((file[at + 8], number(at + 20), number(at + 28)), (1, 0, 0));
    let head = [(size - 8).to_be_bytes(), *b"sidx", [0; 4], number(at + 12).to_be_bytes()].concat();
    let times = [number(at + 16), number(at + 24), number(at + 32) + 8].map(u32::to_be_bytes).concat();
    [&file[..at], &head, &times, &file[at + 36..end], b"\0\0\0\x08free", &file[end..]].concat()
}
