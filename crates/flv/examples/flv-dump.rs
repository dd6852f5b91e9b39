//! Prints what an FLV file or stream holds, one line a tag: `flv-dump FILE`, or `flv-dump -` for standard input.
//!
//! Try `cargo run -p sluicegate-flv --example flv-dump docs/media/sample.flv`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what this program is for")]

use std::fs::File;
use std::io::Read;
use std::process::ExitCode;

use bytes::Bytes;
use sluicegate_flv::{Decoder, Event, Limits, Tag, TagKind, amf0, audio, video};

/// As a network would give it; the decoder does not mind how the bytes are cut.
const READ_BYTES: usize = 64 << 10;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(path), None) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: flv-dump FILE    (- for standard input)");
        return ExitCode::from(2);
    };
    match dump(&path) {
        Ok(tags) => {
            println!("{tags} tags");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{path}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn dump(path: &str) -> Result<u64, Box<dyn std::error::Error>> {
    let mut input: Box<dyn Read> = if path == "-" { Box::new(std::io::stdin()) } else { Box::new(File::open(path)?) };
    let mut decoder = Decoder::new(Limits::default());
    let (mut buffer, mut tags) = (vec![0; READ_BYTES], 0);
    loop {
        let length = input.read(&mut buffer)?;
        let Some(read) = buffer.get(..length).filter(|read| !read.is_empty()) else { return Ok(tags) };
        decoder.handle_bytes(Bytes::copy_from_slice(read));
        while let Some(event) = decoder.poll()? {
            match event {
                Event::Header(header) => println!("header   audio: {}, video: {}", header.audio, header.video),
                Event::Tag(tag) => {
                    tags += 1;
                    for line in describe(tag) {
                        println!("{line}");
                    }
                }
            }
        }
    }
}

/// One line for each packet of a tag; a multitrack tag has several.
fn describe(tag: Tag) -> Vec<String> {
    let (at, size) = (tag.timestamp, tag.data.len());
    let damaged =
        |kind: &str, fault: &dyn std::fmt::Display| vec![format!("{at:>8} ms {kind} {size:>7} bytes  {fault}")];
    match tag.kind {
        TagKind::Video => match video::parse(tag.data) {
            Ok(packets) => packets.iter().map(|packet| picture(at, packet)).collect(),
            Err(fault) => damaged("video ", &fault),
        },
        TagKind::Audio => match audio::parse(tag.data) {
            Ok(packets) => packets.iter().map(|packet| sound(at, packet)).collect(),
            Err(fault) => damaged("audio ", &fault),
        },
        TagKind::Script => match amf0::decode(tag.data) {
            Ok(values) => values.iter().map(|value| format!("{at:>8} ms script {value:?}")).collect(),
            Err(fault) => damaged("script", &fault),
        },
    }
}

fn picture(at: u32, packet: &video::Packet) -> String {
    let key = if packet.key { ", key frame" } else { "" };
    let offset =
        if packet.composition_time == 0 { String::new() } else { format!(", +{} ms", packet.composition_time) };
    let (track, size) = (packet.track, packet.body.len());
    format!(
        "{at:>8} ms video  {size:>7} bytes  track {track}: {} {:?}{key}{offset}",
        packet.codec.name(),
        packet.content
    )
}

fn sound(at: u32, packet: &audio::Packet) -> String {
    let (track, size) = (packet.track, packet.body.len());
    format!("{at:>8} ms audio  {size:>7} bytes  track {track}: {} {:?}", packet.codec.name(), packet.content)
}
