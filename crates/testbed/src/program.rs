//! Our binaries, as programs.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use crate::{LOOK, PATIENCE, soon};

/// Lines of a program's output that are shown when a test fails.
const LAST_WORDS: usize = 60;

/// A running program; it is killed when this is dropped.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
}

/// Where cargo has put a binary of this workspace.
#[must_use]
pub fn built(name: &str) -> PathBuf {
    // Tests run in `target/PROFILE/deps`.
    let here = std::env::current_exe().unwrap();
    let path = here.ancestors().nth(2).unwrap().join(name);
    assert!(path.is_file(), "{} is not built: run `cargo xtask test`", path.display());
    path
}

/// Runs one of our binaries to its end.
pub async fn run(name: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(built(name));
    let output = command.args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
    soon(name, output).await.unwrap()
}

/// What one of our binaries says when it refuses to start: a fault of usage or of its configuration.
pub async fn refused(name: &str, arguments: &[&str]) -> String {
    let output = run(name, arguments).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    said
}

impl Program {
    /// Starts one of our binaries.
    #[must_use]
    pub fn start(name: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(built(name));
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        Self::spawn(name, &mut command)
    }

    /// Starts any program; what it prints is kept for the case of a failure.
    #[must_use]
    pub fn spawn(name: &str, command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        let said = Arc::new(Mutex::new(Vec::new()));
        child.stdout.take().into_iter().for_each(|stream| listen(stream, &said));
        child.stderr.take().into_iter().for_each(|stream| listen(stream, &said));
        Self { name: name.to_owned(), child, said }
    }

    /// Waits for a line that holds `text` and gives what follows it there.
    pub async fn says(&mut self, text: &str) -> String {
        let said = Arc::clone(&self.said);
        let found = async {
            loop {
                if let Some(rest) = heard(&said, text) {
                    return rest;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            biased;
            rest = found => rest,
            () = tokio::time::sleep(PATIENCE) => panic!("{}: no {text:?} after {PATIENCE:?}:\n{}", self.name, self.said()),
            status = self.child.wait() => panic!("{}: {status:?} without {text:?}:\n{}", self.name, self.said()),
        }
    }

    /// The address that it says it listens on: `listening on http://ADDRESS/`, or `https`.
    pub async fn address(&mut self) -> String {
        let url = self.says("listening on http").await;
        let (_, rest) = url.split_once("://").unwrap();
        rest.split(|c: char| c == '/' || c.is_whitespace()).next().unwrap().to_owned()
    }

    /// What it has printed so far.
    #[must_use]
    pub fn said(&self) -> String {
        self.said.lock().unwrap().join("\n")
    }

    /// Sends it a signal, named as for `kill`.
    pub async fn signal(&self, signal: &str) {
        let id = self.child.id().unwrap_or_else(|| panic!("{} has ended:\n{}", self.name, self.said()));
        let status = Command::new("kill").args([format!("-{signal}"), id.to_string()]).status();
        assert!(soon("kill", status).await.unwrap().success());
    }

    /// Files and sockets that it has open.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        let id = self.child.id().unwrap_or_else(|| panic!("{} has ended:\n{}", self.name, self.said()));
        std::fs::read_dir(format!("/proc/{id}/fd")).unwrap().count()
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end and gives its exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        soon(&self.name, self.child.wait()).await.unwrap().code()
    }

    /// Ends it without a word, as a crash does.
    pub async fn kill(mut self) {
        soon(&self.name, self.child.kill()).await.unwrap();
    }
}

impl Drop for Program {
    /// Whatever fails while a program runs may be explained by its last words.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = self.said.lock().map(|said| said.clone()).unwrap_or_default();
            let last = said.get(said.len().saturating_sub(LAST_WORDS)..).unwrap_or_default().join("\n");
            let _ = writeln!(std::io::stderr(), "--- {} said last:\n{last}", self.name);
        }
    }
}

fn listen(stream: impl AsyncRead + Unpin + Send + 'static, said: &Arc<Mutex<Vec<String>>>) {
    let said = Arc::clone(said);
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            said.lock().unwrap().push(line);
        }
    });
}

/// What follows `text` on the first line that holds it.
fn heard(said: &Mutex<Vec<String>>, text: &str) -> Option<String> {
    let said = said.lock().unwrap();
    said.iter().find_map(|line| line.split_once(text).map(|(_, rest)| rest.to_owned()))
}
