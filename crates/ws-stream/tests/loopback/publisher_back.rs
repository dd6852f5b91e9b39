//! A publisher that comes back after a break: viewers stay and time does not step back.

use crate::server::{Server, Way};
use crate::stream::{AVC_320, AVC_640, aac_header, avc_header, clip, header, step};
use crate::viewer::Viewer;

#[tokio::test]
async fn viewers_go_on_without_a_step_back() {
    let server = Server::new().await;
    let way = Way::WebSocket("/live/x.flv?publish=1");
    let mut viewer = Viewer::websocket(&server, "/live/x.flv").await;
    let mut http_after = None;
    for (round, record) in [(0, AVC_320), (1, AVC_320), (2, AVC_640)] {
        let mut pusher = server.publish(&way).await;
        let mut clip = [header(), avc_header(0, record), aac_header(0)].concat();
        // Each round has its own numbers, and the clock begins anew.
        (0..20).for_each(|number| clip.extend(step_of_round(round, number)));
        pusher.send(clip).await;
        viewer.until(&format!("picture {:08}", round * 100 + 19)).await;
        if http_after.is_none() {
            http_after = Some(Viewer::http(&server, "/live/x.flv").await);
        }
        pusher.finish().await;
        server.until("x", |status| status.publisher.is_none()).await;
    }
    let mut http = http_after.unwrap();
    http.until("picture 00000219").await;
    for viewer in [viewer, http] {
        let times: Vec<_> = viewer.pictures().iter().map(|frame| frame.dts).collect();
        assert!(times.len() >= 50 && times.is_sorted_by(|a, b| a < b), "{times:?}");
        let heads = viewer.bytes.windows(3).filter(|window| window == b"FLV").count();
        assert_eq!(heads, 1, "the file header comes once");
        let records =
            [AVC_320, AVC_640].map(|record| viewer.bytes.windows(record.len()).filter(|have| *have == record).count());
        assert_eq!(records, [1, 1], "configurations come again only when they differ");
    }
}

fn step_of_round(round: u32, number: u32) -> Vec<u8> {
    let mut tags = step(round * 100 + number, 0, 200);
    // The numbers go on over the rounds, the times do not.
    let at = (number * crate::stream::PICTURE_MS).to_be_bytes();
    let second = 11 + (u32::from_be_bytes([0, tags[1], tags[2], tags[3]]) as usize) + 4;
    for start in [0, second] {
        tags[start + 4..start + 8].copy_from_slice(&[at[1], at[2], at[3], at[0]]);
    }
    tags
}

#[tokio::test]
async fn a_connection_that_breaks_in_the_middle_of_a_tag_is_an_absence() {
    let server = Server::new().await;
    let way = Way::WebSocket("/publish?app=live&stream=x");
    let mut viewer = Viewer::websocket(&server, "/play?app=live&stream=x").await;
    let mut pusher = server.publish(&way).await;
    let clip = clip(8, 1_000);
    pusher.send(clip[..clip.len() - 300].to_vec()).await;
    viewer.until("picture 00000006").await;
    drop(pusher);
    server.until("live/x", |status| status.publisher.is_none()).await;
    let mut pusher = server.publish(&way).await;
    pusher.send(clip).await;
    viewer.until("picture 00000007").await;
    assert_eq!(viewer.numbers(), [0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5, 6, 7]);
}
