//! The allow-list of a site: names and where they lead.

use std::collections::BTreeMap;
use std::collections::btree_map;

use http::HeaderValue;
use sluicegate_net::tls::ClientTls;
use url::Url;

use crate::{Error, request};

/// The authority of the link's own control channel.
const CONTROL: &str = "control";

/// One service of a site.
#[derive(Debug, Clone)]
pub struct Service {
    /// Where it is: `http` or `https`, a host, perhaps a port and a path below which everything lies. No query, no
    /// fragment, no user.
    pub url: Url,
    /// The `Host` that the device gets. `None`: that of the URL.
    pub host: Option<HeaderValue>,
    /// Whom to trust when the URL is `https`.
    pub tls: ClientTls,
}

/// The services that a site allows, by name. Nothing else at the site can be reached through its link.
#[derive(Debug, Clone, Default)]
pub struct Services(BTreeMap<String, Service>);

impl Services {
    /// An empty list: every request is refused.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Allows a service; one of the same name is replaced.
    ///
    /// # Errors
    /// [`Error::Name`] and [`Error::Reserved`] for names that cannot be, [`Error::Url`] for a URL that cannot be
    /// asked.
    pub fn insert(&mut self, name: &str, service: Service) -> Result<(), Error> {
        if !request::is_name(name) {
            return Err(Error::Name { name: name.to_owned() });
        }
        if name == CONTROL {
            return Err(Error::Reserved { name: CONTROL });
        }
        if let Some(fault) = fault(&service) {
            return Err(Error::Url { name: name.to_owned(), fault });
        }
        self.0.insert(name.to_owned(), service);
        Ok(())
    }

    /// The names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl IntoIterator for Services {
    type Item = (String, Service);
    type IntoIter = btree_map::IntoIter<String, Service>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// What is wrong with a service's URL.
fn fault(service: &Service) -> Option<&'static str> {
    let url = &service.url;
    match url.scheme() {
        "http" | "https" => {}
        _ => return Some("the URL must begin with http:// or https://"),
    }
    if url.host().is_none() {
        return Some("the URL has no host");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Some("the URL must not carry a user or password");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Some("the URL must end with its path");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(name: &str, url: &str) -> Result<(), Error> {
        let tls = ClientTls::insecure().unwrap();
        Services::new().insert(name, Service { url: url.parse().unwrap(), host: None, tls })
    }

    #[test]
    fn only_what_can_be_asked_is_taken() {
        assert_eq!(insert("web", "http://127.0.0.1:9000"), Ok(()));
        assert_eq!(insert("web-2.x", "https://cam.lan/base/path/"), Ok(()));
        assert_eq!(insert("a/b", "http://x"), Err(Error::Name { name: "a/b".into() }));
        assert_eq!(insert("", "http://x"), Err(Error::Name { name: String::new() }));
        assert_eq!(insert("control", "http://x"), Err(Error::Reserved { name: "control" }));
        for url in ["ftp://x", "http://user@x", "http://x/?a", "http://x/#a"] {
            assert!(matches!(insert("web", url), Err(Error::Url { .. })), "{url}");
        }
    }
}
