//! The site behind NAT: dials out and offers its streams and services.

mod cli;
mod config;
mod identity;
mod import;
mod port;
mod rtmp;
mod run;
mod webrtc;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use sluicegate_launch::{Failure, Signals, exit_code, install_logs, raise_descriptor_limit};

use crate::cli::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    exit_code("downstream", work(&arguments))
}

fn work(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(Command::ImportM7s { file }) = &arguments.command {
        return print(&import::run(file)?);
    }
    let config = config::load(arguments)?;
    if arguments.check {
        return print(&config.shown()?);
    }
    install_logs(&config.log, config.log_format)?;
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::work("starting the runtime", error))?;
    runtime.block_on(async { run::run(config, arguments, Signals::new()?).await })
}

/// Prints to standard output.
fn print(text: &str) -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{}", text.trim_end()).map_err(|error| Failure::work("printing", error))
}
