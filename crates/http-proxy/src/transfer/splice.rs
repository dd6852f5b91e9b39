//! Two byte streams joined after an upgrade: what comes from one goes to the other, in its pace.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// Bytes that each direction reads at once, and so the most that waits here. An HTTP/2 frame has as many at most.
const PIECE: usize = 16 << 10;
/// How long the second direction may go on after the first has ended. A WebSocket has no half: what is left is its
/// closing frame.
const LINGER: Duration = Duration::from_secs(5);

/// One end of a splice.
#[derive(Debug)]
pub(crate) struct Side<S> {
    pub(crate) stream: S,
    /// How long it may refuse what is written to it. `None`: for ever, because the other end watches.
    pub(crate) stall: Option<Duration>,
    /// Told of the bytes that come from it.
    pub(crate) count: fn(usize),
}

/// Joins both ends until both directions have ended, one has failed, or one has ended and the other lingers too long.
pub(crate) async fn splice<A, B>(left: Side<A>, right: Side<B>)
where
    A: AsyncRead + AsyncWrite,
    B: AsyncRead + AsyncWrite,
{
    let (left_read, left_write) = tokio::io::split(left.stream);
    let (right_read, right_write) = tokio::io::split(right.stream);
    let over = pump(left_read, right_write, right.stall, left.count);
    let back = pump(right_read, left_write, left.stall, right.count);
    tokio::pin!(over, back);
    let ended = tokio::select! {
        ended = &mut over => match ended {
            Ok(()) => timeout(LINGER, back).await.unwrap_or(Ok(())),
            failed => failed,
        },
        ended = &mut back => match ended {
            Ok(()) => timeout(LINGER, over).await.unwrap_or(Ok(())),
            failed => failed,
        },
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an upgraded exchange broke off");
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    stall: Option<Duration>,
    count: fn(usize),
) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let length = from.read(&mut piece).await?;
        let Some(data) = piece.get(..length).filter(|data| !data.is_empty()) else {
            return to.shutdown().await;
        };
        count(length);
        let write = async {
            to.write_all(data).await?;
            to.flush().await
        };
        match stall {
            Some(limit) => timeout(limit, write).await.map_err(|_| io::ErrorKind::TimedOut)??,
            None => write.await?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side<S>(stream: S, stall: Option<Duration>) -> Side<S> {
        Side { stream, stall, count: |_| {} }
    }

    #[tokio::test(start_paused = true)]
    async fn both_directions_flow_and_an_end_ends_both() {
        let (mut client, near) = tokio::io::duplex(64);
        let (far, mut device) = tokio::io::duplex(64);
        let splicing = tokio::spawn(splice(side(near, None), side(far, None)));
        client.write_all(b"question").await.unwrap();
        let mut read = [0; 8];
        device.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"question");
        device.write_all(b"answer").await.unwrap();
        device.shutdown().await.unwrap();
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"answer");
        // The client never closes; the splice does not wait for it for ever.
        splicing.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_stalls_is_given_up() {
        let (client, near) = tokio::io::duplex(64);
        let (far, mut device) = tokio::io::duplex(64);
        let splicing = tokio::spawn(splice(side(near, Some(Duration::from_secs(30))), side(far, None)));
        // The pieces stop fitting, and after the limit the device sees the end.
        while device.write_all(&[0; 64]).await.is_ok() {}
        splicing.await.unwrap();
        drop(client);
    }
}
