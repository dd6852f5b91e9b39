//! Conversations with devices of several kinds.

use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::{any, prop, proptest};

use super::*;

const DIGEST: &str = "Digest realm=\"cam\", qop=\"auth\", nonce=\"abc\", algorithm=MD5";

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_284_620_709)
}

fn message(body: &str) -> Vec<u8> {
    format!("<E:Envelope xmlns:E='u' xmlns:t='v'><E:Body>{body}</E:Body></E:Envelope>").into_bytes()
}

fn denial() -> Vec<u8> {
    message("<E:Fault><E:Code><E:Value>x:NotAuthorized</E:Value></E:Code></E:Fault>")
}

/// A device that is an hour and a minute ahead, whose profiles are those of the test data.
fn told(request: &Request) -> Vec<u8> {
    let clock = "<UTCDateTime><Time><Hour>8</Hour><Minute>6</Minute><Second>9</Second></Time>\
        <Date><Year>2010</Year><Month>9</Month><Day>16</Day></Date></UTCDateTime>";
    let service = |version: &str, path: &str| {
        format!(
            "<Service><Namespace>http://www.onvif.org/{version}/media/wsdl</Namespace>\
             <XAddr>http://10.9.9.9/{path}</XAddr></Service>"
        )
    };
    match operation(request) {
        "GetSystemDateAndTime" => message(clock),
        "GetServices" => message(&format!("{}{}", service("ver10", "media"), service("ver20", "media2"))),
        "GetDeviceInformation" => message("<t:Model>C100</t:Model>"),
        "GetProfiles" if request.url.path() == "/media2" => include_bytes!("../../testdata/profiles_media2.xml").into(),
        "GetProfiles" => include_bytes!("../../testdata/profiles_media1.xml").into(),
        _ => {
            let token = crate::xml::read(request.body.as_bytes(), |root| crate::xml::text_of(root, "ProfileToken"));
            message(&format!("<t:Uri>rtsp://u:p@10.9.9.9:8554/{}</t:Uri>", token.unwrap().unwrap()))
        }
    }
}

fn operation(request: &Request) -> &str {
    request.content_type.rsplit('/').next().unwrap().trim_end_matches('"')
}

/// What was asked, and how it ended.
fn converse(
    credentials: Option<Credentials>,
    mut device: impl FnMut(&Request) -> (u16, Vec<String>, Vec<u8>),
) -> (Vec<String>, Result<Device, Trouble>) {
    let url = "http://192.168.1.9:8080/onvif/device_service".parse().unwrap();
    let mut interview = Interview::new(url, credentials);
    let mut asked = Vec::new();
    while let Some(request) = interview.poll_request(now(), [1; 16]) {
        assert!(asked.len() < 30, "{asked:?}");
        let proof = match (&request.authorization, request.body.contains("PasswordDigest")) {
            (Some(_), _) => "+http",
            (None, true) => "+token",
            (None, false) => "",
        };
        asked.push(format!("{}{proof}", operation(&request)));
        let (status, challenges, body) = device(&request);
        let answer = Answer { status, challenges: &challenges, body: &body };
        if let Err(trouble) = interview.handle_answer(&answer, now()) {
            return (asked, Err(trouble));
        }
    }
    (asked, Ok(interview.finish()))
}

fn admin() -> Option<Credentials> {
    Some(Credentials { user: "admin".to_owned(), password: "hidden".to_owned() })
}

#[test]
fn a_device_with_media2_tells_all() {
    let mut urls = Vec::new();
    let mut created = String::new();
    let (asked, device) = converse(admin(), |request| {
        urls.push(request.url.to_string());
        let time = crate::xml::read(request.body.as_bytes(), |root| crate::xml::text_of(root, "Created"));
        created = time.unwrap().unwrap_or_default();
        (200, Vec::new(), told(request))
    });
    let device = device.unwrap();
    assert_eq!(
        asked,
        [
            "GetSystemDateAndTime",
            "GetServices",
            "GetDeviceInformation+token",
            "GetProfiles+token",
            "GetStreamUri+token"
        ]
    );
    // Its services are asked where it answered, whatever addresses it names; so is its stream, at the port it names.
    assert_eq!(urls[3], "http://192.168.1.9:8080/media2");
    assert_eq!(device.profiles[0].stream.as_ref().unwrap().as_str(), "rtsp://192.168.1.9:8554/Profile_1");
    assert_eq!((device.model.as_str(), device.clock_ahead), ("C100", 3_660));
    // The time in the proof is the device's.
    assert_eq!(created, "2010-09-16T08:06:09Z");
}

#[test]
fn one_with_media2_in_name_only_is_asked_by_media1() {
    let (asked, device) = converse(admin(), |request| match request.url.path() {
        "/media2" => (400, Vec::new(), message("<E:Fault><faultstring>not here</faultstring></E:Fault>")),
        _ => (200, Vec::new(), told(request)),
    });
    assert_eq!(device.unwrap().channels().len(), 1);
    assert_eq!(asked.iter().filter(|ask| ask.starts_with("GetProfiles")).count(), 2);
}

#[test]
fn one_without_get_services_is_asked_for_capabilities() {
    let capabilities = "<Capabilities><Media><XAddr>http://192.168.1.9/media</XAddr></Media></Capabilities>";
    let (_, device) = converse(admin(), |request| match operation(request) {
        "GetSystemDateAndTime" | "GetServices" | "GetDeviceInformation" => {
            (400, Vec::new(), message("<E:Fault><faultstring>Method not implemented</faultstring></E:Fault>"))
        }
        "GetCapabilities" => (200, Vec::new(), message(capabilities)),
        _ => (200, Vec::new(), told(request)),
    });
    assert_eq!(device.unwrap().channels()[0].sub.unwrap().token, "SubStream");
}

#[test]
fn http_digest_is_the_fallback() {
    let (asked, device) = converse(admin(), |request| match &request.authorization {
        _ if operation(request) == "GetSystemDateAndTime" => (200, Vec::new(), told(request)),
        Some(shown) => {
            assert!(shown.starts_with("Digest username=\"admin\"") && shown.contains("response="), "{shown}");
            (200, Vec::new(), told(request))
        }
        None => (401, vec!["Basic realm=\"cam\"".to_owned(), DIGEST.to_owned()], b"<html/>".into()),
    });
    assert!(device.is_ok());
    assert_eq!(asked[1..4], ["GetServices", "GetServices+http", "GetDeviceInformation+http"]);
}

#[test]
fn denials_are_told_apart() {
    let deny = |challenges: &[&str], body: Vec<u8>| {
        let challenges: Vec<_> = challenges.iter().map(|&text| text.to_owned()).collect();
        move |request: &Request| match operation(request) {
            "GetSystemDateAndTime" | "GetServices" => (200, Vec::new(), told(request)),
            _ => (401, challenges.clone(), body.clone()),
        }
    };
    assert_eq!(converse(None, deny(&[], denial())).1, Err(Trouble::NeedsPassword));
    assert_eq!(converse(admin(), deny(&[], denial())).1, Err(Trouble::Denied));
    assert_eq!(converse(admin(), deny(&[DIGEST], Vec::new())).1, Err(Trouble::Denied));
    let basic = deny(&["Basic realm=\"c\""], Vec::new());
    let hidden = |request: &Request| {
        assert!(request.authorization.is_none() && !request.body.contains("hidden"));
        basic(request)
    };
    assert_eq!(converse(admin(), hidden).1, Err(Trouble::Basic));
    // Some deny all, also what is for anybody.
    let all = |_: &Request| (400, Vec::new(), denial());
    let (asked, end) = converse(admin(), all);
    assert_eq!((asked.len(), end), (2, Err(Trouble::Denied)));
    assert_eq!(converse(None, all).1, Err(Trouble::NeedsPassword));
}

#[test]
fn one_that_speaks_no_soap_is_told() {
    let page = |_: &Request| (404, Vec::new(), b"<html><body>not found</body></html>".into());
    assert_eq!(converse(admin(), page).1, Err(Trouble::NoSoap { status: 404 }));
    let nothing = |request: &Request| match operation(request) {
        "GetServices" | "GetCapabilities" => (200, Vec::new(), message("<x/>")),
        _ => (200, Vec::new(), told(request)),
    };
    assert_eq!(converse(None, nothing).1, Err(Trouble::NoMedia));
}

#[test]
fn profiles_of_one_token_are_one() {
    let twice = "<Profiles token='a'><VideoEncoder><Encoding>H264</Encoding></VideoEncoder></Profiles>".repeat(2);
    let (asked, device) = converse(None, |request| match operation(request) {
        "GetProfiles" => (200, Vec::new(), message(&twice)),
        _ => (200, Vec::new(), told(request)),
    });
    assert_eq!((device.unwrap().profiles.len(), asked.len()), (1, 5));
}

proptest! {
    #[test]
    fn no_answer_does_harm(data in prop::collection::vec(any::<u8>(), 0..400)) {
        fuzz_interview(&data);
        let _ = crate::discovery::matches(&data);
    }

    #[test]
    fn damaged_answers_do_no_harm(at in 0_usize..4_000, with in any::<u8>(), cut in 0_usize..4_000) {
        let seeds: [&[u8]; 3] = [
            include_bytes!("../../testdata/probe_matches.xml"),
            include_bytes!("../../testdata/profiles_media1.xml"),
            include_bytes!("../../testdata/profiles_media2.xml"),
        ];
        for seed in seeds {
            let mut bytes = seed.to_vec();
            let (at, cut) = (at % bytes.len(), cut % bytes.len());
            bytes[at] = with;
            for bytes in [&bytes[..], &bytes[..cut]] {
                let _ = crate::discovery::matches(bytes);
                let _ = converse(None, |request| match operation(request) {
                    "GetProfiles" => (200, Vec::new(), bytes.to_vec()),
                    _ => (200, Vec::new(), told(request)),
                });
            }
        }
    }
}
