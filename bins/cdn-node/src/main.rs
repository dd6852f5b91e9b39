//! The chunk network's programs; so far the signalling server.

mod cli;
mod config;
mod run;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use sluicegate_launch::{Failure, Signals, exit_code, install_logs, raise_descriptor_limit};

use crate::cli::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    exit_code("cdn-node", work(&arguments))
}

fn work(arguments: &Arguments) -> Result<(), Failure> {
    let Command::Signal(flags) = &arguments.command;
    let config = config::load(flags)?;
    if flags.check {
        let shown = config.shown()?;
        return writeln!(std::io::stdout(), "{}", shown.trim_end()).map_err(|error| Failure::work("printing", error));
    }
    install_logs(&config.log, config.log_format)?;
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::work("starting the runtime", error))?;
    runtime.block_on(async { run::signal(&config, Signals::new()?).await })
}
