//! `downstream discover`: what it prints is a configuration that shows the cameras, and it says what is amiss.

use std::process::Output;

use axum::Router;
use serde_json::Value;
use sluicegate_testbed::api;
use sluicegate_testbed::media::{Decoded, decode};
use sluicegate_testbed::peer::{Peer, find};
use sluicegate_testbed::program::{Program, run};
use tempfile::TempDir;

use crate::onvif_camera::{Camera, PASSWORD, Script};
use crate::rtsp::camera;

fn text(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

fn script(name: &'static str) -> Script {
    let streams = ["rtsp://192.0.2.9:5540/main".to_owned(), "rtsp://u:secret@127.0.0.1:5541/sub".to_owned()];
    Script { name, streams, multicast: false, http_digest: false }
}

fn password_file(folder: &TempDir, password: &str) -> String {
    let path = folder.path().join("camera.password");
    std::fs::write(&path, format!("{password}\n")).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_it_prints_shows_the_camera() {
    let (Some(ffmpeg), Some(python)) = (find(Peer::Ffmpeg), find(Peer::GstRtspServer)) else { return };
    let ((_main, main), (_sub, sub)) = tokio::join!(camera(&python, "0"), camera(&python, "0"));
    // The camera believes that it is elsewhere; its streams are asked for where it answers.
    let streams = [format!("rtsp://192.0.2.9:{main}/main"), format!("rtsp://127.0.0.1:{sub}/main")];
    let onvif = Camera::start(Script { streams, ..script("Front%20door") }).await;
    let folder = tempfile::tempdir().unwrap();
    let file = password_file(&folder, PASSWORD);
    let address = onvif.probes.to_string();
    let arguments = ["discover", "--address", &address, "--user", "admin", "--password-file", &file];
    let output = run("downstream", &arguments).await;
    let (printed, said) = text(&output);
    assert!(output.status.success(), "{printed}\n{said}");
    assert!(!printed.contains(PASSWORD) && !said.contains(PASSWORD), "{printed}\n{said}");
    assert!(printed.contains("ACME C100, firmware 1.2, serial 4711") && printed.contains(" s behind."), "{printed}");

    let state = |name: &str| folder.path().join(name).display().to_string();
    let mut upstream = Program::start("upstream", &["--listen", "127.0.0.1:0", "--state-dir", &state("upstream")]);
    let address = upstream.address().await;
    let config = folder.path().join("downstream.toml");
    std::fs::write(&config, format!("site = 'gate'\n[[upstreams]]\nurl = 'ws://{address}'\n{printed}")).unwrap();
    let config = config.to_str().unwrap();
    let _site = Program::start("downstream", &["--config", config, "--state-dir", &state("gate")]);
    api::until_site(&address, "gate").await;
    for name in ["cams/front-door-gate", "cams/front-door-gate:sub"] {
        let url = format!("http://{address}/live/{name}.flv");
        assert_eq!(decode(&ffmpeg, &url, 25).await, Decoded { pictures: 25, complaints: String::new() }, "{name}");
    }
    let (shown, _) = text(&run("downstream", &["--check", "--config", config]).await);
    assert!(shown.contains("user = \"admin\"") && !shown.contains(PASSWORD), "{shown}");
}

#[tokio::test]
async fn cameras_are_found_by_multicast() {
    let _camera = Camera::start(Script { multicast: true, ..script("Yard%2042") }).await;
    let folder = tempfile::tempdir().unwrap();
    let file = password_file(&folder, PASSWORD);
    let arguments = ["discover", "--interface", "127.0.0.1", "--json", "--user", "admin", "--password-file", &file];
    let (printed, said) = text(&run("downstream", &arguments).await);
    let all: Value = serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}\n{said}"));
    // Others may be on this machine, and answer as well.
    let found = all.as_array().unwrap().iter().find(|camera| camera["name"] == "Yard 42").unwrap();
    assert_eq!((&found["answered"], &found["model"]), (&true.into(), &"C100".into()));
    assert_eq!(found["profiles"][0]["url"], "rtsp://127.0.0.1:5540/main");
    // Credentials that a camera puts into its URLs are nobody's business.
    assert_eq!(found["profiles"][1]["url"], "rtsp://127.0.0.1:5541/sub");
    assert_eq!(found["streams"][0]["sub"], "sub");
    assert!(said.contains("asking who is there") && said.contains("interface=\"lo\""), "{said}");
}

#[tokio::test]
async fn a_camera_that_knows_digests_of_http_only_is_asked_by_them() {
    let camera = Camera::start(Script { http_digest: true, ..script("Mast") }).await;
    let folder = tempfile::tempdir().unwrap();
    let file = password_file(&folder, PASSWORD);
    let address = camera.probes.to_string();
    let arguments = ["discover", "--address", &address, "--user", "admin", "--password-file", &file];
    let (printed, said) = text(&run("downstream", &arguments).await);
    assert!(printed.contains("[streams.\"cams/mast\"]"), "{printed}\n{said}");
}

#[tokio::test]
async fn what_is_amiss_is_said() {
    let camera = Camera::start(script("Gate")).await;
    let folder = tempfile::tempdir().unwrap();
    let address = camera.probes.to_string();
    let (printed, said) = refused(&["--address", &address]).await;
    assert!(printed.contains("# Gate, at http://") && printed.contains("give --user and --password-file"), "{printed}");
    assert!(said.contains("the camera that was asked tells no stream"), "{said}");

    let file = password_file(&folder, "wrong");
    let (printed, _) = refused(&["--address", &address, "--user", "admin", "--password-file", &file]).await;
    assert!(printed.contains("it does not take the user and the password; many cameras"), "{printed}");

    // A web server that is no camera, and one that is not there.
    let page = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let no_camera = format!("http://{}", page.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(page, Router::new()).await });
    let (printed, _) = refused(&["--address", &no_camera]).await;
    assert!(printed.contains("HTTP 404 without a SOAP message; is ONVIF enabled"), "{printed}");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let (printed, said) = refused(&["--address", &nobody, "--address", &no_camera]).await;
    assert!(printed.contains("it cannot be reached") && printed.contains("does it answer a ping"), "{printed}");
    assert!(said.contains("none of the 2 cameras"), "{said}");

    let (_, said) = refused(&["--interface", "none0"]).await;
    assert!(said.contains("there is no network interface none0") && said.contains("lo (127.0.0.1)"), "{said}");
    let output = run("downstream", &["discover", "--user", "admin"]).await;
    assert!(output.status.code() == Some(2) && text(&output).1.contains("SLUICEGATE_CAMERA_PASSWORD"));
}

/// Runs a search that ends with code 1.
async fn refused(arguments: &[&str]) -> (String, String) {
    let output = run("downstream", &[&["discover", "--timeout", "500ms"], arguments].concat()).await;
    let (printed, said) = text(&output);
    assert_eq!(output.status.code(), Some(1), "{printed}\n{said}");
    (printed, said)
}
