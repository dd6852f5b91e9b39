//! Two network namespaces joined by a link with a given rate, delay, loss and freeze; for tests and benches.
//!
//! The link is a pair of TUN devices and a task that carries packets between them, because the kernels that we
//! test on have no netem. Programs run on either side by [`Net::command`]. Linux only, and it needs root.
//!
//! ```no_run
//! # async fn example() -> Result<(), sluicegate_netsim::Error> {
//! use sluicegate_netsim::{Net, Profile, Side};
//! let net = Net::new(7, Profile::CELLULAR).await?;
//! let mut server = net.command(Side::A, "python3").args(["-m", "http.server"]).spawn()?;
//! net.freeze(true);
//! # server.kill().await?; Ok(())
//! # }
//! ```

mod error;
mod net;
mod profile;
mod shaper;

pub use error::Error;
pub use net::{Net, Side};
pub use profile::Profile;
pub use shaper::Shaper;
