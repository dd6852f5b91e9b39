//! Chunks to one peer: on its channel and on further connections, as the pace lets them go.

use std::sync::atomic::Ordering;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use sluicegate_rtc_driver as rtc;
use sluicegate_rtc_driver::Handle;

use super::{Channel, Runner, SEND};
use crate::chunk::Message;
use crate::node::state::lock;
use crate::node::strand::{Came, Carrier, Made, Name, Way, choose};
use crate::node::swarm::News;
use crate::pacer::Pacer;

/// Chunks sent before other things get their turn.
const TURN: usize = 4;

/// When the next chunk may go.
pub(super) enum Turn {
    /// When there is one.
    Idle,
    /// At that instant, or when one of these has acknowledged all but so many bytes.
    Wait(Option<Instant>, Vec<(Handle, usize)>),
}

impl Turn {
    /// Waits for it.
    pub(super) async fn comes(self) {
        let Self::Wait(at, below) = self else { return std::future::pending().await };
        let time = async {
            match at {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        let drained = async {
            match below.as_slice() {
                [] => std::future::pending().await,
                [(handle, bytes)] => handle.drained(*bytes).await,
                several => {
                    let all = several.iter().map(|(handle, bytes)| handle.drained(*bytes));
                    all.collect::<FuturesUnordered<_>>().next().await;
                }
            }
        };
        tokio::select! {
            () = time => {}
            () = drained => {}
        }
    }
}

impl Channel {
    /// The channel and the further connections that are open, in this order.
    fn carriers<'a>(
        carrier: &'a mut Carrier,
        strands: &'a mut super::Strands,
    ) -> impl Iterator<Item = &'a mut Carrier> {
        std::iter::once(carrier).chain(strands.carriers())
    }
}

impl Runner {
    /// Sends chunks while the pace lets them go, and tells when it lets the next one.
    pub(super) async fn send_chunks(&mut self) -> Turn {
        for _ in 0..TURN {
            let now = Instant::now();
            self.observe(now).await;
            let Some(channel) = &mut self.channel else { return Turn::Idle };
            let Some(length) = channel.session.next_length() else { return Turn::Idle };
            let number = match choose(Channel::carriers(&mut channel.carrier, &mut self.strands), now, length) {
                Way::Now(number) => number,
                Way::Wait(at, below) => return Turn::Wait(at, below),
            };
            let slot = *channel.slot.get_or_insert_with(|| {
                let turn = lock(&self.shared.share).reserve(now, length);
                turn.max(channel.share.reserve(now, length))
            });
            if slot > now {
                return Turn::Wait(Some(slot), Vec::new());
            }
            channel.slot = None;
            let Some(chunk) = channel.session.poll_chunk() else { continue };
            let mut carriers = Channel::carriers(&mut channel.carrier, &mut self.strands);
            let Some(carrier) = carriers.nth(number) else { continue };
            let message = rtc::Message::Binary(chunk);
            let sent = tokio::time::timeout(SEND, carrier.handle.send(carrier.channel, message)).await;
            if !matches!(sent, Ok(Ok(()))) {
                // The peer asks again for what a further connection loses.
                carrier.handle.close();
                if number == 0 {
                    channel.session.handle_text(now, &Message::QuitAll.encode());
                    return Turn::Idle;
                }
                continue;
            }
            carrier.used = now;
            carrier.pacer.handle_sent(now, length);
            if number == 0 {
                channel.probe.handle_sent(now);
            }
            self.link.sent.fetch_add(length as u64, Ordering::Relaxed);
            metrics::counter!("sluicegate_p2p_sent_bytes_total").increment(length as u64);
        }
        Turn::Wait(Some(Instant::now()), Vec::new())
    }

    /// Sees how far the peer has come, and whether it is to have further connections.
    async fn observe(&mut self, now: Instant) {
        let Some(channel) = &mut self.channel else { return };
        let (mut buffered, mut acknowledged) = (0, 0);
        for carrier in Channel::carriers(&mut channel.carrier, &mut self.strands) {
            let bytes = carrier.buffered(now);
            buffered += bytes;
            acknowledged += carrier.pacer.acknowledged(bytes);
        }
        self.link.buffered.store(buffered, Ordering::Relaxed);
        self.link.tasks.store(channel.session.tasks(), Ordering::Relaxed);
        let busy = channel.session.next_length().is_some();
        let wanted = self.strands.handle_look(now, busy, acknowledged, &channel.carrier.pacer);
        let shared = self.strands.is_shared(now, &channel.carrier.pacer);
        channel.carrier.pacer.set_shared(shared);
        for name in wanted {
            self.notify(News::Strand(name, None)).await;
        }
    }

    /// Looks up the round trip, and closes further connections that have nothing to do.
    pub(super) async fn measure(&mut self) {
        let Ok(status) = self.connection.handle().status().await else { return };
        let Some(channel) = &mut self.channel else { return };
        let now = Instant::now();
        self.strands.tidy(now);
        for carrier in Channel::carriers(&mut channel.carrier, &mut self.strands) {
            if let Some(round_trip) = status.round_trip {
                carrier.pacer.handle_round_trip(round_trip);
            }
        }
        self.link.strands.store(self.strands.open(), Ordering::Relaxed);
        let mut live = lock(&self.link.live);
        (live.round_trip, live.address) = (status.round_trip, status.remote);
    }

    /// The peer offers a further connection.
    pub(super) async fn offered(&mut self, number: u32, sdp: String) {
        if self.strands.has_room() {
            self.notify(News::Strand(Name { ours: false, number }, Some(sdp))).await;
        } else {
            self.say(&Message::Answer(number, None)).await;
        }
    }

    /// The peer answers our offer of one.
    pub(super) async fn answered(&mut self, number: u32, sdp: Option<String>) {
        let name = Name { ours: true, number };
        let Some(handle) = self.strands.handle(name).cloned() else { return };
        let taken = match sdp {
            Some(sdp) => handle.accept_answer(sdp).await.is_ok(),
            None => false,
        };
        if !taken {
            self.strands.refused(Instant::now(), name);
        }
    }

    /// A further connection was made, or could not be.
    pub(super) async fn made(&mut self, name: Name, made: Option<Made>) {
        let now = Instant::now();
        // A peer's offers may come faster than they are answered.
        let message = match made.filter(|_| name.ours || self.strands.has_room()) {
            Some(made) => {
                let sdp = made.sdp.clone();
                self.strands.begin(now, name, made);
                if name.ours { Message::Offer(name.number, sdp) } else { Message::Answer(name.number, Some(sdp)) }
            }
            None if name.ours => return self.strands.refused(now, name),
            None => Message::Answer(name.number, None),
        };
        self.say(&message).await;
    }

    /// Something came of a further connection: chunks come as they do on the channel.
    pub(super) fn strand(&mut self, name: Name, came: Came) {
        let now = Instant::now();
        let Some(channel) = &mut self.channel else { return };
        let pacer = || {
            let mut pacer = Pacer::new(self.shared.config.pacing.clone(), channel.carrier.pacer.kind());
            pacer.set_shared(true);
            channel.carrier.pacer.far().into_iter().for_each(|round_trip| pacer.handle_round_trip(round_trip));
            pacer
        };
        if let Some(bytes) = self.strands.came(now, name, came, pacer) {
            self.link.received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            metrics::counter!("sluicegate_p2p_received_bytes_total").increment(bytes.len() as u64);
            channel.session.handle_binary(&bytes);
        }
    }
}
