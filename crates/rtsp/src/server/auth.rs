//! Credentials of clients: basic (RFC 7617), digest (RFC 2617 as RTSP uses it), or `?token=` in the URL.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http_auth::ChallengeRef;
use md5::{Digest as _, Md5};

use crate::wire::Message;

/// What the password is for.
const REALM: &str = "sluicegate";

/// What a client shows. Any user name will do; the password is the token.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    token: Option<String>,
    password: Option<String>,
    digest: Option<Digest>,
}

#[derive(Debug, Clone)]
struct Digest {
    user: String,
    /// What is hashed between the password and the method, and the method with the URI.
    middle: String,
    second: String,
    response: String,
}

impl Credentials {
    /// Whether the client knows this token.
    #[must_use]
    pub fn prove(&self, token: &str) -> bool {
        let given = [self.token.as_deref(), self.password.as_deref()].into_iter().flatten();
        given.into_iter().any(|given| is_same(given, token)) || self.digest.as_ref().is_some_and(|it| it.proves(token))
    }

    /// Reads what a request shows; a digest counts with our nonce only.
    pub(crate) fn read(message: &Message, method: &str, token: Option<String>, nonce: &str) -> Self {
        let mut all = Self { token, ..Self::default() };
        for header in message.headers("Authorization") {
            if let Some(basic) = header.get(..6).filter(|scheme| scheme.eq_ignore_ascii_case("basic ")) {
                all.password = password(header.get(basic.len()..).unwrap_or_default());
            } else if let Ok(challenges) = http_auth::parse_challenges(header) {
                all.digest = challenges.iter().find_map(|challenge| Digest::read(challenge, method, nonce));
            }
        }
        all
    }
}

/// The values of `WWW-Authenticate` that ask for credentials.
pub(crate) fn challenges(nonce: &str) -> [String; 2] {
    [format!("Digest realm=\"{REALM}\", nonce=\"{nonce}\""), format!("Basic realm=\"{REALM}\"")]
}

fn password(encoded: &str) -> Option<String> {
    let decoded = BASE64_STANDARD.decode(encoded.trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    text.split_once(':').map(|(_, password)| password.to_owned())
}

impl Digest {
    fn read(challenge: &ChallengeRef<'_>, method: &str, nonce: &str) -> Option<Self> {
        if !challenge.scheme.eq_ignore_ascii_case("digest") {
            return None;
        }
        let get = |name: &str| {
            let found = challenge.params.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.to_unescaped())
        };
        if get("nonce")? != nonce || get("realm")? != REALM {
            return None;
        }
        let middle = match get("qop") {
            None => nonce.to_owned(),
            Some(qop) => format!("{nonce}:{}:{}:{qop}", get("nc")?, get("cnonce")?),
        };
        let second = hash(&format!("{method}:{}", get("uri")?));
        Some(Self { user: get("username")?, middle, second, response: get("response")?.to_ascii_lowercase() })
    }

    fn proves(&self, token: &str) -> bool {
        let first = hash(&format!("{}:{REALM}:{token}", self.user));
        is_same(&hash(&format!("{first}:{}:{}", self.middle, self.second)), &self.response)
    }
}

fn hash(text: &str) -> String {
    Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Compares in a time that tells nothing about where the difference is.
fn is_same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_auth::{PasswordClient, PasswordParams};

    use super::*;
    use crate::wire::Start;

    fn shown(value: &str) -> Credentials {
        let start = Start::Request { method: "DESCRIBE".to_owned(), uri: "rtsp://h/a".to_owned() };
        let headers = vec![("Authorization".to_owned(), value.to_owned())];
        Credentials::read(&Message { start, headers, body: Bytes::new() }, "DESCRIBE", None, "f00")
    }

    fn answered(challenge: &str, password: &str) -> Credentials {
        let mut client = PasswordClient::builder().challenges(challenge).build().unwrap();
        let asked = PasswordParams { username: "me", password, uri: "rtsp://h/a", method: "DESCRIBE", body: None };
        shown(&client.respond(&asked).unwrap())
    }

    #[test]
    fn both_kinds_prove_the_token_and_nothing_else() {
        for challenge in challenges("f00") {
            assert!(answered(&challenge, "secret").prove("secret"), "{challenge}");
            assert!(!answered(&challenge, "wrong").prove("secret"), "{challenge}");
        }
        // Another's nonce, damaged values, no value.
        assert!(!answered("Digest realm=\"sluicegate\", nonce=\"f01\"", "secret").prove("secret"));
        for value in ["", "Basic", "Basic !", "Digest", "Digest username=\"", "é", "Basic é"] {
            assert!(!shown(value).prove("secret"), "{value}");
        }
        assert!(Credentials { token: Some("secret".to_owned()), ..Credentials::default() }.prove("secret"));
    }
}
