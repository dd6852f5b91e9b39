//! Cargo and the programs that it builds.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use crate::error::{Error, say};

/// The workspace's folder.
pub(crate) fn root() -> PathBuf {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().map(PathBuf::from).unwrap_or(manifest)
}

/// Cargo, as it was when it started us.
pub(crate) fn program() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Runs a command in the workspace and waits for it.
pub(crate) fn run(command: &mut Command) -> Result<(), Error> {
    let name = command.get_program().to_string_lossy().into_owned();
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let short = name.rsplit('/').next().unwrap_or(&name).to_owned();
    let line = format!("{short} {}", arguments.join(" "));
    say(&format!("$ {line}"));
    let status = command.current_dir(root()).status();
    let status = status.map_err(|source| Error::Start { program: name, source })?;
    if status.success() { Ok(()) } else { Err(Error::Failed(line)) }
}

/// Runs cargo.
pub(crate) fn cargo(arguments: &[&str]) -> Result<(), Error> {
    run(Command::new(program()).args(arguments))
}

/// Builds the documentation; a broken link fails.
pub(crate) fn documented() -> Result<(), Error> {
    run(Command::new(program()).args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
}

/// Checks licences, bans and sources where cargo-deny is installed.
pub(crate) fn licences() -> Result<(), Error> {
    let installed = Command::new(program()).args(["deny", "--version"]).output().is_ok_and(|out| out.status.success());
    if !installed {
        say("left out: cargo-deny is not installed (cargo install --locked cargo-deny)");
        return Ok(());
    }
    cargo(&["deny", "check", "bans", "licenses", "sources"])
}

/// Builds the protocol crates where there is no clock and no socket, if the target is installed.
pub(crate) fn pure() -> Result<(), Error> {
    const TARGET: &str = "wasm32-unknown-unknown";
    let libraries = Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).output();
    let folder = libraries.map(|out| PathBuf::from(String::from_utf8_lossy(&out.stdout).trim())).unwrap_or_default();
    if !folder.is_dir() {
        say(&format!("left out: {TARGET} is not installed (rustup target add {TARGET})"));
        return Ok(());
    }
    let packages = ["media", "flv", "fmp4", "cascade"].map(|name| format!("--package=sluicegate-{name}"));
    run(Command::new(program()).args(["check", "--target", TARGET]).args(packages))
}

/// Where a built program lies.
pub(crate) fn built(profile: &str, name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join(profile).join(name)
}

/// Runs a program that cargo has built.
pub(crate) fn binary(profile: &str, name: &str, arguments: &[String]) -> Result<(), Error> {
    run(Command::new(built(profile, name)).args(arguments))
}
