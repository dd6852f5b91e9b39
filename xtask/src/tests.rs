//! Runs all tests and sums up what they said.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::cargo::{cargo, program, root};
use crate::error::{Error, say};

/// What `cargo test` said, over all its programs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Summary {
    passed: u64,
    failed: u64,
    ignored: u64,
    /// `no NAME` of each peer that tests have done without.
    absent: BTreeSet<String>,
}

impl Summary {
    fn hear(&mut self, line: &str) {
        if let Some((_, absent)) = line.split_once("ignored: ").filter(|(_, rest)| rest.starts_with("no ")) {
            self.absent.insert(absent.to_owned());
        }
        let Some((_, counts)) = line.split_once("test result: ") else { return };
        for part in counts.split([';', '.']) {
            let mut words = part.split_whitespace();
            let (Some(count), Some(what)) = (words.next().and_then(|word| word.parse::<u64>().ok()), words.next())
            else {
                continue;
            };
            match what {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.ignored += count,
                _ => {}
            }
        }
    }

    fn say(&self) {
        for absent in &self.absent {
            say(&format!("left out: tests with a peer, {absent}"));
        }
        say(&format!("all tests: {} passed; {} failed; {} ignored", self.passed, self.failed, self.ignored));
    }
}

/// The binaries are built first: chain tests start them as programs.
pub(crate) fn run() -> Result<(), Error> {
    cargo(&["build", "--workspace", "--bins"])?;
    let arguments = ["test", "--workspace", "--no-fail-fast"];
    let line = format!("cargo {}", arguments.join(" "));
    say(&format!("$ {line}"));
    let start = |source| Error::Start { program: "cargo".into(), source };
    let mut command = Command::new(program());
    let mut child = command.args(arguments).current_dir(root()).stdout(Stdio::piped()).spawn().map_err(start)?;
    let mut summary = Summary::default();
    for line in child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines).map_while(Result::ok) {
        summary.hear(&line);
        say(&line);
    }
    let status = child.wait().map_err(start)?;
    summary.say();
    if status.success() { Ok(()) } else { Err(Error::Failed(line)) }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn results_and_absent_peers_are_summed() {
        let mut summary = Summary::default();
        summary.hear("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s");
        summary.hear("test chain::plays ... ignored: no chromium");
        summary.hear("ignored: no chromium");
        summary.hear("test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out");
        let absent = BTreeSet::from(["no chromium".to_owned()]);
        assert_eq!(summary, Summary { passed: 14, failed: 3, ignored: 1, absent });
    }
}
