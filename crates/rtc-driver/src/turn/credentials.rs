//! Who we are to a TURN server, and the keys that follow from it (RFC 8489 section 9.2).

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use md5::Md5;
use sha1::{Digest, Sha1};

/// How long a name made from a shared secret is good for at most; it changes after half of that. A server refuses a name
/// when its time is over, also for a relay that it has given, and some take no second name from one port.
const VALID: Duration = Duration::from_secs(365 * 24 * 3600);

/// What proves who we are.
#[derive(Clone, PartialEq, Eq)]
pub enum TurnCredential {
    /// The password that belongs to the name.
    Password(String),
    /// A secret shared with the server, from which names with an end and their passwords are made
    /// (draft-uberti-behave-turn-rest-00): coturn's `static-auth-secret`.
    Secret(String),
}

impl fmt::Debug for TurnCredential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Password(_) => "Password(…)",
            Self::Secret(_) => "Secret(…)",
        })
    }
}

/// Name and password, some of which change with time.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    username: String,
    credential: TurnCredential,
    /// An instant and the time of day at it.
    anchor: (Instant, SystemTime),
}

impl Credentials {
    /// `today` is the time of day at `now`.
    pub(crate) fn new(username: String, credential: TurnCredential, now: Instant, today: SystemTime) -> Self {
        Self { username, credential, anchor: (now, today) }
    }

    /// The name and password for an allocation that is asked for now.
    pub(super) fn at(&self, now: Instant) -> (String, String) {
        match &self.credential {
            TurnCredential::Password(password) => (self.username.clone(), password.clone()),
            TurnCredential::Secret(secret) => {
                let (instant, today) = self.anchor;
                let today = today.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
                let (valid, passed) = (VALID.as_secs(), now.saturating_duration_since(instant).as_secs());
                let end = today + valid + passed - passed % (valid / 2);
                let name = if self.username.is_empty() { end.to_string() } else { format!("{end}:{}", self.username) };
                let password = STANDARD.encode(hmac(secret.as_bytes(), &[name.as_bytes()]));
                (name, password)
            }
        }
    }
}

/// What signs requests (RFC 8489 section 9.2.2, with MD5).
pub(super) type Key = [u8; 16];

/// The key of a name in a realm.
pub(super) fn key(username: &str, realm: &[u8], password: &str) -> Key {
    let digest = Md5::new().chain_update(username).chain_update(b":").chain_update(realm);
    digest.chain_update(b":").chain_update(password).finalize().into()
}

/// HMAC-SHA1 over the parts.
pub(super) fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    // A key of any length is taken, so that there is no other case.
    let Ok(mac) = Hmac::<Sha1>::new_from_slice(key) else { return [0; 20] };
    parts.iter().fold(mac, |mac, part| mac.chain_update(part)).finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_makes_names_with_an_end() {
        let now = Instant::now();
        let today = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let secret = TurnCredential::Secret("north".to_owned());
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        let credentials = Credentials::new("site".to_owned(), secret.clone(), now, today);
        let (name, password) = credentials.at(now + Duration::from_secs(5));
        assert_eq!(name, "1031536000:site");
        // printf 1031536000:site | openssl dgst -sha1 -hmac north -binary | base64
        assert_eq!(password, "5Z7/eDP1PzOb3Q+yTiCuYiWy0xI=");
        let later = credentials.at(now + VALID * 3 / 4).0;
        assert_eq!(later, "1047304000:site");
        let nameless = Credentials::new(String::new(), secret, now, today);
        assert_eq!(nameless.at(now).0, "1031536000");
    }
}
