//! Flags, file and environment together, and what is wrong with them.

use super::*;

fn environment(name: &str) -> Option<String> {
    let value = match name {
        "BASE_URL" => "http://one.example/video; http://two.example/video;",
        "UPSTREAM" => "http://three.example",
        "VIDEO_PROXY" => "socks5://user:s3cret@proxy.example:1080",
        _ => return None,
    };
    Some(value.to_owned())
}

#[test]
fn the_existing_names_are_taken_and_flags_go_before_them() {
    let config = load_with(&ServeFlags::default(), environment).unwrap();
    assert_eq!(config.listen.to_string(), "0.0.0.0:6060");
    assert_eq!(config.base_url, ["http://one.example/video", "http://two.example/video"]);
    assert_eq!(config.upstream, ["http://three.example"]);
    assert!(!crate::config::shown(&config).unwrap().contains("s3cret"));
    let folder = tempfile::tempdir().unwrap();
    let media = Some(folder.path().to_owned());
    let host = Some("[::1]".to_owned());
    let flags = ServeFlags { media, port: Some(7), host, ..ServeFlags::default() };
    let config = load_with(&flags, environment).unwrap();
    assert_eq!((config.base_url.len(), config.listen.to_string().as_str()), (0, "[::1]:7"));
    assert!(config.face().unwrap().0.is_some());
    assert!(load_with(&ServeFlags::default(), |_| None).unwrap().face().unwrap().0.is_none());
}

#[test]
fn all_that_is_wrong_is_told_together() {
    let flags = ServeFlags {
        base_url: vec!["ftp://x/".to_owned()],
        proxy: Some("nothing".to_owned()),
        host: Some("no such host".to_owned()),
        ..ServeFlags::default()
    };
    let told = load_with(&flags, |name| (name == "ID").then(|| "short".to_owned())).unwrap_err().to_string();
    for part in ["BASE_URL", "VIDEO_PROXY", "--host", "36"] {
        assert!(told.contains(part), "{told}");
    }
    let flags = ServeFlags { media: Some("./no-such-folder".into()), ..ServeFlags::default() };
    assert!(load_with(&flags, |_| None).unwrap_err().to_string().contains("no such folder"));
}

#[test]
fn the_shipped_example_is_taken() {
    let example = include_str!("../../../../../docs/examples/cdn-node.toml");
    let config: Config = toml::from_str(example).unwrap();
    let mut faults = Vec::new();
    Config { media: None, ..config }.validate(&mut faults);
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
fn what_the_example_leaves_out_is_named_right_and_has_the_values_that_it_says() {
    let example = include_str!("../../../../../docs/examples/cdn-node.toml");
    // A line that is a key or a table behind its mark, and not a sentence.
    let is_key =
        |line: &str| line.starts_with('[') || line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
    let bare = |line: &str| line.strip_prefix("# ").filter(|line| is_key(line)).unwrap_or(line).to_owned();
    let all: String = example.lines().map(|line| bare(line) + "\n").collect();
    let config: Config = toml::from_str(&all).unwrap();
    let (told, default) = (config.media_limits(), media::Limits::default());
    assert_eq!(told, default);
    assert_eq!(config.limits.disk.map(|size| size.0), Some(DISK));
    let (origin, own) = (origin::Config::default(), &config.limits);
    let spans = (own.origin.map(|span| span.0), own.origin_silence.map(|span| span.0));
    assert_eq!(spans, (Some(origin.head), Some(origin.silence)));
    assert_eq!(own.in_flight.map(|size| size.0), Some(origin.in_flight));
    assert_eq!(config.listen, Config::default().listen);
}
