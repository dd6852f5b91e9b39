//! `downstream import-m7s FILE`.

use std::path::Path;

use sluicegate_launch::Failure;

/// The TOML that does what the plugin's configuration says.
pub(crate) fn run(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::work(path.display().to_string(), error))?;
    sluicegate_m7s::import::downstream(&text).map_err(|error| Failure::work(path.display().to_string(), error))
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn what_is_imported_is_a_configuration() {
        let yaml = include_str!("../../../crates/m7s/testdata/site.yaml");
        let text = sluicegate_m7s::import::downstream(yaml).unwrap();
        let config: Config = toml::from_str(&text).unwrap();
        assert_eq!((config.site.as_deref(), config.name.as_str()), (Some("gate-7"), "Harbour \"gate\" 7"));
        let urls: Vec<_> = config.upstreams.iter().map(|upstream| upstream.url.as_str()).collect();
        assert_eq!(urls, ["ws://m7s.example.org:8080/cascade", "wss://other.example.org/"]);
        assert!(config.streams["live/door"].always);
        assert_eq!(config.m7s.default_service.as_deref(), Some("local"));
        for part in
            ["cinfo.serial = 4711", "push.repush = 3", "No counterpart in erwscascade: experimental", "global, rtmp"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn what_is_none_is_told() {
        let error = |yaml: &str| sluicegate_m7s::import::downstream(yaml).unwrap_err().to_string();
        assert_eq!(error("a: 1\n"), "it has no section erwscascade");
        assert_eq!(error("a: [\n"), "it is no YAML");
        assert_eq!(error(""), "it has no section erwscascade");
    }
}
