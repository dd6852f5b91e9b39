//! What is taken, what is refused, and what the refusal says.

use sluicegate_launch::TlsFlags;

use super::*;

fn loaded(toml: &str, flags: Server) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("upstream.toml");
    std::fs::write(&path, toml).unwrap();
    load(&Server { config: Some(path), ..flags }).map_err(|failure| failure.to_string())
}

#[test]
fn flags_go_before_the_file_and_secrets_are_masked() {
    let flags = Server { listen: Some("127.0.0.1:1".parse().unwrap()), ..Server::default() };
    let config = loaded("listen = '127.0.0.1:2'\n[access]\napi_token = 'hidden'\n", flags).unwrap();
    assert_eq!(config.listen.port(), 1);
    assert_eq!(config.access().api, Rule::Token("hidden".into()));
    let shown = config.shown().unwrap();
    assert!(shown.contains("api_token = \"********\"") && !shown.contains("hidden"), "{shown}");
}

#[test]
fn uplinks_are_given_as_lines_are_sold() {
    let file = "[uplinks]\neach = '8 Mbit/s'\nsites.cam-7 = '1.5 Mbit/s'\n";
    let config = loaded(file, Server::default()).unwrap();
    let of = |site: &str| config.hub().uplinks.of(&sluicegate_hub::Owner::new(site));
    assert_eq!((of("cam-7"), of("cam-8")), (Some(1_500_000), Some(8_000_000)));
    assert!(loaded("[uplinks]\neach = '8 MB'\n", Server::default()).unwrap_err().contains("8 Mbit/s"));
    assert_eq!(loaded("", Server::default()).unwrap().hub().uplinks, sluicegate_hub::Uplinks::default());
}

#[test]
fn a_public_address_needs_credentials_or_to_be_told() {
    let refused = loaded("listen = '0.0.0.0:8440'\n[access]\napi_token = 'x'\n", Server::default()).unwrap_err();
    assert!(refused.contains("access.publish_token, access.proxy_token is not set") && refused.contains("--open"));
    let flags = Server { open: true, ..Server::default() };
    assert!(loaded("listen = '0.0.0.0:8440'\n", flags).unwrap().sites_are_open());
    let access = "[access]\napi_token = 'x'\npublish_token = 'x'\nproxy_token = 'x'\n";
    let config = loaded(&format!("listen = '0.0.0.0:8440'\n{access}"), Server::default()).unwrap();
    assert!(!config.sites_are_open());
}

#[test]
fn a_public_rtmp_port_needs_a_token_to_publish() {
    let file = "[rtmp]\nlisten = '0.0.0.0:1935'\n";
    let refused = loaded(file, Server::default()).unwrap_err();
    assert!(refused.contains("0.0.0.0:1935 is a public address, and access.publish_token"), "{refused}");
    assert!(loaded(&format!("{file}[access]\npublish_token = 'x'\n"), Server::default()).is_ok());
    assert!(loaded(file, Server { open: true, ..Server::default() }).is_ok());
    let flags = Server { rtmp: Some("127.0.0.1:0".parse().unwrap()), ..Server::default() };
    assert!(loaded(file, flags).is_ok());
    let refused = loaded("[rtmp]\nlisten_tls = '127.0.0.1:1936'\n", Server::default()).unwrap_err();
    assert!(refused.contains("rtmp.listen_tls needs a certificate"), "{refused}");
}

#[test]
fn ports_for_wcs_need_credentials_and_certificates_as_the_main_one_does() {
    let file = "[wcs]\nlisten = ['127.0.0.1:8080', '0.0.0.0:8081']\n";
    let refused = loaded(file, Server::default()).unwrap_err();
    assert!(refused.contains("0.0.0.0:8081 is a public address, and access.api_token"), "{refused}");
    assert!(loaded(file, Server { open: true, ..Server::default() }).is_ok());
    let refused = loaded("[wcs]\nlisten_tls = ['127.0.0.1:8443']\n", Server::default()).unwrap_err();
    assert!(refused.contains("wcs.listen_tls needs the certificate"), "{refused}");
    let refused = loaded("[wcs]\ninsecure = true\nca_file = 'x'\n", Server::default()).unwrap_err();
    assert!(refused.contains("wcs.ca_file means nothing"), "{refused}");
    let refused = loaded("[wcs]\nrepublish = ['http://me:secret@host']\n", Server::default()).unwrap_err();
    assert!(refused.contains("wcs.republish") && !refused.contains("secret"), "{refused}");
}

#[test]
fn every_fault_is_named() {
    let unknown = loaded("listne = '127.0.0.1:1'\n", Server::default()).unwrap_err();
    assert!(unknown.contains("listne") && unknown.contains("line 1"), "{unknown}");
    let tls = TlsFlags { tls_cert: Some("cert.pem".into()), tls_key: None };
    let flags = Server { tls, ..Server::default() };
    let both =
        loaded("[access]\napi_token = 'x'\napi_token_file = 'y'\nplay_token_file = 'none'\n", flags).unwrap_err();
    for part in ["3 faults", "--tls-key", "access.api_token_file are both given", "access.play_token_file: none"] {
        assert!(both.contains(part), "{part} in {both}");
    }
}

#[test]
fn the_shipped_example_is_taken() {
    let example = include_str!("../../../../docs/examples/upstream.toml");
    let config: Config = toml::from_str(example).unwrap();
    assert_eq!(config.listen.port(), 8440);
}

#[test]
fn the_limits_that_the_example_shows_are_the_defaults() {
    let example = include_str!("../../../../docs/examples/upstream.toml");
    let (_, limits) = example.split_once("[limits]\n").unwrap();
    let shown: String =
        limits.lines().filter(|line| line.contains(" = ")).map(|line| format!("{}\n", &line[2..])).collect();
    let shown: Limits = toml::from_str(&shown).unwrap();
    assert_ne!(shown, Limits::default());
    let fields = |limits: &Limits| format!("{:?}", (limits.hub(), limits.streams(), limits.link(), limits.proxy()));
    assert_eq!(fields(&shown), fields(&Limits::default()));
}

#[test]
fn a_limit_without_room_is_named() {
    let fault = loaded("[limits]\nring_size = '1 KiB'\nping_interval = '1ms'\n", Server::default()).unwrap_err();
    assert!(fault.contains("ring_bytes") && fault.contains("keep_alive.interval"), "{fault}");
}
