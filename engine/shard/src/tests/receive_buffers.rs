//! Shared receive buffers, of which there are few: whatever their holders wait for, nobody waits for them.

use super::rig::{Client, Rig, frame, settings};
use super::verbs::*;
use super::znodes::Zk;
use super::zookeeper::{create, request, serving};
use crate::{MemoryLimits, Settings};
use torc_base::limits::RECV_BUF_BYTES;
use torc_net::kafka::schema::{ApiVersionsRequest, DescribeLogDirsRequest, FetchRequest, ProduceRequest};
use torc_net::zookeeper::Ask;

const API_VERSIONS: i16 = 3;
const LOG_DIRS: i16 = 4;
/// More than half of a buffer: it is not worth a copy.
const MUCH: usize = RECV_BUF_BYTES / 2 + 1_000;
const BUFFERS: usize = 16;
const PARTITIONS: i32 = 800;

/// Memory for few long answers, and so much for requests.
fn tight(frames: usize) -> Settings {
    let memory = MemoryLimits { frames, answers: 256 << 10, ..MemoryLimits::default() };
    serving(&Settings { memory, request_max_bytes: 2 << 20, auto_create_topics: false, ..settings() })
}

/// A server with a topic of many partitions and one of few, and few buffers from now on.
fn street(shards: usize) -> Rig {
    street_with(shards, 64 << 20)
}

fn street_with(shards: usize, frames: usize) -> Rig {
    let mut rig = Rig::with(shards, &tight(frames));
    let admin = rig.connect(0);
    assert_eq!(rig.create(admin, "t", PARTITIONS, &[]), 0);
    assert_eq!(rig.create(admin, "s", 4, &[]), 0);
    rig.piece = RECV_BUF_BYTES;
    rig.set_receive_buffers(BUFFERS);
    rig
}

/// Requests for little of at least `bytes` bytes in all; how many.
fn ahead(rig: &mut Rig, client: Client, bytes: usize) -> usize {
    let small = frame(&ApiVersionsRequest::default(), API_VERSIONS, 7);
    let count = bytes.div_ceil(small.len());
    rig.send_bytes(client, &small.repeat(count));
    count
}

/// What a long list takes that nobody has asked for before.
fn list() -> DescribeLogDirsRequest {
    DescribeLogDirsRequest::default().with_topics(None)
}

/// Somebody who has just come is answered without any time passing, whatever it asks.
fn newcomer_is_served(rig: &mut Rig, shard: usize, writes: bool) {
    let newcomer = rig.connect(shard);
    for _ in 0..12 {
        assert!(rig.ask(newcomer, API_VERSIONS, &ApiVersionsRequest::default()).api_keys.len() > 10);
        assert_eq!(rig.ask(newcomer, METADATA, &metadata_request(&["s"])).topics[0].error_code, 0);
        if writes {
            assert_eq!(rig.produce(newcomer, -1, "s", 3, &batch(&["a"])).error_code, 0);
            assert_eq!(rig.produce(newcomer, -1, "s", 3, &large(100_000)).error_code, 0);
        }
    }
    rig.abort(newcomer);
}

fn is_used_up(rig: &Rig) {
    assert_eq!(rig.receive_buffers(0), 0, "all buffers are held");
}

/// Deaf clients that ask for long lists, and hold back more behind these than a copy would save.
fn lists_and_more(rig: &mut Rig, count: usize) -> Vec<(Client, usize)> {
    let mut waiting = Vec::new();
    for _ in 0..count {
        let client = rig.connect(0);
        rig.reads(client, false);
        rig.send(client, LOG_DIRS, &list());
        rig.send(client, LOG_DIRS, &list());
        let more = ahead(rig, client, MUCH);
        rig.run();
        waiting.push((client, 2 + more));
    }
    waiting
}

/// Those who have waited get all that they have asked for.
fn all_are_answered(rig: &mut Rig, waiting: Vec<(Client, usize)>) {
    for (client, _) in &waiting {
        rig.reads(*client, true);
    }
    rig.pass(2_000);
    for (client, count) in waiting {
        let got = std::iter::from_fn(|| rig.take_frame(client)).count();
        assert_eq!(got, count, "answers, closed: {}, logs: {:?}", rig.is_closed(client), rig.logs());
    }
    assert_eq!(rig.receive_buffers(0), BUFFERS, "all buffers are back");
}

#[test]
fn behind_long_answers_that_nobody_reads() {
    let mut rig = street(1);
    let waiting = lists_and_more(&mut rig, 3 * BUFFERS);
    is_used_up(&rig);
    newcomer_is_served(&mut rig, 0, true);
    all_are_answered(&mut rig, waiting);
}

/// Little moves to less memory, and leaves the buffers to others.
#[test]
fn little_behind_long_answers_holds_no_buffers() {
    let mut rig = street(1);
    let mut waiting = Vec::new();
    for _ in 0..3 * BUFFERS {
        let client = rig.connect(0);
        rig.reads(client, false);
        for _ in 0..3 {
            rig.send(client, LOG_DIRS, &list());
        }
        rig.run();
        waiting.push((client, 3));
    }
    assert!(rig.receive_buffers(0) > BUFFERS / 2, "{} are left", rig.receive_buffers(0));
    all_are_answered(&mut rig, waiting);
}

/// Requests that wait in memory of their own may have all of that, too: short ones of those who have just come are taken.
#[test]
fn behind_as_many_requests_as_may_wait() {
    for (frames, writes) in [(64 << 20, true), (4 << 20, false)] {
        behind_many(frames, writes);
    }
}

fn behind_many(frames: usize, writes: bool) {
    let mut rig = street_with(1, frames);
    let polls = frame(&fetch_request(vec![wanted("t", 0, 0)], 100_000), FETCH, 8).repeat(200);
    let pollers: Vec<Client> = (0..3 * BUFFERS).map(|_| rig.connect(0)).collect();
    for client in &pollers {
        rig.send_bytes(*client, &polls);
        ahead(&mut rig, *client, MUCH);
        rig.run();
    }
    is_used_up(&rig);
    newcomer_is_served(&mut rig, 0, writes);
    // It wrote to another partition: nobody else was woken.
    assert!(pollers.iter().all(|client| rig.take_frame(*client).is_none()));
}

#[test]
fn behind_frames_that_wait_for_memory() {
    let mut rig = street_with(1, 4 << 20);
    let whole = frame(&produce_request(-1, &[("t", 1, &large(900_000))]), PRODUCE, 9);
    let uploads: Vec<Client> = (0..3 * BUFFERS).map(|_| rig.connect(0)).collect();
    for client in &uploads {
        rig.send_bytes(*client, &whole[..MUCH]);
        rig.run();
    }
    is_used_up(&rig);
    let newcomer = rig.connect(0);
    assert!(rig.ask(newcomer, API_VERSIONS, &ApiVersionsRequest::default()).api_keys.len() > 10);
    for client in &uploads {
        rig.send_bytes(*client, &whole[MUCH..]);
    }
    rig.run();
    for client in uploads {
        let answer = rig.take::<ProduceRequest>(client, PRODUCE, 9).expect("an answer");
        assert_eq!(produced(answer)[0].error_code, 0);
    }
    assert_eq!(rig.receive_buffers(0), BUFFERS);
}

#[test]
fn in_the_log_while_the_disk_stands_still() {
    let mut rig = street(1);
    rig.disk(0).hold_writes = true;
    let producers: Vec<Client> = (0..3 * BUFFERS).map(|_| rig.connect(0)).collect();
    let mut sent = Vec::new();
    for client in producers {
        let request = produce_request(-1, &[("t", 2, &large(MUCH))]);
        sent.push((client, rig.send(client, PRODUCE, &request)));
        rig.run();
    }
    is_used_up(&rig);
    newcomer_is_served(&mut rig, 0, false);
    rig.disk(0).release();
    rig.run();
    for (client, correlation) in sent {
        let answer = rig.take::<ProduceRequest>(client, PRODUCE, correlation).expect("an answer");
        assert_eq!(produced(answer)[0].error_code, 0);
    }
    assert_eq!(rig.receive_buffers(0), BUFFERS);
}

/// A write of ZooKeeper's waits for the disk, and reads wait behind it.
#[test]
fn behind_changes_of_znodes_while_the_disk_stands_still() {
    let mut rig = street(1);
    let mut sessions: Vec<Zk> = (0..2 * BUFFERS).map(|_| Zk::with_timeout(&mut rig, 30_000)).collect();
    sessions[0].does(&mut rig, &create("/a", b"1"));
    rig.disk(0).hold_writes = true;
    let read = request(5, &Ask::GetData("/a", false));
    let count = MUCH.div_ceil(read.len());
    for (n, zk) in sessions.iter_mut().enumerate() {
        zk.send(&mut rig, &create(&format!("/b{n}"), b"2"));
        rig.send_bytes(zk.client(), &read.repeat(count));
        rig.run();
    }
    is_used_up(&rig);
    newcomer_is_served(&mut rig, 0, false);
    rig.disk(0).release();
    rig.run();
    for zk in &mut sessions {
        let told = zk.all(&mut rig);
        assert!(told.len() == 1 + count && told.iter().all(|told| told.error() == 0));
    }
    assert_eq!(rig.receive_buffers(0), BUFFERS);
}

/// What one shard's connections hold in batches for another one's log is no different.
#[test]
fn in_the_log_of_another_shard() {
    let mut rig = street(2);
    rig.disk(0).hold_writes = true;
    rig.disk(1).hold_writes = true;
    let mut sent = Vec::new();
    for _ in 0..3 * BUFFERS {
        let client = rig.connect(0);
        for partition in [0, 1] {
            let request = produce_request(-1, &[("t", partition, &large(MUCH))]);
            sent.push((client, rig.send(client, PRODUCE, &request)));
        }
        rig.run();
    }
    is_used_up(&rig);
    newcomer_is_served(&mut rig, 0, false);
    rig.disk(0).release();
    rig.disk(1).release();
    rig.run();
    for (client, correlation) in sent {
        let answer = rig.take::<ProduceRequest>(client, PRODUCE, correlation).expect("an answer");
        assert_eq!(produced(answer)[0].error_code, 0);
    }
}

#[test]
fn without_any_buffer_everything_goes_on_and_nothing_is_lost() {
    for shards in [1, 2] {
        let mut rig = street(shards);
        rig.set_receive_buffers(0);
        let waiting = lists_and_more(&mut rig, 5);
        newcomer_is_served(&mut rig, shards - 1, true);
        for (client, _) in &waiting {
            rig.reads(*client, true);
        }
        let writer = rig.connect(0);
        let sizes = [10, 0, 200_000, 40_000, 10, 10, 300_000, 1];
        let sent: Vec<i32> = sizes
            .iter()
            .map(|size| rig.send(writer, PRODUCE, &produce_request(-1, &[("t", 5, &large(*size))])))
            .collect();
        rig.pass(2_000);
        for correlation in sent {
            let answer = rig.take::<ProduceRequest>(writer, PRODUCE, correlation).expect("an answer");
            assert_eq!(produced(answer)[0].error_code, 0);
        }
        for (client, count) in waiting {
            assert_eq!(std::iter::from_fn(|| rig.take_frame(client)).count(), count);
        }
        let mut zk = Zk::new(&mut rig);
        zk.does(&mut rig, &create("/a", b"1"));
    }
}

/// Whoever receives exactly asks for lists like anybody else, one after the other.
#[test]
fn lists_behind_lists_of_a_connection_that_receives_exactly() {
    for buffers in [0, BUFFERS] {
        let mut rig = street(1);
        rig.set_receive_buffers(buffers);
        let client = rig.connect(0);
        assert_eq!(rig.produce(client, -1, "t", 0, &large(100_000)).error_code, 0);
        // Others have all memory for long answers.
        let waiting = lists_and_more(&mut rig, 20);
        let sent: Vec<i32> = (0..3).map(|_| rig.send(client, LOG_DIRS, &list())).collect();
        let fetched = rig.send(client, FETCH, &fetch_request(vec![wanted("t", 0, 0)], 0));
        rig.run();
        assert!(rig.take_frame(client).is_none(), "it waits for memory");
        for (client, _) in waiting {
            rig.abort(client);
        }
        rig.pass(100);
        for correlation in sent {
            let answer = rig.take::<DescribeLogDirsRequest>(client, LOG_DIRS, correlation).expect("an answer");
            let partitions: usize = answer.results[0].topics.iter().map(|topic| topic.partitions.len()).sum();
            assert_eq!(partitions, PARTITIONS as usize + 4);
        }
        assert!(rig.take::<FetchRequest>(client, FETCH, fetched).is_some());
    }
}

/// That its client goes is seen of a connection that waits, however it receives.
#[test]
fn who_goes_while_it_waits_is_seen_to_go() {
    for buffers in [0, BUFFERS] {
        let mut rig = street(1);
        rig.set_receive_buffers(buffers);
        let waiting = lists_and_more(&mut rig, 20);
        let client = rig.connect(0);
        rig.send(client, LOG_DIRS, &list());
        rig.run();
        rig.half_close(client);
        for (client, _) in waiting {
            rig.abort(client);
        }
        rig.pass(100);
        assert!(rig.take_frame(client).is_some(), "it is owed an answer");
        assert!(rig.is_closed(client));
    }
}

/// Thousands that hold all of it, each behind a long answer.
#[test]
fn thousands_that_wait_keep_nobody_waiting() {
    let mut rig = street(1);
    rig.set_receive_buffers(500);
    let waiting: Vec<Client> = (0..2_000).map(|_| rig.connect(0)).collect();
    for client in &waiting {
        rig.reads(*client, false);
        rig.send(*client, LOG_DIRS, &list());
        ahead(&mut rig, *client, MUCH);
    }
    rig.run();
    is_used_up(&rig);
    newcomer_is_served(&mut rig, 0, true);
    for client in &waiting[..1_900] {
        rig.leave(*client);
    }
    rig.run();
    assert!(rig.receive_buffers(0) > 0);
    newcomer_is_served(&mut rig, 0, true);
}
