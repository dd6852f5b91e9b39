//! The section `[wcs.hooks]`.

use serde::{Deserialize, Serialize};
use sluicegate_launch::Span;
use sluicegate_wcs::METHODS;

/// A web server that decides about clients and is told of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hooks {
    /// Its address; the method is put behind it.
    url: String,
    /// What it is asked and told; without it everything.
    methods: Option<Vec<String>>,
    /// How long it may take.
    timeout: Option<Span>,
    /// What tells this node from others.
    #[serde(default)]
    node: String,
}

impl Hooks {
    /// The settings, or what is wrong with the section.
    pub(super) fn read(&self) -> Result<sluicegate_wcs::Hooks, String> {
        let url = self.url.parse().ok().filter(|url: &url::Url| matches!(url.scheme(), "http" | "https"));
        let url = url.ok_or_else(|| format!("wcs.hooks.url: {:?} is no http or https address", self.url))?;
        let mut hooks = sluicegate_wcs::Hooks::new(url);
        if let Some(methods) = &self.methods {
            if let Some(unknown) = methods.iter().find(|method| !METHODS.contains(&method.as_str())) {
                return Err(format!("wcs.hooks.methods: {unknown:?} is none of {}", METHODS.join(" ")));
            }
            hooks.methods.clone_from(methods);
        }
        hooks.timeout = self.timeout.map_or(hooks.timeout, |timeout| timeout.0);
        if hooks.timeout.is_zero() || hooks.timeout > MAX_TIMEOUT {
            return Err(format!("wcs.hooks.timeout must be above 0 and at most {} s", MAX_TIMEOUT.as_secs()));
        }
        hooks.node.clone_from(&self.node);
        Ok(hooks)
    }
}

/// Clients are told within 15 s what becomes of their wish.
const MAX_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(14);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let section = |text: &str| toml::from_str::<Hooks>(text).unwrap().read();
        let hooks = section("url = 'http://127.0.0.1:9000/app'\nmethods = ['connect']\ntimeout = '2s'").unwrap();
        assert_eq!((hooks.methods, hooks.timeout.as_secs()), (vec!["connect".to_owned()], 2));
        assert_eq!(section("url = 'https://app.example'").unwrap().methods.len(), METHODS.len());
        for (text, name) in [
            ("url = 'ws://app.example'", "url"),
            ("url = 'http://a'\nmethods = ['conect']", "methods"),
            ("url = 'http://a'\ntimeout = '1min'", "timeout"),
        ] {
            assert!(section(text).unwrap_err().starts_with(&format!("wcs.hooks.{name}")), "{text}");
        }
    }
}
