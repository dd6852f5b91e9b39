//! An upstream on a free port, and sites that dial it.

use sluicegate_testbed::program::Program;
use sluicegate_testbed::{api, media};
use tempfile::TempDir;

/// The site of all chain tests.
pub(crate) const SITE: &str = "cam-7";
/// What the site offers its stream as, and its name at the upstream.
pub(crate) const OFFERED: &str = "cams/door";
pub(crate) const STREAM: &str = "cams/door-cam-7";

/// An upstream with a state folder of its own.
pub(crate) struct Upstream {
    pub(crate) program: Program,
    /// Where it listens.
    pub(crate) address: String,
    state: TempDir,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        Self::start_at("127.0.0.1:0", tempfile::tempdir().unwrap(), &[]).await
    }

    pub(crate) async fn start_at(listen: &str, state: TempDir, more: &[&str]) -> Self {
        let folder = state.path().display().to_string();
        let mut arguments = vec!["--listen", listen, "--state-dir", &folder];
        arguments.extend(more);
        let mut program = Program::start("upstream", &arguments);
        let address = program.address().await;
        Self { program, address, state }
    }

    /// Ends it as a crash does, and starts another at the same address with the same state.
    pub(crate) async fn crash_and_return(self) -> Self {
        let Self { program, address, state } = self;
        program.kill().await;
        Self::start_at(&address, state, &[]).await
    }

    pub(crate) fn state(&self) -> String {
        self.state.path().display().to_string()
    }

    pub(crate) fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://{}{path}", self.address)
    }
}

/// A downstream with a state folder of its own.
pub(crate) struct Site {
    pub(crate) program: Program,
    _state: TempDir,
}

impl Site {
    /// Starts a site without waiting for it.
    pub(crate) fn dial(upstream: &Upstream, more: &[&str]) -> Self {
        Self::dial_by("ws", upstream, more)
    }

    pub(crate) fn dial_by(scheme: &str, upstream: &Upstream, more: &[&str]) -> Self {
        let state = tempfile::tempdir().unwrap();
        let (folder, url) = (state.path().display().to_string(), upstream.url(scheme, ""));
        let mut arguments = vec!["--upstream", &url, "--site", SITE, "--state-dir", &folder];
        arguments.extend(more);
        Self { program: Program::start("downstream", &arguments), _state: state }
    }

    /// Starts a site that offers the sample, and waits until the upstream knows.
    pub(crate) async fn with_stream(upstream: &Upstream) -> Self {
        let stream = format!("{OFFERED}=file:{}", media::sample().display());
        let site = Self::dial(upstream, &["--stream", &stream]);
        api::until_site(&upstream.address, SITE).await;
        site
    }
}
