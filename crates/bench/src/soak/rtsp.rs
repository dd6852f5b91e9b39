//! As much of an RTSP client as comes and goes: one that plays and one that publishes, on one connection (RFC 2326).

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::error::{Doing, Error};
use crate::publisher::{PICTURE_BYTES, mark};

/// Bytes of a head that are read at most.
const MAX_HEAD: usize = 8 << 10;
/// What a publisher describes: 720p H.264.
const SDP: &str = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=soak\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n\
    a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1;profile-level-id=64001F;\
    sprop-parameter-sets=Z2QAH6zZQFAFuwEQAAADABAAAAMDIPGDGWA=,aOvjyyLA\r\na=control:trackID=0\r\n";

/// Asks for a stream; its packets come on the socket that is given back.
pub(super) async fn play(address: &str, stream: &str) -> Result<TcpStream, Error> {
    let mut client = Client::connect(address, stream).await?;
    let description = client.ask("DESCRIBE", "", "Accept: application/sdp\r\n", "").await?;
    let media = description.split("m=").skip(1);
    let controls: Vec<&str> =
        media.filter_map(|media| media.lines().find_map(|line| line.strip_prefix("a=control:"))).collect();
    for (number, control) in controls.iter().enumerate() {
        let transport = format!("Transport: RTP/AVP/TCP;unicast;interleaved={}-{}\r\n", number * 2, number * 2 + 1);
        client.ask("SETUP", &format!("/{control}"), &transport, "").await?;
    }
    client.ask("PLAY", "", "Range: npt=0.000-\r\n", "").await?;
    Ok(client.socket)
}

/// Announces a stream; [`packet`]s may be written to the socket that is given back.
pub(super) async fn record(address: &str, stream: &str) -> Result<TcpStream, Error> {
    let mut client = Client::connect(address, stream).await?;
    client.ask("ANNOUNCE", "", "Content-Type: application/sdp\r\n", SDP).await?;
    let transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1;mode=record\r\n";
    client.ask("SETUP", "/trackID=0", transport, "").await?;
    client.ask("RECORD", "", "Range: npt=0.000-\r\n", "").await?;
    Ok(client.socket)
}

/// A key picture as one packet on channel 0 (RFC 6184 section 5.6, RFC 2326 section 10.12).
pub(super) fn packet(number: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0x80 | 96];
    packet.extend(number.to_be_bytes());
    packet.extend((u32::from(number) * 3_600).to_be_bytes());
    packet.extend([0, 0, 0, 1, 0x65]);
    packet.extend(mark(number.into()));
    packet.resize(PICTURE_BYTES, 0x55);
    let length = u16::try_from(packet.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&b"$\0"[..], &length, &packet].concat()
}

struct Client {
    socket: TcpStream,
    url: String,
    session: String,
    sent: u32,
}

impl Client {
    async fn connect(address: &str, stream: &str) -> Result<Self, Error> {
        let socket = TcpStream::connect(address).await.doing("connecting by RTSP")?;
        Ok(Self { socket, url: format!("rtsp://{address}/live/{stream}"), session: String::new(), sent: 0 })
    }

    /// Asks, insists on 200 and gives the body.
    async fn ask(&mut self, method: &str, under: &str, headers: &str, body: &str) -> Result<String, Error> {
        self.sent += 1;
        let request = format!(
            "{method} {}{under} RTSP/1.0\r\nCSeq: {}\r\n{}{headers}Content-Length: {}\r\n\r\n{body}",
            self.url,
            self.sent,
            self.session,
            body.len()
        );
        self.socket.write_all(request.as_bytes()).await.doing("asking by RTSP")?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD {
            head.push(self.socket.read_u8().await.doing("reading an answer by RTSP")?);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        if !head.starts_with("RTSP/1.0 200") {
            return Err(Error::Answer(format!("to {method}: {}", head.lines().next().unwrap_or_default())));
        }
        let field = |wanted: &str| {
            let mut named = head.lines().filter_map(|line| line.split_once(':'));
            named.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
        };
        if let Some(session) = field("session").and_then(|value| value.split(';').next()) {
            self.session = format!("Session: {session}\r\n");
        }
        let mut body = vec![0; field("content-length").and_then(|length| length.parse().ok()).unwrap_or(0)];
        self.socket.read_exact(&mut body).await.doing("reading an answer by RTSP")?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }
}
