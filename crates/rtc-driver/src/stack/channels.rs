//! Data channels: a cap on their number, refusal of what does not fit, and the stack's events in our words.

use bytes::BytesMut;
use rtc::data_channel::{RTCDataChannelInit, RTCDataChannelMessage};
use rtc::peer_connection::event::RTCDataChannelEvent;

use super::build::refused;
use super::{Phase, RtcSession};
use crate::{ChannelId, ChannelOptions, Error, Event, Message, Reliability};

/// What is known of a channel beside the stack.
#[derive(Debug, Default)]
pub(super) struct Channel {
    open: bool,
    /// To be closed once all is acknowledged. The stack resets a stream at once, and a peer that runs the same stack
    /// then loses the messages that share a packet with the reset.
    closing: bool,
}

/// A message in our words. Text that is not UTF-8 comes as bytes.
pub(super) fn message(message: RTCDataChannelMessage) -> Message {
    let bytes = message.data.freeze();
    if !message.is_string {
        return Message::Binary(bytes);
    }
    match String::from_utf8(bytes.into()) {
        Ok(text) => Message::Text(text),
        Err(error) => Message::Binary(error.into_bytes().into()),
    }
}

impl RtcSession {
    pub(super) fn create_channel(&mut self, label: &str, options: &ChannelOptions) -> Result<ChannelId, Error> {
        if self.phase == Phase::Ended {
            return Err(Error::Closed);
        }
        let limit = self.config.max_channels;
        if self.channels.len() >= limit {
            return Err(Error::TooManyChannels { limit });
        }
        let (max_retransmits, max_packet_life_time) = match options.reliability {
            Reliability::Full => (None, None),
            Reliability::Retransmits(times) => (Some(times), None),
            Reliability::Lifetime(milliseconds) => (None, Some(milliseconds)),
        };
        let init = RTCDataChannelInit {
            ordered: options.ordered,
            max_packet_life_time,
            max_retransmits,
            protocol: options.protocol.clone(),
            negotiated: options.negotiated,
        };
        let created = self.stack.create_data_channel(label, Some(init)).map_err(refused("the data channel"))?;
        let id = ChannelId(created.id());
        self.channels.insert(id, Channel::default());
        Ok(id)
    }

    pub(super) fn shut_channel(&mut self, channel: ChannelId) {
        if let Some(known) = self.channels.get_mut(&channel) {
            (known.open, known.closing) = (false, true);
        }
    }

    /// Closes the channels that wait for it and have nothing under way.
    pub(super) fn close_drained(&mut self) {
        for (id, channel) in &mut self.channels {
            if !channel.closing {
                continue;
            }
            let found = self.stack.data_channel(id.0);
            if let Some(mut found) = found.filter(|found| found.outstanding_bytes() == 0) {
                channel.closing = false;
                // It fails for a channel that is gone, which is what was asked for.
                let _ = found.close();
            }
        }
    }

    pub(super) fn write(&mut self, channel: ChannelId, message: Message) -> Result<(), Error> {
        if self.phase == Phase::Ended {
            return Err(Error::Closed);
        }
        if !self.channels.get(&channel).is_some_and(|channel| channel.open) {
            return Err(Error::ChannelClosed);
        }
        let negotiated = self.stack.sctp().and_then(|sctp| sctp.max_message_size());
        let limit = negotiated.and_then(|size| usize::try_from(size).ok()).unwrap_or(self.config.max_message);
        let got = message.len();
        if got > limit {
            return Err(Error::MessageTooLong { got, limit });
        }
        if self.outstanding().saturating_add(got) > self.config.send_buffer {
            return Err(Error::Full);
        }
        let mut found = self.stack.data_channel(channel.0).ok_or(Error::ChannelClosed)?;
        let sent = match message {
            Message::Text(text) => found.send_text(self.now, text),
            Message::Binary(bytes) => found.send(self.now, BytesMut::from(bytes)),
        };
        sent.map_err(refused("the message"))
    }

    pub(super) fn outstanding(&mut self) -> usize {
        let mut bytes = 0;
        for id in self.channels.keys() {
            bytes += self.stack.data_channel(id.0).map_or(0, |channel| channel.outstanding_bytes());
        }
        bytes
    }

    pub(super) fn on_channel(&mut self, event: &RTCDataChannelEvent) {
        match event {
            RTCDataChannelEvent::OnOpen(id) => self.on_open(*id),
            RTCDataChannelEvent::OnClose(id) => {
                self.take_messages();
                if self.channels.remove(&ChannelId(*id)).is_some() {
                    self.events.push_back(Event::ChannelClosed(ChannelId(*id)));
                }
            }
            _ => {}
        }
    }

    fn on_open(&mut self, id: usize) {
        let channel = ChannelId(id);
        let room = self.channels.contains_key(&channel) || self.channels.len() < self.config.max_channels;
        let Some(mut opened) = self.stack.data_channel(id) else { return };
        if !room {
            let _ = opened.close();
            return;
        }
        let (label, protocol) = (opened.label().to_owned(), opened.protocol().to_owned());
        let ordered = opened.ordered();
        self.channels.insert(channel, Channel { open: true, closing: false });
        self.events.push_back(Event::ChannelOpen { channel, label, protocol, ordered });
    }
}
