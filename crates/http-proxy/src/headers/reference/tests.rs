//! Tests of the references through both ends.

use proptest::prelude::*;

use super::*;

const PREFIX: &str = "/proxy/a/web";

fn base<'a>(prefix: &'a str, asked: &'a str) -> Base<'a> {
    Base {
        scheme: "http",
        authority: "cam.lan:8080",
        host: Some("front.door"),
        prefix,
        public_prefix: Some(PREFIX),
        asked,
    }
}

/// Through both ends, as a browser sees it.
fn seen(base: Base<'_>, reference: &str) -> String {
    let link = base.on_link(reference).unwrap_or_else(|| reference.to_owned());
    to_public(&link, PREFIX, "https", Some("public.example")).unwrap_or(link)
}

#[test]
fn references_into_the_service_stay_in_it() {
    for (reference, expected) in [
        ("/login", "/proxy/a/web/login"),
        ("/", "/proxy/a/web/"),
        ("http://cam.lan:8080/login?a=b#c", "/proxy/a/web/login?a=b#c"),
        ("HTTP://CAM.lan:8080", "/proxy/a/web/"),
        ("//cam.lan:8080/x", "/proxy/a/web/x"),
        ("http://front.door/x", "/proxy/a/web/x"),
        ("http://cam.lan:8080?x", "/proxy/a/web/?x"),
        ("https://public.example/x", "/proxy/a/web/x"),
        ("https://public.example:443/x", "/proxy/a/web/x"),
        ("/proxy/a/web/x", "/proxy/a/web/x"),
        ("https://public.example/proxy/a/web/x", "https://public.example/proxy/a/web/x"),
        ("/proxy/a/webcam", "/proxy/a/web/proxy/a/webcam"),
        ("http://cam.lan:8080//x", "/proxy/a/web/.//x"),
        ("../../../x", "/proxy/a/web/x"),
    ] {
        assert_eq!(seen(base("", "/d/e"), reference), expected, "{reference}");
    }
}

#[test]
fn others_stay_as_they_are() {
    for reference in [
        "https://cam.lan:8080/x",
        "http://cam.lan/x",
        "http://elsewhere/x",
        "//elsewhere/x",
        "mailto:a@b",
        "javascript:x",
        "next",
        "?page=2",
        "#top",
        "",
        "./a:b",
    ] {
        assert_eq!(seen(base("", "/d/e"), reference), reference);
    }
}

#[test]
fn a_base_path_is_taken_off() {
    let base = base("/app", "/app/d/e");
    assert_eq!(seen(base, "/app/x"), "/proxy/a/web/x");
    assert_eq!(seen(base, "/app"), "/proxy/a/web/");
    assert_eq!(seen(base, "http://cam.lan:8080/app/x"), "/proxy/a/web/x");
    assert_eq!(seen(base, "/other"), "http://cam.lan:8080/other");
    assert_eq!(seen(base, "http://cam.lan:8080/other"), "http://cam.lan:8080/other");
    assert_eq!(seen(base, "../x"), "/proxy/a/web/x");
    assert_eq!(seen(base, "../../x"), "http://cam.lan:8080/x");
    assert_eq!(base.path_on_link("/app/x").as_deref(), Some("/x"));
    assert_eq!(base.path_on_link("/").as_deref(), Some("/"));
    assert_eq!(base.path_on_link("/app/").as_deref(), Some("/"));
    assert_eq!(base.path_on_link("/other"), None);
}

#[test]
fn the_public_host_without_its_port_is_known() {
    assert_eq!(to_public("http://p:80/x", "/q", "http", Some("p")).as_deref(), Some("/q/x"));
    assert_eq!(to_public("http://p:81/x", "/q", "http", Some("p")), None);
    assert_eq!(to_public("http://p/x", "/q", "http", None), None);
}

#[test]
fn every_field_that_refers_is_rewritten() {
    let mut headers = HeaderMap::new();
    headers.insert(LOCATION, HeaderValue::from_static("/a"));
    headers.insert(CONTENT_LOCATION, HeaderValue::from_static("/b"));
    headers.insert(REFRESH, HeaderValue::from_static("0; URL=/c"));
    rewrite(&mut headers, |reference| to_public(reference, "/p", "http", None));
    assert_eq!(headers[LOCATION], "/p/a");
    assert_eq!(headers[CONTENT_LOCATION], "/p/b");
    assert_eq!(headers[REFRESH], "0; URL=/p/c");
}

proptest! {
    #[test]
    fn a_path_of_the_device_is_below_the_prefix_whatever_it_is(path in "/[ -~]{0,30}") {
        prop_assume!(!path.starts_with("//"));
        let seen = seen(base("", "/"), &path);
        prop_assert!(is_under(&seen, PREFIX), "{seen}");
    }

    #[test]
    fn rewriting_twice_changes_nothing(reference in "[ -~]{0,40}") {
        let once = to_public(&reference, PREFIX, "http", Some("public.example")).unwrap_or(reference);
        prop_assert_eq!(to_public(&once, PREFIX, "http", Some("public.example")), None);
    }
}
