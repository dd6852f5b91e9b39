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
    if filter::is_empty(filter) {
        return Err(Fault::bad("say which clients: sessionId"));
    }
    let clients = service.0.registry.list();
    let meant: Vec<_> = clients.iter().filter(|client| filter::matches(&entry(client), filter)).collect();
    if meant.is_empty() {
        return Err(Fault::not_found("there is no such client"));
    }
    meant.iter().for_each(|client| client.send(Command::Disconnect));
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
