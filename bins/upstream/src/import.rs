//! `upstream import-m7s FILE`.

use std::path::Path;

use sluicegate_launch::Failure;

/// The TOML that takes the sites of the plugin's host.
pub(crate) fn run(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::work(path.display().to_string(), error))?;
    sluicegate_m7s::import::upstream(&text).map_err(|error| Failure::work(path.display().to_string(), error))
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn what_is_imported_is_a_configuration() {
        let yaml = include_str!("../../../crates/m7s/testdata/host.yaml");
        let text = sluicegate_m7s::import::upstream(yaml).unwrap();
        let config: Config = toml::from_str(&text).unwrap();
        assert_eq!(config.listen.to_string(), "0.0.0.0:8441");
        assert!(text.contains("upstream site add CID"), "{text}");
    }
}
