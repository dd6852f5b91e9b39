//! The bodies of requests, and what their answers hold (ONVIF Core, Media and Media2 service specifications).

use std::time::SystemTime;

use roxmltree::Node;
use url::Url;

use crate::device::{Device, Profile};
use crate::xml;

/// Profiles of one device that are read.
pub const MAX_PROFILES: usize = 64;

/// A version of the service that has profiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    /// Of all devices with Profile S; H.264 and older encodings.
    One,
    /// Of devices with Profile T; also H.265.
    Two,
}

impl Media {
    const fn namespace(self) -> &'static str {
        match self {
            Self::One => "http://www.onvif.org/ver10/media/wsdl",
            Self::Two => "http://www.onvif.org/ver20/media/wsdl",
        }
    }
}

/// A request, and with it what its answer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    Clock,
    Services,
    Capabilities,
    Information,
    Profiles(Media),
    Stream(Media, String),
}

const DEVICE: &str = "http://www.onvif.org/ver10/device/wsdl";
const SCHEMA: &str = "http://www.onvif.org/ver10/schema";

impl Ask {
    /// The operation's name.
    pub(crate) const fn operation(&self) -> &'static str {
        match self {
            Self::Clock => "GetSystemDateAndTime",
            Self::Services => "GetServices",
            Self::Capabilities => "GetCapabilities",
            Self::Information => "GetDeviceInformation",
            Self::Profiles(_) => "GetProfiles",
            Self::Stream(..) => "GetStreamUri",
        }
    }

    const fn namespace(&self) -> &'static str {
        match self {
            Self::Profiles(media) | Self::Stream(media, _) => media.namespace(),
            _ => DEVICE,
        }
    }

    /// The SOAP action: SOAP 1.2 puts it into the content type.
    pub(crate) fn action(&self) -> String {
        format!("{}/{}", self.namespace(), self.operation())
    }

    /// The body of the message.
    pub(crate) fn body(&self) -> String {
        let content = match self {
            Self::Services => "<r:IncludeCapability>false</r:IncludeCapability>".to_owned(),
            Self::Capabilities => "<r:Category>All</r:Category>".to_owned(),
            Self::Profiles(Media::Two) => "<r:Type>All</r:Type>".to_owned(),
            Self::Stream(Media::One, token) => format!(
                "<r:StreamSetup><t:Stream xmlns:t=\"{SCHEMA}\">RTP-Unicast</t:Stream><t:Transport xmlns:t=\"{SCHEMA}\">\
                 <t:Protocol>RTSP</t:Protocol></t:Transport></r:StreamSetup><r:ProfileToken>{}</r:ProfileToken>",
                xml::escape(token)
            ),
            Self::Stream(Media::Two, token) => {
                format!("<r:Protocol>RTSP</r:Protocol><r:ProfileToken>{}</r:ProfileToken>", xml::escape(token))
            }
            _ => String::new(),
        };
        let (name, namespace) = (self.operation(), self.namespace());
        format!("<r:{name} xmlns:r=\"{namespace}\">{content}</r:{name}>")
    }
}

/// The device's clock, if it tells one.
pub(crate) fn clock(body: Node<'_, '_>) -> Option<SystemTime> {
    let utc = xml::find(body, "UTCDateTime")?;
    let [year, month, day] = ["Year", "Month", "Day"].map(|name| xml::number_of(utc, name));
    let [hour, minute, second] = ["Hour", "Minute", "Second"].map(|name| xml::number_of(utc, name));
    let (date, time) = ((year?, month?, day?), (hour?, minute?, second?));
    let text = format!("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", date.0, date.1, date.2, time.0, time.1, time.2);
    humantime::parse_rfc3339(&text).ok()
}

/// Where the media services are, the better one first. Of `GetServices` and `GetCapabilities`.
pub(crate) fn media(body: Node<'_, '_>) -> Vec<(Media, Url)> {
    let url = |node| Url::parse(&xml::text_of(node, "XAddr")?).ok().filter(Url::has_host);
    let listed = |media: Media| {
        let is_it = |node: &Node<'_, '_>| xml::text_of(*node, "Namespace").as_deref() == Some(media.namespace());
        xml::all(body, "Service").find(is_it).and_then(url)
    };
    let capable = || xml::find(body, "Capabilities").and_then(|node| url(xml::find(node, "Media")?));
    let two = listed(Media::Two).map(|url| (Media::Two, url));
    let one = listed(Media::One).or_else(capable).map(|url| (Media::One, url));
    two.into_iter().chain(one).collect()
}

/// Who the device is.
pub(crate) fn information(body: Node<'_, '_>, device: &mut Device) {
    let of = |name| xml::text_of(body, name).unwrap_or_default();
    device.manufacturer = of("Manufacturer");
    device.model = of("Model");
    device.firmware = of("FirmwareVersion");
    device.serial = of("SerialNumber");
}

/// The device's profiles, without their streams.
pub(crate) fn profiles(body: Node<'_, '_>) -> Vec<Profile> {
    let nodes = xml::all(body, "Profiles").filter(|node| node.attribute("token").is_some());
    let mut profiles: Vec<Profile> = Vec::new();
    for profile in nodes.take(MAX_PROFILES).map(profile) {
        // A token is what a profile is asked by, so that a second one of the same is none.
        if profiles.iter().all(|known| known.token != profile.token) {
            profiles.push(profile);
        }
    }
    profiles
}

fn profile(node: Node<'_, '_>) -> Profile {
    // The first name is that of Media, the second that of Media2.
    let part = |one, two| xml::find(node, one).or_else(|| xml::find(node, two));
    let video = part("VideoEncoderConfiguration", "VideoEncoder");
    let source = part("VideoSourceConfiguration", "VideoSource");
    let sound = part("AudioEncoderConfiguration", "AudioEncoder");
    let number = |name| video.and_then(|video| xml::number_of(video, name)).unwrap_or_default();
    Profile {
        // Sent back as it stands, so it is neither trimmed nor cut.
        token: node.attribute("token").unwrap_or_default().to_owned(),
        name: xml::text_of(node, "Name").unwrap_or_default(),
        source: source.and_then(|source| xml::text_of(source, "SourceToken")).unwrap_or_default(),
        encoding: video.and_then(|video| xml::text_of(video, "Encoding")).unwrap_or_default(),
        width: number("Width"),
        height: number("Height"),
        rate: number("FrameRateLimit"),
        kilobits: number("BitrateLimit"),
        sound: sound.and_then(|sound| xml::text_of(sound, "Encoding")),
        stream: None,
    }
}

/// The URL of a profile's stream.
pub(crate) fn stream(body: Node<'_, '_>) -> Option<Url> {
    let text = xml::find(body, "Uri")?.text()?.trim();
    let mut url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "rtsp" | "rtsps") && url.has_host())?;
    // Some put credentials in, and not always those that were used; the configuration has its own.
    let bare = url.set_username("").and_then(|()| url.set_password(None));
    bare.is_ok().then_some(url)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn read<T>(bytes: &[u8], look: impl FnOnce(Node<'_, '_>) -> T) -> T {
        crate::soap::read(bytes, look).unwrap().unwrap()
    }

    #[test]
    fn bodies_are_xml() {
        let asks = [
            Ask::Clock,
            Ask::Capabilities,
            Ask::Profiles(Media::Two),
            Ask::Stream(Media::One, "a&\"b".to_owned()),
            Ask::Stream(Media::Two, "<c>".to_owned()),
        ];
        for ask in asks {
            let text = crate::soap::envelope("", &ask.body());
            let found = read(text.as_bytes(), |body| {
                (xml::find(body, ask.operation()).is_some(), xml::text_of(body, "ProfileToken"))
            });
            let token = if let Ask::Stream(_, token) = &ask { Some(token.clone()) } else { None };
            assert_eq!(found, (true, token));
        }
        assert_eq!(Ask::Profiles(Media::Two).action(), "http://www.onvif.org/ver20/media/wsdl/GetProfiles");
    }

    #[test]
    fn a_clock_is_read_and_nonsense_is_none() {
        let at = |hour: u32| {
            format!(
                "<E:Envelope xmlns:E='u'><E:Body><UTCDateTime><Time><Hour>{hour}</Hour><Minute>5</Minute><Second>9</Second>\
                 </Time><Date><Year>2010</Year><Month>9</Month><Day>16</Day></Date></UTCDateTime></E:Body></E:Envelope>"
            )
        };
        assert_eq!(read(at(7).as_bytes(), clock), Some(UNIX_EPOCH + Duration::from_secs(1_284_620_709)));
        assert_eq!(read(at(77).as_bytes(), clock), None);
    }

    #[test]
    fn profiles_of_both_services_are_read() {
        let one = read(include_bytes!("../testdata/profiles_media1.xml"), profiles);
        let two = read(include_bytes!("../testdata/profiles_media2.xml"), profiles);
        let seen = |profile: &Profile| {
            let Profile { width, height, rate, kilobits, .. } = *profile;
            let texts = [&profile.token, &profile.source, &profile.encoding].map(Clone::clone);
            (texts, [width, height, rate, kilobits], profile.sound.clone())
        };
        let texts = |a: &str, b: &str, c: &str| [a.to_owned(), b.to_owned(), c.to_owned()];
        let one: Vec<_> = one.iter().map(seen).collect();
        assert_eq!(one[0], (texts("MainStream", "VS_1", "H264"), [1920, 1080, 25, 4096], Some("G711".to_owned())));
        assert_eq!(one[1], (texts("SubStream", "VS_1", "H264"), [640, 360, 12, 512], None));
        let two: Vec<_> = two.iter().map(seen).collect();
        assert_eq!(two[0], (texts("Profile_1", "VS_1", "H265"), [2560, 1440, 20, 6144], Some("MP4A-LATM".to_owned())));
    }

    #[test]
    fn credentials_are_taken_out_of_a_streams_url() {
        let uri = |text: &str| {
            let text = format!("<E:Envelope xmlns:E='u'><E:Body><m><Uri>{text}</Uri></m></E:Body></E:Envelope>");
            read(text.as_bytes(), stream).map(String::from)
        };
        let url = uri(" rtsp://admin:hidden@192.168.1.9:554/s?a=1&amp;b=2 ");
        assert_eq!(url.as_deref(), Some("rtsp://192.168.1.9:554/s?a=1&b=2"));
        assert_eq!((uri("http://192.168.1.9/s"), uri("")), (None, None));
    }
}
