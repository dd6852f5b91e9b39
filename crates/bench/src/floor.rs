//! The floor: what the kernel alone costs. One blocking send per picture and viewer, nothing else.

use std::io::{BufRead, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::error::{Doing, Error};
use crate::publisher::{PICTURE_BYTES, PICTURES_PER_SECOND};
use crate::report;

/// Bytes of sound that ride along with a picture, on average.
const RIDING_BYTES: usize = 650;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How many viewers to wait for before the first picture.
    #[arg(long)]
    viewers: usize,
    /// Seconds to send for.
    #[arg(long)]
    seconds: u64,
}

/// Serves and returns when the time is over.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    let listener = TcpListener::bind("127.0.0.1:0").doing("listening")?;
    report::line(&format!("listening on http://{}/", listener.local_addr().doing("listening")?));
    let mut viewers = Vec::new();
    for _ in 0..arguments.viewers {
        let (socket, _) = listener.accept().doing("accepting a viewer")?;
        socket.set_nodelay(true).doing("accepting a viewer")?;
        let mut head = std::io::BufReader::new(&socket);
        let mut line = String::new();
        while head.read_line(&mut line).doing("reading a request")? > 2 {
            line.clear();
        }
        (&socket).write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").doing("answering")?;
        viewers.push(socket);
    }
    let picture = vec![0x55; PICTURE_BYTES + RIDING_BYTES];
    let begun = Instant::now();
    for number in 0..arguments.seconds * PICTURES_PER_SECOND {
        let due = Duration::from_millis(number * 1_000 / PICTURES_PER_SECOND);
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
        viewers.retain_mut(|viewer| viewer.write_all(&picture).is_ok());
    }
    Ok(())
}
