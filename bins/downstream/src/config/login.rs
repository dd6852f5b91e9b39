//! Who asks a camera for its stream, apart from its URL, so that a file of streams holds no password.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Serialize, Serializer};
use sluicegate_launch::Secret;
use sluicegate_sites::Source;

/// A source with the user and the password of its keys.
///
/// # Errors
/// What is wrong with them, for the list of faults.
pub(crate) fn with_login(
    source: Source,
    user: Option<&str>,
    password: Option<&Secret>,
    password_file: Option<&PathBuf>,
) -> Result<Source, String> {
    let password = Secret::choose("password", password, password_file.map(PathBuf::as_path))?;
    let (user, password) = match (user, password) {
        (None, None) => return Ok(source),
        (Some(user), password) => (user, password),
        (None, Some(_)) => return Err("a password is given without user".to_owned()),
    };
    let Source::Pull(mut url) = source else {
        return Err("user and password are for sources with a URL".to_owned());
    };
    if !url.username().is_empty() {
        return Err("its URL has a user already; keep one".to_owned());
    }
    let put = url.set_username(user).and_then(|()| url.set_password(password.as_ref().map(Secret::reveal)));
    put.map_err(|()| "its URL takes no user".to_owned())?;
    Ok(Source::Pull(url))
}

/// A source as it is shown: without its password.
pub(crate) fn masked<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    without_password(text).serialize(serializer)
}

/// The same of the sources of variants.
pub(crate) fn all_masked<S: Serializer>(sources: &BTreeMap<String, String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(sources.iter().map(|(name, text)| (name, without_password(text))))
}

fn without_password(text: &str) -> String {
    match text.parse::<Source>() {
        Ok(source @ Source::Pull(_)) => source.to_string(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn user_and_password_go_into_the_url_of_a_stream_and_of_its_variants() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "p@ss\n").unwrap();
        let text = format!(
            "[streams.a]\nsource = 'rtsp://cam/main'\nvariants.sub = 'rtsp://cam/sub'\nuser = 'ad:min'\npassword_file = '{}'\n\
             [streams.b]\nsource = 'rtsp://u:hidden@cam/b'\nvariants.c = 'rtsp://u:hidden@cam/c'\n",
            path.display()
        );
        let config: Config = toml::from_str(&text).unwrap();
        let source = |name: &str| match config.all_streams()[name].parse().unwrap().source {
            super::Source::Pull(url) => url.to_string(),
            other => panic!("{other}"),
        };
        assert_eq!(source("a"), "rtsp://ad%3Amin:p%40ss@cam/main");
        assert_eq!(source("a:sub"), "rtsp://ad%3Amin:p%40ss@cam/sub");
        let shown = config.shown().unwrap();
        assert!(
            !shown.contains("hidden") && !shown.contains("p@ss") && shown.contains("rtsp://u:***@cam/b"),
            "{shown}"
        );
    }

    #[test]
    fn what_is_wrong_with_them_is_told() {
        for (keys, fault) in [
            ("source = 'rtsp://cam/a'\npassword = 'x'", "a password is given without user"),
            ("source = 'rtsp://v@cam/a'\nuser = 'u'", "its URL has a user already"),
            ("source = 'file:x'\nuser = 'u'", "user and password are for sources with a URL"),
            ("source = 'rtsp://cam/a'\nuser = 'u'\npassword = 'x'\npassword_file = 'y'", "both given"),
        ] {
            let config: Config = toml::from_str(&format!("[streams.a]\n{keys}\n")).unwrap();
            let found = config.streams["a"].parse().unwrap_err();
            assert!(found.contains(fault), "{found}");
        }
    }
}
