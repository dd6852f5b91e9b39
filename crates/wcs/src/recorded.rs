//! The recorded frames, for tests.

use serde_json::Value;

/// What was recorded, by file.
pub(crate) const TRACES: [(&str, &str); 4] = [
    ("push-2.0.276", include_str!("../testdata/push-2.0.276.jsonl")),
    ("pull-2.0.276", include_str!("../testdata/pull-2.0.276.jsonl")),
    ("single-2.0.180", include_str!("../testdata/single-2.0.180.jsonl")),
    ("demo-apps-2.0.276", include_str!("../testdata/demo-apps-2.0.276-publisher-stops.jsonl")),
];

/// One frame of a WebSocket.
pub(crate) struct Frame {
    pub(crate) peer: String,
    pub(crate) from_client: bool,
    pub(crate) json: Value,
}

impl Frame {
    pub(crate) fn name(&self) -> &str {
        self.json["message"].as_str().unwrap()
    }
}

/// The frames of a trace, without requests of the REST interface.
pub(crate) fn frames(trace: &str) -> Vec<Frame> {
    let lines = trace.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let frames = lines.filter(|line| line["peer"] != "rest").map(|mut line| Frame {
        peer: line["peer"].as_str().unwrap().to_owned(),
        from_client: line["dir"] == "client->server",
        json: line["json"].take(),
    });
    frames.collect()
}
