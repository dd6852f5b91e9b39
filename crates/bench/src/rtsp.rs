//! What RTSP players and publishers say, all at once: the server needs none of its answers to be waited for (RFC 2326),
//! and the measured stream as packets (RFC 6184, RFC 3640).

/// Bytes of a packet's payload.
const PAYLOAD: usize = 1_400;
/// Payload types of the description below.
const PICTURES: u8 = 96;
const SOUND: u8 = 97;
/// 720p H.264 and stereo AAC at 44.1 kHz.
const SDP: &str = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=bench\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n\
    m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1;profile-level-id=64001F;\
    sprop-parameter-sets=Z2QAH6zZQFAFuwEQAAADABAAAAMDIPGDGWA=,aOvjyyLA\r\na=control:trackID=0\r\n\
    m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/44100/2\r\na=fmtp:97 streamtype=5;profile-level-id=1;\
    mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1210\r\na=control:trackID=1\r\n";

/// Asks for both tracks of a stream, on channels from this one on, and plays.
pub(crate) fn request(address: &str, path: &str, channel: usize) -> Vec<u8> {
    session(address, path, ("DESCRIBE", ""), (channel, ""), "PLAY")
}

/// Announces both tracks of a stream and records.
pub(crate) fn announcement(address: &str, path: &str) -> Vec<u8> {
    session(address, path, ("ANNOUNCE", SDP), (0, ";mode=record"), "RECORD")
}

fn session(
    address: &str,
    path: &str,
    (first, body): (&str, &str),
    (channel, mode): (usize, &str),
    last: &str,
) -> Vec<u8> {
    let url = format!("rtsp://{address}/live/{path}");
    let set_up = |place: usize| {
        let (rtp, number) = (channel + place * 2, place + 2);
        let transport = format!("Transport: RTP/AVP/TCP;unicast;interleaved={rtp}-{}{mode}", rtp + 1);
        format!("SETUP {url}/trackID={place} RTSP/1.0\r\nCSeq: {number}\r\n{transport}\r\n\r\n")
    };
    let opening = format!("{first} {url} RTSP/1.0\r\nCSeq: 1\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    format!("{opening}{}{}{last} {url} RTSP/1.0\r\nCSeq: 4\r\n\r\n", set_up(0), set_up(1)).into_bytes()
}

/// Cuts the measured stream into packets of a connection: pictures on channel 0, sound on channel 2.
#[derive(Debug, Default)]
pub(crate) struct Packets {
    pictures: u16,
    sounds: u16,
}

impl Packets {
    /// The tags of FLV as packets; decoder configurations are in the description instead.
    pub(crate) fn of_tags(&mut self, mut flv: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        while let [kind @ (8 | 9), s0, s1, s2, t0, t1, t2, _, _, _, _, rest @ ..] = flv {
            let [size, millis] = [[0, *s0, *s1, *s2], [0, *t0, *t1, *t2]].map(u32::from_be_bytes);
            let size = usize::try_from(size).unwrap_or_default();
            match rest.get(..size).unwrap_or_default() {
                // Both headers, the length of the one NAL unit, and its own header.
                [_, 1, _, _, _, _, _, _, _, header, nal @ ..] if *kind == 9 => {
                    self.picture(millis * 90, *header, nal, &mut out);
                }
                [_, 1, sound @ ..] if *kind == 8 => self.sound(sound, &mut out),
                _ => {}
            }
            flv = rest.get(size + 4..).unwrap_or_default();
        }
        out
    }

    fn picture(&mut self, time: u32, header: u8, nal: &[u8], out: &mut Vec<u8>) {
        let count = nal.len().div_ceil(PAYLOAD - 2);
        for (number, part) in nal.chunks(PAYLOAD - 2).enumerate() {
            let (begins, ends) = (number == 0, number + 1 == count);
            let unit = header & 0x1f | if begins { 0x80 } else { 0 } | if ends { 0x40 } else { 0 };
            packet(
                0,
                PICTURES | if ends { 0x80 } else { 0 },
                self.pictures,
                time,
                &[&[header & 0xe0 | 28, unit], part],
                out,
            );
            self.pictures = self.pictures.wrapping_add(1);
        }
    }

    /// One access unit behind the size of the unit headers and its own.
    fn sound(&mut self, unit: &[u8], out: &mut Vec<u8>) {
        let [a, b] = u16::try_from(unit.len() << 3).unwrap_or_default().to_be_bytes();
        let time = u32::from(self.sounds) * 1_024;
        packet(2, SOUND | 0x80, self.sounds, time, &[&[0, 16, a, b], unit], out);
        self.sounds = self.sounds.wrapping_add(1);
    }
}

/// A packet behind `$`, its channel and its length.
fn packet(channel: u8, kind: u8, number: u16, time: u32, payload: &[&[u8]], out: &mut Vec<u8>) {
    let length = payload.iter().map(|part| part.len()).sum::<usize>() + 12;
    out.extend([b'$', channel]);
    out.extend(u16::try_from(length).unwrap_or_default().to_be_bytes());
    out.extend([0x80, kind]);
    out.extend(number.to_be_bytes());
    out.extend(time.to_be_bytes());
    out.extend([0, 0, 0, channel]);
    payload.iter().for_each(|part| out.extend_from_slice(part));
}
