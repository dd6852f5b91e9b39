//! Secrets in a configuration: never printed.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize, Serializer};

/// What stands for a secret in every output.
const MASK: &str = "********";

/// A text that is masked wherever it is printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Takes a secret from its key, or from the file that its `*_file` key names; the line end is not part of it.
    ///
    /// # Errors
    /// Both are given, or the file cannot be read or is empty: what is wrong, for the list of faults.
    pub fn choose(key: &str, inline: Option<&Self>, file: Option<&Path>) -> Result<Option<Self>, String> {
        match (inline, file) {
            (Some(_), Some(_)) => Err(format!("{key} and {key}_file are both given; keep one")),
            (Some(secret), None) if secret.0.is_empty() => Err(format!("{key} is empty")),
            (inline, None) => Ok(inline.cloned()),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path);
                let text = text.map_err(|error| format!("{key}_file: {}: {error}", path.display()))?;
                match text.trim() {
                    "" => Err(format!("{key}_file: {} is empty", path.display())),
                    secret => Ok(Some(Self::new(secret))),
                }
            }
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_comes_from_one_place_and_is_never_printed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "hidden\n").unwrap();
        let inline = Secret::new("hidden");
        assert_eq!(Secret::choose("t", None, Some(&path)).unwrap().unwrap().reveal(), "hidden");
        assert_eq!(Secret::choose("t", Some(&inline), None), Ok(Some(inline.clone())));
        assert!(Secret::choose("t", Some(&inline), Some(&path)).is_err());
        assert!(Secret::choose("t", Some(&Secret::new("")), None).is_err());
        assert_eq!(format!("{inline:?}"), MASK);
        assert_eq!(toml::to_string(&std::collections::BTreeMap::from([("t", inline)])).unwrap(), "t = \"********\"\n");
    }
}
