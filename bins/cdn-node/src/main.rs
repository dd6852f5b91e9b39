//! The chunk network's programs: the node with its HTTP face, and the signalling server.

mod cli;
mod config;
mod node;
mod rest;
mod run;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use serde::Serialize;
use sluicegate_launch::{Failure, LogFormat, Signals, exit_code, install_logs, raise_descriptor_limit};

use crate::cli::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    exit_code("cdn-node", work(&arguments))
}

fn work(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Some(Command::Signal(flags)) => {
            let config = config::signal::load(flags)?;
            if flags.check {
                return show(&config);
            }
            start(&config.log, config.log_format)?.block_on(async { run::signal(&config, Signals::new()?).await })
        }
        None => {
            let config = config::serve::load(&arguments.serve)?;
            if arguments.serve.check {
                return show(&config);
            }
            start(&config.log, config.log_format)?.block_on(async { run::serve(config, Signals::new()?).await })
        }
    }
}

/// Prints a configuration.
fn show(config: &impl Serialize) -> Result<(), Failure> {
    let shown = config::shown(config)?;
    writeln!(std::io::stdout(), "{}", shown.trim_end()).map_err(|error| Failure::work("printing", error))
}

/// What every program does first.
fn start(log: &str, format: LogFormat) -> Result<tokio::runtime::Runtime, Failure> {
    install_logs(log, format)?;
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Failure::work("starting the runtime", error))
}
