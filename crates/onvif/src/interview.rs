//! The conversation with one device, without a socket: what to ask next, and what has come of it.
//!
//! Its clock is asked first, since it refuses passwords whose time is not its own; then its services, who it is, its
//! profiles, and the URL of each. [`Interview::poll_request`] gives the next request, [`Interview::handle_answer`] takes
//! its answer, until there is no request left and [`Interview::finish`] has the device.

use std::time::{Duration, SystemTime};

use http_auth::{PasswordClient, PasswordParams};
use url::{Host, Url};

use crate::answers::{self, Ask, Media};
use crate::device::{Device, Profile};
use crate::soap::{self, Credentials, Fault};
use crate::xml::Malformed;

/// Why a device does not tell its streams.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// It tells them only to those who have a password; none was given.
    #[error("it wants a user and a password")]
    NeedsPassword,
    /// It does not take the user and the password.
    #[error("it does not take the user and the password")]
    Denied,
    /// It would take the password only as it stands, for anybody on the way to read.
    #[error("it takes a password only in the clear (HTTP basic), in which it is not sent")]
    Basic,
    /// It answers HTTP, but not ONVIF.
    #[error("it does not speak ONVIF there: HTTP {status} without a SOAP message")]
    NoSoap {
        /// The status of its answer.
        status: u16,
    },
    /// It has no service with profiles.
    #[error("it has no media service, so it has no streams")]
    NoMedia,
    /// It refuses, in its own words.
    #[error("it refuses {operation}: {reason}")]
    Fault {
        /// What was asked.
        operation: &'static str,
        /// What it says.
        reason: String,
    },
    /// It cannot be connected to.
    #[error("it cannot be reached: {reason}")]
    Unreachable {
        /// What the system says.
        reason: String,
    },
    /// It does not answer in time.
    #[error("it does not answer within {after:?}")]
    Late {
        /// The time allowed.
        after: Duration,
    },
    /// Its answer is larger than is read.
    #[error("its answer is larger than {limit} bytes")]
    TooLarge {
        /// The most that is read.
        limit: usize,
    },
}

/// A request: `POST` to a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Where to.
    pub url: Url,
    /// The `Content-Type`, in which SOAP 1.2 has the action.
    pub content_type: String,
    /// The `Authorization`, where the device asks for HTTP's digest.
    pub authorization: Option<String>,
    /// The message.
    pub body: String,
}

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The status of HTTP.
    pub status: u16,
    /// The `WWW-Authenticate` headers.
    pub challenges: &'a [String],
    /// The message.
    pub body: &'a [u8],
}

/// What is shown of the password.
#[derive(Debug)]
enum Proof {
    /// Nothing: the first requests are for anybody (ONVIF Core section 5.9.1.1).
    Nothing,
    /// A digest in the message.
    Token,
    /// A digest of HTTP; beside one in the message some refuse both.
    Http(Box<PasswordClient>),
}

/// One conversation.
#[derive(Debug)]
pub struct Interview {
    url: Url,
    credentials: Option<Credentials>,
    proof: Proof,
    /// The request at hand was asked anew already, with another proof.
    again: bool,
    next: Option<Ask>,
    media: Vec<(Media, Url)>,
    device: Device,
}

impl Interview {
    /// A conversation with the device service at `url`.
    #[must_use]
    pub fn new(url: Url, credentials: Option<Credentials>) -> Self {
        let (proof, device) = (Proof::Nothing, Device::default());
        Self { url, credentials, proof, again: false, next: Some(Ask::Clock), media: Vec::new(), device }
    }

    /// The next request, or `None` at the end. `nonce` is random, and another each time.
    pub fn poll_request(&mut self, now: SystemTime, nonce: [u8; 16]) -> Option<Request> {
        let ask = self.next.as_ref()?;
        let url = match ask {
            Ask::Profiles(media) | Ask::Stream(media, _) => self.service(*media),
            _ => self.url.clone(),
        };
        let header = match (&self.proof, &self.credentials) {
            (Proof::Token, Some(credentials)) => {
                soap::username_token(credentials, nonce, shifted(now, self.device.clock_ahead))
            }
            _ => String::new(),
        };
        let body = soap::envelope(&header, &ask.body());
        let content_type = format!("application/soap+xml; charset=utf-8; action=\"{}\"", ask.action());
        let authorization = self.authorization(&url, &body);
        Some(Request { url, content_type, authorization, body })
    }

    fn authorization(&mut self, url: &Url, body: &str) -> Option<String> {
        let (Proof::Http(client), Some(credentials)) = (&mut self.proof, &self.credentials) else { return None };
        let (username, password) = (credentials.user.as_str(), credentials.password.as_str());
        let uri = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let params = PasswordParams { username, password, uri, method: "POST", body: Some(body.as_bytes()) };
        client.respond(&params).ok()
    }

    fn service(&self, media: Media) -> Url {
        let found = self.media.iter().find(|(listed, _)| *listed == media);
        found.map_or_else(|| self.url.clone(), |(_, url)| reached(url, &self.url))
    }

    /// Takes the answer to the request that was given last.
    ///
    /// # Errors
    /// The conversation is over without a result.
    pub fn handle_answer(&mut self, answer: &Answer<'_>, now: SystemTime) -> Result<(), Trouble> {
        let Some(ask) = self.next.clone() else { return Ok(()) };
        let denied = matches!(answer.status, 401 | 407);
        let outcome = match &ask {
            Ask::Clock => self
                .read(answer, |_, body| answers::clock(body))
                .map(|read| read.map(|clock| self.device.clock_ahead = clock.map_or(0, |clock| ahead(clock, now)))),
            Ask::Services | Ask::Capabilities => {
                self.read(answer, |_, body| answers::media(body)).map(|read| read.map(|media| self.media = media))
            }
            Ask::Information => self.read(answer, |device, body| answers::information(body, device)),
            Ask::Profiles(_) => self.read(answer, |device, body| device.profiles = answers::profiles(body)),
            Ask::Stream(_, token) => {
                let base = self.url.clone();
                self.read(answer, |device, body| {
                    let stream = answers::stream(body).map(|url| at_host_of(&url, &base));
                    let of_token = device.profiles.iter_mut().find(|profile| profile.token == *token);
                    of_token.into_iter().for_each(|profile| profile.stream.clone_from(&stream));
                })
            }
        };
        let fault = match outcome {
            Ok(Ok(())) if !denied => None,
            Ok(Err(fault)) if !denied && !fault.is_denial => Some(fault),
            Err(Malformed) if !denied => return Err(Trouble::NoSoap { status: answer.status }),
            _ => return self.denied(&ask, answer),
        };
        self.advance(&ask, fault)
    }

    fn read<T>(
        &mut self,
        answer: &Answer<'_>,
        look: impl FnOnce(&mut Device, roxmltree::Node<'_, '_>) -> T,
    ) -> Result<Result<T, Fault>, Malformed> {
        let device = &mut self.device;
        soap::read(answer.body, |body| look(device, body))
    }

    /// The device wants to know who asks: shows the next proof that there is.
    fn denied(&mut self, ask: &Ask, answer: &Answer<'_>) -> Result<(), Trouble> {
        if self.credentials.is_none() {
            // The clock is of no use to those who have no password.
            return if *ask == Ask::Clock { self.advance(ask, None) } else { Err(Trouble::NeedsPassword) };
        }
        let offered = answer.challenges.iter().filter_map(|text| http_auth::parse_challenges(text).ok()).flatten();
        let schemes: Vec<_> = offered.map(|challenge| challenge.scheme.to_ascii_lowercase()).collect();
        let digest = answer.challenges.iter().find_map(|text| digest(text));
        if let Some(client) = digest.filter(|_| !self.again) {
            (self.proof, self.again) = (Proof::Http(Box::new(client)), true);
            return Ok(());
        }
        match self.proof {
            Proof::Nothing => {
                self.proof = Proof::Token;
                // With it the other requests are tried, too, but the clock is as well left unknown.
                if *ask == Ask::Clock { self.advance(ask, None) } else { Ok(()) }
            }
            _ if schemes.iter().all(|scheme| scheme == "basic") && !schemes.is_empty() => Err(Trouble::Basic),
            _ => Err(Trouble::Denied),
        }
    }

    /// Goes on behind `ask`.
    fn advance(&mut self, ask: &Ask, fault: Option<Fault>) -> Result<(), Trouble> {
        let refused = |fault: Option<Fault>| match fault {
            Some(Fault { reason, .. }) => Trouble::Fault { operation: ask.operation(), reason },
            None => Trouble::NoMedia,
        };
        self.next = Some(match ask {
            Ask::Clock => Ask::Services,
            Ask::Services if self.media.is_empty() => Ask::Capabilities,
            Ask::Services | Ask::Capabilities if self.media.is_empty() => return Err(refused(fault)),
            Ask::Services | Ask::Capabilities => Ask::Information,
            Ask::Information => Ask::Profiles(self.media.first().ok_or(Trouble::NoMedia)?.0),
            // Some have Media2 in name only.
            Ask::Profiles(Media::Two) if self.device.profiles.is_empty() && self.media.len() > 1 => {
                Ask::Profiles(Media::One)
            }
            Ask::Profiles(_) if fault.is_some() => return Err(refused(fault)),
            Ask::Profiles(media) | Ask::Stream(media, _) => {
                let before = if let Ask::Stream(_, token) = ask { Some(token) } else { None };
                match self.behind(before) {
                    Some(profile) => Ask::Stream(*media, profile.token.clone()),
                    None => {
                        self.next = None;
                        return Ok(());
                    }
                }
            }
        });
        self.again = false;
        // From here on each request is for those who may.
        if matches!(self.proof, Proof::Nothing) && matches!(self.next, Some(Ask::Information)) {
            self.proof = Proof::Token;
        }
        Ok(())
    }

    /// The first profile behind that one, or of all, whose stream is of use.
    fn behind(&self, token: Option<&String>) -> Option<&Profile> {
        let mut profiles = self.device.profiles.iter();
        if let Some(token) = token {
            profiles.find(|profile| profile.token == *token)?;
        }
        profiles.find(|profile| profile.is_known())
    }

    /// What the device has told.
    #[must_use]
    pub fn finish(self) -> Device {
        self.device
    }
}

/// A client for a challenge that asks for a digest; HTTP's basic credentials would show the password.
fn digest(challenge: &str) -> Option<PasswordClient> {
    let challenges = http_auth::parse_challenges(challenge).ok()?;
    let wanted = challenges.iter().find(|challenge| challenge.scheme.eq_ignore_ascii_case("digest"))?;
    PasswordClient::try_from(wanted).ok()
}

fn ahead(theirs: SystemTime, ours: SystemTime) -> i64 {
    let seconds = |distance: Duration| i64::try_from(distance.as_secs()).unwrap_or_default();
    match theirs.duration_since(ours) {
        Ok(distance) => seconds(distance),
        Err(behind) => -seconds(behind.duration()),
    }
}

fn shifted(now: SystemTime, ahead: i64) -> SystemTime {
    let distance = Duration::from_secs(ahead.unsigned_abs());
    let shifted = if ahead < 0 { now.checked_sub(distance) } else { now.checked_add(distance) };
    shifted.unwrap_or(now)
}

/// Where a service that a device names is reached. A device may name an address of another network, or one that is not
/// its own: then it is asked where it answered, so that no answer sends credentials elsewhere.
fn reached(named: &Url, device: &Url) -> Url {
    if named.host() == device.host() && matches!(named.scheme(), "http" | "https") {
        return named.clone();
    }
    let mut url = device.clone();
    url.set_path(named.path());
    url.set_query(named.query());
    url
}

/// A stream's URL at the host where the device answered.
fn at_host_of(named: &Url, device: &Url) -> Url {
    let mut url = named.clone();
    let done = match device.host() {
        Some(Host::Ipv4(address)) => url.set_host(Some(&address.to_string())),
        Some(Host::Ipv6(address)) => url.set_host(Some(&format!("[{address}]"))),
        Some(Host::Domain(name)) => url.set_host(Some(name)),
        None => Ok(()),
    };
    // A host of one URL is one of another, too.
    if done.is_err() { named.clone() } else { url }
}

/// Lets a device say anything, answer by answer; what is asked is always a message. For fuzzing.
#[doc(hidden)]
pub fn fuzz_interview(data: &[u8]) {
    let url = Url::parse("http://192.0.2.1/onvif/device_service").ok();
    let credentials = Credentials { user: "admin".to_owned(), password: "secret".to_owned() };
    let Some(mut interview) = url.map(|url| Interview::new(url, Some(credentials))) else { return };
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    // Each answer: a status, a challenge, a message, each up to a zero byte; each once, so that this ends.
    let mut parts = data.split(|byte| *byte == 0);
    while interview.poll_request(now, [0; 16]).is_some() {
        let (Some(status), Some(challenge), Some(body)) = (parts.next(), parts.next(), parts.next()) else { break };
        let status = std::str::from_utf8(status).ok().and_then(|text| text.parse().ok()).unwrap_or(200);
        let challenges = [String::from_utf8_lossy(challenge).into_owned()];
        if interview.handle_answer(&Answer { status, challenges: &challenges, body }, now).is_err() {
            return;
        }
    }
    let device = interview.finish();
    assert!(device.channels().len() <= device.profiles.len());
}

#[cfg(test)]
mod tests;
