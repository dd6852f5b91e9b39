//! A headless Chromium, driven by the `DevTools` protocol.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use base64::Engine;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::program::Program;
use crate::{soon, until};

/// Width and height of the window.
const WINDOW: &str = "--window-size=1100,900";

/// A browser with one page; it ends with this.
#[derive(Debug)]
pub struct Browser {
    socket: WebSocketStream<TcpStream>,
    session: String,
    sent: u64,
    _program: Program,
    _profile: TempDir,
}

impl Browser {
    /// Starts Chromium and opens a page.
    pub async fn open(chromium: &Path, url: &str) -> Self {
        let dial = async |host: SocketAddr| soon("DevTools", TcpStream::connect(host)).await.unwrap();
        Self::open_with(Command::new(chromium), dial, url).await
    }

    /// As [`open`](Self::open), by a command that may run Chromium elsewhere, such as in a network of its own, and a
    /// way to connect there.
    pub async fn open_with(mut command: Command, dial: impl AsyncFn(SocketAddr) -> TcpStream, url: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", WINDOW]);
        command.args(["--remote-debugging-port=0", "--no-first-run", "--autoplay-policy=no-user-gesture-required"]);
        // A camera and a microphone that show and sound, given without a question.
        command.args(["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]);
        command.arg(format!("--user-data-dir={}", profile.path().display())).arg("about:blank");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut program = Program::spawn("chromium", &mut command);
        let address = program.says("DevTools listening on ws://").await;
        let host = address.split('/').next().unwrap();
        let tcp = dial(host.parse().unwrap()).await;
        let handshake = tokio_tungstenite::client_async(format!("ws://{address}"), tcp);
        let (socket, _) = soon("DevTools", handshake).await.unwrap();
        let mut browser = Self { socket, session: String::new(), sent: 0, _program: program, _profile: profile };
        let target = browser.call("Target.createTarget", json!({ "url": url })).await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", attach).await;
        browser.session = attached["sessionId"].as_str().unwrap().to_owned();
        browser
    }

    /// Sends a command of the `DevTools` protocol that must succeed.
    async fn call(&mut self, method: &str, parameters: Value) -> Value {
        let result = self.attempt(method, parameters).await;
        result.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Sends a command of the `DevTools` protocol and waits for its result.
    async fn attempt(&mut self, method: &str, parameters: Value) -> Result<Value, Value> {
        self.sent += 1;
        let mut command = json!({ "id": self.sent, "method": method, "params": parameters });
        if !self.session.is_empty() {
            command["sessionId"] = json!(self.session);
        }
        let id = self.sent;
        let exchange = async {
            self.socket.send(Message::text(command.to_string())).await.unwrap();
            loop {
                let message = self.socket.next().await.unwrap().unwrap();
                let Ok(text) = message.into_text() else { continue };
                let mut answer: Value = serde_json::from_str(&text).unwrap_or_default();
                if answer["id"] == id {
                    let error = answer["error"].take();
                    return if error.is_null() { Ok(answer["result"].take()) } else { Err(error) };
                }
            }
        };
        soon(method, exchange).await
    }

    /// The value of a JavaScript expression; promises are awaited. What is thrown is `null`, and so is all on a page
    /// that has not begun to load.
    pub async fn value(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let result = self.attempt("Runtime.evaluate", parameters).await;
        result.map(|mut result| result["result"]["value"].take()).unwrap_or_default()
    }

    /// Waits until a JavaScript expression is truthy, and gives its value.
    pub async fn until(&mut self, expression: &str) -> Value {
        let browser = tokio::sync::Mutex::new(self);
        until(expression, || async {
            let value = browser.lock().await.value(expression).await;
            let falsy = value.is_null() || value == false || value == 0 || value == "";
            (!falsy).then_some(value)
        })
        .await
    }

    /// Saves what the page shows as a PNG file.
    pub async fn screenshot(&mut self, path: &Path) {
        let shot = self.call("Page.captureScreenshot", json!({ "format": "png" })).await;
        let data = base64::engine::general_purpose::STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, data).unwrap();
    }
}
