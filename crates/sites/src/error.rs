//! What can go wrong at either end.

use std::io;
use std::path::PathBuf;

/// Something about sites, tokens or sources is wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The state file cannot be read or written; the operator checks the folder and its rights.
    #[error("{}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The state file is damaged; it is left as it is.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A site has as many tokens as it may; revoke one first.
    #[error("site {site} has {limit} tokens, which is the limit")]
    TooManyTokens {
        /// The site.
        site: String,
        /// The limit.
        limit: usize,
    },
    /// The text is no site id.
    #[error("{id:?} is no site id: 1 to 64 of letters, digits and . _ ~ -")]
    SiteId {
        /// The text.
        id: String,
    },
    /// The text names no source.
    #[error("{text:?} is no source: {fault}")]
    Source {
        /// The text.
        text: String,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// The hub refuses, for instance because a name is taken.
    #[error(transparent)]
    Hub(#[from] sluicegate_hub::Error),
}

/// Checks that `id` can be a site's id: it becomes a part of stream names and paths.
///
/// # Errors
/// [`Error::SiteId`].
pub(crate) fn check_site_id(id: &str) -> Result<(), Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
    if (1..=64).contains(&id.len()) && id.bytes().all(allowed) && id != "." && id != ".." {
        return Ok(());
    }
    Err(Error::SiteId { id: id.to_owned() })
}
