//! Which entries of a list are meant.

use serde_json::{Map, Value};

/// Whether an entry has all that is asked for. `display` asks for more fields, and `null` for nothing.
pub(super) fn matches(entry: &Value, filter: &Map<String, Value>) -> bool {
    asked(filter).all(|(key, wanted)| entry.get(key) == Some(wanted))
}

/// Whether anything is asked for.
pub(super) fn is_empty(filter: &Map<String, Value>) -> bool {
    asked(filter).next().is_none()
}

fn asked(filter: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    filter.iter().filter(|(key, wanted)| *key != "display" && !wanted.is_null())
}
