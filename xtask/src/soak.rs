//! Runs the soak of `sluicegate-bench` in this program's place: Ctrl-C is for it, and its report is the last word.

use std::os::unix::process::CommandExt;
use std::process::Command;

use clap::Args;

use crate::cargo::{built, cargo, root};
use crate::error::Error;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How long, such as 30m; Ctrl-C ends it sooner, with the report.
    #[arg(long = "for", value_name = "TIME", default_value = "4h")]
    time: String,
    /// How often each kind of player, publisher and relay comes and goes.
    #[arg(long, value_name = "TIME", default_value = "1s")]
    every: String,
    /// Debug binaries instead of release ones.
    #[arg(long)]
    debug: bool,
}

/// Builds what takes part, and becomes the soak.
pub(crate) fn soak(arguments: &Arguments) -> Result<(), Error> {
    let packages = ["sluicegate-upstream", "sluicegate-downstream", "sluicegate-bench"];
    let packages = packages.iter().flat_map(|package| ["-p", *package]);
    let release = (!arguments.debug).then_some("--release");
    cargo(&["build"].into_iter().chain(release).chain(packages).collect::<Vec<_>>())?;
    let program = built(if arguments.debug { "debug" } else { "release" }, "sluicegate-bench");
    let mut soak = Command::new(&program);
    soak.args(["soak", "--for", &arguments.time, "--every", &arguments.every]).current_dir(root());
    if std::env::var_os("RUST_LOG").is_none() {
        // The site warns each time that its tunnel is cut.
        soak.env("RUST_LOG", "error");
    }
    Err(Error::Start { program: program.display().to_string(), source: soak.exec() })
}
