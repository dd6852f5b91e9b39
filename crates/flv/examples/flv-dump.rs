//! Prints what an FLV file or stream holds, one line a tag: `flv-dump FILE`, or `flv-dump -` for standard input.
//!
//! Each line has the offset of the tag in bytes, its size, the decoding and presentation times in milliseconds, the
//! codec and how the header names it. Damage is shown where it is and fails.
//!
//! Try `cargo run -p sluicegate-flv --example flv-dump docs/media/sample.flv`.
#![expect(clippy::print_stderr, reason = "a program for people says why it fails")]

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Read, Write};
use std::process::ExitCode;

use bytes::Bytes;
use sluicegate_flv::{Decoder, Event, Fault, FourCc, Limits, Tag, TagKind, amf0, audio, video};
use sluicegate_media::Codec;

type Failure = Box<dyn std::error::Error>;

/// As a network would give it; the decoder does not mind how the bytes are cut.
const READ_BYTES: usize = 64 << 10;
/// The file header, as everybody writes it (FLV E.2).
const HEADER_BYTES: u64 = 9;
/// A tag's header (FLV E.4.1).
const TAG_HEADER_BYTES: u64 = 11;
/// `PreviousTagSize`, which many encoders leave out after the last tag.
const TRAILER_BYTES: u64 = 4;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let path = match (arguments.next(), arguments.next()) {
        (Some(path), None) if path == "-" || !path.starts_with('-') => path,
        _ => {
            eprintln!("usage: flv-dump FILE    (- for standard input)");
            return ExitCode::from(2);
        }
    };
    match dump(&path) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads the output has seen enough.
        Err(failure) if closed(&*failure) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{path}: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn closed(failure: &(dyn std::error::Error + 'static)) -> bool {
    failure.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

fn dump(path: &str) -> Result<(), Failure> {
    let mut input: Box<dyn Read> = if path == "-" { Box::new(std::io::stdin()) } else { Box::new(File::open(path)?) };
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut decoder = Decoder::new(Limits::default());
    let (mut buffer, mut seen) = (vec![0; READ_BYTES], Seen::default());
    loop {
        let length = input.read(&mut buffer)?;
        let Some(read) = buffer.get(..length).filter(|read| !read.is_empty()) else { break };
        seen.bytes += length as u64;
        decoder.handle_bytes(Bytes::copy_from_slice(read));
        while let Some(event) = decoder.poll()? {
            match event {
                Event::Header(header) => {
                    seen.end = Some(seen.end.map_or(0, |end| end + TRAILER_BYTES) + HEADER_BYTES);
                    writeln!(out, "header: audio {}, video {}", header.audio, header.video)?;
                }
                Event::Tag(tag) => writeln!(out, "{}", seen.line(tag))?,
            }
        }
        // A live stream is shown as it comes.
        out.flush()?;
    }
    writeln!(out, "{} tags, {} bytes", seen.tags, seen.bytes)?;
    out.flush()?;
    seen.verdict()
}

/// What has gone by.
#[derive(Default)]
struct Seen {
    bytes: u64,
    tags: u64,
    damaged: u64,
    first_damage: Option<(u64, Fault)>,
    /// Where the last header or tag ends, without its trailer.
    end: Option<u64>,
    /// A script tag may be one byte longer than its data: type 15 has a prefix that the decoder takes off.
    prefix: u64,
}

impl Seen {
    fn line(&mut self, tag: Tag) -> String {
        let (offset, size, kind) = (tag.offset, tag.data.len(), tag.kind);
        self.tags += 1;
        self.end = Some(offset + TAG_HEADER_BYTES + size as u64);
        self.prefix = u64::from(kind == TagKind::Script);
        let name = match kind {
            TagKind::Audio => "audio",
            TagKind::Video => "video",
            TagKind::Script => "script",
        };
        let start = format!("{offset:>9} {name:<6} {size:>7} bytes  dts {:>8}", tag.timestamp);
        match describe(tag) {
            Ok(what) => format!("{start}  {what}"),
            Err(fault) if fault.is_unsupported() => format!("{start}  {fault}"),
            Err(fault) => {
                let line = format!("{start}  DAMAGED: {fault}");
                self.damaged += 1;
                self.first_damage.get_or_insert((offset, fault));
                line
            }
        }
    }

    /// Damage inside of tags, or an end within one.
    fn verdict(self) -> Result<(), Failure> {
        if let Some((offset, fault)) = self.first_damage {
            return Err(format!("{} damaged tags, the first at byte {offset}: {fault}", self.damaged).into());
        }
        let Some(end) = self.end else {
            return Err(format!("ends at byte {} before any header or tag", self.bytes).into());
        };
        let next = end + TRAILER_BYTES;
        if self.bytes > next + self.prefix {
            return Err(format!("ends at byte {} within the tag at byte {next}", self.bytes).into());
        }
        Ok(())
    }
}

/// What a tag holds; a multitrack tag holds several packets.
fn describe(tag: Tag) -> Result<String, Fault> {
    if tag.data.is_empty() {
        return Ok("empty".into());
    }
    let (at, first) = (i64::from(tag.timestamp), tag.data.first().copied().unwrap_or_default());
    let packets: Vec<_> = match tag.kind {
        TagKind::Video => video::parse(tag.data)?.iter().map(|packet| picture(at, first, packet)).collect(),
        TagKind::Audio => audio::parse(tag.data)?.iter().map(|packet| sound(at, first, packet)).collect(),
        TagKind::Script => amf0::decode(tag.data)?.iter().map(text).collect(),
    };
    Ok(if packets.is_empty() { "no packets".into() } else { packets.join("; ") })
}

fn picture(at: i64, first: u8, packet: &video::Packet) -> String {
    let (header, offset) = (named(packet.codec, first & 0x80 != 0, first & 0x0f), packet.composition_time);
    let key = if packet.key { ", key frame" } else { "" };
    let offset = if offset == 0 { String::new() } else { format!(", composition time {offset:+}") };
    format!("pts {:>8}  {header} {:?}{key}{offset}{}", pts(at, packet), packet.content, track(packet.track))
}

fn pts(at: i64, packet: &video::Packet) -> i64 {
    at + i64::from(packet.composition_time)
}

fn sound(at: i64, first: u8, packet: &audio::Packet) -> String {
    let header = named(packet.codec, first >> 4 == 9, first >> 4);
    format!("pts {at:>8}  {header} {:?}{}", packet.content, track(packet.track))
}

/// The codec, and how the header says it: by `FourCC` or by a legacy number.
fn named(codec: Codec, enhanced: bool, number: u8) -> String {
    match FourCc::of(codec).filter(|_| enhanced) {
        Some(name) => format!("{} ({name})", codec.name()),
        None => format!("{} (legacy {number})", codec.name()),
    }
}

fn track(number: u8) -> String {
    if number == 0 { String::new() } else { format!(", track {number}") }
}

/// Script data as people write it.
fn text(value: &amf0::Value) -> String {
    use amf0::Value;
    let members = |members: &[(String, Value)]| {
        let members: Vec<_> = members.iter().map(|(name, value)| format!("{name}: {}", text(value))).collect();
        format!("{{{}}}", members.join(", "))
    };
    match value {
        Value::Number(number) => number.to_string(),
        Value::Boolean(yes) => yes.to_string(),
        Value::String(text) | Value::Xml(text) => format!("{text:?}"),
        Value::Object(list) | Value::EcmaArray(list) => members(list),
        Value::TypedObject(name, list) => format!("{name} {}", members(list)),
        Value::StrictArray(list) => format!("[{}]", list.iter().map(text).collect::<Vec<_>>().join(", ")),
        Value::Date(millis) => format!("{millis} ms since 1970"),
        Value::Null => "null".into(),
        Value::Undefined => "undefined".into(),
        Value::Reference(number) => format!("reference {number}"),
    }
}
