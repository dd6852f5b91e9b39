//! What chain tests need: built binaries, ffmpeg, curl and Chromium, with deadlines.
//!
//! For tests only: whatever goes wrong panics with what the program said. A test that needs a peer asks [`peer::find`]
//! first and returns when it is not there. Programs are started on port 0, wait for nothing without a deadline, and
//! are killed by id when their handle is dropped.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test that cannot go on fails, with the reason in the panic"
)]

pub mod api;
pub mod browser;
pub mod clapper;
pub mod media;
pub mod peer;
pub mod program;
pub mod recorded;
pub mod turn;
mod websdk;

use std::future::Future;
use std::time::Duration;

/// How long anything may take on a busy machine of two cores.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How often [`until`] looks.
const LOOK: Duration = Duration::from_millis(50);

/// Waits for a future, at most [`PATIENCE`].
pub async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    let waited = tokio::time::timeout(PATIENCE, future).await;
    waited.unwrap_or_else(|_| panic!("{what}: nothing after {PATIENCE:?}"))
}

/// Looks again and again until there is something to see, at most [`PATIENCE`].
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let see = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    soon(what, see).await
}
