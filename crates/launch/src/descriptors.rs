//! How many sockets and files the program may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Below this a busy host runs out of sockets: every viewer and every proxied request has one.
const ENOUGH: u64 = 20_000;

/// Raises the limit of open descriptors (`RLIMIT_NOFILE`) to what the system lets this program have, which most systems
/// set far above the default of 1,024, and says so in the log when that is little. Returns the limit.
pub fn raise_descriptor_limit() -> u64 {
    let now = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: now.maximum, maximum: now.maximum };
    let limit = match setrlimit(Resource::Nofile, wanted) {
        Ok(()) => now.maximum,
        Err(_) => now.current,
    };
    // No limit at all is told as none.
    let limit = limit.unwrap_or(u64::MAX);
    if limit < ENOUGH {
        tracing::warn!(limit, "few open files are permitted; raise the hard limit (ulimit -Hn, LimitNOFILE=)");
    }
    limit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_becomes_the_greatest_permitted() {
        let most = getrlimit(Resource::Nofile).maximum;
        assert_eq!(raise_descriptor_limit(), most.unwrap_or(u64::MAX));
        assert_eq!(getrlimit(Resource::Nofile).current, most);
    }
}
