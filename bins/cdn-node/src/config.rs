//! Configurations: one TOML file, flags that go before it, and for the node the existing environment names after it.

pub(crate) mod serve;
pub(crate) mod signal;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sluicegate_launch::{Failure, LogFormat};

use crate::cli::{LogFlags, TlsFlags};

/// Files of the certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// All faults together, or none.
fn finish<T>(config: T, faults: Vec<String>) -> Result<T, Failure> {
    if faults.is_empty() { Ok(config) } else { Err(Failure::Usage(faults)) }
}

/// A configuration as TOML with secrets masked.
pub(crate) fn shown(config: &impl Serialize) -> Result<String, Failure> {
    toml::to_string(config).map_err(|error| Failure::work("printing the configuration", error))
}

impl LogFlags {
    fn apply(&self, filter: &mut String, format: &mut LogFormat) {
        if let Some(wanted) = &self.log {
            filter.clone_from(wanted);
        }
        match self.log_format.as_deref() {
            Some("json") => *format = LogFormat::Json,
            Some(_) => *format = LogFormat::Text,
            None => {}
        }
    }
}

impl TlsFlags {
    fn apply(&self, tls: &mut Option<Tls>, faults: &mut Vec<String>) {
        match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => {
                *tls = Some(Tls { certificate: certificate.clone(), key: key.clone() });
            }
            (None, None) => {}
            _ => faults.push("--tls-cert and --tls-key belong together; give both".to_owned()),
        }
    }
}
