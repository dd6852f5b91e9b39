//! AV1 ("RTP Payload Format For AV1" v1.0, section 4): OBU elements, without the dependency descriptor.

use bytes::{BufMut, BytesMut};
use smallvec::SmallVec;

use crate::Error;
use crate::pack::Emit;

const CODEC: &str = "AV1";
/// Bits of the aggregation header.
const CONTINUES: u8 = 0x80;
const GOES_ON: u8 = 0x40;
const NEW_SEQUENCE: u8 = 0x08;
/// `obu_has_size_field` and `obu_extension_flag` of an OBU header (AV1 §5.3.2).
const HAS_SIZE: u8 = 0x02;
const EXTENSION: u8 = 0x04;
const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
const TILE_LIST: u8 = 8;
const PADDING: u8 = 15;

fn kind(header: u8) -> u8 {
    header >> 3 & 0x0f
}

/// Reads a `leb128` (AV1 §4.10.5) and returns what follows it.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_usize;
    for (index, &byte) in bytes.iter().enumerate().take(8) {
        let shift = u32::try_from(index).ok()?.checked_mul(7)?;
        value |= usize::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(index.saturating_add(1)..)?));
        }
    }
    None
}

fn put_leb128(mut value: usize, out: &mut SmallVec<[u8; 8]>) {
    while value > 0x7f {
        out.push(0x80 | low7(value));
        value >>= 7;
    }
    out.push(low7(value));
}

fn low7(value: usize) -> u8 {
    u8::try_from(value & 0x7f).unwrap_or_default()
}

/// One OBU: its header without the size field, and its payload.
struct Obu<'a> {
    header: SmallVec<[u8; 2]>,
    payload: &'a [u8],
}

/// Cuts a temporal unit in low-overhead form; what is damaged ends it.
fn obus(mut rest: &[u8]) -> SmallVec<[Obu<'_>; 4]> {
    let mut all = SmallVec::new();
    while let Some((&first, after)) = rest.split_first() {
        let mut header = SmallVec::from_slice(&[first & !HAS_SIZE]);
        let mut body = after;
        if first & EXTENSION != 0 {
            let Some((&extension, after)) = body.split_first() else { break };
            header.push(extension);
            body = after;
        }
        let (size, after) = if first & HAS_SIZE == 0 {
            (body.len(), body)
        } else {
            let Some(read) = leb128(body) else { break };
            read
        };
        let Some((payload, after)) = after.split_at_checked(size) else { break };
        if !matches!(kind(first), TEMPORAL_DELIMITER | TILE_LIST | PADDING) {
            all.push(Obu { header, payload });
        }
        rest = after;
    }
    all
}

/// Whether a temporal unit carries a sequence header.
pub(crate) fn has_sequence_header(unit: &[u8]) -> bool {
    obus(unit).iter().any(|obu| obu.header.first().is_some_and(|header| kind(*header) == SEQUENCE_HEADER))
}

/// Makes the packets of a temporal unit; `configuration` holds OBUs that go before it, mostly the sequence header.
pub(crate) fn packetize(configuration: &[u8], unit: &[u8], key: bool, limit: usize, emit: &mut dyn Emit) {
    let mut packets = Packets { limit: limit.max(16), key, packet: BytesMut::new(), first: true };
    packets.begin(false);
    for obu in obus(configuration).into_iter().chain(obus(unit)) {
        packets.element(&obu, emit);
    }
    packets.end(false, true, emit);
}

/// The packets in the making.
struct Packets {
    limit: usize,
    key: bool,
    packet: BytesMut,
    first: bool,
}

impl Packets {
    fn begin(&mut self, continues: bool) {
        let sequence = if self.first && self.key { NEW_SEQUENCE } else { 0 };
        self.packet.clear();
        self.packet.put_u8(if continues { CONTINUES } else { 0 } | sequence);
    }

    fn end(&mut self, goes_on: bool, last: bool, emit: &mut dyn Emit) {
        if self.packet.len() < 2 {
            return;
        }
        if let Some(header) = self.packet.first_mut() {
            *header |= if goes_on { GOES_ON } else { 0 };
        }
        emit.packet(&[&self.packet], last);
        self.first = false;
    }

    /// Adds an element behind its length, over as many packets as it takes.
    fn element(&mut self, obu: &Obu<'_>, emit: &mut dyn Emit) {
        let (mut header, mut payload) = (obu.header.as_slice(), obu.payload);
        loop {
            let left = header.len().saturating_add(payload.len());
            // Two bytes hold the length of anything that fits a packet.
            let room = self.limit.saturating_sub(self.packet.len()).saturating_sub(2);
            if room <= header.len() {
                self.end(header.len() < obu.header.len(), false, emit);
                self.begin(false);
                continue;
            }
            let taken = left.min(room);
            let mut length = SmallVec::new();
            put_leb128(taken, &mut length);
            self.packet.put_slice(&length);
            self.packet.put_slice(header);
            let (now, later) = payload.split_at(taken.saturating_sub(header.len()).min(payload.len()));
            self.packet.put_slice(now);
            (header, payload) = (&[], later);
            if payload.is_empty() {
                return;
            }
            self.end(true, false, emit);
            self.begin(true);
        }
    }
}

/// A temporal unit in the making.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    out: BytesMut,
    /// An element that goes on in the next packet.
    open: Option<BytesMut>,
    pub(crate) sequence_header: Option<bytes::Bytes>,
}

impl Builder {
    pub(crate) fn len(&self) -> usize {
        self.out.len().saturating_add(self.open.as_ref().map_or(0, BytesMut::len))
    }

    /// Takes one payload.
    pub(crate) fn depacketize(&mut self, payload: &[u8]) -> Result<(), Error> {
        let truncated = || Error::Truncated { codec: CODEC };
        let (&aggregation, mut rest) = payload.split_first().ok_or_else(truncated)?;
        let count = aggregation >> 4 & 0x03;
        let (mut index, mut continues) = (0_u8, aggregation & CONTINUES != 0);
        if continues && self.open.is_none() {
            return Err(Error::Fragment { codec: CODEC });
        }
        while !rest.is_empty() {
            index = index.saturating_add(1);
            // The last of a counted list has no length.
            let (size, after) =
                if count != 0 && index >= count { (rest.len(), rest) } else { leb128(rest).ok_or_else(truncated)? };
            let (element, after) = after.split_at_checked(size).ok_or_else(truncated)?;
            rest = after;
            let goes_on = rest.is_empty() && aggregation & GOES_ON != 0;
            self.element(element, std::mem::take(&mut continues), goes_on)?;
        }
        Ok(())
    }

    fn element(&mut self, element: &[u8], continues: bool, goes_on: bool) -> Result<(), Error> {
        let mut whole = if continues { self.open.take().unwrap_or_default() } else { BytesMut::new() };
        whole.put_slice(element);
        if goes_on {
            self.open = Some(whole);
            return Ok(());
        }
        self.put(&whole)
    }

    /// Writes an OBU with its size.
    fn put(&mut self, element: &[u8]) -> Result<(), Error> {
        let truncated = || Error::Truncated { codec: CODEC };
        let Some((&first, mut body)) = element.split_first() else { return Ok(()) };
        if kind(first) == TEMPORAL_DELIMITER {
            return Ok(());
        }
        self.out.put_u8(first | HAS_SIZE);
        if first & EXTENSION != 0 {
            let (&extension, after) = body.split_first().ok_or_else(truncated)?;
            self.out.put_u8(extension);
            body = after;
        }
        if first & HAS_SIZE != 0 {
            let (size, after) = leb128(body).ok_or_else(truncated)?;
            body = after.get(..size).ok_or_else(truncated)?;
        }
        if kind(first) == SEQUENCE_HEADER {
            self.sequence_header = Some(bytes::Bytes::copy_from_slice(body));
        }
        let mut length = SmallVec::new();
        put_leb128(body.len(), &mut length);
        self.out.put_slice(&length);
        self.out.put_slice(body);
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<bytes::Bytes, Error> {
        if self.open.is_some() { Err(Error::Truncated { codec: CODEC }) } else { Ok(self.out.freeze()) }
    }
}
