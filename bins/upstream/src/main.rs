//! The public host: takes sites in and shows their streams and services.

mod cli;
mod config;
mod direct;
mod import;
mod port;
mod relay_command;
mod rtmp;
mod rtsp;
mod run;
mod section;
mod site_command;
mod wcs;

use std::process::ExitCode;

use clap::Parser;
use sluicegate_launch::{Failure, Signals, exit_code, install_logs, raise_descriptor_limit};

use crate::cli::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    exit_code("upstream", work(&arguments))
}

fn work(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(Command::ImportM7s { file }) = &arguments.command {
        return cli::print(&import::run(file)?);
    }
    let config = config::load(&arguments.server)?;
    if let Some(Command::Site(command)) = &arguments.command {
        return site_command::run(command, &config);
    }
    if let Some(Command::Relay(command)) = &arguments.command {
        return relay_command::run(command, &config);
    }
    if arguments.server.check {
        return cli::print(&config.shown()?);
    }
    install_logs(&config.log, config.log_format)?;
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::work("starting the runtime", error))?;
    runtime.block_on(async { run::run(config, &arguments.server, Signals::new()?).await })
}
