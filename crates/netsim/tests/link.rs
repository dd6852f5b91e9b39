//! Two programs meet over the link, with its delay, and lose each other when it freezes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap or a panic is a failed test")]
#![expect(clippy::print_stdout, reason = "a test that is left out says so")]

use std::process::Stdio;
use std::time::{Duration, Instant};

use sluicegate_netsim::{Error, Net, Profile, Side};

/// Echoes bytes to any number of clients and says when it listens.
const ECHO: &str = "
import socket, threading
def echo(peer):
    while data := peer.recv(99): peer.sendall(data)
server = socket.create_server(('10.77.0.1', 7077))
print('ready', flush=True)
while True: threading.Thread(target=echo, args=[server.accept()[0]], daemon=True).start()
";

/// The link, or `None` with a line that says why where this machine does not permit it.
async fn net(profile: Profile) -> Option<Net> {
    match Net::new(7, profile).await {
        Ok(net) => Some(net),
        Err(error @ (Error::Io(_) | Error::Ip { .. })) if std::env::var_os("SLUICEGATE_PEERS").is_none() => {
            println!("ignored: no network namespaces ({error})");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

async fn ping(net: &Net, count: &str, wait: &str) -> bool {
    let target = Side::A.address().to_string();
    let script = format!(
        "exec 3<>/dev/tcp/{target}/7077 && for i in $(seq {count}); do echo hello >&3; read -t {wait} -u 3 line || exit 1; done"
    );
    net.command(Side::B, "timeout").args([wait, "bash", "-c", &script]).status().await.unwrap().success()
}

#[tokio::test]
async fn packets_cross_with_the_delay_and_a_freeze_stops_them() {
    let delay = Duration::from_millis(40);
    let Some(net) = net(Profile::CLEAN.with_delay(delay)).await else { return };
    let mut server = net.command(Side::A, "python3").args(["-c", ECHO]).stdout(Stdio::piped()).spawn().unwrap();
    let mut ready = [0; 6];
    tokio::io::AsyncReadExt::read_exact(server.stdout.as_mut().unwrap(), &mut ready).await.unwrap();

    let begun = Instant::now();
    assert!(ping(&net, "4", "5").await);
    assert!(begun.elapsed() >= 10 * delay, "a handshake and four round trips take five times 80 ms");
    net.freeze(true);
    assert!(!ping(&net, "1", "1").await);
    assert!(net.lost() > 0);
    net.freeze(false);
    assert!(ping(&net, "1", "5").await);
    server.kill().await.unwrap();
}
