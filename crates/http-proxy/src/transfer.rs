//! Bodies on their way: frames pass one by one as they come, nothing is collected.

pub(crate) mod download;
pub(crate) mod passage;
pub(crate) mod splice;
pub(crate) mod upload;

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body::{Body, Frame};

use crate::headers;

/// Why a body ends before its end.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The next frame of a body, with its trailers cleaned.
fn poll_clean<B>(body: Pin<&mut B>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    body.poll_frame(context).map(|next| match next? {
        Ok(mut frame) => {
            if let Some(trailers) = frame.trailers_mut() {
                headers::clean_trailers(trailers);
            }
            Some(Ok(frame))
        }
        Err(error) => Some(Err(error.into())),
    })
}

/// Whether an answer has no body whatever its fields say (RFC 9112 §6.3).
///
/// Such a body must not claim a length of zero: layers above would write it beside, or instead of, the length that a
/// `GET` would have had.
pub(crate) fn is_bodiless(asked: &Method, status: StatusCode) -> bool {
    asked == Method::HEAD
        || status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
}
