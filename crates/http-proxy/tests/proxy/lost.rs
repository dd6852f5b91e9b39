//! The site goes away in the middle.

use crate::client::get;
use crate::stage::Stage;

/// The site's program dies, or the upstream cuts the link.
const WAYS: [fn(&Stage); 2] = [Stage::kill_site, Stage::cut_link];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_the_head_the_client_is_told() {
    for lose in WAYS {
        let stage = Stage::new().await;
        let address = stage.address;
        let waiting = tokio::spawn(async move { get(address, "web/never").await });
        assert_eq!(stage.device.event().await, "asked");
        lose(&stage);
        let answer = waiting.await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.field("sluicegate-problem")), (503, "site-lost"));
        assert_eq!(answer.field("retry-after"), "1");
        assert_eq!(stage.device.event().await, "never dropped");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_head_the_client_sees_a_truncated_body() {
    for lose in WAYS {
        let stage = Stage::new().await;
        let mut answer = get(stage.address, "web/fed").await;
        stage.device.feed(b"half").await;
        assert_eq!(answer.data().await.unwrap().unwrap(), "half");
        lose(&stage);
        assert!(answer.data().await.expect("not a clean end").is_err());
        assert_eq!(stage.device.event().await, "fed dropped");
    }
}
