//! How a program ends: the chain of causes once, and a code that tells usage from failure.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

/// Why a program ends before its work is done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The configuration is wrong; all that is wrong, one entry each. Exit code 2.
    #[error("the configuration has {} faults:\n  {}", .0.len(), .0.join("\n  "))]
    Usage(Vec<String>),
    /// The work failed. Exit code 1.
    #[error("{doing}")]
    Work {
        /// What was being done.
        doing: String,
        /// Why that failed.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl Failure {
    /// Work that failed.
    pub fn work(doing: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Work { doing: doing.into(), source: source.into() }
    }

    /// The configuration, unless something is wrong with it.
    ///
    /// # Errors
    /// [`Self::Usage`] with all faults.
    pub fn unless<T>(faults: Vec<String>, config: T) -> Result<T, Self> {
        if faults.is_empty() { Ok(config) } else { Err(Self::Usage(faults)) }
    }
}

/// An error and all that is behind it.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Prints a failure with its causes and gives the code to exit with.
#[must_use]
pub fn exit_code(program: &str, result: Result<(), Failure>) -> ExitCode {
    let Err(failure) = result else { return ExitCode::SUCCESS };
    let text = with_causes(&failure);
    // Nothing is left to do when standard error is closed.
    let _ = writeln!(std::io::stderr(), "{program}: {text}");
    match failure {
        Failure::Usage(_) => ExitCode::from(2),
        Failure::Work { .. } => ExitCode::FAILURE,
    }
}
