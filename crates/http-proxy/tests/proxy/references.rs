//! Redirects and cookies of the device stay below its path.

use axum::body::Body;

use crate::client::{get, request, send};
use crate::stage::Stage;

#[tokio::test]
async fn the_slash_behind_the_service_is_added() {
    let stage = Stage::new().await;
    let answer = get(stage.address, "web?x=1").await;
    assert_eq!(answer.status(), 308);
    assert_eq!(answer.field("location"), "/proxy/cam-7/web/?x=1");
    assert_eq!(get(stage.address, "web/").await.text().await, "the device knows no such path");
}

#[tokio::test]
async fn redirects_are_not_followed_and_point_into_the_proxy() {
    let stage = Stage::new().await;
    let device = stage.device.address;
    for (service, location, expected) in [
        ("web", "/login".to_owned(), "/proxy/cam-7/web/login"),
        ("web", format!("http://{device}/login"), "/proxy/cam-7/web/login"),
        ("web", "http://public.example/login".to_owned(), "/proxy/cam-7/web/login"),
        ("web", "login".to_owned(), "login"),
        ("web", "https://elsewhere.example/".to_owned(), "https://elsewhere.example/"),
        ("base", "/base/login".to_owned(), "/proxy/cam-7/base/login"),
        ("base", format!("http://{device}/base/login"), "/proxy/cam-7/base/login"),
        ("web", "../x".to_owned(), "/proxy/cam-7/web/x"),
    ] {
        let answer = get(stage.address, &format!("{service}/fields?status=302&location={location}")).await;
        assert_eq!((answer.status().as_u16(), answer.field("location")), (302, expected), "{location}");
    }
}

#[tokio::test]
async fn cookies_are_bound_to_the_service() {
    let stage = Stage::new().await;
    let answer = get(stage.address, "web/fields?set-cookie=id=1;+Path=/;+Domain=cam.lan;+HttpOnly&x=y").await;
    assert_eq!(answer.field("set-cookie"), "id=1; Path=/proxy/cam-7/web/; HttpOnly");
    let answer = get(stage.address, "base/fields?set-cookie=id=1;+Path=/base/a&x=y").await;
    assert_eq!(answer.field("set-cookie"), "id=1; Path=/proxy/cam-7/base/a");
}

#[tokio::test]
async fn a_redirect_of_a_post_keeps_its_method() {
    let stage = Stage::new().await;
    let asked = request("POST", "web/fields?status=307&location=/a").body(Body::from("x")).unwrap();
    let answer = send(stage.address, asked).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.field("location")), (307, "/proxy/cam-7/web/a"));
}
