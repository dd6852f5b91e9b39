//! The HTTP routes of the m7s plugin `erwscascade`, as faces of our sites, streams and proxy.
//!
//! [`router`] brings `/erwscascade/httpproxy/…`, `api/clientlist`, `api/streamlist` and `ui/` to the public host;
//! [`SiteRoutes`] answers `api/streamlist` and the push routes at the site, and sends every other path to one service. Pages and
//! scripts written for the plugin keep working; unlike there, status, fields and body of the site come back as they are.
//! [`import`] turns the plugin's configuration into ours.

pub mod import;

mod proxy_target;
mod push;
mod site;
mod streams;
mod upstream;

pub use proxy_target::{NoTarget, ProxyTarget};
pub use push::{Allowed, Pushes};
pub use site::{SERVICE, Services, SiteRoutes};
pub use upstream::{Upstream, router};
