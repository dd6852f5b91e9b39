//! The container file without a container engine: its paths and names are those of this workspace, and what it starts runs
//! as it starts it: from `/`, as nobody, by SIGTERM to its end.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use sluicegate_testbed::program::{Program, built, run};
use sluicegate_testbed::{api, soon};
use tokio::process::Command;

/// What a bare Debian has.
const LIBRARIES: [&str; 6] = ["linux-vdso", "libgcc_s.so", "libm.so", "libc.so", "ld-linux", "/lib64/ld-linux"];

/// The instructions, each with its arguments on one line.
fn instructions() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Containerfile")).unwrap();
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '));
    lines.map(|(name, rest)| (name.to_owned(), rest.split_whitespace().collect::<Vec<_>>().join(" "))).collect()
}

fn all(name: &str) -> Vec<String> {
    instructions().into_iter().filter(|(known, _)| known == name).map(|(_, rest)| rest).collect()
}

#[tokio::test]
async fn its_names_are_those_of_the_workspace() {
    let from = all("FROM");
    assert_eq!(from[0], format!("docker.io/library/rust:{}-slim-bookworm AS build", env!("CARGO_PKG_RUST_VERSION")));
    // What is built on one release of Debian runs on the same.
    assert_eq!(from[1], "docker.io/library/debian:bookworm-slim");
    assert_eq!(all("RUN")[0], format!("cargo build --release --locked --package {}", env!("CARGO_PKG_NAME")));
    let program = built("cdn-node");
    let name = program.file_name().unwrap().to_str().unwrap();
    let copied = format!("--from=build {}/target/release/{name} /usr/local/bin/{name}", all("WORKDIR")[0]);
    assert_eq!(all("COPY"), [". .".to_owned(), copied]);
    assert_eq!(all("ENTRYPOINT"), [format!("[\"{name}\"]")]);
    // The context is the repository without what was built before.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let ignored = std::fs::read_to_string(root.join(".dockerignore")).unwrap();
    assert!(ignored.lines().any(|line| line.trim_matches('/') == "target"), "{ignored}");
    for needed in ["Cargo.toml", "Cargo.lock", "bins", "crates", "xtask"] {
        assert!(root.join(needed).exists() && ignored.lines().all(|line| line.trim_matches('/') != needed), "{needed}");
    }
    // The port that is exposed is the one that it takes by itself.
    let folder = tempfile::tempdir().unwrap();
    let shown = run("cdn-node", &["--check", "--media", &folder.path().display().to_string()]).await;
    let shown = String::from_utf8(shown.stdout).unwrap();
    let port = all("EXPOSE")[0].trim_end_matches("/tcp").to_owned();
    assert!(shown.contains(&format!("0.0.0.0:{port}")), "{shown}");
}

#[tokio::test]
async fn what_it_starts_runs_there() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = folder.path().join("cdn-node");
    std::fs::copy(built("cdn-node"), &program).unwrap();
    let needs = soon("ldd", Command::new("ldd").arg(&program).output()).await.unwrap();
    let needs = String::from_utf8(needs.stdout).unwrap();
    let lines = needs.lines().map(str::trim);
    let others: Vec<&str> = lines.filter(|line| !LIBRARIES.iter().any(|known| line.starts_with(known))).collect();
    assert!(!needs.is_empty() && others.is_empty(), "{others:?}");

    let media = folder.path().join("videos");
    std::fs::create_dir(&media).unwrap();
    let user = all("USER")[0].clone();
    let (uid, gid) = user.split_once(':').unwrap();
    // Only root can become somebody else; anybody else is somebody without rights already.
    let root = Path::new("/proc/1/environ").metadata().is_ok() && std::fs::read("/proc/1/environ").is_ok();
    let mut command = if root {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", uid, "--regid", gid, "--clear-groups", "--"]).arg(&program);
        command
    } else {
        Command::new(&program)
    };
    command.args(["-h", "127.0.0.1", "-p", "0", "--media"]).arg(&media).current_dir("/").env_clear();
    command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut program = Program::spawn("cdn-node", &mut command);
    let address = program.address().await;
    assert_eq!(api::request("GET", &address, "/healthz").await.unwrap().status, 200);
    program.signal(all("STOPSIGNAL")[0].trim_start_matches("SIG")).await;
    assert_eq!(program.ended().await, Some(0), "{}", program.said());
}
