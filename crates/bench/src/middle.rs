//! A wire between two programs that can be frozen and cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::error::{Doing, Error};

/// A wire. Frozen it holds its connections open and forwards nothing; cut it ends those that there are.
pub(crate) struct Middle {
    pub(crate) address: String,
    state: watch::Sender<State>,
    dialled: Arc<AtomicU64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    frozen: bool,
    cuts: u64,
}

impl Middle {
    pub(crate) async fn start(target: String) -> Result<Self, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").await.doing("opening a port")?;
        let address = listener.local_addr().doing("opening a port")?.to_string();
        let (state, seen) = watch::channel(State::default());
        let dialled = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&dialled);
        tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let Ok(to) = TcpStream::connect(&target).await else { continue };
                let ((from_read, from_write), (to_read, to_write)) = (from.into_split(), to.into_split());
                tokio::spawn(forward(from_read, to_write, seen.clone()));
                tokio::spawn(forward(to_read, from_write, seen.clone()));
            }
        });
        Ok(Self { address, state, dialled })
    }

    /// Forwards nothing from now on.
    pub(crate) fn freeze(&self) {
        self.state.send_modify(|state| state.frozen = true);
    }

    /// Ends all connections; new ones are forwarded.
    pub(crate) fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Connections so far.
    pub(crate) fn dialled(&self) -> u64 {
        self.dialled.load(Ordering::Relaxed)
    }
}

async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>) {
    let born = state.borrow().cuts;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let moves = state.wait_for(|state| !state.frozen || state.cuts != born).await;
        if !moves.is_ok_and(|state| state.cuts == born) {
            return;
        }
        tokio::select! {
            read = from.read(&mut buffer) => {
                let Some(bytes) = read.ok().filter(|&length| length > 0).and_then(|length| buffer.get(..length)) else {
                    return;
                };
                if to.write_all(bytes).await.is_err() {
                    return;
                }
            }
            _ = state.changed() => {}
        }
    }
}
