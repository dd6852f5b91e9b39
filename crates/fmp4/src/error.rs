//! Why no init segment can be made.

/// No init segment can be made of these tracks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// None of the tracks has a codec that we put into MP4; the viewer is told which would do.
    #[error("none of the tracks can be carried in MP4, which takes H.264, H.265, AV1, AAC and Opus")]
    NoTrack,
}
