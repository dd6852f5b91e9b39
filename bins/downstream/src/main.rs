//! The site behind NAT: dials out and offers its streams and services.

mod cli;
mod config;
mod discover;
mod identity;
mod import;
mod port;
mod rtmp;
mod rtsp;
mod run;
mod section;
mod webrtc;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use sluicegate_launch::{Failure, LogFormat, Signals, exit_code, install_logs, raise_descriptor_limit};
use tokio::runtime::Runtime;

use crate::cli::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    exit_code("downstream", work(&arguments))
}

fn work(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Some(Command::ImportM7s { file }) => return print(&import::run(file)?),
        Some(Command::Discover(options)) => return discover(options, arguments),
        None => {}
    }
    let config = config::load(arguments)?;
    if arguments.check {
        return print(&config.shown()?);
    }
    install_logs(&config.log, config.log_format)?;
    raise_descriptor_limit();
    runtime()?.block_on(async { run::run(config, arguments, Signals::new()?).await })
}

fn discover(options: &discover::Options, arguments: &Arguments) -> Result<(), Failure> {
    let (mut filter, mut format) = ("info".to_owned(), LogFormat::default());
    arguments.logs.apply(&mut filter, &mut format);
    install_logs(&filter, format)?;
    let (text, end) = runtime()?.block_on(discover::run(options))?;
    print(&text)?;
    end
}

fn runtime() -> Result<Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Failure::work("starting the runtime", error))
}

/// Prints to standard output.
fn print(text: &str) -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{}", text.trim_end()).map_err(|error| Failure::work("printing", error))
}
