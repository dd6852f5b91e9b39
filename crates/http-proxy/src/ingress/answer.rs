//! A site's answer on its way to the client.

use std::time::Duration;

use axum::body::Body;
use http::header::CONTENT_LENGTH;
use http::{Method, Response};
use sluicegate_net::link;

use super::Held;
use crate::fault::PROBLEM;
use crate::headers::{self, cookie, forwarding, forwarding::Client, reference};
use crate::transfer::{download::Download, is_bodiless};

/// How the client sees the service.
#[derive(Debug)]
pub(super) struct Public {
    pub(super) method: Method,
    pub(super) prefix: String,
    pub(super) client: Client,
}

/// The answer under the service's public prefix, with its body guarded against a reader that stops.
pub(super) fn to_public(
    response: Response<link::Body>,
    public: &Public,
    held: Held,
    stall: Duration,
) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let fields = &mut parts.headers;
    // The site took this field off whatever its device sent, so here it is the site that speaks.
    let problem = fields.get(PROBLEM).cloned();
    headers::remove_hop_by_hop(fields);
    headers::remove_own(fields);
    match problem {
        Some(problem) => {
            fields.insert(PROBLEM, problem);
        }
        None => {
            let (scheme, host) = (public.client.scheme.to_str().unwrap_or("http"), &public.client.host);
            let host = host.as_ref().and_then(|host| host.to_str().ok());
            reference::rewrite(fields, |value| reference::to_public(value, &public.prefix, scheme, host));
            cookie::rewrite(fields, |path| path.starts_with('/').then(|| format!("{}{path}", public.prefix)));
            forwarding::add_via(fields, parts.version);
        }
    }
    parts.extensions = http::Extensions::new();
    let bodiless = is_bodiless(&public.method, parts.status);
    if bodiless && public.method != Method::HEAD {
        // Allowed on 304 only, where the server above cannot write it and logs a warning for each.
        parts.headers.remove(CONTENT_LENGTH);
    }
    Response::from_parts(parts, Body::new(Download::new(body, held, stall, bodiless)))
}
