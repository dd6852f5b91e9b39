//! Script data: Action Message Format 0, both ways (AMF0 specification, December 2007).

use bytes::{BufMut, Bytes, BytesMut};

use crate::Fault;
use crate::cursor::Cursor;

/// How deep objects and arrays may be nested. Metadata of encoders goes 3 deep.
pub const MAX_DEPTH: usize = 16;
/// How many values one document may have. The key-frame index of an hour-long file has some thousands.
pub const MAX_VALUES: usize = 16_384;

const OBJECT_END: u8 = 9;

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Marker 0.
    Number(f64),
    /// Marker 1.
    Boolean(bool),
    /// Markers 2 and 12; bytes that are not UTF-8 are replaced.
    String(String),
    /// Marker 3, in the order of the document.
    Object(Vec<(String, Self)>),
    /// Marker 5.
    Null,
    /// Marker 6, and 13 for what the sender could not say.
    Undefined,
    /// Marker 7: the number of an object that came before.
    Reference(u16),
    /// Marker 8: an array by name, as `onMetaData` has it.
    EcmaArray(Vec<(String, Self)>),
    /// Marker 10.
    StrictArray(Vec<Self>),
    /// Marker 11: milliseconds since 1970 in UTC. The time zone is reserved and not kept.
    Date(f64),
    /// Marker 15.
    Xml(String),
    /// Marker 16: a class name and its members.
    TypedObject(String, Vec<(String, Self)>),
}

impl Value {
    /// The member of an object or array with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        let (Self::Object(members) | Self::EcmaArray(members) | Self::TypedObject(_, members)) = self else {
            return None;
        };
        members.iter().find(|(have, _)| have == name).map(|(_, value)| value)
    }

    /// The number, if it is one.
    #[must_use]
    pub fn as_number(&self) -> Option<f64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }
}

/// Reads all values of a document. Values behind a damaged one are lost with it.
///
/// # Errors
/// A value is damaged, or the document is beyond [`MAX_DEPTH`] or [`MAX_VALUES`].
pub fn decode(bytes: Bytes) -> Result<Vec<Value>, Fault> {
    let mut decoder = Decoder { cursor: Cursor::new("AMF0", bytes), values: 0 };
    let mut all = Vec::new();
    while !decoder.cursor.is_empty() {
        all.push(decoder.value(0)?);
    }
    Ok(all)
}

struct Decoder {
    cursor: Cursor,
    values: usize,
}

impl Decoder {
    fn value(&mut self, depth: usize) -> Result<Value, Fault> {
        self.values = self.values.saturating_add(1);
        if depth > MAX_DEPTH || self.values > MAX_VALUES {
            return Err(Fault::Amf0TooLarge { depth: MAX_DEPTH, values: MAX_VALUES });
        }
        let depth = depth.saturating_add(1);
        Ok(match self.cursor.u8()? {
            0 => Value::Number(self.number()?),
            1 => Value::Boolean(self.cursor.u8()? != 0),
            2 => Value::String(self.short_text()?),
            3 => Value::Object(self.members(depth)?),
            5 => Value::Null,
            6 | 13 => Value::Undefined,
            7 => Value::Reference(self.cursor.u16()?),
            8 => {
                // The count is a hint that encoders get wrong; the end marker decides.
                self.cursor.u32()?;
                Value::EcmaArray(self.members(depth)?)
            }
            10 => Value::StrictArray(self.array(depth)?),
            11 => {
                let at = self.number()?;
                self.cursor.u16()?;
                Value::Date(at)
            }
            12 => Value::String(self.long_text()?),
            15 => Value::Xml(self.long_text()?),
            16 => Value::TypedObject(self.short_text()?, self.members(depth)?),
            got => return Err(Fault::Undefined { field: "AMF0 marker", got: u32::from(got) }),
        })
    }

    fn number(&mut self) -> Result<f64, Fault> {
        self.cursor.array().map(f64::from_be_bytes)
    }

    fn short_text(&mut self) -> Result<String, Fault> {
        let length = usize::from(self.cursor.u16()?);
        Ok(String::from_utf8_lossy(&self.cursor.take(length)?).into_owned())
    }

    fn long_text(&mut self) -> Result<String, Fault> {
        let length = usize::try_from(self.cursor.u32()?).unwrap_or(usize::MAX);
        Ok(String::from_utf8_lossy(&self.cursor.take(length)?).into_owned())
    }

    /// Members up to the end marker, or up to the end of the bytes: some encoders leave the marker out.
    fn members(&mut self, depth: usize) -> Result<Vec<(String, Value)>, Fault> {
        let mut members = Vec::new();
        while !self.cursor.is_empty() {
            let name = self.short_text()?;
            if name.is_empty() && self.at_object_end() {
                break;
            }
            members.push((name, self.value(depth)?));
        }
        Ok(members)
    }

    fn at_object_end(&mut self) -> bool {
        let mut ahead = self.cursor.clone();
        let end = ahead.u8() == Ok(OBJECT_END);
        if end {
            self.cursor = ahead;
        }
        end
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Value>, Fault> {
        let count = self.cursor.u32()?;
        (0..count).map(|_| self.value(depth)).collect()
    }
}

/// Appends a value. Names beyond 65,535 bytes are cut.
pub fn encode(value: &Value, out: &mut BytesMut) {
    match value {
        Value::Number(number) => {
            out.put_u8(0);
            out.put_f64(*number);
        }
        Value::Boolean(is) => out.put_slice(&[1, u8::from(*is)]),
        Value::String(text) => put_string(text, out),
        Value::Object(members) => {
            out.put_u8(3);
            put_members(members, out);
        }
        Value::Null => out.put_u8(5),
        Value::Undefined => out.put_u8(6),
        Value::Reference(number) => {
            out.put_u8(7);
            out.put_u16(*number);
        }
        Value::EcmaArray(members) => {
            out.put_u8(8);
            out.put_u32(u32::try_from(members.len()).unwrap_or(u32::MAX));
            put_members(members, out);
        }
        Value::StrictArray(values) => {
            out.put_u8(10);
            out.put_u32(u32::try_from(values.len()).unwrap_or(u32::MAX));
            values.iter().for_each(|value| encode(value, out));
        }
        Value::Date(at) => {
            out.put_u8(11);
            out.put_f64(*at);
            out.put_u16(0);
        }
        Value::Xml(text) => put_long(15, text, out),
        Value::TypedObject(class, members) => {
            out.put_u8(16);
            put_name(class, out);
            put_members(members, out);
        }
    }
}

fn put_string(text: &str, out: &mut BytesMut) {
    if text.len() > usize::from(u16::MAX) {
        return put_long(12, text, out);
    }
    out.put_u8(2);
    put_name(text, out);
}

fn put_long(marker: u8, text: &str, out: &mut BytesMut) {
    out.put_u8(marker);
    out.put_u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
    out.put_slice(text.as_bytes());
}

fn put_name(name: &str, out: &mut BytesMut) {
    let length = u16::try_from(name.len()).unwrap_or(u16::MAX);
    out.put_u16(length);
    out.put_slice(name.as_bytes().get(..usize::from(length)).unwrap_or_default());
}

fn put_members(members: &[(String, Value)], out: &mut BytesMut) {
    for (name, value) in members {
        put_name(name, out);
        encode(value, out);
    }
    out.put_slice(&[0, 0, OBJECT_END]);
}

#[cfg(test)]
mod tests;
