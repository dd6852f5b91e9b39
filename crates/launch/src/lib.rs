//! What each binary does around its work: configuration file, common flags, secrets, logs, ports, signals, exit codes.

mod descriptors;
mod exit;
mod file;
mod flags;
mod logs;
mod ports;
mod quantity;
mod secret;
mod signals;
mod turn;

pub use descriptors::raise_descriptor_limit;
pub use exit::{Failure, exit_code};
pub use file::read;
pub use flags::{LogFlags, TlsFiles, TlsFlags, set};
pub use logs::{LogFormat, install_logs};
pub use ports::{Ports, announce, open_ports};
pub use quantity::{BitRate, Bounded, Size, Span};
pub use secret::Secret;
pub use signals::{Signal, Signals};
pub use turn::Turn;
