//! An answer's body on its way from the device to the link: nothing but clean trailers and an honest length.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{BoxError, poll_clean};

/// A body that passes as it is. The link's own windows hold it back, and its drop closes the device's connection.
#[derive(Debug)]
pub(crate) struct Passage<B> {
    inner: B,
    bodiless: bool,
}

impl<B> Passage<B> {
    /// Wraps the body; `bodiless` as in [`super::is_bodiless`].
    pub(crate) fn new(inner: B, bodiless: bool) -> Self {
        Self { inner, bodiless }
    }
}

impl<B> Body for Passage<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        poll_clean(Pin::new(&mut self.inner), context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.bodiless { SizeHint::default() } else { self.inner.size_hint() }
    }
}
