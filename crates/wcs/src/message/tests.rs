//! Against recorded frames; round trips; damage.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::recorded::{TRACES, frames};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn recorded_frames_are_understood_and_written_alike() {
    let mut seen = std::collections::BTreeSet::new();
    for (file, trace) in TRACES {
        for frame in frames(trace) {
            let text = frame.json.to_string();
            let again = if frame.from_client {
                let message = ClientMessage::decode(&text).unwrap();
                assert!(!matches!(message, ClientMessage::Other(_)), "{file}: {text}");
                message.encode()
            } else {
                let message = ServerMessage::decode(&text).unwrap();
                assert!(!matches!(message, ServerMessage::Other(_)), "{file}: {text}");
                message.encode()
            };
            let mut recorded = frame.json.clone();
            // What the application asked of the camera is not kept.
            let argument = recorded["data"].as_array_mut().and_then(|data| data.first_mut());
            argument.and_then(Value::as_object_mut).map(|fields| fields.remove("constraints"));
            assert_eq!(json(&again), recorded, "{file}");
            seen.insert(frame.name().to_owned());
        }
    }
    let all = [
        "availableStream",
        "connection",
        "getUserData",
        "notifyStreamEvent",
        "notifyStreamStatusEvent",
        "ping",
        "playStream",
        "pong",
        "publishStream",
        "sendStreamEvent",
        "setRemoteSDP",
        "stopStream",
        "unPublishStream",
    ];
    assert!(seen.iter().eq(all.iter()), "{seen:?}");
}

#[test]
fn data_is_always_an_array() {
    for message in [ServerMessage::Ping, ServerMessage::Pong, ServerMessage::Other("x".into())] {
        assert_eq!(json(&message.encode())["data"], json!([]));
    }
    assert_eq!(json(&ClientMessage::Pong.encode())["data"], json!([null]));
}

#[test]
fn what_is_missing_or_odd_is_borne() {
    assert_eq!(ClientMessage::decode(r#"{"message":"pong"}"#).unwrap(), ClientMessage::Pong);
    assert_eq!(ClientMessage::decode(r#"{"data":null,"message":"ping"}"#).unwrap(), ClientMessage::Ping);
    let other = ClientMessage::decode(r#"{"message":"pushLogs","data":["x"]}"#).unwrap();
    assert_eq!(other, ClientMessage::Other("pushLogs".into()));
    assert_eq!(ServerMessage::decode(r#"{"message":"getUserData","data":[]}"#).unwrap(), {
        ServerMessage::UserData(serde_json::Map::new())
    });
    let odd = r#"{"message":"playStream","data":[{"mediaSessionId":"a","name":"b","width":"x","quality":-1}]}"#;
    let ClientMessage::Play(request) = ClientMessage::decode(odd).unwrap() else { panic!() };
    assert_eq!((request.name.as_str(), request.width, request.quality), ("b", None, None));
    for text in ["", "{}", "[]", "null", r#"{"message":1,"data":[]}"#, r#"{"message":"ping","data":{}}"#] {
        assert!(matches!(ClientMessage::decode(text), Err(Error::Envelope(_))), "{text}");
    }
    for text in [r#"{"message":"playStream","data":[null]}"#, r#"{"message":"playStream","data":[{"name":1}]}"#] {
        assert!(matches!(ClientMessage::decode(text), Err(Error::Argument { message: "playStream", .. })), "{text}");
    }
}

#[test]
fn statuses_of_other_servers_are_understood() {
    let resized = r#"{"message":"notifyStreamStatusEvent","data":[{"mediaSessionId":"a","status":"RESIZE"}]}"#;
    let ServerMessage::Status(status) = ServerMessage::decode(resized).unwrap() else { panic!() };
    assert_eq!((status.status, status.status.is_ended()), (Status::Other, false));
    let refused = r#"{"message":"fail","data":[{"apiMethod":"StreamStatusEvent","id":"a","info":"no"}]}"#;
    let ServerMessage::Status(status) = ServerMessage::decode(refused).unwrap() else { panic!() };
    assert_eq!((status.status, status.info.as_deref()), (Status::Failed, Some("no")));
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![".{0,20}", "[a-z0-9-]{1,36}", Just("v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\n".to_owned())]
}

fn request() -> impl Strategy<Value = StreamRequest> {
    let (number, url) = (proptest::option::of(any::<u64>()), proptest::option::of("rtmp://[a-z/]{0,20}"));
    (text(), text(), any::<(bool, bool, bool)>(), text(), number, url).prop_map(
        |(media_session_id, name, (published, has_video, has_audio), sdp, width, rtmp_url)| StreamRequest {
            media_session_id,
            name,
            published,
            has_video,
            has_audio,
            sdp,
            width,
            rtmp_url,
            ..StreamRequest::default()
        },
    )
}

fn client_message() -> impl Strategy<Value = ClientMessage> {
    let payload = proptest::option::of(text().prop_map(|text| json!({ "text": text })));
    prop_oneof![
        request().prop_map(ClientMessage::Publish),
        request().prop_map(ClientMessage::Play),
        (text(), text()).prop_map(|(media_session_id, name)| {
            ClientMessage::Available(StreamKey { media_session_id, name, ..StreamKey::default() })
        }),
        (text(), text(), payload).prop_map(|(media_session_id, kind, payload)| ClientMessage::StreamEvent {
            media_session_id,
            kind,
            payload
        }),
        text().prop_map(|operation_id| ClientMessage::SendData { operation_id, payload: None }),
        Just(ClientMessage::Pong),
    ]
}

proptest! {
    #[test]
    fn client_messages_come_back(message in client_message()) {
        prop_assert_eq!(ClientMessage::decode(&message.encode()).unwrap(), message);
    }

    #[test]
    fn server_messages_come_back(
        id in text(), sdp in text(), available: bool, muted: bool, info in proptest::option::of(text()),
    ) {
        let status = StreamStatus {
            media_session_id: id.clone(), status: Status::Playing, info: info.clone(), name: sdp.clone(),
            published: available, has_video: muted, has_audio: available, record: muted, media_provider: id.clone(),
            audio_muted: muted, video_muted: available,
        };
        for message in [
            ServerMessage::Status(status),
            ServerMessage::RemoteSdp { media_session_id: id.clone(), sdp },
            ServerMessage::Available { media_session_id: id.clone(), available, info },
            ServerMessage::DataStatus { operation_id: id, accepted: available },
        ] {
            prop_assert_eq!(ServerMessage::decode(&message.encode()).unwrap(), message);
        }
    }

    #[test]
    fn any_text_is_borne(text in any::<String>()) {
        crate::fuzz(text.as_bytes());
    }

    #[test]
    fn damaged_frames_are_borne(trace in 0..TRACES.len(), at in any::<prop::sample::Index>(), from in any::<prop::sample::Index>(), byte: u8) {
        let frames = frames(TRACES[trace].1);
        let mut bytes = at.get(&frames).json.to_string().into_bytes();
        let place = from.index(bytes.len());
        bytes[place] = byte;
        crate::fuzz(&bytes);
        bytes.truncate(place);
        crate::fuzz(&bytes);
    }
}
