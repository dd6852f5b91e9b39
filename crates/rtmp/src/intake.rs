//! Messages of a publisher into the hub.

use bytes::{BufMut, Bytes, BytesMut};
use sluicegate_flv::amf0::{self, Value};
use sluicegate_hub::{Expects, Patience, Publisher};
use sluicegate_media::Kind;
use tokio::time::Instant;

use crate::Error;
use crate::protocol::{Message, kind};

/// Messages of codecs that we do not carry before a stream without any others is refused: a second or two of it.
const MAX_UNUSABLE: u64 = 50;
/// Bytes of script data that is looked into; metadata has some hundred.
const MAX_SCRIPT_BYTES: usize = 64 << 10;

/// Reads one publisher's messages.
#[derive(Debug)]
pub(crate) struct Intake {
    reader: sluicegate_flv::Reader,
    limits: Patience,
    /// Whether there were pictures or sound that we carry.
    usable: bool,
    warned: bool,
    announced: bool,
    heard: Instant,
    progress: Instant,
}

impl Intake {
    pub(crate) fn new(limits: Patience) -> Self {
        let (reader, now) = (sluicegate_flv::Reader::new(sluicegate_flv::Limits::default()), Instant::now());
        Self { reader, limits, usable: false, warned: false, announced: false, heard: now, progress: now }
    }

    /// When the publisher's time is up.
    pub(crate) fn deadline(&self) -> Instant {
        (self.heard + self.limits.silence).min(self.progress + self.limits.frame)
    }

    /// Why its time was up.
    pub(crate) fn late(&self) -> Error {
        if self.heard + self.limits.silence <= self.progress + self.limits.frame {
            return Error::Silent { after: self.limits.silence };
        }
        Error::Slow { after: self.limits.frame }
    }

    /// Bytes have arrived.
    pub(crate) fn hear(&mut self) {
        self.heard = Instant::now();
    }

    /// Publishes what is in a message.
    pub(crate) fn take(&mut self, message: Message, publisher: &Publisher) -> Result<(), Error> {
        if matches!(message.kind, kind::DATA | kind::DATA_AMF3) && self.is_for_us(&message, publisher) {
            return Ok(());
        }
        let Some([0, size @ ..]) = u32::try_from(message.payload.len()).ok().map(u32::to_be_bytes) else {
            return Ok(());
        };
        // A tag's header, the body as it is, and a PreviousTagSize of 0, which nobody checks.
        let [upper, a, b, c] = message.timestamp.to_be_bytes();
        let mut header = BytesMut::with_capacity(11);
        header.put_u8(message.kind);
        header.put_slice(&size);
        header.put_slice(&[a, b, c, upper, 0, 0, 0]);
        self.reader.handle_bytes(header.freeze());
        self.reader.handle_bytes(message.payload);
        self.reader.handle_bytes(Bytes::from_static(&[0; 4]));
        while let Some(frame) = self.reader.poll_frame().map_err(Error::Media)? {
            self.usable |= frame.kind() != Kind::Data;
            publisher.push(frame)?;
            self.progress = Instant::now();
        }
        self.check_codecs()
    }

    /// Looks into script data: metadata announces tracks; what servers and players tell each other goes no further.
    fn is_for_us(&mut self, message: &Message, publisher: &Publisher) -> bool {
        if message.payload.len() > MAX_SCRIPT_BYTES {
            return true;
        }
        let prefix = usize::from(message.kind == kind::DATA_AMF3).min(message.payload.len());
        let Ok(values) = amf0::decode(message.payload.slice(prefix..)) else { return true };
        let is_metadata = |value: &Value| value.as_str() == Some("onMetaData");
        if values.iter().take(2).any(is_metadata) {
            self.announce(&values, publisher);
            return true;
        }
        let name = values.first().and_then(Value::as_str).unwrap_or_default();
        name.is_empty() || name.starts_with(['|', '@']) || matches!(name, "onStatus" | "onPlayStatus" | "onBWDone")
    }

    /// Tells the hub once which tracks the metadata promises.
    fn announce(&mut self, values: &[Value], publisher: &Publisher) {
        let has = |name: &str| values.iter().any(|value| value.get(name).is_some());
        let expects = Expects { video: has("videocodecid"), audio: has("audiocodecid") };
        if (expects.video || expects.audio) && !std::mem::replace(&mut self.announced, true) {
            publisher.expect(expects);
        }
    }

    /// Media of unknown codecs is left out, with a word to the operator; a stream of nothing else is refused.
    fn check_codecs(&mut self) -> Result<(), Error> {
        let Some((count, fault)) = self.reader.unsupported() else { return Ok(()) };
        if !std::mem::replace(&mut self.warned, true) {
            tracing::warn!(%fault, "a part of the published stream is left out");
        }
        if !self.usable && count >= MAX_UNUSABLE {
            return Err(Error::Unusable(fault.clone()));
        }
        Ok(())
    }
}
