//! Documents as they were recorded, and as they may come.

use super::*;

const RECORDED: &str = r#"{"id":"testvideo01","title":"test testvideo01","duration":"60","author":"nobody","captions":[{"language":"en"}],"streams":{"134":{"quality":"360p","type":"video/mp4; codecs=\"avc1.42c01e\"","itag":"134","len":"7527064","initRange":{"start":"0","end":"832"},"indexRange":{"start":"833","end":"1016"}},"18":{"quality":"360p","type":"video/mp4; codecs=\"avc1\"","itag":"18","len":"","initRange":{},"indexRange":{}}}}"#;

#[test]
fn a_recorded_document_is_read_and_written_the_same() {
    let info = VideoInfo::parse(RECORDED.as_bytes()).unwrap();
    assert_eq!(serde_json::to_string(&info).unwrap(), RECORDED);
    let stream = info.stream(Itag::new(134).unwrap()).unwrap();
    assert_eq!((stream.essence(), stream.codecs(), stream.len), ("video/mp4", "avc1.42c01e", Some(7_527_064)));
    assert_eq!(stream.index, Some(ByteRange { start: 833, end: 1016 }));
    assert_eq!(info.stream(Itag::new(135).unwrap()), Err(MediaError::UnknownStream));
}

#[test]
fn numbers_are_taken_and_what_is_wrong_is_left_out() {
    let document = r#"{"id":"testvideo01","duration":60.5,"title":null,"streams":{
        "1":{"itag":1,"len":10,"type":"video/webm","initRange":{"start":5,"end":2},"url":"http://a/"},
        "2":{"itag":"3"}, "0004":{"itag":"0004"}}}"#;
    let info = VideoInfo::parse(document.as_bytes()).unwrap();
    assert_eq!((info.duration.as_str(), info.streams.len()), ("60.5", 1));
    let stream = info.stream(Itag::new(1).unwrap()).unwrap();
    assert_eq!((stream.len, stream.init, stream.is_webm(), stream.codecs()), (Some(10), None, true, ""));
    assert!(!serde_json::to_string(&info.clone().without_urls()).unwrap().contains("http"));
    for bad in ["", "[]", "{}", r#"{"id":"../../x"}"#] {
        assert!(matches!(VideoInfo::parse(bad.as_bytes()), Err(MediaError::Answer { .. })), "{bad}");
    }
}
