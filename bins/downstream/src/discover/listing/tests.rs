//! What is printed is a configuration.

use crate::config::Config;

use super::*;

fn profile(token: &str, encoding: &str, width: u32) -> Profile {
    let stream = format!("rtsp://10.0.0.9/{token}?a=\"1\"").parse().ok();
    let (token, encoding) = (token.to_owned(), encoding.to_owned());
    Profile { token, encoding, width, height: width / 2, stream, ..Profile::default() }
}

fn camera(name: Option<&str>, profiles: Vec<Profile>) -> Found {
    let device = Device { model: "IPC 1/a\u{e9}".to_owned(), clock_ahead: -3_600, profiles, ..Device::default() };
    let service = "http://10.0.0.9/onvif/device_service".parse().unwrap();
    let (name, hardware) = (name.map(ToOwned::to_owned), None);
    Found { service, name, hardware, answered: true, told: Ok(device) }
}

fn pair() -> Vec<Profile> {
    vec![profile("main", "H265", 2_560), profile("low", "H264", 640), profile("snap", "JPEG", 640)]
}

#[test]
fn what_is_printed_is_a_configuration() {
    let mut two = pair();
    two[1].source = "second".to_owned();
    let refused = Found { told: Err(Trouble::NeedsPassword), ..camera(Some("Gate"), Vec::new()) };
    let found =
        [camera(Some("Front \"door\"\n"), pair()), camera(Some("front.door"), pair()), camera(None, two), refused];
    let login = Login { user: "ad\"min".to_owned(), password_file: None };
    let listing = Listing::of(&found);
    let text = listing.toml(Some(&login));
    let config: Config = toml::from_str(&text).unwrap();
    let streams = config.all_streams();
    let names: Vec<_> = streams.keys().map(String::as_str).collect();
    let expected = [
        "cams/front-door",
        "cams/front-door:sub",
        "cams/front.door",
        "cams/front.door:sub",
        "cams/ipc-1-a-1",
        "cams/ipc-1-a-2",
    ];
    assert_eq!(names, expected, "{text}");
    for part in [
        "# Its clock is 3600 s behind.",
        "# Left out: JPEG, 640x320",
        "# it wants a user",
        "the file camera.password, readable",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn each_stream_has_a_name_of_its_own() {
    let mut two = pair();
    two[1].source = "second".to_owned();
    let found = [
        camera(Some("IPC"), two.clone()),
        camera(Some("IPC 1"), pair()),
        camera(Some("IPC"), pair()),
        camera(Some("IPC"), pair()),
        camera(Some("IPC"), two),
    ];
    let listing = Listing::of(&found);
    let names: Vec<_> = listing.entries.iter().flat_map(|entry| &entry.streams).map(|one| one.name.as_str()).collect();
    assert_eq!(
        names,
        ["cams/ipc-1", "cams/ipc-2", "cams/ipc-1-2", "cams/ipc", "cams/ipc-3", "cams/ipc-2-1", "cams/ipc-2-2"]
    );
    let uuid = "0".repeat(36);
    let long = slug(&"x".repeat(99));
    assert!(sluicegate_hub::StreamName::parse(&format!("cams/{long}-99-9:sub")).unwrap().at_site(&uuid).is_ok());
}

#[test]
fn names_are_made_of_anything() {
    assert_eq!(slug("Café / Gate #2"), "caf-gate-2");
    assert_eq!((slug("..").as_str(), slug("\u{3042}").as_str()), ("", ""));
    assert_eq!(slug("[fe80::1]"), "fe80-1");
}
