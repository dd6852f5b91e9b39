//! Sender reports (RFC 3550 section 6.4.1): what was sent, by which clock, and the round trip that their echo tells.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rtc::rtcp::reception_report::ReceptionReport;
use rtc::rtcp::sender_report::SenderReport;

use super::clocks::Clocks;

/// From the first packet to the first report: a viewer that begins is first brought to the present, and until then its
/// packets tell no clock.
const FIRST: Duration = Duration::from_millis(300);
/// Between reports.
const INTERVAL: Duration = Duration::from_secs(1);
/// Reports of the peer within this time are one.
const TOGETHER: Duration = Duration::from_millis(900);
/// Reports whose echo may be under way.
const MAX_TOLD: usize = 16;
/// Parts of a second in which reports tell delays.
const UNITS: u32 = 65_536;
/// Seconds between the beginnings of the two clocks: 1900 and 1970.
const UNIX_IN_NTP: u64 = 2_208_988_800;

/// What a track has sent.
#[derive(Debug, Default)]
pub(super) struct Counted {
    packets: u32,
    octets: u32,
    /// The newest timestamp, and when its first packet went out; or what the owner says.
    newest: Option<(u32, Instant)>,
}

impl Counted {
    pub(super) fn add(&mut self, now: Instant, timestamp: u32, octets: usize) {
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(u32::try_from(octets).unwrap_or_default());
        if self.newest.is_none_or(|(newest, _)| newest != timestamp) {
            self.newest = Some((timestamp, now));
        }
    }

    /// The moment that a timestamp stands for, before packets tell.
    pub(super) fn tell(&mut self, at: Instant, timestamp: u32) {
        self.newest = Some((timestamp, at));
    }
}

/// The reports of a session.
#[derive(Debug)]
pub(super) struct Reports {
    /// The wall clock, in 32.32 fixed point seconds, at an instant.
    wall: (u64, Instant),
    due: Option<Instant>,
    clocks: Clocks,
    /// Reports by the middle of their timestamp, which receivers echo.
    told: VecDeque<(u32, Instant)>,
}

/// In 32.32 fixed point seconds.
fn fixed(span: Duration) -> u64 {
    let fraction = (u64::from(span.subsec_nanos()) << 32) / 1_000_000_000;
    (span.as_secs() << 32) | fraction
}

impl Reports {
    pub(super) fn new(now: Instant) -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = fixed(unix + Duration::from_secs(UNIX_IN_NTP));
        Self { wall: (wall, now), due: None, clocks: Clocks::default(), told: VecDeque::new() }
    }

    /// Packets go out.
    pub(super) fn sent(&mut self, now: Instant) {
        self.due.get_or_insert(now + FIRST);
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether reports are to be made now.
    pub(super) fn take_due(&mut self, now: Instant) -> bool {
        let due = self.due.is_some_and(|due| due <= now);
        if due {
            self.due = Some(now + INTERVAL);
        }
        due
    }

    /// The report of a source whose timestamps count `rate` ticks a second; none before its first packet
    /// unless the owner has told its clock.
    pub(super) fn of(&mut self, now: Instant, ssrc: u32, rate: u32, counted: &Counted) -> Option<SenderReport> {
        let (timestamp, at) = counted.newest?;
        let (wall, since) = self.wall;
        let ntp_time = wall.wrapping_add(fixed(now.saturating_duration_since(since)));
        let passed = now.saturating_duration_since(at).as_micros() * u128::from(rate) / 1_000_000;
        let timestamp = timestamp.wrapping_add(u32::try_from(passed % (1 << 32)).unwrap_or_default());
        let rtp_time = self.clocks.told(ssrc, rate, ntp_time, timestamp);
        let [_, _, b, c, d, e, _, _] = ntp_time.to_be_bytes();
        self.told.push_back((u32::from_be_bytes([b, c, d, e]), now));
        if self.told.len() > MAX_TOLD {
            self.told.pop_front();
        }
        let (packet_count, octet_count) = (counted.packets, counted.octets);
        Some(SenderReport { ssrc, ntp_time, rtp_time, packet_count, octet_count, ..SenderReport::default() })
    }

    /// RFC 3550 section 6.4.1, figure 2: what passed since our report, less what the peer kept it.
    pub(super) fn round_trip(&self, now: Instant, block: &ReceptionReport) -> Option<Duration> {
        let (_, sent) = self.told.iter().find(|(middle, _)| *middle == block.last_sender_report)?;
        let kept = Duration::from_secs(u64::from(block.delay)) / UNITS;
        Some(now.saturating_duration_since(*sent).saturating_sub(kept))
    }
}

/// How a source was received, up to its last report.
#[derive(Debug, Clone, Copy, Default)]
struct Reception {
    known: Option<(u32, u32)>,
}

impl Reception {
    /// Packets sent and lost since the report before; the loss can be negative, when packets came twice or late.
    fn since(&mut self, block: &ReceptionReport) -> Option<(i64, i64)> {
        let now = (block.last_sequence_number, block.total_lost);
        let (highest, lost) = self.known.replace(now)?;
        // The sum is one of 24 bits.
        let lost = (now.1.wrapping_sub(lost) << 8).cast_signed() >> 8;
        Some((now.0.wrapping_sub(highest).cast_signed().into(), lost.into()))
    }
}

/// What a peer has lost of a track for good. Browsers send a report along with each request for a lost packet: what a
/// single one tells is a matter of chance, and what it misses is on its way.
#[derive(Debug, Default)]
pub(super) struct Losses {
    track: Reception,
    repeats: Reception,
    told: Option<Instant>,
}

impl Losses {
    /// The part of the packets that were lost, in 256ths, once in about a second. Repeats on a source of their own are no
    /// packets of the track to the receiver that reports: those that came are counted here.
    pub(super) fn lost(&mut self, now: Instant, blocks: &[ReceptionReport]) -> Option<u8> {
        if self.told.is_some_and(|told| now.saturating_duration_since(told) < TOGETHER) {
            return None;
        }
        self.told = Some(now);
        let track = self.track.since(blocks.first()?);
        let repeats = blocks.get(1).and_then(|block| self.repeats.since(block));
        let ((expected, lost), (sent, missing)) = (track?, repeats.unwrap_or_default());
        let lost = (lost - (sent - missing).max(0)).max(0);
        let part = (lost * 256).checked_div(expected).unwrap_or_default();
        Some(u8::try_from(part.clamp(0, 255)).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_that_came_are_not_lost() {
        let block = |last_sequence_number: u32, total_lost: u32| ReceptionReport {
            last_sequence_number,
            total_lost,
            ..ReceptionReport::default()
        };
        let (mut losses, mut now) = (Losses::default(), Instant::now());
        let mut told = |passed: Duration, blocks: &[ReceptionReport]| {
            now += passed;
            losses.lost(now, blocks)
        };
        assert_eq!(told(TOGETHER, &[]), None);
        assert_eq!(told(TOGETHER, &[block(u32::MAX, 10), block(40, 0)]), None, "nothing to compare with");
        assert_eq!(told(TOGETHER / 2, &[block(50, 30), block(40, 0)]), None, "along with a request");
        // 100 packets of which 20 were lost; of 16 repeats 15 came: 5 %.
        assert_eq!(told(TOGETHER / 2, &[block(99, 30), block(56, 1)]), Some(12));
        // Packets came late, and all repeats.
        assert_eq!(told(TOGETHER, &[block(199, 0xFF_FFFF), block(60, 1)]), Some(0));
        // Nothing is told of repeats.
        assert_eq!(told(TOGETHER, &[block(299, 24)]), Some(64));
        assert_eq!(told(TOGETHER, &[block(299, 24)]), Some(0));
    }

    #[test]
    fn reports_tell_what_was_sent_and_their_echo_the_round_trip() {
        let began = Instant::now();
        let (mut reports, mut counted) = (Reports::new(began), Counted::default());
        assert!(reports.due().is_none() && reports.of(began, 7, 90_000, &counted).is_none());
        for more in [1, 2, 3] {
            counted.add(began + Duration::from_millis(more), 5_000, 100);
            reports.sent(began);
        }
        assert!(!reports.take_due(began) && reports.take_due(began + FIRST));
        let now = began + Duration::from_millis(1_001);
        let report = reports.of(now, 7, 90_000, &counted).unwrap();
        assert_eq!((report.ssrc, report.packet_count, report.octet_count, report.rtp_time), (7, 3, 300, 95_000));
        assert_eq!(report.ntp_time.wrapping_sub(reports.wall.0) >> 32, 1);
        // It comes back after 70 ms, of which the peer kept it 20.
        let last_sender_report = u32::try_from((report.ntp_time >> 16) & 0xFFFF_FFFF).unwrap();
        let block = ReceptionReport { last_sender_report, delay: UNITS / 50, ..ReceptionReport::default() };
        let round_trip = reports.round_trip(now + Duration::from_millis(70), &block).unwrap();
        assert!(round_trip.abs_diff(Duration::from_millis(50)) < Duration::from_millis(1), "{round_trip:?}");
        assert_eq!(reports.round_trip(now, &ReceptionReport::default()), None);
        // Nothing was sent for a day.
        let day = reports.of(began + Duration::from_millis(86_400_001), 8, 90_000, &counted).unwrap();
        assert_eq!(day.rtp_time, 3_481_037_704);
        assert_eq!(reports.due(), Some(began + FIRST + INTERVAL));
    }
}
