//! A shell command that writes FLV to its standard output.

use std::collections::VecDeque;
use std::process::Stdio;

use sluicegate_hub::Publisher;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Command;

use crate::{FlvPort, PortError};

/// Lines of its standard error that are kept for the log.
const TAIL_LINES: usize = 8;
/// Bytes of one such line.
const LINE_BYTES: usize = 300;

/// A command that ended by itself, with what it said last.
#[derive(Debug, thiserror::Error)]
#[error("the command ended with {status}; it said: {tail}")]
struct Ended {
    status: std::process::ExitStatus,
    tail: String,
}

/// Runs the command until it ends or the publisher is closed. The process ends with this future.
pub(super) async fn run(line: &str, port: &dyn FlvPort, publisher: Publisher) -> Result<(), PortError> {
    // With `exec` the shell becomes the command, so that ending the process ends the command.
    let mut child = Command::new("sh")
        .args(["-c", &format!("exec {line}")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err("the command has no output".into());
    };
    let publishing = port.publish(Box::pin(stdout), publisher);
    let (published, tail) = tokio::join!(publishing, tail(stderr));
    let status = child.wait().await?;
    if !status.success() {
        return Err(Box::new(Ended { status, tail }));
    }
    published
}

/// The last lines, read to the end so that the command never waits for us.
async fn tail(stderr: impl AsyncRead + Unpin) -> String {
    let mut lines = VecDeque::new();
    let mut reader = BufReader::new(stderr).lines();
    while let Ok(Some(mut line)) = reader.next_line().await {
        if lines.len() == TAIL_LINES {
            lines.pop_front();
        }
        line.truncate(line.floor_char_boundary(LINE_BYTES));
        lines.push_back(line);
    }
    lines.make_contiguous().join(" | ")
}
