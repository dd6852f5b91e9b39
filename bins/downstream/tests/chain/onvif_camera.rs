//! A scripted camera: answers probes by UDP and ONVIF's requests by HTTP, with a password by digest. Its clock stands
//! still in 2010. It is written from the specifications and captures, and shares nothing with the crate that asks it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};
use tokio::net::{TcpListener, UdpSocket};

pub(crate) const PASSWORD: &str = "p@ss";

/// What the camera has.
pub(crate) struct Script {
    pub(crate) name: &'static str,
    /// The URLs of its main and its sub profile.
    pub(crate) streams: [String; 2],
    /// It answers probes to the multicast group, at the port that all share, on loopback.
    pub(crate) multicast: bool,
    /// It asks for the digest of HTTP, and knows none in messages.
    pub(crate) http_digest: bool,
}

/// A running camera; it ends with the test's runtime.
pub(crate) struct Camera {
    /// Where it answers probes.
    pub(crate) probes: SocketAddr,
}

impl Camera {
    pub(crate) async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let web = listener.local_addr().unwrap();
        let socket = if script.multicast { group_socket() } else { UdpSocket::bind("127.0.0.1:0").await.unwrap() };
        let probes = socket.local_addr().unwrap();
        let script = Arc::new(script);
        tokio::spawn(answer_probes(socket, web, script.name));
        let answer = move |headers: HeaderMap, body: String| {
            let script = Arc::clone(&script);
            async move {
                if script.http_digest && !is_known(&headers, &body) {
                    let challenge = "Digest realm=\"cam\", qop=\"auth\", nonce=\"abc\", algorithm=MD5";
                    return (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, challenge)]).into_response();
                }
                soap(&body, web, &script).into_response()
            }
        };
        let router = Router::new().route("/onvif/device_service", axum::routing::post(answer.clone()));
        let router = router.route("/onvif/media2", axum::routing::post(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { probes }
    }
}

/// Several cameras, and whatever else is on this machine, share the port.
fn group_socket() -> UdpSocket {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 3702)).into()).unwrap();
    socket.join_multicast_v4(&Ipv4Addr::new(239, 255, 255, 250), &Ipv4Addr::LOCALHOST).unwrap();
    socket.set_nonblocking(true).unwrap();
    UdpSocket::from_std(socket.into()).unwrap()
}

/// Answers probes for video transmitters only, as many cameras do, and names an address that is not its own first.
async fn answer_probes(socket: UdpSocket, web: SocketAddr, name: &str) {
    let mut buffer = vec![0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if !text.contains("discovery/Probe") || !text.contains("NetworkVideoTransmitter") {
            continue;
        }
        let id = between(&text, "MessageID>", "<").unwrap();
        let answer = format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://www.w3.org/2003/05/soap-envelope" xmlns:wsa="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" xmlns:dn="http://www.onvif.org/ver10/network/wsdl">
<SOAP-ENV:Header><wsa:RelatesTo>{id}</wsa:RelatesTo><wsa:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/ProbeMatches</wsa:Action></SOAP-ENV:Header>
<SOAP-ENV:Body><d:ProbeMatches><d:ProbeMatch><wsa:EndpointReference><wsa:Address>urn:uuid:{web}</wsa:Address></wsa:EndpointReference>
<d:Types>dn:NetworkVideoTransmitter</d:Types><d:Scopes>onvif://www.onvif.org/hardware/C100 onvif://www.onvif.org/name/{name}</d:Scopes>
<d:XAddrs>http://192.0.2.9/onvif/device_service http://{web}/onvif/device_service</d:XAddrs><d:MetadataVersion>1</d:MetadataVersion>
</d:ProbeMatch></d:ProbeMatches></SOAP-ENV:Body></SOAP-ENV:Envelope>"#
        );
        socket.send_to(answer.as_bytes(), from).await.unwrap();
    }
}

fn soap(request: &str, web: SocketAddr, script: &Script) -> (StatusCode, String) {
    let body = between(request, "Body>", "</s:Body>").unwrap_or_default();
    let asked = |name: &str| body.contains(&format!(":{name} ")) || body.contains(&format!(":{name}>"));
    let (status, answer) = if asked("GetSystemDateAndTime") {
        (StatusCode::OK, CLOCK.to_owned())
    } else if asked("GetServices") {
        (StatusCode::OK, services(web))
    } else if !script.http_digest && !is_admitted(request) {
        let fault = "<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>ter:NotAuthorized</s:Value></s:Subcode>\
            </s:Code><s:Reason><s:Text xml:lang=\"en\">Sender not Authorized</s:Text></s:Reason></s:Fault>";
        (StatusCode::BAD_REQUEST, fault.to_owned())
    } else if asked("GetDeviceInformation") {
        (StatusCode::OK, INFORMATION.to_owned())
    } else if asked("GetProfiles") {
        let profiles = [profile("main & all", "H264", 320, 180), profile("sub", "H264", 160, 90)].concat();
        (StatusCode::OK, format!("<tr2:GetProfilesResponse>{profiles}</tr2:GetProfilesResponse>"))
    } else if asked("GetStreamUri") {
        let [main, sub] = &script.streams;
        let url = if body.contains("ProfileToken>main &amp; all<") { main } else { sub };
        (StatusCode::OK, format!("<tr2:GetStreamUriResponse><tr2:Uri>{url}</tr2:Uri></tr2:GetStreamUriResponse>"))
    } else {
        (StatusCode::BAD_REQUEST, "<s:Fault><s:Reason><s:Text>what?</s:Text></s:Reason></s:Fault>".to_owned())
    };
    let envelope = format!(
        "<?xml version=\"1.0\"?>\n<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:tds=\"http://www.onvif.org/ver10/device/wsdl\" xmlns:tr2=\"http://www.onvif.org/ver20/media/wsdl\" \
         xmlns:tt=\"http://www.onvif.org/ver10/schema\" xmlns:ter=\"http://www.onvif.org/ver10/error\">\
         <s:Body>{answer}</s:Body></s:Envelope>"
    );
    (status, envelope)
}

const CLOCK: &str = "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>Manual</tt:DateTimeType>\
    <tt:UTCDateTime><tt:Time><tt:Hour>7</tt:Hour><tt:Minute>50</tt:Minute><tt:Second>0</tt:Second></tt:Time>\
    <tt:Date><tt:Year>2010</tt:Year><tt:Month>9</tt:Month><tt:Day>16</tt:Day></tt:Date></tt:UTCDateTime>\
    </tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>";
const INFORMATION: &str = "<tds:GetDeviceInformationResponse><tds:Manufacturer>ACME</tds:Manufacturer><tds:Model>C100</tds:Model>\
    <tds:FirmwareVersion>1.2</tds:FirmwareVersion><tds:SerialNumber>4711</tds:SerialNumber>\
    <tds:HardwareId>1</tds:HardwareId></tds:GetDeviceInformationResponse>";

/// The media service is named at an address that nobody reaches.
fn services(web: SocketAddr) -> String {
    let service = |namespace: &str, place: String| {
        format!(
            "<tds:Service><tds:Namespace>http://www.onvif.org/{namespace}/wsdl</tds:Namespace><tds:XAddr>{place}</tds:XAddr>\
             <tds:Version><tt:Major>2</tt:Major><tt:Minor>6</tt:Minor></tds:Version></tds:Service>"
        )
    };
    let device = service("ver10/device", format!("http://{web}/onvif/device_service"));
    let media = service("ver20/media", "http://192.0.2.9/onvif/media2".to_owned());
    format!("<tds:GetServicesResponse>{device}{media}</tds:GetServicesResponse>")
}

fn profile(token: &str, encoding: &str, width: u32, height: u32) -> String {
    let token = token.replace('&', "&amp;");
    format!(
        "<tr2:Profiles token=\"{token}\" fixed=\"true\"><tr2:Name>{token}</tr2:Name><tr2:Configurations>\
         <tr2:VideoSource token=\"1\"><tt:SourceToken>1</tt:SourceToken></tr2:VideoSource><tr2:VideoEncoder token=\"1\">\
         <tt:Encoding>{encoding}</tt:Encoding><tt:Resolution><tt:Width>{width}</tt:Width><tt:Height>{height}</tt:Height>\
         </tt:Resolution></tr2:VideoEncoder></tr2:Configurations></tr2:Profiles>"
    )
}

/// Whether HTTP shows a digest, and the message none. Whether it is right is the library's matter.
fn is_known(headers: &HeaderMap, body: &str) -> bool {
    let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let parts = ["Digest username=\"admin\"", "realm=\"cam\"", "uri=\"/onvif/", "response="];
    parts.iter().all(|part| shown.contains(part)) && !body.contains("UsernameToken")
}

/// Whether the digest is that of the password, at the camera's time.
fn is_admitted(request: &str) -> bool {
    let plain = |name: &str| between(request, &format!(":{name}>"), "<");
    let with_type = |name: &str| between(request.split_once(&format!(":{name} "))?.1, ">", "<");
    let (Some("admin"), Some(digest), Some(nonce), Some(created)) =
        (plain("Username").as_deref(), with_type("Password"), with_type("Nonce"), plain("Created"))
    else {
        return false;
    };
    let nonce = STANDARD.decode(nonce).unwrap();
    let expected = Sha1::new().chain_update(nonce).chain_update(&created).chain_update(PASSWORD).finalize();
    digest == STANDARD.encode(expected) && created.starts_with("2010-09-16T07:5")
}

fn between(text: &str, from: &str, to: &str) -> Option<String> {
    let rest = text.split_once(from)?.1;
    Some(rest.split_once(to)?.0.to_owned())
}
