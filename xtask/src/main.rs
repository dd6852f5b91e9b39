//! House commands: demo, demo-cdn, test, ci, tidy, bench, soak, fuzz.

mod cargo;
mod demo;
mod error;
mod fuzz;
mod soak;
mod tests;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::cargo::{cargo, documented};
use crate::error::Error;

#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask", about, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs an upstream and a site with a stream and a web page, and prints the address to open.
    Demo(demo::Arguments),
    /// Runs signalling, an origin and two nodes of the chunk network, and prints a page that plays from the nodes.
    DemoCdn(demo::cdn::Arguments),
    /// Runs all tests. Peers that are missing are named and left out, unless `SLUICEGATE_PEERS=required`.
    Test,
    /// Runs what CI runs: format, tidy, lints, documentation, licences, purity, tests.
    Ci,
    /// Checks what lints cannot: directions of dependencies, module docs, task markers, machine paths.
    Tidy,
    /// Fuzzes each parser for a while, with nightly and libFuzzer.
    Fuzz(fuzz::Arguments),
    /// Measures the release binaries; `cargo xtask bench -- --help` lists what.
    Bench {
        /// What to measure, and how.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Lets players, publishers, relays and a site's tunnel come and go for hours; fails when memory grows, descriptors
    /// stay or streams are lost.
    Soak(soak::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::DemoCdn(arguments) => demo::cdn::run(&arguments),
        Command::Test => tests::run(),
        Command::Ci => ci(),
        Command::Tidy => tidy::run(),
        Command::Fuzz(arguments) => fuzz::fuzz(&arguments),
        Command::Bench { arguments } => bench(&arguments),
        Command::Soak(arguments) => soak::soak(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error::say(&format!("xtask: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Tests come last, so that their result closes the output.
fn ci() -> Result<(), Error> {
    cargo(&["fmt", "--all", "--check"])?;
    tidy::run()?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    documented()?;
    cargo::licences()?;
    cargo::pure()?;
    tests::run()
}

fn bench(arguments: &[String]) -> Result<(), Error> {
    let packages = ["sluicegate-upstream", "sluicegate-downstream", "sluicegate-cdn-node", "sluicegate-bench"];
    let packages: Vec<&str> = packages.iter().flat_map(|package| ["-p", *package]).collect();
    cargo(&[&["build", "--release"], &packages[..]].concat())?;
    let default = ["all".to_owned()];
    cargo::binary("release", "sluicegate-bench", if arguments.is_empty() { &default } else { arguments })
}
