//! SOAP 1.2 messages: envelopes with the digest of a password, faults.

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use roxmltree::Node;
use sha1::{Digest, Sha1};

use crate::xml::{self, Malformed, escape};

const SECURITY: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
const UTILITY: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";
const DIGEST: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest";
const BASE64: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary";

/// Who asks.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user at the cameras.
    pub user: String,
    /// The user's password; it never leaves this machine as it stands.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    /// The password stays out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// A message around `body`.
pub(crate) fn envelope(header: &str, body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\">\
         <s:Header>{header}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    )
}

/// The header that shows the password by a digest (WS-Security `UsernameToken` Profile 1.0 section 3.1). `time` is the
/// device's: it refuses what seems old to it.
pub(crate) fn username_token(credentials: &Credentials, nonce: [u8; 16], time: SystemTime) -> String {
    let created = humantime::format_rfc3339_seconds(time).to_string();
    let digest = password_digest(&nonce, &created, &credentials.password);
    let (user, nonce) = (escape(&credentials.user), STANDARD.encode(nonce));
    format!(
        "<o:Security s:mustUnderstand=\"1\" xmlns:o=\"{SECURITY}\" xmlns:u=\"{UTILITY}\"><o:UsernameToken>\
         <o:Username>{user}</o:Username><o:Password Type=\"{DIGEST}\">{digest}</o:Password>\
         <o:Nonce EncodingType=\"{BASE64}\">{nonce}</o:Nonce><u:Created>{created}</u:Created>\
         </o:UsernameToken></o:Security>"
    )
}

fn password_digest(nonce: &[u8], created: &str, password: &str) -> String {
    let hash = Sha1::new().chain_update(nonce).chain_update(created).chain_update(password);
    STANDARD.encode(hash.finalize())
}

/// What a device says instead of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// It wants credentials, or others.
    pub(crate) is_denial: bool,
    /// Its words.
    pub(crate) reason: String,
}

/// Reads a message: what `look` finds in its body, or a fault.
///
/// # Errors
/// It is no SOAP message.
pub(crate) fn read<T>(bytes: &[u8], look: impl FnOnce(Node<'_, '_>) -> T) -> Result<Result<T, Fault>, Malformed> {
    let read = xml::read(bytes, |root| {
        let is_envelope = root.tag_name().name() == "Envelope";
        let body = root.children().find(|node| node.is_element() && node.tag_name().name() == "Body");
        let body = body.filter(|_| is_envelope)?;
        let fault = body.children().find(|node| node.is_element() && node.tag_name().name() == "Fault");
        Some(match fault {
            Some(fault) => Err(read_fault(fault)),
            None => Ok(look(body)),
        })
    })?;
    read.ok_or(Malformed)
}

/// SOAP 1.2 has codes within codes and `Text`; devices of SOAP 1.1 have `faultcode` and `faultstring`.
fn read_fault(fault: Node<'_, '_>) -> Fault {
    let codes = xml::all(fault, "Value").chain(xml::all(fault, "faultcode")).map(xml::text);
    let codes: Vec<_> = codes.collect();
    let reason = xml::text_of(fault, "Text").or_else(|| xml::text_of(fault, "faultstring"));
    let denials = ["NotAuthorized", "FailedAuthentication", "InvalidSecurityToken", "SecurityTokenUnavailable"];
    let is_denial = codes.iter().any(|code| denials.contains(&code.rsplit(':').next().unwrap_or_default()));
    // Some say it in words only.
    let words = reason.as_deref().unwrap_or_default().to_ascii_lowercase();
    let is_denial = is_denial || words.contains("not authorized") || words.contains("unauthorized");
    Fault { is_denial, reason: reason.or_else(|| codes.last().cloned()).unwrap_or_else(|| "a fault".to_owned()) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_digest_is_that_of_the_programmers_guide() {
        // ONVIF Application Programmer's Guide 1.0, section 6.1.1.3.
        let nonce = STANDARD.decode("LKqI6G/AikKCQrN0zqZFlg==").unwrap();
        let digest = password_digest(&nonce, "2010-09-16T07:50:45Z", "userpassword");
        assert_eq!(digest, "tuOSpGlFlIXsozq4HFNeeGeFLEI=");
    }

    #[test]
    fn a_token_shows_user_and_time_but_no_password() {
        let credentials = Credentials { user: "a<b".to_owned(), password: "hidden".to_owned() };
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_284_623_445);
        let text = envelope(&username_token(&credentials, [7; 16], time), "<x/>");
        let found = read(text.as_bytes(), |_| ()).unwrap();
        assert_eq!(found, Ok(()));
        let header = xml::read(text.as_bytes(), |root| (xml::text_of(root, "Username"), xml::text_of(root, "Created")));
        assert_eq!(header, Ok((Some("a<b".to_owned()), Some("2010-09-16T07:50:45Z".to_owned()))));
        assert!(!text.contains("hidden") && !format!("{credentials:?}").contains("hidden"));
    }

    #[test]
    fn faults_of_both_versions_are_read() {
        let new = "<e:Envelope xmlns:e='u'><e:Body><e:Fault><e:Code><e:Value>e:Sender</e:Value><e:Subcode>\
            <e:Value>ter:NotAuthorized</e:Value></e:Subcode></e:Code><e:Reason><e:Text>Sender not Authorized</e:Text>\
            </e:Reason></e:Fault></e:Body></e:Envelope>";
        let old = "<e:Envelope xmlns:e='u'><e:Body><e:Fault><faultcode>e:Client</faultcode>\
            <faultstring>No such method</faultstring></e:Fault></e:Body></e:Envelope>";
        let read = |text: &str| read(text.as_bytes(), |_| ()).unwrap().unwrap_err();
        assert_eq!(read(new), Fault { is_denial: true, reason: "Sender not Authorized".to_owned() });
        assert_eq!(read(old), Fault { is_denial: false, reason: "No such method".to_owned() });
        assert_eq!(super::read(b"<html><Body/></html>", |_| ()), Err(Malformed));
    }
}
