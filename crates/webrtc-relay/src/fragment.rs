//! The part of a session description that trickle ICE and ICE restarts carry (RFC 8840 section 9).

use std::fmt::Write as _;

/// `application/trickle-ice-sdpfrag`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fragment {
    /// `ice-ufrag` and `ice-pwd`.
    pub(crate) credentials: Option<(String, String)>,
    /// `candidate:…`.
    pub(crate) candidates: Vec<String>,
    /// The media section that they stand in: its `m=` line and `mid`.
    section: Option<(String, String)>,
}

/// Candidates of one fragment that are read; the session has a limit of its own.
const MAX_CANDIDATES: usize = 128;

impl Fragment {
    /// Reads a fragment; lines that mean nothing here are left out.
    pub(crate) fn parse(text: &str) -> Self {
        let find = |prefix: &str| text.lines().find_map(|line| line.trim().strip_prefix(prefix)).map(str::to_owned);
        let candidates = text.lines().map(str::trim).filter(|line| line.starts_with("a=candidate:"));
        Self {
            credentials: find("a=ice-ufrag:").zip(find("a=ice-pwd:")),
            candidates: candidates.take(MAX_CANDIDATES).filter_map(|line| Some(line.get(2..)?.to_owned())).collect(),
            section: find("m=").zip(find("a=mid:")),
        }
    }

    /// The fragment of an answer.
    pub(crate) fn of(answer: &str) -> Self {
        Self::parse(answer)
    }

    /// An offer with these credentials and candidates in place of its own.
    pub(crate) fn applied_to(&self, offer: &str) -> String {
        let Some((user, password)) = &self.credentials else { return offer.to_owned() };
        let mut fresh = String::with_capacity(offer.len());
        let mut candidates = Some(&self.candidates);
        for line in offer.lines() {
            match line {
                _ if line.starts_with("a=ice-ufrag:") => _ = write!(fresh, "a=ice-ufrag:{user}\r\n"),
                _ if line.starts_with("a=ice-pwd:") => _ = write!(fresh, "a=ice-pwd:{password}\r\n"),
                _ if line.starts_with("a=candidate:") || line == "a=end-of-candidates" => {}
                _ => _ = write!(fresh, "{line}\r\n"),
            }
            if line.starts_with("a=mid:") {
                let first = candidates.take().into_iter().flatten();
                first.for_each(|candidate| _ = write!(fresh, "a={candidate}\r\n"));
            }
        }
        fresh
    }
}

impl std::fmt::Display for Fragment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some((user, password)) = &self.credentials {
            write!(formatter, "a=ice-ufrag:{user}\r\na=ice-pwd:{password}\r\n")?;
        }
        if let Some((line, mid)) = &self.section {
            write!(formatter, "m={line}\r\na=mid:{mid}\r\n")?;
        }
        for candidate in &self.candidates {
            write!(formatter, "a={candidate}\r\n")?;
        }
        formatter.write_str("a=end-of-candidates\r\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESTART: &str = "a=ice-ufrag:new1\r\na=ice-pwd:secret\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n\
        a=candidate:1 1 udp 7 192.0.2.1 5 typ host\r\na=end-of-candidates\r\n";

    #[test]
    fn fragments_come_back_as_they_were() {
        let fragment = Fragment::parse(RESTART);
        assert_eq!(fragment.credentials, Some(("new1".to_owned(), "secret".to_owned())));
        assert_eq!(fragment.candidates, ["candidate:1 1 udp 7 192.0.2.1 5 typ host"]);
        assert_eq!(fragment.to_string(), RESTART);
    }

    #[test]
    fn a_restart_replaces_what_belongs_to_ice() {
        let offer = "v=0\r\nm=audio 9 X 111\r\na=mid:0\r\na=ice-ufrag:old\r\na=ice-pwd:old\r\n\
            a=candidate:9 1 udp 7 192.0.2.9 5 typ host\r\nm=video 9 X 96\r\na=mid:1\r\na=ice-ufrag:old\r\na=ice-pwd:old\r\n";
        let fresh = Fragment::parse(RESTART).applied_to(offer);
        assert_eq!(fresh.matches("a=ice-ufrag:new1\r\na=ice-pwd:secret\r\n").count(), 2);
        assert_eq!(fresh.matches("a=candidate:").count(), 1);
        assert!(!fresh.contains("old") && fresh.contains("192.0.2.1"));
    }
}
