//! A thousand requests at once with distinct bodies and random cancels: none wrong, none lost.

use axum::body::Body;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;

use crate::client::{request, send};
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_at_once() {
    let stage = Stage::new().await;
    let address = stage.address;
    let mut random = StdRng::seed_from_u64(7);
    let mut kept = JoinSet::new();
    let mut cancelled = Vec::new();
    for number in 0..1_000_u32 {
        let length = random.random_range(1..20_000);
        let mut body = format!("{number}:").into_bytes();
        body.resize(length + 8, u8::try_from(number % 251).unwrap());
        let ask = async move {
            let asked = request("POST", "web/echo").body(Body::from(body.clone())).unwrap();
            let answer = send(address, asked).await.unwrap();
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.all().await.unwrap().0, body, "request {number} got another's answer");
        };
        if random.random_bool(0.25) {
            let task = tokio::spawn(ask);
            let turns = random.random_range(0..60);
            cancelled.push(tokio::spawn(async move {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
                task.abort();
                let _ = task.await;
            }));
        } else {
            kept.spawn(ask);
        }
    }
    let asked = kept.len();
    let mut right = 0;
    while let Some(done) = kept.join_next().await {
        done.unwrap();
        right += 1;
    }
    assert_eq!(right, asked);
    assert!(right > 600);
    for task in cancelled {
        task.await.unwrap();
    }
}
