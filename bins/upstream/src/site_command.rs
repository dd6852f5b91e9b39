//! `upstream site …`: tokens, while the server runs and while it does not.

use sluicegate_launch::Failure;
use sluicegate_sites::tokens::Tokens;

use crate::cli::{SiteCommand, print};
use crate::config::Config;

/// Does what the command says and prints what came of it.
pub(crate) fn run(command: &SiteCommand, config: &Config) -> Result<(), Failure> {
    let failed = |error: sluicegate_sites::Error| Failure::work("tokens", error);
    let tokens = Tokens::open(&config.state_dir).map_err(failed)?;
    match command {
        SiteCommand::Add { site } => print(&tokens.add(site).map_err(failed)?),
        SiteCommand::List => tokens.list().iter().try_for_each(|(site, entries)| {
            let ids: Vec<_> = entries.iter().map(|entry| entry.id.as_str()).collect();
            print(&format!("{site}\t{}", ids.join(" ")))
        }),
        SiteCommand::Revoke { site, token } => match tokens.revoke(site, token.as_deref()).map_err(failed)? {
            0 => Err(Failure::Usage(vec![format!("site {site} has no such token; `upstream site list` shows all")])),
            count => print(&format!("revoked {count} of {site}")),
        },
    }
}
