//! Flags that every server has: what it logs and its certificate.

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::LogFormat;

/// What is logged, and how.
#[derive(Debug, Clone, Default, Args)]
pub struct LogFlags {
    /// What to log, such as `info` or `info,sluicegate_hub=debug` [default: info]
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
    /// How to log [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
}

/// The listener's certificate.
#[derive(Debug, Clone, Default, Args)]
pub struct TlsFlags {
    /// Certificate chain (PEM); reloaded when it changes
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Key of the certificate (PEM)
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
}

/// Files of a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// Chain of certificates (PEM).
    pub certificate: PathBuf,
    /// Its key (PEM).
    pub key: PathBuf,
}

/// Puts what is given into the place of what a file or the default says.
pub fn set<T>(place: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *place = given;
    }
}

impl LogFlags {
    /// Lets the flags go before what a file says.
    pub fn apply(&self, filter: &mut String, format: &mut LogFormat) {
        set(filter, self.log.clone());
        set(format, self.log_format);
    }
}

impl TlsFlags {
    /// Lets the flags go before what a file says; one without the other is a fault.
    pub fn apply(&self, tls: &mut Option<TlsFiles>, faults: &mut Vec<String>) {
        match (self.tls_cert.clone(), self.tls_key.clone()) {
            (Some(certificate), Some(key)) => *tls = Some(TlsFiles { certificate, key }),
            (None, None) => {}
            _ => faults.push("--tls-cert and --tls-key belong together; give both".to_owned()),
        }
    }
}
