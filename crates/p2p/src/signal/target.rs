//! Which room and uid a socket's path names.

/// Characters of a uid.
pub const UID_LENGTH: usize = 36;
/// Characters of a room's name and of a token, at most.
const MAX_SEGMENT: usize = 128;

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The room; empty is the one that existing nodes and clients meet in.
    pub room: String,
    /// The token that is shown.
    pub token: Option<String>,
    /// Who connects.
    pub uid: String,
}

impl Target {
    /// Reads `/uid/{36}`, `/{room}/uid/{36}` and `/{room}/{token}/uid/{36}`. `None` for every other path.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let (room, token, uid) = match segments.as_slice() {
            ["uid", uid] => ("", None, *uid),
            [room, "uid", uid] => (*room, None, *uid),
            [room, token, "uid", uid] => (*room, Some(*token), *uid),
            _ => return None,
        };
        let letters = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        let short = |text: &str| text.len() <= MAX_SEGMENT && letters(text);
        let fits = uid.len() == UID_LENGTH && letters(uid) && short(room) && token.is_none_or(short);
        fits.then(|| Self { room: room.to_owned(), token: token.map(ToOwned::to_owned), uid: uid.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "aaaaaaaa-1111-1111-1111-aaaaaaaaaaaa";

    #[test]
    fn rooms_and_tokens_are_path_prefixes() {
        let parse = |path: &str| Target::parse(path).map(|target| (target.room, target.token));
        assert_eq!(parse(&format!("/uid/{UID}")), Some((String::new(), None)));
        assert_eq!(parse(&format!("/film-7/uid/{UID}")), Some(("film-7".into(), None)));
        assert_eq!(parse(&format!("/film-7/s3cret/uid/{UID}")), Some(("film-7".into(), Some("s3cret".into()))));
        for path in [
            "/uid/short",
            "/",
            "/uid",
            &format!("/uid/{UID}/x"),
            &format!("/a/b/c/uid/{UID}"),
            &format!("/ü/uid/{UID}"),
        ] {
            assert_eq!(parse(path), None, "{path}");
        }
    }
}
