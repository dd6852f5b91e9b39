//! HTTP over the link: ingress at the upstream, egress with an allow-list at the site.
//!
//! A client asks the upstream for `/proxy/{site}/{service}/path`. The [`ingress`] finds the site and sends the request over
//! its link with the authority `{service}` and the device's own path. The [`egress`] at the site looks the authority up
//! among the services that the site's configuration names, and asks the device. Bodies stream both ways in their own
//! pace; neither end ever holds more of one than the windows of its connections.

mod admission;
pub mod egress;
mod error;
mod fault;
mod headers;
pub mod ingress;
mod metrics;
mod request;
mod transfer;

pub use error::Error;
