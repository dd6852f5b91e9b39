//! Where a site's streams come from.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use sluicegate_hub::{Hub, Publish, Publisher, StreamName};
use sluicegate_net::backoff::Backoff;
use sluicegate_net::shutdown::Shutdown;
use tokio::sync::watch;
use tokio::time::Instant;
use url::Url;

use crate::{Error, FlvPort, PortError, metrics};

mod command;
mod file;

/// A source goes on for this long after nobody wants it, so that a push that is dialled again finds it running.
const IDLE: Duration = Duration::from_secs(2);

/// A source of FLV.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `file:PATH`: an FLV file, played at its own pace, again and again.
    File(PathBuf),
    /// `exec:COMMAND`: what a shell command writes to its standard output; started anew when it ends.
    Exec(String),
    /// A stream of another server or a camera, by any of [`Source::SCHEMES`].
    Pull(Url),
    /// `listen`: an encoder publishes it at the site's own listener.
    Listen,
}

impl std::str::FromStr for Source {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = |fault| Error::Source { text: text.to_owned(), fault };
        match text.split_once(':') {
            Some(("file", "")) => Err(bad("the path is missing")),
            Some(("file", path)) => Ok(Self::File(path.into())),
            Some(("exec", "")) => Err(bad("the command is missing")),
            Some(("exec", command)) => Ok(Self::Exec(command.to_owned())),
            Some((scheme, _)) if Self::SCHEMES.contains(&scheme) => {
                let url = Url::parse(text).map_err(|_| bad("it is no URL"))?;
                if url.has_host() { Ok(Self::Pull(url)) } else { Err(bad("the host is missing")) }
            }
            None if text == "listen" => Ok(Self::Listen),
            _ => Err(bad(
                "it begins with none of file:, exec:, ws://, wss://, http://, https://, rtmp://, rtmps://, rtsp://, \
                 rtsps://, rtsp+udp:// and is not listen",
            )),
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Exec(command) => write!(f, "exec:{command}"),
            Self::Pull(url) => f.write_str(&masked(url)),
            Self::Listen => f.write_str("listen"),
        }
    }
}

/// A URL without its password and its query, where tokens stand, for logs.
fn masked(url: &Url) -> String {
    let mut shown = url.clone();
    if url.query().is_some() {
        shown.set_query(Some("***"));
    }
    if url.password().is_some() && shown.set_password(Some("***")).is_err() {
        return format!("{}:…", url.scheme());
    }
    shown.into()
}

impl Source {
    /// The schemes of pulls.
    pub const SCHEMES: [&'static str; 9] = ["ws", "wss", "http", "https", "rtmp", "rtmps", "rtsp", "rtsps", "rtsp+udp"];

    const fn kind(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Exec(_) => "exec",
            Self::Pull(_) => "pull",
            Self::Listen => "listen",
        }
    }
}

/// Keeps one stream of the site's own hub fed while it is wanted.
pub(crate) struct Feeder {
    pub(crate) name: StreamName,
    pub(crate) source: Source,
    pub(crate) always: bool,
    pub(crate) hub: Hub,
    pub(crate) port: Arc<dyn FlvPort>,
    /// How many pushes want it.
    pub(crate) wanted: watch::Receiver<usize>,
    /// What went wrong last, for the upstream.
    pub(crate) trouble: watch::Sender<Option<String>>,
}

impl Feeder {
    /// Runs the source whenever it is wanted, until `shutdown`.
    pub(crate) async fn run(mut self, shutdown: Shutdown) {
        if self.source == Source::Listen {
            return;
        }
        let mut backoff = Backoff::new(rand::rng().random());
        loop {
            let wait = backoff.next_wait();
            tokio::select! {
                () = shutdown.begun() => return,
                () = async { self.wanted_again().await; tokio::time::sleep(wait).await } => {}
            }
            let begun = Instant::now();
            tokio::select! {
                () = shutdown.begun() => return,
                () = self.run_once() => {}
            }
            backoff.held_for(begun.elapsed());
        }
    }

    async fn wanted_again(&mut self) {
        let always = self.always;
        if self.wanted.wait_for(|count| always || *count > 0).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until nobody has wanted the source for a while.
    async fn unwanted(mut wanted: watch::Receiver<usize>, always: bool) {
        loop {
            if wanted.wait_for(|count| !always && *count == 0).await.is_err() {
                return;
            }
            if tokio::time::timeout(IDLE, wanted.wait_for(|count| *count > 0)).await.is_err() {
                return;
            }
        }
    }

    async fn run_once(&self) {
        metrics::source_started(self.source.kind());
        let publisher = match self.hub.publish(&self.name, Publish::by(self.source.kind())) {
            Ok(publisher) => publisher,
            Err(error) => return self.failed(&error),
        };
        tracing::info!(stream = %self.name, source = %self.source, "source started");
        self.trouble.send_replace(None);
        tokio::select! {
            done = self.feed(publisher) => match done {
                Ok(()) => tracing::info!(stream = %self.name, "source ended"),
                Err(error) => self.failed(error.as_ref()),
            },
            () = Self::unwanted(self.wanted.clone(), self.always) => {
                tracing::info!(stream = %self.name, "source stopped: nobody watches");
            }
        }
    }

    async fn feed(&self, publisher: Publisher) -> Result<(), PortError> {
        match &self.source {
            Source::File(path) => file::play(path, &publisher).await,
            Source::Exec(line) => command::run(line, self.port.as_ref(), publisher).await,
            Source::Pull(url) => self.port.pull(url.clone(), publisher).await,
            Source::Listen => std::future::pending().await,
        }
    }

    fn failed(&self, error: &(dyn std::error::Error + 'static)) {
        let text = sluicegate_net::causes(error);
        tracing::warn!(stream = %self.name, source = %self.source, error = text, "source failed; trying again");
        self.trouble.send_replace(Some(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_from_text() {
        let source = |text: &str| text.parse::<Source>();
        assert_eq!(source("file:a/b.flv").unwrap(), Source::File("a/b.flv".into()));
        assert_eq!(source("exec:ffmpeg -i x -f flv -").unwrap(), Source::Exec("ffmpeg -i x -f flv -".into()));
        assert_eq!(source("listen").unwrap(), Source::Listen);
        assert_eq!(source("rtsp://admin:hidden@host/a").unwrap().to_string(), "rtsp://admin:***@host/a");
        assert_eq!(source("rtmp://host/a/b?token=hidden").unwrap().to_string(), "rtmp://host/a/b?***");
        for url in ["wss://host/live/a.flv", "rtmp://host/live/a", "rtsps://host/a#b", "rtsp+udp://host/a"] {
            assert!(matches!(source(url).unwrap(), Source::Pull(_)), "{url}");
        }
        for text in ["", "file:", "exec:", "rtp://host/a", "rtsp://", "sample.flv", "http://", "rtmp://"] {
            assert!(matches!(source(text), Err(Error::Source { .. })), "{text}");
        }
    }
}
