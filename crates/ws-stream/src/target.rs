//! Which stream a request means, and in which container.

use sluicegate_hub::{Choice, StreamName};
use url::form_urlencoded;

use crate::Error;
use crate::formats::Container;

/// What a path under `/live/` or the query of an RTCPilot route asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The stream.
    pub(crate) name: StreamName,
    /// Which variant of it a viewer gets.
    pub(crate) choice: Choice,
    /// The container, from the file name's ending.
    pub(crate) container: Container,
}

impl Target {
    /// From what follows `/live/`, percent-decoded: `cams/door.flv`, `cams/door:sub.mp4`.
    ///
    /// # Errors
    /// [`Error::Ending`] without a known ending, [`Error::Name`] for a bad name.
    pub(crate) fn from_path(path: &str) -> Result<Self, Error> {
        let endings = [(".flv", Container::Flv), (".mp4", Container::Mp4)];
        let found = endings.iter().find_map(|(ending, container)| Some((path.strip_suffix(ending)?, *container)));
        let (name, container) = found.ok_or(Error::Ending)?;
        Ok(Self { name: StreamName::parse(name).map_err(Error::Name)?, choice: Choice::Exact, container })
    }

    /// From the query `app=APP&stream=STREAM` of `/publish` and `/play`; always FLV.
    ///
    /// # Errors
    /// [`Error::Parameter`] when one is missing or empty, [`Error::Name`] when they make no name.
    pub(crate) fn from_query(query: &str) -> Result<Self, Error> {
        let app = parameter(query, "app").ok_or(Error::Parameter { name: "app" })?;
        let stream = parameter(query, "stream").ok_or(Error::Parameter { name: "stream" })?;
        let name = StreamName::parse(&format!("{app}/{stream}")).map_err(Error::Name)?;
        Ok(Self { name, choice: Choice::Exact, container: Container::Flv })
    }

    /// The same for a viewer, in the variant that its query chooses.
    ///
    /// # Errors
    /// [`Error::Name`] for a choice that is none.
    pub(crate) fn chosen_by(self, query: &str) -> Result<Self, Error> {
        let (name, choice) = Choice::of(&self.name, query).map_err(Error::Name)?;
        Ok(Self { name, choice, ..self })
    }
}

/// The text without its percent escapes (RFC 3986 §2.1); `None` when it is not UTF-8.
pub(crate) fn percent_decoded(text: &str) -> Option<String> {
    // A query decoder does it once everything that means something else to it is out of its way.
    let escaped = text.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    let mut pairs = form_urlencoded::parse(escaped.as_bytes());
    let decoded = pairs.next().map(|(key, _)| key.into_owned()).unwrap_or_default();
    (!decoded.contains(char::REPLACEMENT_CHARACTER)).then_some(decoded)
}

/// Whether the query asks to publish: `publish`, `publish=1` or `publish=true`.
#[must_use]
pub(crate) fn wants_to_publish(query: &str) -> bool {
    let found = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "publish");
    found.is_some_and(|(_, value)| matches!(&*value, "" | "1" | "true"))
}

/// The first value of a parameter that is not empty.
fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_stream_and_container() {
        for (path, name, container) in [
            ("door.flv", "door", Container::Flv),
            ("cams/door.mp4", "cams/door", Container::Mp4),
            ("a/b/c/d/e/f/g/h:sub.flv", "a/b/c/d/e/f/g/h:sub", Container::Flv),
            ("x.flv.flv", "x.flv", Container::Flv),
        ] {
            let target = Target::from_path(path).unwrap();
            assert_eq!((target.name.as_str(), target.container), (name, container), "{path}");
        }
    }

    #[test]
    fn other_paths_are_refused() {
        for path in
            ["", ".flv", "door", "door.FLV", "a//b.flv", "../x.flv", "1/2/3/4/5/6/7/8/9.flv", "a b.flv", "ä.mp4"]
        {
            assert!(Target::from_path(path).is_err(), "{path}");
        }
    }

    #[test]
    fn queries_name_the_stream() {
        let target = Target::from_query("x=1&stream=door%3Asub&app=cams").unwrap();
        assert_eq!(target.name.as_str(), "cams/door:sub");
        for query in
            ["", "app=live", "stream=x", "app=&stream=x", "app=a&stream=", "app=a&stream=%20", "app=%ff&stream=x"]
        {
            assert!(Target::from_query(query).is_err(), "{query}");
        }
    }

    #[test]
    fn publishing_is_asked_for_by_name() {
        assert!(wants_to_publish("publish=1") && wants_to_publish("a=b&publish"));
        assert!(!wants_to_publish("") && !wants_to_publish("publish=0") && !wants_to_publish("unpublish=1"));
    }
}
