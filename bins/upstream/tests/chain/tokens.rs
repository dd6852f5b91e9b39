//! Sites' tokens, made and revoked by the command line while the server runs.

use sluicegate_testbed::program::run;
use sluicegate_testbed::{api, until};

use crate::stage::{SITE, Site, Upstream};

async fn site_command(upstream: &Upstream, arguments: &[&str]) -> String {
    let state = upstream.state();
    let arguments = [&["site"], arguments, &["--state-dir", &state]].concat();
    let output = run("upstream", &arguments).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[tokio::test]
async fn a_token_opens_and_its_end_cuts() {
    let upstream = Upstream::start().await;
    let said = site_command(&upstream, &["add", SITE]).await;
    // The token is the longest word of what is printed.
    let token = said.split_whitespace().max_by_key(|word| word.len()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (good, wrong) = (folder.path().join("good"), folder.path().join("wrong"));
    std::fs::write(&good, token).unwrap();
    std::fs::write(&wrong, "0".repeat(token.len())).unwrap();
    let service = ["--service", "web=http://127.0.0.1:9", "--token-file"];

    let mut refused = Site::dial(&upstream, &[&service[..], &[wrong.to_str().unwrap()]].concat());
    refused.program.says("401").await;
    assert!(api::site(&upstream.address, SITE).await.is_null());
    drop(refused);

    let _site = Site::dial(&upstream, &[&service[..], &[good.to_str().unwrap()]].concat());
    api::until_site(&upstream.address, SITE).await;
    assert!(site_command(&upstream, &["list"]).await.contains(SITE));
    site_command(&upstream, &["revoke", SITE]).await;
    until("the cut", || async { api::site(&upstream.address, SITE).await.is_null().then_some(()) }).await;
}
