//! The demo's programs: started, watched, ended by id.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::cargo::built;
use crate::error::{Error, say};

/// How long a program may take to say where it listens.
const START: Duration = Duration::from_secs(10);
/// How long a program may take to end in order.
const DRAIN: Duration = Duration::from_secs(5);

/// A running program; it is killed with this.
#[derive(Debug)]
pub(super) struct Program {
    name: &'static str,
    child: Child,
}

impl Program {
    /// Starts a program that cargo has built.
    pub(super) fn start(name: &'static str, arguments: &[&str]) -> Result<Self, Error> {
        say(&format!("$ {name} {}", arguments.join(" ")));
        let mut command = Command::new(built("debug", name));
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|source| Error::Start { program: name.into(), source })?;
        drop(child.stdin.take());
        Ok(Self { name, child })
    }

    /// Starts a program that prints `listening on http://ADDRESS/`, and gives the address.
    pub(super) async fn listening(name: &'static str, arguments: &[&str]) -> Result<(Self, String), Error> {
        let mut program = Self::start(name, arguments)?;
        let silent = |said: String| Error::Output { what: name, said };
        let Some(stdout) = program.child.stdout.take() else { return Err(silent("no standard output".into())) };
        let mut lines = BufReader::new(stdout).lines();
        let line = match timeout(START, lines.next_line()).await {
            Ok(Ok(Some(line))) => line,
            Ok(_) => return Err(silent("it ended before it listened".into())),
            Err(_) => return Err(silent("it does not say where it listens".into())),
        };
        let address = line.split_once("http://").and_then(|(_, rest)| rest.split('/').next()).map(str::to_owned);
        let address = address.ok_or_else(|| silent(line))?;
        // A full pipe would stop the program.
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                say(&line)
            }
        });
        Ok((program, address))
    }

    /// Waits until the program ends by itself.
    pub(super) async fn ended(&mut self) -> Error {
        match self.child.wait().await {
            Ok(status) => Error::Output { what: self.name, said: format!("ended by itself: {status}") },
            Err(source) => Error::Start { program: self.name.into(), source },
        }
    }

    /// Asks the program to end, and kills it when it takes too long.
    pub(super) async fn stop(mut self) {
        if let Some(id) = self.child.id() {
            // A terminal has sent Ctrl-C to the program as well; this is for when nobody has.
            let _ = Command::new("kill").args(["-TERM", &id.to_string()]).status().await;
        }
        if timeout(DRAIN, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}
