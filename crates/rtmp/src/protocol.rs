//! The protocol without a socket and without a clock: bytes and an instant in; events, bytes and a deadline out.
//!
//! [`ServerSession`] and [`ClientSession`] are the two ends. A driver gives them what it has read
//! (`handle_bytes`), takes events (`poll_event`) until there are none, writes what they want written (`poll_output`), and
//! calls `handle_timeout` at `poll_timeout`. Media goes out beside the session, as shared bytes of
//! [`write_message`], whose form depends on no state of a connection.
//!
//! Sources: Adobe's Real Time Messaging Protocol 1.0 ("RTMP"), Veovera Enhanced RTMP v2 ("E-RTMP"). The handshake with
//! digests is in neither; it is known from servers and clients that use it.

#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

mod address;
mod capabilities;
mod client;
mod command;
mod digest;
mod handshake;
mod input;
mod message;
mod reader;
mod server;
mod violation;
mod wire;
mod writer;

pub use address::{Address, Place};
pub use capabilities::{Capabilities, caps_ex};
pub use client::{ClientConfig, ClientEvent, ClientSession, Purpose};
pub use command::Command;
pub use message::{Message, kind};
pub use reader::{Limits, Reader};
pub use server::{Request, ServerEvent, ServerSession, status};
pub use violation::Violation;
pub use writer::{CHUNK_BYTES, MEDIA_STREAM, write_message};

/// One fuzzed run of a server behind its handshake, cut as the first byte says.
pub fn fuzz_server(data: &[u8]) {
    let Some((&cut, bytes)) = data.split_first() else { return };
    let mut session = ServerSession::after_handshake();
    for chunk in bytes.chunks(usize::from(cut).saturating_add(1)) {
        session.handle_bytes(bytes::Bytes::copy_from_slice(chunk));
        while let Ok(Some(event)) = session.poll_event() {
            match event {
                ServerEvent::Publish(_) => session.accept_publish(),
                ServerEvent::Play(_) => session.accept_play(),
                ServerEvent::Media(_) | ServerEvent::Ended => {}
            }
        }
        while session.poll_output().is_some() {}
    }
}

/// One fuzzed run of the chunk reader, cut as the first byte says.
pub fn fuzz_reader(data: &[u8]) {
    let Some((&cut, bytes)) = data.split_first() else { return };
    let mut reader = Reader::new(Limits::default());
    for chunk in bytes.chunks(usize::from(cut).saturating_add(1)) {
        reader.handle_bytes(bytes::Bytes::copy_from_slice(chunk));
        while let Ok(Some(_)) = reader.poll() {}
    }
}
