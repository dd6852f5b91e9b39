//! What belongs to a video beside its streams.

use std::time::SystemTime;

use bytes::Bytes;

/// Captions or a picture.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DocumentKind {
    /// Captions in a language, or in the first that there is.
    Captions {
        /// The language, letters, digits and hyphens: `en`, `pt-BR`.
        language: Option<String>,
    },
    /// A picture for lists.
    Jpeg,
    /// The same as `WebP`.
    WebP,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its bytes.
    pub bytes: Bytes,
    /// Its type.
    pub mime: &'static str,
    /// When it was changed, where that is known.
    pub modified: Option<SystemTime>,
}

impl DocumentKind {
    /// How the name of its resource ends.
    #[must_use]
    pub fn extension(&self) -> &'static str {
        match self {
            Self::Captions { .. } => "xml",
            Self::Jpeg => "jpg",
            Self::WebP => "webp",
        }
    }

    /// Its type.
    #[must_use]
    pub fn mime(&self) -> &'static str {
        match self {
            Self::Captions { .. } => "text/xml; charset=UTF-8",
            Self::Jpeg => "image/jpeg",
            Self::WebP => "image/webp",
        }
    }
}
