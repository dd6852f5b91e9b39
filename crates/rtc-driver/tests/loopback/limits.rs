//! Back-pressure and limits as the owner of a connection sees them.

use std::time::Duration;

use sluicegate_rtc_driver::State;
use sluicegate_rtc_driver::{
    ChannelId, ChannelOptions, CloseReason, Config, Connection, Driver, Error, Event, Message, Options,
};

use crate::peer::{config, driver, event, within};

async fn joined(first: &Driver, second: &Driver) -> (Connection, ChannelId, Connection) {
    let (mut offerer, offer) = first.offer(Options::channel("bulk")).await.unwrap();
    let (mut answerer, answer) = second.answer(offer, Options::default()).await.unwrap();
    offerer.handle().accept_answer(answer).await.unwrap();
    let open = |event: &Event| match event {
        Event::ChannelOpen { channel, .. } => Some(*channel),
        _ => None,
    };
    let channel = event(&mut offerer, "our channel", open).await;
    event(&mut answerer, "their channel", open).await;
    (offerer, channel, answerer)
}

/// A sender waits while its reader sleeps, and no byte is lost when the reader wakes.
#[tokio::test]
async fn a_slow_reader_holds_the_sender() {
    let small = Config { send_buffer: 512 * 1024, receive_buffer: 128 * 1024, ..config() };
    let (first, second) = (Driver::bind(small.clone()).unwrap(), Driver::bind(small).unwrap());
    let (offerer, channel, mut answerer) = joined(&first, &second).await;
    let handle = offerer.handle().clone();
    let count = 600_u32;
    let sending = tokio::spawn(async move {
        for number in 0..count {
            let bytes = [&number.to_be_bytes()[..], &[0; 49_996]].concat();
            handle.send(channel, Message::Binary(bytes.into())).await.unwrap();
        }
    });
    // 256 messages wait in the stack, 128 KiB with the owner, 1 MiB in the window, 512 KiB with the sender.
    within("a full send buffer", async {
        while offerer.handle().buffered() < 450_000 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!sending.is_finished());
    assert!(matches!(
        offerer.handle().try_send(channel, Message::Binary(vec![0; 200_000].into())).await,
        Err(Error::Full)
    ));
    for number in 0..count {
        let message = event(&mut answerer, "a message", |event| match event {
            Event::Message { message, .. } => Some(message.clone()),
            _ => None,
        })
        .await;
        let Message::Binary(bytes) = message else { panic!() };
        assert_eq!(bytes[..4], number.to_be_bytes());
    }
    within("the last send", sending).await.unwrap();
    within("an empty send buffer", offerer.handle().drained(0)).await;
    assert_eq!(offerer.handle().buffered(), 0);
}

#[tokio::test]
async fn the_end_wakes_those_who_wait() {
    let (first, second) = (driver(), driver());
    let (mut offerer, channel, answerer) = joined(&first, &second).await;
    let too_long = Message::Binary(vec![0; 300_000].into());
    assert!(matches!(offerer.handle().send(channel, too_long).await, Err(Error::MessageTooLong { .. })));
    let handle = offerer.handle().clone();
    let sending = tokio::spawn(async move {
        loop {
            if let Err(error) = handle.send(channel, Message::Binary(vec![0; 200_000].into())).await {
                return error;
            }
        }
    });
    let waiting = tokio::spawn({
        let handle = offerer.handle().clone();
        async move { handle.drained(0).await }
    });
    drop(answerer);
    event(&mut offerer, "the end", |event| (*event == Event::State(State::Closed(CloseReason::Peer))).then_some(()))
        .await;
    assert!(matches!(within("an error", sending).await.unwrap(), Error::Closed));
    within("the waiting's end", waiting).await.unwrap();
    assert!(matches!(offerer.handle().open_channel("late", ChannelOptions::default()).await, Err(Error::Closed)));
    first.shutdown().await;
    assert!(matches!(offerer.handle().renew_offer(false).await, Err(Error::Stopped)));
    assert!(tokio::time::timeout(Duration::from_secs(5), offerer.next()).await.unwrap().is_none());
}
