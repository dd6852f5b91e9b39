//! Reads FLV and writes it anew, frame by frame: `flv-write IN OUT`, `-` for standard input or output.
//!
//! Timestamps are unwrapped, the metadata is made from the tracks, codecs without a legacy form come out enhanced: the
//! writer offers no choice between the forms.
//! Try `cargo run -p sluicegate-flv --example flv-write docs/media/sample.flv copy.flv`.
#![expect(clippy::print_stderr, reason = "a program for people says what it did")]

use std::fs::File;
use std::io::{Read, Write};
use std::process::ExitCode;

use bytes::{Bytes, BytesMut};
use sluicegate_flv::{Limits, Reader, write_frame, write_head};
use sluicegate_media::{Content, Frame, Kind, Track, Tracks};

/// As a network would give it; the reader does not mind how the bytes are cut.
const READ_BYTES: usize = 64 << 10;
/// Frames held back at most: a header may announce a track that never comes.
const MAX_EARLY: usize = 1_000;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let is_path = |path: &String| path == "-" || !path.starts_with('-');
    let paths = (arguments.next().filter(is_path), arguments.next().filter(is_path), arguments.next());
    let (Some(from), Some(to), None) = paths else {
        eprintln!("usage: flv-write IN OUT    (- for standard input or output)");
        return ExitCode::from(2);
    };
    match copy(&from, &to) {
        Ok((frames, left_out)) => {
            eprintln!("{frames} frames written to {to}");
            if left_out > 0 {
                eprintln!("{left_out} tags left out, whose codecs are not supported");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{from} to {to}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Frames written, and tags left out.
fn copy(from: &str, to: &str) -> Result<(u64, u64), Box<dyn std::error::Error>> {
    let mut input: Box<dyn Read> = if from == "-" { Box::new(std::io::stdin()) } else { Box::new(File::open(from)?) };
    let mut output: Box<dyn Write> = if to == "-" { Box::new(std::io::stdout()) } else { create(from, to)? };
    let mut reader = Reader::new(Limits::default());
    let (mut buffer, mut writer) = (vec![0; READ_BYTES], Writer::default());
    loop {
        let length = input.read(&mut buffer)?;
        let Some(read) = buffer.get(..length).filter(|read| !read.is_empty()) else { break };
        reader.handle_bytes(Bytes::copy_from_slice(read));
        while let Some(frame) = reader.poll_frame()? {
            writer.take(frame, reader.expects().unwrap_or((true, true)))?;
        }
        output.write_all(&writer.out.split())?;
    }
    writer.begin();
    output.write_all(&writer.out)?;
    output.flush()?;
    Ok((writer.frames, reader.unsupported().map_or(0, |(count, _)| count)))
}

/// Creating a file empties it, so that it must not be the one that is read.
fn create(from: &str, to: &str) -> Result<Box<dyn Write>, Box<dyn std::error::Error>> {
    let same = matches!((std::fs::canonicalize(from), std::fs::canonicalize(to)), (Ok(from), Ok(to)) if from == to);
    if same { Err("both are the same file".into()) } else { Ok(Box::new(File::create(to)?)) }
}

/// Holds frames back until the configurations of all announced tracks are known, since they belong into the head.
#[derive(Default)]
struct Writer {
    tracks: Tracks,
    early: Vec<Frame>,
    begun: bool,
    frames: u64,
    out: BytesMut,
}

impl Writer {
    fn take(&mut self, frame: Frame, announced: (bool, bool)) -> Result<(), Box<dyn std::error::Error>> {
        if frame.content == Content::Configuration {
            self.tracks.set(Track::new(frame.track, frame.codec, frame.payload.clone())?);
        } else if self.tracks.get(frame.track).is_none() && !frame.codec.needs_configuration() {
            self.tracks.set(Track::new(frame.track, frame.codec, Bytes::new())?);
        }
        if self.begun {
            self.write(&frame);
            return Ok(());
        }
        self.early.push(frame);
        let known = |wanted: bool, kind| !wanted || self.tracks.has(kind);
        let complete = known(announced.1, Kind::Video) && known(announced.0, Kind::Audio);
        if complete || self.early.len() >= MAX_EARLY {
            self.begin();
        }
        Ok(())
    }

    /// Writes the head, and what was held back.
    fn begin(&mut self) {
        let Some(first) = self.early.first() else { return };
        write_head(&self.tracks, true, first.dts, &mut self.out);
        self.begun = true;
        for frame in std::mem::take(&mut self.early) {
            if frame.content != Content::Configuration {
                self.write(&frame);
            }
        }
    }

    fn write(&mut self, frame: &Frame) {
        write_frame(frame, &mut self.out);
        self.frames += u64::from(frame.content == Content::Media);
    }
}
