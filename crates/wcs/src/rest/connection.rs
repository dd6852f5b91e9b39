//! `/connection/*`: the clients.

use serde_json::{Map, Value, json};

use super::answer::{self, Answered, Fault};
use super::filter;
use crate::Service;
use crate::registry::{Command, Entry};

pub(super) fn find(service: &Service, filter: &Map<String, Value>) -> Answered {
    let clients = service.0.registry.list();
    answer::list(clients.iter().map(entry).filter(|entry| filter::matches(entry, filter)).collect())
}

pub(super) fn terminate(service: &Service, filter: &Map<String, Value>) -> Answered {
    tell(service, filter, &Command::Disconnect)
}

/// Which levels there are, and whether the messages of a client are in the log then.
const LEVELS: [(&str, bool); 7] = [
    ("OFF", false),
    ("ERROR", false),
    ("WARN", false),
    ("INFO", false),
    ("DEBUG", true),
    ("TRACE", true),
    ("ALL", true),
];

/// Names the messages of a client in the log of this server from `DEBUG` on, and no more below it.
pub(super) fn set_log_level(service: &Service, fields: &Map<String, Value>) -> Answered {
    let mut filter = fields.clone();
    let level = filter.remove("logLevel");
    let level = level.as_ref().and_then(Value::as_str).unwrap_or_default();
    let known = LEVELS.iter().find(|(name, _)| name.eq_ignore_ascii_case(level));
    let (_, followed) = known.ok_or_else(|| Fault::bad("logLevel is none of OFF ERROR WARN INFO DEBUG TRACE ALL"))?;
    tell(service, &filter, &Command::Follow(*followed))
}

/// Tells the clients that are meant something.
fn tell(service: &Service, filter: &Map<String, Value>, command: &Command) -> Answered {
    if filter::is_empty(filter) {
        return Err(Fault::bad("say which clients: sessionId"));
    }
    let clients = service.0.registry.list();
    let meant: Vec<_> = clients.iter().filter(|client| filter::matches(&entry(client), filter)).collect();
    if meant.is_empty() {
        return Err(Fault::not_found("there is no such client"));
    }
    meant.iter().for_each(|client| client.send(command.clone()));
    Ok(None)
}

fn entry(client: &Entry) -> Value {
    let said = |key: &str| client.client.get(key).cloned().unwrap_or_default();
    json!({
        "sessionId": client.token,
        "appKey": said("appKey"),
        "clientVersion": said("clientVersion"),
        "mediaProviders": said("mediaProviders"),
        "clientIp": client.address.map(|address| address.ip().to_string()),
        "status": if client.client.is_empty() { "CONNECTED" } else { "ESTABLISHED" },
        "streams": client.streams.len(),
        "createDate": answer::millis(client.since),
    })
}
