//! Members that come and go under load.

use std::sync::Arc;

use crate::world::{World, unsigned, until_so};

#[tokio::test(flavor = "multi_thread")]
async fn members_come_drain_and_crash_under_load_and_nothing_is_lost() {
    let world = Arc::new(World::shared("members", 6, unsigned()).await);
    let first = world.role();
    let load = world.load();
    until_so("the first is at work", || first.seen.produced() > 100).await;
    let second = world.role();
    until_so("the second is at work", || second.seen.produced() > 50).await;
    let third = world.role();
    until_so("the third is at work", || third.seen.produced() > 50).await;
    second.drain().await.unwrap();
    let before = third.seen.produced();
    until_so("the others go on", || third.seen.produced() > before + 50).await;
    first.crash().await;
    let fourth = world.role();
    until_so("the fourth is at work", || fourth.seen.produced() > 50).await;
    let sent = load.stop().await;
    let times = world.is_complete(&sent).await;
    assert!(sent.len() > 300 && times.len() >= sent.len(), "{} {}", sent.len(), times.len());
    assert_eq!(third.seen.gaps() + fourth.seen.gaps(), 0);
    third.drain().await.unwrap();
    fourth.drain().await.unwrap();
}
