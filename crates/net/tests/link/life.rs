//! Connections join, drain, end and are replaced.

use axum::Router;
use axum::routing::get;
use http_body_util::BodyExt;
use sluicegate_net::link;
use tokio::sync::oneshot;

use crate::stage::{Host, PATIENCE, Site, linked, quick};

fn small() -> Router {
    Router::new().route("/small", get(|| async { "small" }))
}

#[tokio::test]
async fn a_site_keeps_as_many_connections_as_it_is_told() {
    let host = Host::start(link::Config::default()).await;
    let mut site = Site::dial(&host.address, "", link::Config::default(), 3, small());
    host.joined(3).await;
    site.until(|state| state.connected == 3).await;
    assert_eq!(host.text("/small").await, "small");
}

#[tokio::test]
async fn a_cut_ends_what_is_in_flight_and_the_site_dials_again() {
    let never = get(|| async { std::future::pending::<()>().await });
    let (host, _site) = linked(link::Config::default(), small().route("/never", never)).await;
    let connection = host.pool.connections().remove(0);
    let (answer, ()) = tokio::join!(host.get("/never"), async {
        while host.pool.in_flight() == 0 {
            tokio::task::yield_now().await;
        }
        connection.cut();
    });
    assert!(matches!(answer, Err(link::Error::Lost(_))), "{answer:?}");
    host.joined(2).await;
    assert_eq!(host.text("/small").await, "small");
}

#[tokio::test]
async fn a_drained_connection_takes_nothing_new_and_finishes_what_it_has() {
    let (release, released) = oneshot::channel::<()>();
    let released = std::sync::Arc::new(std::sync::Mutex::new(Some(released)));
    let late = get(move || async move {
        let released = released.lock().unwrap().take().unwrap();
        released.await.unwrap();
        "late"
    });
    let (host, _site) = linked(link::Config::default(), small().route("/late", late)).await;
    let connection = host.pool.connections().remove(0);
    let (answer, ()) = tokio::join!(host.get("/late"), async {
        while host.pool.in_flight() == 0 {
            tokio::task::yield_now().await;
        }
        connection.drain();
        release.send(()).unwrap();
    });
    let body = answer.unwrap().into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "late");
    tokio::time::timeout(PATIENCE, connection.ended()).await.unwrap();
    host.joined(2).await;
}

#[tokio::test]
async fn a_site_that_ends_in_order_finishes_requests_first() {
    let (host, site) = linked(link::Config::default(), small()).await;
    assert_eq!(host.text("/small").await, "small");
    site.shutdown.begin();
    tokio::time::timeout(PATIENCE, site.task).await.unwrap().unwrap();
    assert!(host.get("/small").await.is_err());
}

#[tokio::test]
async fn a_replaced_instance_waits_and_says_why() {
    let host = Host::start(quick()).await;
    let mut site = Site::dial(&host.address, "/taken", quick(), 1, small());
    let state = site.until(|state| state.problem.is_some()).await;
    assert_eq!(state.problem.as_deref(), Some("a newer instance of this site is connected"));
}

#[tokio::test]
async fn a_host_that_is_not_there_is_named() {
    let mut site = Site::dial("127.0.0.1:1", "", quick(), 1, small());
    let problem = site.until(|state| state.problem.is_some()).await.problem.unwrap();
    assert!(problem.contains("cannot reach 127.0.0.1:1"), "{problem}");
}

#[tokio::test]
async fn the_round_trip_and_bytes_are_measured() {
    let (host, _site) = linked(quick(), small()).await;
    let connection = host.pool.connections().remove(0);
    assert_eq!(host.text("/small").await, "small");
    let measured = async {
        while connection.health().rtt().is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, measured).await.unwrap();
    assert!(connection.health().bytes_in() > 0 && connection.health().bytes_out() > 0);
}
