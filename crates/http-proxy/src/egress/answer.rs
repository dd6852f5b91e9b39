//! A device's answer on its way to the link.

use axum::body::Body;
use http::header::{HeaderMap, HeaderValue};
use http::{Method, Response};
use hyper::body::Incoming;

use super::forward::Forward;
use crate::fault::Fault;
use crate::headers::{self, cookie, forwarding, reference};
use crate::transfer::{is_bodiless, passage::Passage};

/// What an answer has to be read with.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) public_prefix: Option<HeaderValue>,
}

/// The answer as the link carries it: fields of the hop and ours gone, references in the form of the link.
pub(crate) fn to_link(forward: &Forward, asked: &Asked, response: Response<Incoming>) -> Result<Response<Body>, Fault> {
    let (mut parts, body) = response.into_parts();
    headers::remove_hop_by_hop(&mut parts.headers);
    headers::remove_own(&mut parts.headers);
    relocate(forward, asked, &mut parts.headers);
    forwarding::add_via(&mut parts.headers, parts.version);
    let (size, limit) = (headers::list_size(&parts.headers), forward.config.max_head_bytes);
    if size > limit {
        return Err(Fault::AnswerHeadTooLarge { size, limit });
    }
    parts.extensions = http::Extensions::new();
    let bodiless = is_bodiless(&asked.method, parts.status);
    Ok(Response::from_parts(parts, Body::new(Passage::new(body, bodiless))))
}

fn relocate(forward: &Forward, asked: &Asked, fields: &mut HeaderMap) {
    let base = reference::Base {
        scheme: forward.scheme.as_str(),
        authority: forward.authority.as_str(),
        host: forward.host.to_str().ok(),
        prefix: &forward.prefix,
        public_prefix: asked.public_prefix.as_ref().and_then(|prefix| prefix.to_str().ok()),
        asked: &asked.path,
    };
    reference::rewrite(fields, |reference| base.on_link(reference));
    cookie::rewrite(fields, |path| base.path_on_link(path));
}
