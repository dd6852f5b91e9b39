//! Why a house command fails.

use std::io::Write;
use std::time::Duration;

/// A house command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A program could not be started.
    #[error("{program} could not be started: {source}")]
    Start {
        /// The program.
        program: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A program failed and has said why.
    #[error("{0} failed")]
    Failed(String),
    /// What a program printed cannot be understood.
    #[error("{what}: {said}")]
    Output {
        /// What was read.
        what: &'static str,
        /// What it said.
        said: String,
    },
    /// The operating system refused.
    #[error("{doing}: {source}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A part of the demo has not connected.
    #[error("{site} is not there after {waited:?}")]
    Absent {
        /// The site or node.
        site: &'static str,
        /// How long we waited.
        waited: Duration,
    },
    /// The tree breaks house rules.
    #[error("{} breaches of house rules:\n  {}", .0.len(), .0.join("\n  "))]
    Untidy(Vec<String>),
}

/// Prints a line for the person at the terminal.
pub(crate) fn say(line: &str) {
    // A closed pipe is no reason to fail.
    let _ = writeln!(std::io::stdout(), "{line}");
}
