//! What a device tells of itself.

use url::Url;

/// A device, as it describes itself. Texts are on one line and at most 256 characters long.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// Who made it.
    pub manufacturer: String,
    /// Its model.
    pub model: String,
    /// The version of its firmware.
    pub firmware: String,
    /// Its serial number.
    pub serial: String,
    /// Seconds by which its clock is ahead of ours; negative when it is behind.
    pub clock_ahead: i64,
    /// Its profiles, at most [`crate::MAX_PROFILES`].
    pub profiles: Vec<Profile>,
}

/// One form in which a device gives a picture.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// What the device knows it by.
    pub token: String,
    /// Its name for people.
    pub name: String,
    /// The picture's source; recorders and encoders have several.
    pub source: String,
    /// The encoding of pictures, such as `H264`, as the device writes it; empty without pictures.
    pub encoding: String,
    /// Width in pixels; 0 when it is not told.
    pub width: u32,
    /// Height in pixels; 0 when it is not told.
    pub height: u32,
    /// Pictures a second; 0 when it is not told.
    pub rate: u32,
    /// Thousand bits a second, at most; 0 when it is not told.
    pub kilobits: u32,
    /// The encoding of sound.
    pub sound: Option<String>,
    /// Where its stream is, without credentials; `None` where the device gives none.
    pub stream: Option<Url>,
}

/// The streams of one source of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channel<'a> {
    /// The best one.
    pub main: &'a Profile,
    /// The one that needs least, where there is a choice.
    pub sub: Option<&'a Profile>,
}

impl Profile {
    /// Whether its pictures are of a kind that is carried on, H.264 or H.265.
    #[must_use]
    pub fn is_known(&self) -> bool {
        ["H264", "H265", "H.264", "H.265", "HEVC"].iter().any(|name| self.encoding.eq_ignore_ascii_case(name))
    }

    /// Whether its pictures are of a kind that is carried on, and its stream is there.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.stream.is_some() && self.is_known()
    }

    fn effort(&self) -> (u64, u32) {
        (u64::from(self.width) * u64::from(self.height), self.kilobits)
    }
}

impl Device {
    /// Its sources of pictures in the order in which it tells of them, without those that give nothing usable.
    #[must_use]
    pub fn channels(&self) -> Vec<Channel<'_>> {
        let mut sources: Vec<&str> = Vec::new();
        for profile in self.profiles.iter().filter(|profile| profile.is_usable()) {
            if !sources.contains(&profile.source.as_str()) {
                sources.push(&profile.source);
            }
        }
        sources.iter().filter_map(|source| self.channel(source)).collect()
    }

    fn channel(&self, source: &str) -> Option<Channel<'_>> {
        let profiles = || self.profiles.iter().filter(|profile| profile.is_usable() && profile.source == source);
        // Of equals the first counts, which is the main one by custom.
        let main = profiles().rev().max_by_key(|profile| profile.effort())?;
        let lesser = profiles().filter(|profile| profile.stream != main.stream && profile.effort() < main.effort());
        Some(Channel { main, sub: lesser.min_by_key(|profile| profile.effort()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(source: &str, encoding: &str, width: u32, path: &str) -> Profile {
        let stream = Url::parse(&format!("rtsp://192.168.1.9/{path}")).ok();
        let (source, encoding, token) = (source.to_owned(), encoding.to_owned(), path.to_owned());
        Profile { token, source, encoding, width, height: width / 2, stream, ..Profile::default() }
    }

    #[test]
    fn the_greatest_and_the_least_of_each_source_are_chosen() {
        let mut profiles = vec![
            profile("1", "JPEG", 4000, "snap"),
            profile("1", "H264", 640, "sub"),
            profile("1", "H265", 2560, "main"),
            profile("1", "H264", 1280, "third"),
            profile("1", "H265", 2560, "copy"),
            profile("2", "H264", 704, "second"),
            profile("2", "H264", 704, "second-too"),
            profile("3", "H264", 704, "gone"),
        ];
        profiles[7].stream = None;
        let device = Device { profiles, ..Device::default() };
        let tokens = |channel: &Channel<'_>| (channel.main.token.clone(), channel.sub.map(|sub| sub.token.clone()));
        let chosen: Vec<_> = device.channels().iter().map(tokens).collect();
        assert_eq!(chosen, [("main".into(), Some("sub".into())), ("second".into(), None)]);
    }
}
