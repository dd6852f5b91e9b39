//! New sessions: what they announce, and their place among the others.

use std::net::SocketAddr;
use std::time::Instant;

use super::{Endpoint, Entry, Status};
use crate::media::Options;
use crate::{Error, Session, SessionId};

impl Endpoint {
    pub(super) fn make(
        &mut self,
        now: Instant,
        sockets: &[usize],
        options: &Options,
    ) -> Result<Box<dyn Session>, Error> {
        let limit = self.config.max_sessions;
        if self.sessions.len() >= limit {
            return Err(Error::TooManySessions { limit });
        }
        let relay = self.relay_number;
        let announced = |wanted: &dyn Fn(usize) -> bool| -> Vec<SocketAddr> {
            let sockets = sockets.iter().filter(|number| wanted(**number));
            sockets.filter_map(|number| self.sockets.get(number)).flatten().copied().collect()
        };
        let relayed = announced(&|number| relay == Some(number));
        let hidden = self.config.relay_only;
        let passive = announced(&|number| !hidden && self.passive.contains(&number));
        let locals = announced(&|number| !hidden && relay != Some(number) && !self.passive.contains(&number));
        let mut session = self.stack.session(now, &locals, &options.tracks)?;
        let mapped = self.mapped.filter(|(base, _)| locals.contains(base));
        if let Some((base, mapped)) = mapped {
            session.add_mapped_address(now, base, mapped)?;
        }
        for address in passive {
            session.add_passive_address(now, address, None)?;
            // One-to-one NAT keeps port numbers, and so does whoever has the port forwarded.
            if let Some((_, mapped)) = mapped.filter(|(base, _)| base.ip() == address.ip()) {
                let mapped = SocketAddr::new(mapped.ip(), address.port());
                session.add_passive_address(now, mapped, Some(address))?;
            }
        }
        for address in relayed {
            session.add_relayed_address(now, address)?;
        }
        for (label, channel) in &options.channels {
            session.open_channel(now, label, channel)?;
        }
        Ok(Box::new(session))
    }

    pub(super) fn enter(&mut self, now: Instant, sockets: &[usize], session: Box<dyn Session>) -> SessionId {
        self.last_id += 1;
        let id = SessionId(self.last_id);
        self.table.set_fragment(now, id, session.fragment());
        self.sessions.insert(
            id,
            Entry {
                sockets: sockets.to_vec(),
                status: Status::default(),
                session,
                armed: None,
                dirty: false,
                reading: true,
            },
        );
        self.counters.sessions += 1;
        self.touch(id);
        id
    }
}
