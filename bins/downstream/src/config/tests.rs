//! What is taken, what is refused, and what the refusal says.

use super::*;

fn flags(line: &str) -> Arguments {
    clap::Parser::parse_from(std::iter::once("downstream").chain(line.split_whitespace()))
}

#[test]
fn the_quick_start_is_a_configuration() {
    let line = "--upstream ws://127.0.0.1:8440 --site cam-7 --stream cams/door=file:sample.flv --service web=http://127.0.0.1:9000";
    let config = load(&flags(line)).unwrap();
    assert_eq!(config.site.as_deref(), Some("cam-7"));
    assert_eq!(config.streams["cams/door"].parse().unwrap().source, Source::File("sample.flv".into()));
    assert_eq!(config.services["web"].url.as_str(), "http://127.0.0.1:9000/");
}

#[test]
fn every_fault_is_named() {
    let line = "--upstream http://x --stream a --stream b//c=file:x --stream d=rtp://x --stream e=listen:y --stream f=listen:rtmp --stream g=listen:rtsp --stream h=rtsps+udp://x/y --stream i=rtsps://x/y#sha256=12 --service w=no";
    let text = load(&flags(line)).unwrap_err().to_string();
    let parts = [
        "upstream http://x/: the URL must be ws://",
        "--stream a: it must be NAME=SOURCE",
        "stream b//c: stream name: a segment is empty",
        "stream d: \"rtp://x\" is no source",
        "stream e: \"y\" is no address",
        "stream f: listen:rtmp needs an address",
        "stream g: listen:rtsp needs an address; use --rtsp",
        "stream h: media by UDP are not encrypted; use rtsps://",
        "stream i: behind # an rtsps:// URL may have sha256=",
        "--service w=no",
    ];
    for part in parts {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(load(&Arguments::default()).unwrap_err().to_string().contains("no upstream is given"));
}

#[test]
fn variants_are_streams_and_their_faults_are_named() {
    let config =
        |streams: &str| toml::from_str::<Config>(&format!("[[upstreams]]\nurl = 'ws://x'\n{streams}")).unwrap();
    let taken = config("[streams.'a']\nsource = 'rtsp://cam/main'\nalways = true\nvariants.sub = 'rtsp://cam/sub'\n");
    let (mut faults, all) = (Vec::new(), taken.all_streams());
    taken.validate(&mut faults);
    assert_eq!((faults.len(), all.keys().map(String::as_str).collect::<Vec<_>>()), (0, vec!["a", "a:sub"]));
    assert!(all["a"].always && !all["a:sub"].always);
    assert_eq!(all["a:sub"].parse().unwrap().source, Source::Pull("rtsp://cam/sub".parse().unwrap()));
    for (streams, fault) in [
        ("[streams.a]\nsource = 'file:x'\nvariants.main = 'file:y'", "stream a: its variant main would be the stream"),
        ("[streams.'a:b']\nsource = 'file:x'\nvariants.c = 'file:y'", "its variant c would be"),
        (
            "[streams.a]\nsource = 'file:x'\nvariants.b = 'file:y'\n[streams.'a:b']\nsource = 'file:z'",
            "a stream of its own",
        ),
        ("[streams.a]\nsource = 'file:x'\nvariants.'b/c' = 'file:y'", "stream a:b/c: stream name"),
        ("[streams.a]\nsource = 'file:x'\nvariants.b = 'rtp://y'", "stream a:b: \"rtp://y\" is no source"),
    ] {
        let mut faults = Vec::new();
        config(streams).validate(&mut faults);
        assert!(faults.iter().any(|found| found.contains(fault)), "{fault}: {faults:?}");
    }
}

#[test]
fn the_shipped_example_is_taken_and_its_secrets_are_masked() {
    let example = include_str!("../../../../docs/examples/downstream.toml");
    let config: Config = toml::from_str(example).unwrap();
    assert!(config.upstreams.len() == 1 && config.streams.len() >= 2 && !config.services.is_empty());
    let inline: Config = toml::from_str("[[upstreams]]\nurl = 'ws://x'\ntoken = 'hidden'\n").unwrap();
    assert!(!inline.shown().unwrap().contains("hidden"));
}

#[test]
fn the_limits_that_the_example_shows_are_the_defaults() {
    let example = include_str!("../../../../docs/examples/downstream.toml");
    let (_, limits) = example.split_once("[limits]\n").unwrap();
    let shown: String =
        limits.lines().filter(|line| line.contains(" = ")).map(|line| format!("{}\n", &line[2..])).collect();
    let shown: Limits = toml::from_str(&shown).unwrap();
    assert_ne!(shown, Limits::default());
    let fields = |limits: &Limits| format!("{:?}", (limits.hub(), limits.link(), limits.services()));
    assert_eq!(fields(&shown), fields(&Limits::default()));
}

#[test]
fn a_limit_without_room_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("downstream.toml");
    std::fs::write(&path, "[limits]\nring_size = '1 KiB'\nping_interval = '1ms'\n").unwrap();
    let fault = load(&flags(&format!("--config {}", path.display()))).unwrap_err().to_string();
    assert!(fault.contains("ring_bytes") && fault.contains("keep_alive.interval"), "{fault}");
}
