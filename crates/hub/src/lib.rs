//! Live streams of one process: publish, subscribe, replay from a key frame, statistics.
//!
//! A [`Publisher`] pushes [`sluicegate_media::Frame`]s. The hub puts them on one timeline, gathers them into
//! [`Batch`]es (a video frame with the sound that rides along) and keeps the newest in a ring that all viewers
//! share. A [`Subscriber`] is a cursor in that ring: it starts at the newest key frame, and when it falls off
//! the ring's tail it skips to the newest key frame again, so a slow viewer costs no memory.
//!
//! Streams whose names differ by their variant alone, `cams/door` and `cams/door:sub`, are forms of one; [`variants`] has
//! the rules by which a viewer gets one of them.
//!
//! The hub knows no container. A service brings a [`Format`]; its bytes are made once per batch, by the first
//! viewer that needs them, and shared.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use sluicegate_hub::{Config, Expects, Hub, Publish, StreamName, Viewer};
//! use sluicegate_media::{Codec, Frame, Timestamp, TrackId};
//!
//! let hub = Hub::new(Config::default()).unwrap();
//! let name = StreamName::parse("cams/door").unwrap();
//! let publisher = hub.publish(&name, Publish::by("example").expecting(Expects::AUDIO)).unwrap();
//! let mut viewer = hub.subscribe(&name, Viewer::by("example"));
//! publisher.push(Frame::media(TrackId::AUDIO, Codec::Opus, Timestamp::ZERO, b"\xfc"[..].into())).unwrap();
//! let batch = viewer.next().await.unwrap();
//! assert_eq!(batch.frames[0].payload, b"\xfc"[..]);
//! # });
//! ```

mod assembler;
mod batch;
mod config;
mod error;
mod format;
mod hub;
mod metrics;
mod name;
mod offer;
mod patience;
mod publisher;
mod rate;
pub mod relay;
mod ring;
mod status;
mod stream;
mod subscriber;
mod timeline;
pub mod variants;

pub use batch::{Batch, TrackSet};
pub use config::{Config, Uplinks};
pub use error::{Ended, Error, Reason};
pub use format::{Format, Output};
pub use hub::Hub;
pub use name::{Owner, StreamName};
pub use offer::Offer;
pub use patience::Patience;
pub use publisher::{Expects, Publish, Publisher};
pub use status::{State, StreamStatus, TrackStatus, ViewerPath, ViewerStatus};
pub use subscriber::{Next, Subscriber, Viewer};
pub use variants::{Choice, Variant};
