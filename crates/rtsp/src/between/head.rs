//! The head of an answer, changed line by line: what is not touched stays as the server wrote it.

use bytes::Bytes;

use crate::wire::{self, Start};

/// A head with its empty line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// Each with its line end; a line that goes on (RFC 2326 section 4) is one with the line before.
    lines: Vec<Bytes>,
}

impl Head {
    pub(super) fn parse(mut bytes: Bytes) -> Self {
        let mut lines = Vec::new();
        while !bytes.is_empty() {
            let mut end = 0;
            loop {
                let rest = bytes.get(end..).unwrap_or_default();
                end += rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1);
                let goes_on = matches!(bytes.get(end), Some(b' ' | b'\t'));
                if !goes_on {
                    break;
                }
            }
            lines.push(bytes.split_to(end));
        }
        Self { lines }
    }

    /// The status of an answer, `None` for requests and what is neither.
    pub(super) fn status(&self) -> Option<u16> {
        match wire::start(String::from_utf8_lossy(self.lines.first()?).trim_end())? {
            Start::Answer { status } => Some(status),
            Start::Request { .. } => None,
        }
    }

    /// The value of the first header of this name.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        self.values(name).next()
    }

    /// The values of all headers of this name.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = String> {
        self.lines.iter().skip(1).filter_map(move |line| is(line, name).then(|| value(line)).flatten())
    }

    /// Puts a value in the place of the first header of this name, or a header at the end.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        let line = Bytes::from(format!("{name}: {value}\r\n"));
        match self.lines.iter_mut().skip(1).find(|line| is(line, name)) {
            Some(old) => *old = line,
            None => self.lines.insert(self.lines.len().saturating_sub(1), line),
        }
    }

    pub(super) fn encode(&self) -> Bytes {
        self.lines.concat().into()
    }
}

/// Whether a line is the header of this name.
fn is(line: &[u8], name: &str) -> bool {
    let known = line.split(|byte| *byte == b':').next().unwrap_or_default();
    known.len() < line.len() && known.trim_ascii().eq_ignore_ascii_case(name.as_bytes())
}

fn value(line: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(line);
    let (_, value) = text.split_once(':')?;
    Some(value.lines().map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_changed_and_the_others_stay() {
        let text = "RTSP/1.0 200 All is well\r\nx\u{e9}: 1\nTRANSPORT :a;\r\n b\r\nno header\r\nA: 1\r\nA: 2\r\n\r\n";
        let mut head = Head::parse(Bytes::from(text));
        assert_eq!((head.status(), head.encode()), (Some(200), Bytes::from(text)));
        assert_eq!(head.value("transport").as_deref(), Some("a; b"));
        assert_eq!(head.values("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(head.value("no header"), None);
        head.set("Transport", "c");
        head.set("B", "3");
        let changed =
            text.replace("TRANSPORT :a;\r\n b\r\n", "Transport: c\r\n").replace("A: 2\r\n", "A: 2\r\nB: 3\r\n");
        assert_eq!(head.encode(), Bytes::from(changed));
        assert_eq!(Head::parse(Bytes::from("OPTIONS * RTSP/1.0\r\n\r\n")).status(), None);
    }
}
