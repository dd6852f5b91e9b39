//! The header `Transport` (RFC 2326 section 12.39).

/// How a client wants a track's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// Within the connection, RTP and RTCP on these channels.
    Interleaved(u8, u8),
    /// By UDP, to these ports of the client.
    Udp(u16, u16),
}

/// The first of the client's wishes that can be met. Channels that it leaves open are those of the track's place.
pub(crate) fn choose(header: &str, place: usize, has_udp: bool) -> Option<Transport> {
    header.split(',').find_map(|wish| wished(wish, place, has_udp))
}

fn wished(wish: &str, place: usize, has_udp: bool) -> Option<Transport> {
    let mut parts = wish.split(';').map(str::trim);
    let protocol = parts.next()?.to_ascii_uppercase();
    let parameters: Vec<(String, &str)> = parts
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"')))
        .collect();
    let get = |name: &str| parameters.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
    match protocol.as_str() {
        "RTP/AVP/TCP" => {
            let own = u8::try_from(place.checked_mul(2)?).ok()?;
            let (rtp, rtcp) = get("interleaved").and_then(pair::<u8>).unwrap_or((own, own.checked_add(1)?));
            (rtp != rtcp).then_some(Transport::Interleaved(rtp, rtcp))
        }
        "RTP/AVP" | "RTP/AVP/UDP" if has_udp && get("multicast").is_none() => {
            let (rtp, rtcp) = get("client_port").and_then(pair::<u16>)?;
            (rtp > 0 && rtcp > 0).then_some(Transport::Udp(rtp, rtcp))
        }
        _ => None,
    }
}

/// `A-B`, or `A` alone with the number that follows.
fn pair<T: std::str::FromStr + TryFrom<u32>>(text: &str) -> Option<(T, T)> {
    let (first, second) = match text.split_once('-') {
        Some((first, second)) => (first.trim().parse::<u32>().ok()?, second.trim().parse::<u32>().ok()?),
        None => (text.parse().ok()?, text.parse::<u32>().ok()?.checked_add(1)?),
    };
    Some((T::try_from(first).ok()?, T::try_from(second).ok()?))
}

impl Transport {
    /// What the client is told. `ports` are ours, `publishes` tells which way packets go.
    pub(crate) fn answer(self, ports: Option<(u16, u16)>, ssrc: u32, publishes: bool) -> String {
        let mode = if publishes { ";mode=RECORD".to_owned() } else { format!(";ssrc={ssrc:08X};mode=\"PLAY\"") };
        match self {
            Self::Interleaved(rtp, rtcp) => format!("RTP/AVP/TCP;unicast;interleaved={rtp}-{rtcp}{mode}"),
            Self::Udp(rtp, rtcp) => {
                let (own, next) = ports.unwrap_or_default();
                format!("RTP/AVP;unicast;client_port={rtp}-{rtcp};server_port={own}-{next}{mode}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_wish_that_can_be_met() {
        let udp_first = "RTP/AVP;unicast;client_port=5000-5001,RTP/AVP/TCP;unicast;interleaved=2-3";
        assert_eq!(choose(udp_first, 1, true), Some(Transport::Udp(5_000, 5_001)));
        assert_eq!(choose(udp_first, 1, false), Some(Transport::Interleaved(2, 3)));
        assert_eq!(choose("RTP/AVP/TCP;unicast", 1, false), Some(Transport::Interleaved(2, 3)));
        assert_eq!(choose("RTP/AVP;unicast;client_port=5000", 0, true), Some(Transport::Udp(5_000, 5_001)));
        for wrong in [
            "",
            "RTP/AVP;multicast",
            "RTP/SAVP;client_port=1-2",
            "RTP/AVP;client_port=70000-70001",
            "RTP/AVP/TCP;interleaved=4-4",
            "RTP/AVP/TCP;interleaved=255",
            "RTP/AVP;client_port=0-1",
        ] {
            let left = choose(wrong, 0, true);
            // Unreadable channels are ours to choose.
            assert!(left.is_none() || left == Some(Transport::Interleaved(0, 1)), "{wrong}: {left:?}");
        }
        assert_eq!(choose("RTP/AVP/TCP", 200, true), None);
    }
}
