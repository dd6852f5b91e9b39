//! An origin of one video whose bytes follow from their place: document, index and parts.

use std::ops::RangeInclusive;

use bytes::Bytes;
use sluicegate_p2p::index::{Reference, Sidx, write_sidx};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::error::{Doing, Error};
use crate::report::line;

/// The video and its stream.
pub(super) const VID: &str = "bench-video";
pub(super) const ITAG: u16 = 134;
/// Bytes of a segment, and of the last one.
pub(super) const SEGMENT: u32 = 630_000;
const SMALL: u32 = 1_000;
/// Bytes before the index.
const INIT: u64 = 100;

/// Where everything stands.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    index: Bytes,
    lengths: Vec<u32>,
}

/// A byte of the stream.
fn byte(at: u64) -> u8 {
    u8::try_from((at / 7 + at * 13) % 251).unwrap_or_default()
}

impl Layout {
    fn new(lengths: Vec<u32>) -> Result<Self, Error> {
        let references =
            lengths.iter().map(|size| Reference { size: *size, duration: 2_000, is_index: false }).collect();
        let sidx = Sidx { timescale: 1_000, earliest: 0, first_offset: 0, references };
        let index = write_sidx(&sidx).map_err(|error| Error::Answer(error.to_string()))?;
        Ok(Self { index, lengths })
    }

    /// Segments of the size that the existing node was measured with, and a last one of a single chunk.
    pub(super) fn even(segments: usize) -> Result<Self, Error> {
        let mut lengths = vec![SEGMENT; segments];
        lengths.push(SMALL);
        Self::new(lengths)
    }

    /// Where the first segment begins in the stream.
    pub(super) fn media(&self) -> u64 {
        INIT + self.index.len() as u64
    }

    fn total(&self) -> u64 {
        self.media() + self.lengths.iter().copied().map(u64::from).sum::<u64>()
    }

    /// Bytes of a segment.
    pub(super) fn length(&self, index: usize) -> usize {
        self.lengths.get(index).map_or(0, |length| *length as usize)
    }

    /// Whether a segment has come as it must. Comparing a piece is enough to see a chunk in a wrong place, and costs the
    /// machine less than all of it.
    pub(super) fn is_right(&self, index: usize, got: &[u8]) -> bool {
        let expected = self.length(index);
        got.len() == expected && (0..expected).step_by(997).all(|at| got.get(at) == Some(&self.at(index, at)))
    }

    /// A byte of a segment as it must arrive.
    fn at(&self, index: usize, at: usize) -> u8 {
        let before: u64 = self.lengths.iter().take(index).copied().map(u64::from).sum();
        byte(self.media() + before + at as u64)
    }

    fn part(&self, range: RangeInclusive<u64>) -> Vec<u8> {
        let index = |at: u64| usize::try_from(at.checked_sub(INIT)?).ok().and_then(|at| self.index.get(at)).copied();
        range.map(|at| index(at).unwrap_or_else(|| byte(at))).collect()
    }

    fn document(&self) -> String {
        let index_end = self.media() - 1;
        format!(
            "{{\"id\":\"{VID}\",\"title\":\"\",\"duration\":\"60\",\"author\":\"\",\"captions\":[],\"streams\":{{\"{ITAG}\":\
             {{\"quality\":\"\",\"type\":\"video/mp4; codecs=\\\"avc1.42c01e\\\"\",\"itag\":\"{ITAG}\",\"len\":\"{}\",\
             \"initRange\":{{\"start\":\"0\",\"end\":\"{}\"}},\"indexRange\":{{\"start\":\"{INIT}\",\"end\":\"{index_end}\"}}}}}}}}",
            self.total(),
            INIT - 1,
        )
    }

    fn answer(&self, path: &str) -> Option<Vec<u8>> {
        let rest = path.strip_prefix('/')?.strip_prefix(VID)?;
        if rest == ".json" {
            return Some(self.document().into_bytes());
        }
        let range = rest.strip_prefix(&format!("/{ITAG}/"))?.strip_suffix(".ts")?;
        let (start, end) = range.split_once('-')?;
        let (start, end) = (start.parse().ok()?, end.parse::<u64>().ok()?);
        Some(self.part(start..=end.min(self.total() - 1)))
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where to listen.
    #[arg(long)]
    listen: String,
    /// Segments of the stream.
    #[arg(long)]
    segments: usize,
}

/// Serves it as a program of its own.
pub(crate) async fn run(arguments: &Arguments) -> Result<(), Error> {
    let address = serve(Layout::even(arguments.segments)?, &arguments.listen).await?;
    line(&format!("listening on http://{address}/"));
    std::future::pending().await
}

/// Serves it until the bench ends; gives the address.
pub(super) async fn serve(layout: Layout, listen: &str) -> Result<String, Error> {
    let listener = TcpListener::bind(listen).await.doing("opening the origin")?;
    let address = listener.local_addr().doing("opening the origin")?;
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let layout = layout.clone();
            // A client that goes away costs its own connection only.
            tokio::spawn(async move { talk(socket, &layout).await.ok() });
        }
    });
    Ok(address.to_string())
}

async fn talk(socket: TcpStream, layout: &Layout) -> std::io::Result<()> {
    let mut socket = BufReader::new(socket);
    loop {
        let (mut path, mut line) = (String::new(), String::new());
        while socket.read_line(&mut line).await? > 0 && !line.trim().is_empty() {
            if path.is_empty() {
                line.split(' ').nth(1).unwrap_or_default().clone_into(&mut path);
            }
            line.clear();
        }
        if path.is_empty() {
            return Ok(());
        }
        let (status, body) = layout.answer(&path).map_or((404, Vec::new()), |body| (200, body));
        let head = format!("HTTP/1.1 {status} .\r\nContent-Length: {}\r\n\r\n", body.len());
        socket.write_all(head.as_bytes()).await?;
        socket.write_all(&body).await?;
    }
}
