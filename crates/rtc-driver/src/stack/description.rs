//! Our descriptions, put right where the stack writes what browsers do not read.

use std::borrow::Cow;

const CANDIDATE: &str = "a=candidate:";
const END: &str = "a=end-of-candidates";
const MEDIA: &str = "m=";

/// A candidate of ours as peers are to read it: by TCP we accept connections (RFC 6544 section 4.5).
pub(super) fn passive(candidate: &str) -> Cow<'_, str> {
    let by_tcp = candidate.split(' ').nth(2).is_some_and(|transport| transport.eq_ignore_ascii_case("tcp"));
    if by_tcp && !candidate.contains(" tcptype ") {
        Cow::Owned(format!("{candidate} tcptype passive"))
    } else {
        Cow::Borrowed(candidate)
    }
}

/// Which of the media sections is refused only because the peer offers no bundle (RFC 9143): the stack refuses all of them
/// then, though its transport is free for the first. A section refused for itself says nothing of ICE.
fn unbundled(description: &str) -> Option<usize> {
    if description.contains("\na=group:BUNDLE") {
        return None;
    }
    let mut sections = 0;
    description.lines().find_map(|line| {
        sections += usize::from(line.starts_with(MEDIA));
        line.starts_with("a=ice-ufrag:").then(|| sections.checked_sub(1)).flatten()
    })
}

/// Takes the first media section that a peer offers without a bundle, and moves the candidates to the first media section that is not refused. The stack writes them into the first of all,
/// where a browser ignores them if that one is refused (RFC 9429 section 5.10: nothing of it is processed). Candidates of
/// a second component go: RTP and RTCP share one.
pub(super) fn tidied(description: &str) -> String {
    let lines = || description.lines().filter(|line| !line.is_empty());
    let is_ours = |line: &&str| line.starts_with(CANDIDATE) || *line == END;
    let first_component = |line: &&str| line.split(' ').nth(1).is_none_or(|component| component == "1");
    let candidates: Vec<Cow<'_, str>> = lines().filter(is_ours).filter(first_component).map(passive).collect();
    let candidates: Vec<&str> = candidates.iter().map(|line| &**line).collect();
    let mut tidied = String::with_capacity(description.len());
    let mut put = |lines: &[&str]| {
        for line in lines {
            tidied.push_str(line);
            tidied.push_str("\r\n");
        }
    };
    let (mut here, mut done) = (false, false);
    let mut taken = unbundled(description);
    for line in lines().filter(|line| !is_ours(line)) {
        let mut line = Cow::Borrowed(line);
        if line.starts_with(MEDIA) {
            if taken == Some(0) {
                line = Cow::Owned(line.replacen(" 0 ", " 9 ", 1));
            }
            taken = taken.and_then(|more| more.checked_sub(1));
            if here {
                put(&candidates);
                done = true;
            }
            here = !done && line.split(' ').nth(1) != Some("0");
        }
        put(&[&line]);
    }
    if here || !done {
        put(&candidates);
    }
    tidied
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "v=0\r\na=group:BUNDLE 1 2\r\n";
    const CANDIDATES: &str = "a=candidate:1 1 udp 7 192.0.2.1 5 typ host\r\na=end-of-candidates\r\n";
    const SECOND: &str = "a=candidate:1 2 udp 7 192.0.2.1 5 typ host\r\n";

    #[test]
    fn connections_are_awaited_not_made() {
        let line = "a=candidate:9 1 tcp 7 192.0.2.1 8443 typ host";
        assert_eq!(passive(line), format!("{line} tcptype passive"));
        assert_eq!(passive(&passive(line)), passive(line));
        let datagrams = "candidate:1 1 udp 7 192.0.2.1 5 typ host";
        assert_eq!(passive(datagrams), datagrams);
        assert_eq!(passive(END), END);
    }

    #[test]
    fn candidates_go_to_the_first_living_section() {
        let refused = "m=audio 0 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n";
        let video = "m=video 9 UDP/TLS/RTP/SAVPF 102\r\na=mid:1\r\n";
        let data = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\n";
        for (before, after) in [
            (
                [HEAD, refused, SECOND, CANDIDATES, video, data].concat(),
                [HEAD, refused, video, CANDIDATES, data].concat(),
            ),
            ([HEAD, video, CANDIDATES, data].concat(), [HEAD, video, CANDIDATES, data].concat()),
            ([HEAD, refused, SECOND, CANDIDATES, data].concat(), [HEAD, refused, data, CANDIDATES].concat()),
            ([HEAD, data].concat(), [HEAD, data].concat()),
        ] {
            assert_eq!(tidied(&before), after);
        }
    }

    #[test]
    fn the_first_section_without_a_bundle_is_taken() {
        let refused = "m=audio 0 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n";
        let section = |kind: &str, port: u16| {
            format!("m={kind} {port} UDP/TLS/RTP/SAVPF 96 0\r\na=mid:{kind}\r\na=ice-ufrag:x\r\n")
        };
        let [audio, video] = ["audio", "video"].map(|kind| section(kind, 0));
        let tidied = |parts: &[&str]| tidied(&parts.concat());
        assert_eq!(tidied(&["v=0\r\n", &video]), ["v=0\r\n", &section("video", 9)].concat());
        let first = ["v=0\r\n", refused, &section("video", 9), CANDIDATES, &audio].concat();
        assert_eq!(tidied(&["v=0\r\n", refused, CANDIDATES, &video, &audio]), first);
        for alone in [["v=0\r\n", refused], [HEAD, &video]] {
            assert_eq!(tidied(&alone), alone.concat());
        }
    }
}
