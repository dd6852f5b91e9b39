//! Commands in AMF0 (RTMP 7.2).

use bytes::{Bytes, BytesMut};
use sluicegate_flv::amf0::{self, Value};

use super::Violation;
use super::message::{Message, kind};

/// Bytes of a command, at most. A `connect` of an encoder has some hundred.
const MAX_COMMAND_BYTES: usize = 64 << 10;

/// A command, or the answer to one.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Its name, such as `connect` or `_result`.
    pub name: String,
    /// The number that its answer carries; 0 where none is expected.
    pub transaction: f64,
    /// What follows: the command object first.
    pub arguments: Vec<Value>,
}

impl Command {
    /// A command.
    #[must_use]
    pub fn new(name: &str, transaction: f64, arguments: Vec<Value>) -> Self {
        Self { name: name.to_owned(), transaction, arguments }
    }

    /// Reads the command in a message.
    ///
    /// # Errors
    /// It is too long or damaged, or has no name.
    pub fn parse(message: &Message) -> Result<Self, Violation> {
        if message.payload.len() > MAX_COMMAND_BYTES {
            return Err(Violation::MessageSize { got: message.payload.len(), limit: MAX_COMMAND_BYTES });
        }
        // With AMF3 one byte goes before, and AMF0 follows.
        let prefix = usize::from(message.kind == kind::COMMAND_AMF3).min(message.payload.len());
        let mut values = amf0::decode(message.payload.slice(prefix..)).map_err(Violation::Command)?.into_iter();
        let Some(Value::String(name)) = values.next() else { return Err(Violation::Incomplete { what: "a name" }) };
        let transaction = values.next().and_then(|value| value.as_number()).unwrap_or_default();
        Ok(Self { name, transaction, arguments: values.collect() })
    }

    /// The body of its message.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        amf0::encode(&Value::String(self.name.clone()), &mut out);
        amf0::encode(&Value::Number(self.transaction), &mut out);
        self.arguments.iter().for_each(|value| amf0::encode(value, &mut out));
        out.freeze()
    }

    /// The text at this place behind the command object.
    #[must_use]
    pub fn text(&self, at: usize) -> Option<&str> {
        self.arguments.get(at).and_then(Value::as_str)
    }

    /// A text in any of its objects.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&str> {
        self.arguments.iter().find_map(|value| value.get(name)?.as_str())
    }
}

/// An object with these members.
pub(super) fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Object(members.map(|(name, value)| (name.to_owned(), value)).into())
}

/// A text.
pub(super) fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}
