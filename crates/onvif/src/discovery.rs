//! WS-Discovery: the probe, and what devices answer (OASIS WS-Discovery April 2005, which ONVIF Core section 7 asks for).

use url::Url;
use uuid::Uuid;

use crate::xml::{self, Malformed};

/// URLs of one answer that are looked at.
const MAX_URLS: usize = 16;
/// Scopes of one answer that are looked at.
const MAX_SCOPES: usize = 64;
/// Devices in one answer; all but proxies tell of themselves only.
const MAX_MATCHES: usize = 16;

/// What kind of device is asked for. Devices answer when they are of it; some know one of the two only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `NetworkVideoTransmitter`, a camera or an encoder.
    Transmitter,
    /// `Device`, whatever speaks ONVIF.
    Device,
}

/// A device that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Match {
    /// What it is known by, usually a UUID; the same in each of its answers.
    pub(crate) endpoint: String,
    /// Its name, as its scopes tell.
    pub(crate) name: Option<String>,
    /// Its model, as its scopes tell.
    pub(crate) hardware: Option<String>,
    /// Where it says that its device service is.
    pub(crate) services: Vec<Url>,
}

/// The message that asks who is there.
pub(crate) fn probe(kind: Kind, id: Uuid) -> String {
    let (prefix, namespace, name) = match kind {
        Kind::Transmitter => ("dn", "http://www.onvif.org/ver10/network/wsdl", "NetworkVideoTransmitter"),
        Kind::Device => ("tds", "http://www.onvif.org/ver10/device/wsdl", "Device"),
    };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <e:Envelope xmlns:e=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:w=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" \
         xmlns:d=\"http://schemas.xmlsoap.org/ws/2005/04/discovery\" xmlns:{prefix}=\"{namespace}\">\
         <e:Header><w:MessageID>uuid:{id}</w:MessageID>\
         <w:To e:mustUnderstand=\"true\">urn:schemas-xmlsoap-org:ws:2005:04:discovery</w:To>\
         <w:Action e:mustUnderstand=\"true\">http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</w:Action>\
         </e:Header><e:Body><d:Probe><d:Types>{prefix}:{name}</d:Types></d:Probe></e:Body></e:Envelope>"
    )
}

/// Reads an answer. Which probe it answers is not looked at: devices get that wrong, and our port is asked by none other.
pub(crate) fn matches(datagram: &[u8]) -> Result<Vec<Match>, Malformed> {
    xml::read(datagram, |root| {
        let found = xml::all(root, "ProbeMatch").take(MAX_MATCHES);
        found
            .map(|node| {
                let texts = |name| xml::find(node, name).and_then(|node| node.text()).unwrap_or_default();
                let scopes: Vec<_> = texts("Scopes").split_whitespace().take(MAX_SCOPES).collect();
                let urls = texts("XAddrs").split_whitespace().take(MAX_URLS).filter_map(|text| Url::parse(text).ok());
                let services: Vec<_> =
                    urls.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host()).collect();
                Match {
                    endpoint: xml::text_of(node, "Address").unwrap_or_default(),
                    name: scope(&scopes, "name"),
                    hardware: scope(&scopes, "hardware"),
                    services,
                }
            })
            .filter(|found| !found.services.is_empty())
            .collect()
    })
}

/// The value of the first scope of this kind (ONVIF Core section 7.3.2.2): `onvif://www.onvif.org/name/Front%20door`.
fn scope(scopes: &[&str], kind: &str) -> Option<String> {
    let value = scopes.iter().find_map(|scope| {
        let rest = scope.strip_prefix("onvif://www.onvif.org/")?;
        rest.strip_prefix(kind)?.strip_prefix('/')
    })?;
    let value = xml::clean(&percent_encoding::percent_decode_str(value).decode_utf8_lossy());
    (!value.is_empty()).then_some(value)
}

/// Reads any datagram as an answer. For fuzzing.
#[doc(hidden)]
pub fn fuzz_matches(data: &[u8]) {
    for found in matches(data).into_iter().flatten() {
        assert!(!found.services.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_xml_and_asks_for_its_kind() {
        for (kind, types) in [(Kind::Transmitter, "dn:NetworkVideoTransmitter"), (Kind::Device, "tds:Device")] {
            let text = probe(kind, Uuid::nil());
            let read =
                xml::read(text.as_bytes(), |root| (xml::text_of(root, "Types"), xml::text_of(root, "MessageID")));
            let id = "uuid:00000000-0000-0000-0000-000000000000".to_owned();
            assert_eq!(read, Ok((Some(types.to_owned()), Some(id))));
            // SOAP-over-UDP keeps a message within one packet of Ethernet where it can.
            assert!(text.len() < 1_400, "{}", text.len());
        }
    }

    #[test]
    fn an_answer_is_read() {
        let found = matches(include_bytes!("../testdata/probe_matches.xml")).unwrap();
        let services: Vec<_> = found[0].services.iter().map(Url::as_str).collect();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].endpoint, "urn:uuid:1419d68a-1dd2-11b2-a105-000000000001");
        assert_eq!((found[0].name.as_deref(), found[0].hardware.as_deref()), (Some("Front door"), Some("C100-D")));
        assert_eq!(services, ["http://192.168.1.9/onvif/device_service", "http://[fe80::1]/onvif/device_service"]);
    }

    #[test]
    fn what_is_none_is_left_out() {
        assert_eq!(matches(b"hello"), Err(Malformed));
        assert_eq!(matches(b"<a/>"), Ok(Vec::new()));
        let no_url = "<a><ProbeMatch><XAddrs>ftp://h/ nonsense</XAddrs></ProbeMatch></a>";
        assert_eq!(matches(no_url.as_bytes()), Ok(Vec::new()));
    }
}
