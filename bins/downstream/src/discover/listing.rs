//! Cameras and the names of their streams, as configuration of the site.

use std::collections::BTreeSet;

use sluicegate_onvif::{Channel, Device, Found, Profile, Trouble};
use sluicegate_sites::Source;
use url::Url;

use super::Login;

/// Streams of cameras are named below this.
const FOLDER: &str = "cams";
/// A clock that is wrong by more than this is told.
const CLOCK_TOLERANCE: u64 = 30;
/// Characters of a name that is made of a camera's: two numbers and a site's id of 36 may follow within the 64 of a segment.
const MAX_NAME: usize = 20;

/// All cameras that were found.
#[derive(Debug)]
pub(super) struct Listing<'a> {
    pub(super) entries: Vec<Entry<'a>>,
}

/// One camera.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) found: &'a Found,
    pub(super) streams: Vec<Stream<'a>>,
}

/// A stream that can be configured.
#[derive(Debug)]
pub(super) struct Stream<'a> {
    pub(super) name: String,
    pub(super) main: &'a Profile,
    pub(super) sub: Option<&'a Profile>,
}

impl<'a> Listing<'a> {
    /// Gives each stream a name of its own.
    pub(super) fn of(found: &'a [Found]) -> Self {
        let mut taken = BTreeSet::new();
        let entry = |found: &'a Found| {
            let streams = found.told.as_ref().map(|device| streams(found, device, &mut taken)).unwrap_or_default();
            Entry { found, streams }
        };
        Self { entries: found.iter().map(entry).collect() }
    }

    pub(super) fn has_streams(&self) -> bool {
        self.entries.iter().any(|entry| !entry.streams.is_empty())
    }

    /// The configuration, with what is to be known as comments.
    pub(super) fn toml(&self, login: Option<&Login>) -> String {
        let mut text = String::new();
        if self.has_streams() {
            comment("Streams of cameras, as `downstream discover` found them. Names may be changed.", &mut text);
            if let Some(login) = login.filter(|login| login.password_file.is_none()) {
                let file = login.file().display();
                comment(
                    &format!("Write the password into the file {file}, readable for this program only."),
                    &mut text,
                );
            }
        }
        for entry in &self.entries {
            text.push('\n');
            entry.write(login, &mut text);
        }
        text
    }
}

/// A camera's streams, named by its own name, else its model, and numbered where it has several pictures.
fn streams<'a>(found: &Found, device: &'a Device, taken: &mut BTreeSet<String>) -> Vec<Stream<'a>> {
    let own = [found.name.as_deref(), Some(&device.model), found.hardware.as_deref()];
    let name = own.into_iter().flatten().map(slug).find(|slug| !slug.is_empty()).unwrap_or_else(|| "camera".to_owned());
    let channels = device.channels();
    let names = |name: String| match channels.len() {
        1 => vec![format!("{FOLDER}/{name}")],
        count => (1..=count).map(|channel| format!("{FOLDER}/{name}-{channel}")).collect(),
    };
    // Many cameras of a kind have the same name until somebody gives them one.
    let numbered = (2_u32..).map(|number| format!("{name}-{number}"));
    let mut candidates = std::iter::once(name.clone()).chain(numbered).map(names);
    let free = candidates.find(|names| names.iter().all(|name| !taken.contains(name))).unwrap_or_default();
    taken.extend(free.iter().cloned());
    let streams = free.into_iter().zip(&channels).map(|(name, Channel { main, sub })| Stream { name, main, sub: *sub });
    streams.filter(|stream| source(stream.main).is_some()).collect()
}

/// A profile's source, if it is one that is pulled.
fn source(profile: &Profile) -> Option<String> {
    let text = profile.stream.as_ref()?.to_string();
    text.parse::<Source>().is_ok().then_some(text)
}

/// `text` as a part of a stream's name.
fn slug(text: &str) -> String {
    let kept = text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c.to_ascii_lowercase() } else { '-' });
    let kept: String = kept.take(MAX_NAME).collect();
    let parts: Vec<_> = kept.split('-').filter(|part| !part.is_empty()).collect();
    parts.join("-").trim_matches('.').to_owned()
}

impl Entry<'_> {
    fn write(&self, login: Option<&Login>, text: &mut String) {
        comment(&self.title(), text);
        match &self.found.told {
            Err(trouble) => {
                let hint = hint(trouble).map(|hint| format!("; {hint}")).unwrap_or_default();
                comment(&format!("{trouble}{hint}."), text);
            }
            Ok(device) => self.write_streams(device, login, text),
        }
    }

    fn title(&self) -> String {
        let Found { service, name, hardware, told, .. } = self.found;
        let mut parts = vec![name.clone().or_else(|| hardware.clone()).unwrap_or_else(|| "a camera".to_owned())];
        if let Ok(device) = told {
            let made = [&device.manufacturer, &device.model].map(String::as_str).join(" ");
            parts.push(made.trim().to_owned());
            let known = [("firmware", &device.firmware), ("serial", &device.serial)];
            parts
                .extend(known.iter().filter(|(_, text)| !text.is_empty()).map(|(what, text)| format!("{what} {text}")));
        }
        parts.push(format!("at {service}"));
        parts.retain(|part| !part.is_empty());
        parts.join(", ")
    }

    fn write_streams(&self, device: &Device, login: Option<&Login>, text: &mut String) {
        if device.clock_ahead.unsigned_abs() > CLOCK_TOLERANCE {
            let side = if device.clock_ahead > 0 { "ahead" } else { "behind" };
            comment(&format!("Its clock is {} s {side}.", device.clock_ahead.unsigned_abs()), text);
        }
        let used: Vec<_> = self.streams.iter().flat_map(|stream| [Some(stream.main), stream.sub]).flatten().collect();
        for profile in device.profiles.iter().filter(|profile| !used.contains(profile)) {
            let place = profile.stream.as_ref().map_or("no URL", Url::as_str);
            comment(&format!("Left out: {}: {place}", picture(profile)), text);
        }
        for stream in &self.streams {
            stream.write(login, text);
        }
    }
}

impl Stream<'_> {
    fn write(&self, login: Option<&Login>, text: &mut String) {
        let sub = self.sub.map(|sub| format!("; sub: {}", picture(sub))).unwrap_or_default();
        comment(&format!("{}{sub}", picture(self.main)), text);
        text.push_str(&format!("[streams.{}]\n", quoted(&self.name)));
        let mut key = |key, value: &str| text.push_str(&format!("{key} = {}\n", quoted(value)));
        source(self.main).iter().for_each(|source| key("source", source));
        self.sub.and_then(source).iter().for_each(|source| key("variants.sub", source));
        if let Some(login) = login {
            key("user", &login.user);
            key("password_file", &login.file().display().to_string());
        }
    }
}

/// One line, whatever a camera says.
fn comment(line: &str, text: &mut String) {
    let line = line.replace(char::is_control, " ");
    text.push_str(&format!("# {line}\n"));
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A profile in words.
fn picture(profile: &Profile) -> String {
    let Profile { width, height, rate, kilobits, .. } = *profile;
    let encoding = if profile.encoding.is_empty() { "no pictures" } else { &profile.encoding };
    let mut parts = vec![format!("{} {encoding}", profile.name).trim().to_owned()];
    let numbers = [
        (width > 0, format!("{width}x{height}")),
        (rate > 0, format!("{rate} pictures a second")),
        (kilobits > 0, format!("{kilobits} kbit/s")),
    ];
    parts.extend(numbers.into_iter().filter(|(is_known, _)| *is_known).map(|(_, text)| text));
    parts.extend(profile.sound.iter().map(|sound| format!("sound {sound}")));
    parts.join(", ")
}

/// What can be done about it.
fn hint(trouble: &Trouble) -> Option<&'static str> {
    Some(match trouble {
        Trouble::NeedsPassword => "give --user and --password-file",
        Trouble::Denied => "many cameras have a user of its own for ONVIF, and lock out who tries too often",
        Trouble::NoSoap { .. } => {
            "is ONVIF enabled in its settings? With --address http://HOST:PORT another port is asked"
        }
        Trouble::Unreachable { .. } | Trouble::Late { .. } => {
            "does it answer a ping, and is its web server at this port? Else give --address http://HOST:PORT"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
