//! Runs the fuzz targets under libFuzzer, where a nightly toolchain is present.

use std::path::Path;
use std::process::Command;

use clap::Args;

use crate::cargo::{root, run};
use crate::error::{Error, say};

/// The platform is named so that build scripts and macros are not instrumented.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";
/// What coverage-guided fuzzing needs of the compiler (the page on sanitizer coverage of LLVM), with the address sanitizer.
const FLAGS: [&str; 9] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Zsanitizer=address",
    "-Ccodegen-units=1",
    "-Cdebug-assertions",
    "--cfg=fuzzing",
];

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How long each target runs.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Only this target.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
}

/// Builds the targets and runs each for a while; a finding fails and is kept in `target/fuzz/NAME`.
pub(crate) fn fuzz(arguments: &Arguments) -> Result<(), Error> {
    let all = targets()?;
    let wanted = |name: &&String| arguments.target.as_ref().is_none_or(|target| target == *name);
    if !all.iter().any(|name| wanted(&name)) {
        let said = format!("there is no such target; there are {}", all.join(", "));
        return Err(Error::Output { what: "fuzz", said });
    }
    let nightly = Command::new("cargo").args(["+nightly", "--version"]).output();
    if !nightly.is_ok_and(|output| output.status.success()) {
        say("left out: there is no nightly toolchain (rustup toolchain install nightly)");
        return Ok(());
    }
    let built = root().join("target/fuzz");
    let package = root().join("crates/fuzz/libfuzzer/Cargo.toml");
    let mut build = Command::new("cargo");
    build.args(["+nightly", "build", "--release", "--target", PLATFORM, "--manifest-path"]).arg(package);
    // Cargo tells its children which toolchain it is; that would undo the choice of another.
    build.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
    run(build.env("CARGO_TARGET_DIR", &built).env("RUSTFLAGS", FLAGS.join(" ")))?;
    let program = built.join(PLATFORM).join("release/sluicegate-libfuzzer");
    for name in all.iter().filter(wanted) {
        one(&program, &built.join(name), name, arguments.seconds)?;
    }
    Ok(())
}

/// The targets' names: each has a folder of seeds, as a test of `sluicegate-fuzz` makes sure.
fn targets() -> Result<Vec<String>, Error> {
    let unreadable = |source| Error::System { doing: "reading the folder of seeds", source };
    let entries = std::fs::read_dir(root().join("crates/fuzz/seeds")).map_err(unreadable)?;
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

fn one(program: &Path, folder: &Path, name: &str, seconds: u32) -> Result<(), Error> {
    let found = folder.join("corpus");
    std::fs::create_dir_all(&found).map_err(|source| Error::System { doing: "making the corpus folder", source })?;
    say(&format!("fuzzing {name} for {seconds} s"));
    let mut fuzz = Command::new(program);
    fuzz.arg(&found).arg(root().join("crates/fuzz/seeds").join(name));
    fuzz.arg(format!("-max_total_time={seconds}")).arg(format!("-artifact_prefix={}/", folder.display()));
    fuzz.args(["-timeout=5", "-rss_limit_mb=1024", "-verbosity=0", "-print_final_stats=1"]);
    run(fuzz.env("FUZZ_TARGET", name))
}
