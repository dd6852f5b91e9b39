//! Variants in the hub: which one a viewer of the plain name is put into, and what of a site's uplink is left.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use sluicegate_hub::{
    Choice, Config, Expects, Hub, Offer, Owner, Publish, Publisher, StreamName, Subscriber, Uplinks, Viewer,
};
use sluicegate_media::{Codec, Frame, Timestamp, TrackId};

const SITE: &str = "cam-7";

fn name(text: &str) -> StreamName {
    StreamName::parse(text).unwrap()
}

/// A hub that counts on so many bits per second from the site.
fn hub(uplink: Option<u64>) -> Hub {
    let sites = uplink.map(|bits| (SITE.to_owned(), bits)).into_iter().collect();
    Hub::new(Config { uplinks: Uplinks { each: None, sites }, ..Config::default() }).unwrap()
}

fn offer(hub: &Hub, stream: &str) -> Offer {
    hub.offer(&name(stream), Owner::new(SITE)).unwrap()
}

/// Publishes 4 s of pictures of so many bytes, 25 a second.
fn publish(hub: &Hub, stream: &str, bytes: usize) -> Publisher {
    let by = Publish::by("test").expecting(Expects::VIDEO).owned_by(Owner::new(SITE));
    let publisher = hub.publish(&name(stream), by).unwrap();
    for picture in 0..100 {
        let frame =
            Frame::media(TrackId::VIDEO, Codec::Vp8, Timestamp::from_millis(picture * 40), vec![7; bytes].into());
        publisher.push(frame.with_key(picture % 25 == 0)).unwrap();
    }
    publisher
}

fn watch(hub: &Hub, stream: &str, most: Option<u64>) -> Subscriber {
    hub.subscribe(&name(stream), Viewer::by("test").choosing(Choice::Fitting { most }))
}

#[tokio::test]
async fn the_plain_name_is_what_fits_and_a_variants_name_itself() {
    let hub = hub(None);
    let _offers = [offer(&hub, "a"), offer(&hub, "a:sub"), offer(&hub, "a-b:sub"), offer(&hub, "ab")];
    let (_main, _sub) = (publish(&hub, "a", 10_000), publish(&hub, "a:sub", 1_000));
    assert_eq!(hub.stream(&name("a")).unwrap().bits_per_second, Some(2_000_000));
    let of = |stream: &str| hub.variants(&name(stream)).iter().map(|found| found.name.to_string()).collect::<Vec<_>>();
    assert_eq!((of("a"), of("a:sub"), of("a-b")), (vec!["a".into(), "a:sub".into()], of("a"), vec!["a-b:sub".into()]));
    for (stream, most, got) in [
        ("a", None, "a"),
        ("a", Some(2_000_000), "a"),
        ("a", Some(1_000_000), "a:sub"),
        ("a", Some(1), "a:sub"),
        ("a:sub", None, "a:sub"),
        ("a-b", None, "a-b:sub"),
        ("none", Some(1), "none"),
    ] {
        assert_eq!(watch(&hub, stream, most).name().as_str(), got, "{stream} {most:?}");
    }
    assert_eq!(hub.subscribe(&name("a"), Viewer::by("test")).name().as_str(), "a");
}

#[tokio::test]
async fn a_full_uplink_gives_new_viewers_the_leaner_one() {
    let hub = hub(Some(3_000_000));
    let _offers = [offer(&hub, "a"), offer(&hub, "a:sub"), offer(&hub, "b"), offer(&hub, "b:sub")];
    // What the streams are is known from earlier viewers.
    drop((publish(&hub, "a", 10_000), publish(&hub, "a:sub", 1_000)));
    drop((publish(&hub, "b", 8_000), publish(&hub, "b:sub", 1_000)));
    let first = watch(&hub, "a", None);
    assert_eq!((first.name().as_str(), hub.uplink_left(&hub.variants(&name("a")))), ("a", Some(1_000_000)));
    // Of what is carried already another viewer costs nothing.
    assert_eq!(watch(&hub, "a", None).name().as_str(), "a");
    let second = watch(&hub, "b", None);
    assert_eq!(second.name().as_str(), "b:sub");
    drop(first);
    assert_eq!(watch(&hub, "b", None).name().as_str(), "b");
}
