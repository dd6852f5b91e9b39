//! Programs under measurement: started on a free port, ended by id, their CPU time and memory read from `/proc`.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::error::{Doing, Error};

/// Clock ticks per second in `/proc/PID/stat`, fixed by the kernel's interface to programs.
const TICKS_PER_SECOND: f64 = 100.0;
/// How long a program may take to say where it listens.
const START: Duration = Duration::from_secs(10);

/// A running program; it ends with this.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// Where it listens; empty for programs that do not.
    pub(crate) address: String,
    /// Where it listens for RTMP, if it does.
    pub(crate) rtmp: Option<String>,
    /// Where it listens for RTSP, if it does.
    pub(crate) rtsp: Option<String>,
}

/// CPU time and memory of a process at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// User and system time, seconds.
    pub(crate) cpu: f64,
    /// Resident memory, KiB.
    pub(crate) resident: f64,
    /// Anonymous resident memory: heap and stacks, without pages of files, KiB.
    pub(crate) anonymous: f64,
}

/// A release binary beside this one.
pub(crate) fn sibling(name: &str) -> PathBuf {
    let here = std::env::current_exe().unwrap_or_default();
    here.with_file_name(name)
}

impl Process {
    /// Starts a program that prints `listening on http://ADDRESS/` on its standard output, and perhaps the same of RTMP
    /// and RTSP before it.
    pub(crate) async fn listening(program: &str, arguments: &[&str]) -> Result<Self, Error> {
        Self::quiet(program, arguments)?.listens(program).await
    }

    /// As [`listening`](Self::listening), by a command that may run the program elsewhere.
    pub(crate) async fn spawn(program: &str, command: Command) -> Result<Self, Error> {
        Self::start(program, command)?.listens(program).await
    }

    async fn listens(mut self, program: &str) -> Result<Self, Error> {
        let process = &mut self;
        let failed = |why: String| Error::Start { program: program.to_owned(), why };
        let Some(stdout) = process.child.stdout.take() else { return Err(failed("no standard output".into())) };
        let mut lines = BufReader::new(stdout).lines();
        let after = |line: &str, scheme: &str| {
            let (_, rest) = line.split_once(scheme)?;
            rest.split('/').next().map(str::to_owned)
        };
        loop {
            let line = tokio::time::timeout(START, lines.next_line()).await;
            let line = line.map_err(|_| failed("it said nothing".into()))?.doing("reading its output")?;
            let line = line.ok_or_else(|| failed("it said nothing".into()))?;
            if let Some(address) = after(&line, "http://") {
                process.address = address;
                break;
            }
            if let Some(address) = after(&line, "rtmp://") {
                process.rtmp = Some(address);
            } else {
                let address = after(&line, "rtsp://").ok_or_else(|| failed(format!("it said {line:?}")))?;
                process.rtsp = Some(address);
            }
        }
        // What it may print later must not stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(self)
    }

    /// Starts a program that says nothing.
    pub(crate) fn quiet(program: &str, arguments: &[&str]) -> Result<Self, Error> {
        let mut command = Command::new(sibling(program));
        command.args(arguments);
        Self::start(program, command)
    }

    /// The same by a command that may run the program otherwise.
    pub(crate) fn start(program: &str, mut command: Command) -> Result<Self, Error> {
        let child = command
            .env("RUST_LOG", std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".to_owned()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Error::Start { program: program.to_owned(), why: error.to_string() })?;
        Ok(Self { child, address: String::new(), rtmp: None, rtsp: None })
    }

    /// Ends it without a word, as a crash does.
    pub(crate) async fn kill(mut self) -> Result<(), Error> {
        self.child.kill().await.doing("ending a program")
    }

    /// Its descriptors and threads now.
    pub(crate) fn held(&self) -> Result<(usize, usize), Error> {
        let id = self.child.id().unwrap_or_default();
        let count = |what: &str| std::fs::read_dir(format!("/proc/{id}/{what}")).map(Iterator::count);
        Ok((count("fd").doing("counting descriptors")?, count("task").doing("counting threads")?))
    }

    /// What it has used so far.
    pub(crate) fn usage(&self) -> Result<Usage, Error> {
        let id = self.child.id().unwrap_or_default();
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).doing("reading CPU time")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).doing("reading memory")?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: f64 = fields.iter().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
        let memory = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            value.trim().trim_end_matches(" kB").parse().unwrap_or(f64::NAN)
        };
        Ok(Usage { cpu: ticks / TICKS_PER_SECOND, resident: memory("VmRSS:"), anonymous: memory("RssAnon:") })
    }
}
