//! Requests to devices by HTTP.

use std::error::Error as _;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use reqwest::redirect::Policy;

use super::Config;
use crate::{Error, Request, Trouble};

/// The largest answer that is read. 64 profiles with all that belongs to them have some 200 KB.
const MAX_ANSWER: usize = 1 << 20;
/// Challenges of one answer that are looked at.
const MAX_CHALLENGES: usize = 8;

/// Asks devices.
#[derive(Debug, Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    answer: Duration,
}

impl Client {
    pub(super) fn new(config: &Config) -> Result<Self, Error> {
        // One that is there already is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder().user_agent(concat!("sluicegate/", env!("CARGO_PKG_VERSION")));
        // What a device says is for its own address: no redirects. Devices are near: no proxies.
        let builder = builder.no_proxy().redirect(Policy::none()).tls_danger_accept_invalid_certs(config.insecure);
        let http = builder.build().map_err(|error| Error::Http(error.into()))?;
        Ok(Self { http, answer: config.answer })
    }

    /// The status, the challenges and the body of the answer.
    pub(super) async fn post(&self, request: Request) -> Result<(u16, Vec<String>, Vec<u8>), Trouble> {
        let exchange = tokio::time::timeout(self.answer, self.exchange(request)).await;
        exchange.unwrap_or(Err(Trouble::Late { after: self.answer }))
    }

    async fn exchange(&self, request: Request) -> Result<(u16, Vec<String>, Vec<u8>), Trouble> {
        let mut builder = self.http.post(request.url).header(CONTENT_TYPE, request.content_type);
        if let Some(value) = request.authorization {
            builder = builder.header(AUTHORIZATION, value);
        }
        let mut response = builder.body(request.body).send().await.map_err(|error| unreachable(&error))?;
        let shown = response.headers().get_all(WWW_AUTHENTICATE).iter().take(MAX_CHALLENGES);
        let challenges = shown.filter_map(|value| value.to_str().ok()).map(ToOwned::to_owned).collect();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(&error))? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(Trouble::TooLarge { limit: MAX_ANSWER });
            }
            body.extend_from_slice(&chunk);
        }
        Ok((response.status().as_u16(), challenges, body))
    }
}

/// The last cause says it best, and without the URL.
fn unreachable(error: &reqwest::Error) -> Trouble {
    let causes = std::iter::successors(error.source(), |error: &&dyn std::error::Error| (*error).source());
    let reason = causes.map(ToString::to_string).last().unwrap_or_else(|| "no answer".to_owned());
    Trouble::Unreachable { reason }
}
