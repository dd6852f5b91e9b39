//! Configurations: one TOML file, flags that go before it, and for the node the existing environment names after it.

pub(crate) mod serve;
pub(crate) mod signal;

use serde::Serialize;
use sluicegate_launch::Failure;

/// A configuration as TOML with secrets masked.
pub(crate) fn shown(config: &impl Serialize) -> Result<String, Failure> {
    toml::to_string(config).map_err(|error| Failure::work("printing the configuration", error))
}
