//! Who dials.

use axum::extract::Request;
use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use sluicegate_net::link::{INSTANCE_HEADER, SITE_HEADER};
use sluicegate_net::problem::Problem;

use super::Inner;
use crate::error::check_site_id;
use crate::metrics;
use crate::tokens::TokenHash;

/// The longest instance id that is taken.
const MAX_INSTANCE: usize = 64;

/// A site that may do what it asks for.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) site: String,
    pub(super) instance: String,
    /// The token that it showed; without one the upstream is open.
    pub(super) token: Option<TokenHash>,
}

impl Inner {
    /// Checks the headers of a link or a push. A site that has tokens needs one, also where others join freely.
    pub(super) fn check(&self, request: &Request) -> Result<Caller, Problem> {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        let bearer = header(AUTHORIZATION.as_str()).and_then(|value| value.strip_prefix("Bearer ")).map(str::trim);
        let named = header(SITE_HEADER).unwrap_or_default();
        let instance = header(INSTANCE_HEADER).unwrap_or_default();
        let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST).detail(detail);
        if !(1..=MAX_INSTANCE).contains(&instance.len()) {
            return Err(bad(format!("the header {INSTANCE_HEADER} is missing or too long")));
        }
        let (site, token) = match bearer {
            Some(token) => {
                let (site, hash) = self.tokens.verify(token).ok_or_else(unauthorized)?;
                (site, Some(hash))
            }
            None if self.config.open && !self.tokens.list().contains_key(named) => (named.to_owned(), None),
            None => return Err(unauthorized()),
        };
        check_site_id(&site).map_err(|error| bad(format!("header {SITE_HEADER}: {error}")))?;
        if !named.is_empty() && named != site {
            metrics::refused("site");
            let detail = format!("the token belongs to another site than {named}");
            return Err(Problem::new(StatusCode::FORBIDDEN).detail(detail));
        }
        Ok(Caller { site, instance: instance.to_owned(), token })
    }
}

fn unauthorized() -> Problem {
    metrics::refused("token");
    Problem::new(StatusCode::UNAUTHORIZED)
        .detail("a valid token of this site is needed: `upstream site add SITE` makes one")
        .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"sluicegate\""))
}
