//! The program under test, and requests to it.

use std::collections::BTreeMap;
use std::process::Stdio;

use sluicegate_testbed::program::{Program, built};
use sluicegate_testbed::soon;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

/// Names of the environment that the program reads; tests set all that they mean.
const ENVIRONMENT: [&str; 6] = ["ID", "WS_ADDR", "PUBLICIP", "BASE_URL", "UPSTREAM", "VIDEO_PROXY"];

/// A running node.
pub(crate) struct Node {
    pub(crate) program: Program,
    pub(crate) address: String,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// By names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// The command with nothing but these in its environment.
pub(crate) fn command(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(built("cdn-node"));
    for name in ENVIRONMENT {
        command.env_remove(name);
    }
    command.args(arguments).envs(environment.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

impl Node {
    pub(crate) async fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let arguments = [&["-p", "0", "-h", "127.0.0.1"][..], arguments].concat();
        let mut program = Program::spawn("cdn-node", &mut command(&arguments, environment));
        let address = program.address().await;
        Self { program, address }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[]).await
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &[&str]) -> Answer {
        request(&self.address, method, path, headers).await
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(String::as_str).unwrap_or_default()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Sends a request without a body. HTTP/1.0 keeps the answer's body unchunked.
pub(crate) async fn request(address: &str, method: &str, path: &str, headers: &[&str]) -> Answer {
    let exchange = async {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let more: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let head = format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\n{more}\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).await.unwrap();
        bytes
    };
    let bytes = soon(path, exchange).await;
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    Answer { status, headers, body: bytes[end + 4..].to_vec() }
}
