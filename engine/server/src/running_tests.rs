use crate::error::ServeError;
use crate::log::Log;
use crate::running::Running;
use crate::stop::{End, EndNotice, News};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use torc_base::io::Level;

/// A server of `shards` shards that are nothing but the news the test sends.
struct Scene {
    running: Running,
    news: Sender<News>,
    /// How often the shards were asked to stop.
    asked: Arc<AtomicUsize>,
    stopping: Arc<AtomicBool>,
}

fn scene(shards: u16) -> Scene {
    let (news, receiver) = channel();
    let (asked, stopping) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let count = Arc::clone(&asked);
    let ask = Box::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let running =
        Running::new(Log::to(Level::Error, std::io::sink()).unwrap(), shards, receiver, Arc::clone(&stopping), ask);
    Scene { running, news, asked, stopping }
}

fn ended(shard: u16, end: End) -> News {
    News::Ended { shard, end }
}

#[test]
fn a_signal_drains_all_shards_and_is_a_good_end() {
    let mut scene = scene(2);
    assert!(scene.running.until_ready(|| true));
    scene.news.send(News::Signal(15)).unwrap();
    scene.running.until_stopping();
    assert!(scene.stopping.load(Ordering::Relaxed));
    scene.news.send(ended(1, End::Drained)).unwrap();
    scene.news.send(ended(0, End::Drained)).unwrap();
    scene.running.until_ended().unwrap();
    assert_eq!(scene.asked.load(Ordering::Relaxed), 1);
}

#[test]
fn a_shard_that_refuses_ends_the_start_with_its_reason() {
    let mut scene = scene(2);
    scene.news.send(ended(1, End::Refused("segment 7 is damaged at 4096".into()))).unwrap();
    assert!(!scene.running.until_ready(|| false));
    scene.news.send(ended(0, End::Drained)).unwrap();
    let error = scene.running.until_ended().unwrap_err();
    assert_eq!(error.to_string(), "shard 1: segment 7 is damaged at 4096");
    assert_eq!(scene.asked.load(Ordering::Relaxed), 1, "the other shard is drained");
}

#[test]
fn the_first_failure_is_the_reason() {
    let mut scene = scene(3);
    scene.news.send(ended(2, End::Panicked)).unwrap();
    scene.running.until_stopping();
    scene.news.send(ended(0, End::Refused("later".into()))).unwrap();
    scene.news.send(ended(1, End::Drained)).unwrap();
    let error = scene.running.until_ended().unwrap_err();
    assert!(matches!(error, ServeError::Shard { shard: 2, .. }), "{error}");
}

#[test]
fn a_shard_that_ends_unasked_is_a_failure_and_one_that_fails_while_draining_too() {
    let mut unasked = scene(1);
    unasked.news.send(ended(0, End::Drained)).unwrap();
    unasked.running.until_stopping();
    assert!(unasked.running.until_ended().unwrap_err().to_string().contains("without being asked"));

    let mut draining = scene(1);
    draining.news.send(News::Signal(2)).unwrap();
    draining.running.until_stopping();
    draining.news.send(ended(0, End::Refused("a write failed".into()))).unwrap();
    assert!(draining.running.until_ended().unwrap_err().to_string().contains("a write failed"));
}

#[test]
fn a_signal_during_recovery_ends_the_start() {
    let mut scene = scene(1);
    scene.news.send(News::Signal(15)).unwrap();
    assert!(!scene.running.until_ready(|| false));
    scene.news.send(ended(0, End::Drained)).unwrap();
    scene.running.until_ended().unwrap();
}

#[test]
fn a_thread_that_panics_is_noticed() {
    let (news, receiver) = channel();
    let thread = std::thread::Builder::new().name("a shard that panics on purpose".to_string()).spawn(move || {
        let _notice = EndNotice::new(3, news);
        panic!("on purpose");
    });
    thread.unwrap().join().unwrap_err();
    assert!(matches!(receiver.recv().unwrap(), News::Ended { shard: 3, end: End::Panicked }));
}
