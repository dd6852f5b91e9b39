//! A scripted server: sockets and text, so that it shares no code with what it tests.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// A status, further header lines and a body.
    Say(u16, &'static str, Vec<u8>),
    /// A body that ends before its length.
    Short(Vec<u8>),
    /// Nothing, for ever.
    Hang,
    /// The end of the connection.
    Close,
}

impl Reply {
    pub(crate) fn body(body: impl Into<Vec<u8>>) -> Self {
        Self::Say(200, "", body.into())
    }

    pub(crate) fn status(status: u16) -> Self {
        Self::Say(status, "", b"refused".to_vec())
    }
}

/// A running server. It ends with the test's runtime.
pub(crate) struct Server {
    pub(crate) address: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Answers by the target of a request.
    pub(crate) async fn start(script: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (log, script) = (Arc::clone(&heard), Arc::new(script));
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (log, script) = (Arc::clone(&log), Arc::clone(&script));
                // A client that leaves is no failure of the server.
                tokio::spawn(async move { serve(socket, &log, &*script).await.ok() });
            }
        });
        Self { address, heard }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The heads of all requests so far.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// How many requests there were for targets that hold a text.
    pub(crate) fn count(&self, part: &str) -> usize {
        self.heard().iter().filter(|head| head.lines().next().is_some_and(|line| line.contains(part))).count()
    }
}

async fn serve(
    mut socket: TcpStream,
    log: &Mutex<Vec<String>>,
    script: &(dyn Fn(&str) -> Reply + Send + Sync),
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let is_head = head.starts_with("HEAD");
    log.lock().unwrap().push(head);
    let (status, headers, body, len) = match script(&target) {
        Reply::Say(status, headers, body) => (status, headers, body.clone(), body.len()),
        Reply::Short(body) => (200, "", body.clone(), body.len() + 1),
        Reply::Hang => return std::future::pending().await,
        Reply::Close => return Ok(()),
    };
    let length = if status == 204 { String::new() } else { format!("Content-Length: {len}\r\n") };
    let head = format!("HTTP/1.1 {status} Scripted\r\nConnection: close\r\n{length}{headers}\r\n");
    socket.write_all(head.as_bytes()).await?;
    if !is_head {
        socket.write_all(&body).await?;
    }
    socket.shutdown().await
}

/// Two segments behind an index, as one file: `init` of 8 bytes, a `sidx` of version 0 with 56 bytes, 1,000 and 2,000 bytes.
pub(crate) fn file() -> Vec<u8> {
    let mut file = b"\0\0\0\x08free".to_vec();
    let numbers = [0, 1, 1_000, 0, 0, 2, 1_000, 1_000, 0, 2_000, 1_000, 0_u32];
    file.extend_from_slice(&[0, 0, 0, 56]);
    file.extend_from_slice(b"sidx");
    numbers.iter().for_each(|number| file.extend_from_slice(&number.to_be_bytes()));
    file.extend_from_slice(&[1; 1_000]);
    file.extend_from_slice(&[2; 2_000]);
    file
}

/// The document of that file as stream 134 of a video.
pub(crate) fn document(vid: &str) -> String {
    format!(
        r#"{{"id":"{vid}","title":"a film","duration":"2","author":"nobody","captions":[{{"language":"en","url":"http://10.0.0.1/x"}}],"streams":{{"134":{{"quality":"360p","type":"video/mp4; codecs=\"avc1.42c01e\"","itag":"134","len":"{}","initRange":{{"start":"0","end":"7"}},"indexRange":{{"start":"8","end":"63"}}}}}}}}"#,
        file().len()
    )
}

/// A good origin: the document, and parts of the file.
pub(crate) fn origin(target: &str) -> Reply {
    let Some(name) = target.rsplit('/').next() else { return Reply::status(404) };
    if let Some(vid) = name.strip_suffix(".json").filter(|vid| vid.starts_with("testvideo")) {
        return Reply::Say(200, "Last-Modified: Fri, 01 Jan 2021 00:00:00 GMT\r\n", document(vid).into_bytes());
    }
    let range = name.strip_suffix(".ts").and_then(|range| range.split_once('-'));
    let range = range.and_then(|(start, end)| Some(start.parse::<usize>().ok()?..end.parse::<usize>().ok()? + 1));
    match range.and_then(|range| file().get(range).map(<[u8]>::to_vec)) {
        Some(part) => Reply::body(part),
        None if name.starts_with("testvideo01.xml") => Reply::body(target),
        None => Reply::status(404),
    }
}
