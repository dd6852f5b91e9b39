//! XML of devices: bounded, without document types, read by local names.
//!
//! Namespaces are not looked at: devices mix up versions of theirs, and no two elements that we read differ by them only.

use roxmltree::{Document, Node, ParsingOptions};

/// Elements, attributes and texts of one document. A device with 64 profiles has some 8,000; one costs about 100 bytes.
const MAX_NODES: u32 = 50_000;
/// Characters of one text that are kept; what devices tell is shown to people.
const MAX_TEXT: usize = 256;

/// It is no XML, or more of it than is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no XML")]
pub(crate) struct Malformed;

/// Reads a document and lets `look` at its root.
pub(crate) fn read<T>(bytes: &[u8], look: impl FnOnce(Node<'_, '_>) -> T) -> Result<T, Malformed> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_start_matches(|c: char| c == '\u{feff}' || c.is_whitespace());
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(|_| Malformed)?;
    Ok(look(document.root_element()))
}

/// Elements below `node`, at any depth, of this name.
pub(crate) fn all<'a, 'i>(node: Node<'a, 'i>, name: &'static str) -> impl Iterator<Item = Node<'a, 'i>> {
    node.descendants().filter(move |node| is(*node, name))
}

/// The first element below `node`, at any depth, of this name.
pub(crate) fn find<'a, 'i>(node: Node<'a, 'i>, name: &'static str) -> Option<Node<'a, 'i>> {
    all(node, name).next()
}

/// The text of the first element below `node`, at any depth, of this name.
pub(crate) fn text_of(node: Node<'_, '_>, name: &'static str) -> Option<String> {
    find(node, name).map(text).filter(|text| !text.is_empty())
}

/// The number in the first element below `node`, at any depth, of this name.
pub(crate) fn number_of(node: Node<'_, '_>, name: &'static str) -> Option<u32> {
    // Rates are decimal fractions in some versions.
    let text = text_of(node, name)?;
    text.split('.').next()?.parse().ok()
}

/// An element's text: on one line, without what a terminal would obey, and not too long.
pub(crate) fn text(node: Node<'_, '_>) -> String {
    clean(node.text().unwrap_or_default())
}

pub(crate) fn clean(text: &str) -> String {
    let shown = text.trim().chars().map(|c| if c.is_control() || is_marking(c) { ' ' } else { c });
    shown.take(MAX_TEXT).collect()
}

/// Marks that turn the direction of a text, by which it can look like another.
const fn is_marking(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is(node: Node<'_, '_>, name: &str) -> bool {
    node.is_element() && node.tag_name().name() == name
}

/// `text` as the content of an element or an attribute.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            // XML has no form for other control characters.
            c if c.is_control() && !matches!(c, '\t' | '\n' | '\r') => {}
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_whatever_their_prefix() {
        let bytes = b"\xef\xbb\xbf\n<?xml version='1.0'?><a:x xmlns:a='u'><a:y><z> 25.0 </z></a:y><a:n>a\x1bb&#x1b;</a:n></a:x>";
        assert_eq!(read(b"", |_| ()), Err(Malformed));
        // A control character that is not even allowed makes it no XML.
        assert_eq!(read(bytes, |_| ()), Err(Malformed));
        let bytes = "<x xmlns='v'><y><z> 25.0 </z></y><n>a\u{202e}b\n</n></x>".as_bytes();
        let found = read(bytes, |root| (number_of(root, "z"), text_of(root, "n"), text_of(root, "none")));
        assert_eq!(found, Ok((Some(25), Some("a b".to_owned()), None)));
    }

    #[test]
    fn bombs_are_refused() {
        let bomb = "<!DOCTYPE a [<!ENTITY b 'bbbb'><!ENTITY c '&b;&b;&b;'>]><a>&c;</a>";
        assert_eq!(read(bomb.as_bytes(), |_| ()), Err(Malformed));
        let many = format!("<a>{}</a>", "<b/>".repeat(60_000));
        assert_eq!(read(many.as_bytes(), |_| ()), Err(Malformed));
        let deep = format!("{}{}", "<b>".repeat(40_000), "</b>".repeat(40_000));
        let _ = read(deep.as_bytes(), |root| find(root, "none").is_none());
    }

    #[test]
    fn what_is_escaped_reads_back() {
        let text = "a<b>&\"'\u{1} c";
        let bytes = format!("<x>{}</x>", escape(text));
        assert_eq!(read(bytes.as_bytes(), text_of_root), Ok("a<b>&\"' c".to_owned()));
    }

    fn text_of_root(root: Node<'_, '_>) -> String {
        text(root)
    }
}
