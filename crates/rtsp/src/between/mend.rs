//! Headers of cameras in the form that the library takes.

/// `Transport` of an answer to `SETUP` (RFC 2326 section 12.39) for media on the connection, where the request has proposed a
/// channel. `None` stands for what tells of another way, which the library refuses.
///
/// The channels are those of the answer, or as proposed where it has none. Nothing else is needed: packets tell their source
/// themselves, and the `ssrc` of some cameras is of another one.
pub(super) fn transport(answer: Option<&str>, proposed: u8) -> Option<String> {
    let mut parts = answer.unwrap_or_default().split(';').map(|part| part.trim().to_ascii_lowercase());
    if parts.clone().any(|part| ["client_port", "server_port", "multicast"].iter().any(|other| part.starts_with(other)))
    {
        return None;
    }
    let first = parts.find_map(|part| {
        let channels = part.strip_prefix("interleaved")?.trim_start().strip_prefix('=')?.to_owned();
        channels.split('-').next()?.trim().parse::<u8>().ok()
    });
    let first = first.filter(|first| *first < u8::MAX).unwrap_or(proposed);
    Some(format!("RTP/AVP/TCP;unicast;interleaved={first}-{}", first.saturating_add(1)))
}

/// The first channel that a request proposes on the connection.
pub(super) fn proposed(request: &str) -> Option<u8> {
    let channels = request.split_once("interleaved=")?.1;
    channels.split(['-', ';']).next()?.parse().ok()
}

/// `Session` (RFC 2326 section 12.37): the number, and for how many seconds it holds where that is told.
pub(super) fn session(answer: &str) -> String {
    let mut parts = answer.split(';').map(str::trim);
    let number = parts.next().unwrap_or_default();
    let seconds = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        let value: u32 = value.trim().parse().ok()?;
        (name.trim().eq_ignore_ascii_case("timeout") && value > 0).then_some(value)
    });
    seconds.map_or_else(|| number.to_owned(), |seconds| format!("{number};timeout={seconds}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_of_cameras() {
        let mended = |answer: &str| transport(Some(answer), 2);
        let taken = |first: u8| Some(format!("RTP/AVP/TCP;unicast;interleaved={first}-{}", first + 1));
        assert_eq!(mended("RTP/AVP/TCP;unicast;interleaved=4-5;ssrc=12345678;mode=\"PLAY\""), taken(4));
        assert_eq!(mended("RTP/AVP/TCP; unicast; Interleaved = 4-5 ; ssrc=x"), taken(4));
        assert_eq!(mended("RTP/AVP/TCP;interleaved=4"), taken(4));
        assert_eq!(mended("RTP/AVP/TCP;interleaved=0-0"), taken(0));
        for without in ["RTP/AVP/TCP;unicast", "RTP/AVP", "", "interleaved=", "interleaved=255-256", "interleaved=x"] {
            assert_eq!(mended(without), taken(2), "{without}");
        }
        assert_eq!(transport(None, 0), taken(0));
        for other in ["RTP/AVP;unicast;client_port=5000-5001;server_port=6000-6001", "RTP/AVP;multicast;port=1-2"] {
            assert_eq!(mended(other), None);
        }
        assert_eq!(proposed("RTP/AVP/TCP;unicast;interleaved=6-7"), Some(6));
        assert_eq!(proposed("RTP/AVP/UDP;unicast;client_port=6-7"), None);
    }

    #[test]
    fn sessions_of_cameras() {
        assert_eq!(session("77"), "77");
        assert_eq!(session(" 77 ; timeout=60"), "77;timeout=60");
        assert_eq!(session("77;x=1;Timeout = 9 "), "77;timeout=9");
        for without in ["77;timeout=", "77;timeout=0", "77;timeout=-1", "77;", "77;timeout"] {
            assert_eq!(session(without), "77", "{without}");
        }
    }
}
