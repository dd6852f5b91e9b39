//! Logs: one line an event on standard error.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use crate::Failure;

/// How log lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON object a line.
    Json,
}

/// What the WebRTC stack logs of its own: a hostile peer can make it say as much as it likes. Counters have what matters.
const QUIET: &str = "rtc=off";

/// Writes log lines from now on. The environment's `RUST_LOG` goes before `filter`.
///
/// # Errors
/// [`Failure::Usage`] when the filter is no filter.
pub fn install_logs(filter: &str, format: LogFormat) -> Result<(), Failure> {
    let directives = std::env::var("RUST_LOG").unwrap_or_else(|_| filter.to_owned());
    let filter = EnvFilter::try_new(format!("{QUIET},{directives}"));
    let filter = filter.map_err(|error| Failure::Usage(vec![format!("log: {directives:?} is no filter: {error}")]))?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let subscriber = subscriber.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    let installed = match format {
        LogFormat::Text => subscriber.try_init(),
        LogFormat::Json => subscriber.json().try_init(),
    };
    installed.map_err(|error| Failure::work("installing the logs", error))
}
