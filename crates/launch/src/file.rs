//! Configuration files.

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::Failure;

/// Reads a TOML file. A key that does not exist is a fault, named with its line.
///
/// # Errors
/// [`Failure::Usage`] when the file cannot be read or is wrong.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let fault = |text: String| Failure::Usage(vec![format!("{}: {}", path.display(), text.trim_end())]);
    let text = std::fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
    toml::from_str(&text).map_err(|error| fault(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Config {
        port: u16,
    }

    #[test]
    fn a_wrong_file_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, "port = 7\n").unwrap();
        assert_eq!(read::<Config>(&path).unwrap().port, 7);
        std::fs::write(&path, "port = 7\nprot = 8\n").unwrap();
        let text = read::<Config>(&path).unwrap_err().to_string();
        assert!(text.contains("config.toml") && text.contains("line 2") && text.contains("prot"), "{text}");
        assert!(matches!(read::<Config>(&folder.path().join("none.toml")), Err(Failure::Usage(_))));
    }
}
