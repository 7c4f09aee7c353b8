//! Reads of znodes that take much: whoever asks for them, and does not take the answers, holds up nobody.

use super::rig::{Rig, settings};
use super::znodes::Zk;
use super::zookeeper::{Told, create, request, serving};
use crate::{MemoryLimits, Settings};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use torc_base::limits::{REPLY_BYTES_MAX, TURN_SEND_BYTES, ZNODE_READS_BYTES_MAX};
use torc_net::zookeeper::Ask;

const THROTTLED: i32 = -127;
const CHILDREN: usize = 4_000;

/// A tree with a znode that has many children, whose list takes some 250 kB, and one with as much data.
fn filled(rig: &mut Rig) -> Zk {
    let mut zk = Zk::with_timeout(rig, 30_000);
    zk.does(rig, &create("/big", b""));
    for n in 0..CHILDREN {
        zk.send(rig, &create(&format!("/big/{}{n:05}", "n".repeat(55)), b""));
        if n % 100 == 99 {
            rig.run();
            assert!(zk.all(rig).iter().all(|told| told.error() == 0));
        }
    }
    zk.does(rig, &create("/data", &vec![b'x'; 250_000]));
    zk
}

fn held(rig: &Rig) -> u64 {
    rig.stats(0).answer_memory_bytes.load(Ordering::Relaxed)
}

fn multi_read(paths: &[&str]) -> Vec<u8> {
    multi_read_of(8, paths)
}

/// The same of data (4) or children (8).
pub(super) fn multi_read_of(op: i32, paths: &[&str]) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend_from_slice(&1i32.to_be_bytes());
    body.extend_from_slice(&22i32.to_be_bytes());
    for path in paths {
        body.extend_from_slice(&op.to_be_bytes());
        body.push(0);
        body.extend_from_slice(&(-1i32).to_be_bytes());
        body.extend_from_slice(&(path.len() as i32).to_be_bytes());
        body.extend_from_slice(path.as_bytes());
        body.push(0);
    }
    body.extend_from_slice(&(-1i32).to_be_bytes());
    body.push(1);
    body.extend_from_slice(&(-1i32).to_be_bytes());
    let mut frame = (body.len() as u32).to_be_bytes().to_vec();
    frame.extend(body);
    frame
}

/// A request of some kilobytes asks for a gigabyte.
#[test]
fn of_many_reads_in_one_request_those_fail_that_would_be_too_much() {
    let mut rig = Rig::with(1, &serving(&settings()));
    let mut zk = filled(&mut rig);
    rig.send_bytes(zk.client(), &multi_read(&["/big"; 4_000]));
    rig.run();
    let Some(Told::Answer(_, 0, frame)) = zk.told(&mut rig) else { panic!("an answer") };
    let bound = ZNODE_READS_BYTES_MAX + (1 << 20);
    assert!((ZNODE_READS_BYTES_MAX..bound).contains(&frame.len()), "{} bytes", frame.len());
    let mut throttled = THROTTLED.to_be_bytes().to_vec();
    throttled.extend_from_within(..);
    let refused = frame.windows(8).filter(|bytes| *bytes == throttled).count();
    assert!((3_900..4_000).contains(&refused), "{refused} reads are refused");
    // Few ones are answered, all of them.
    rig.send_bytes(zk.client(), &multi_read(&["/big", "/none", "/big"]));
    rig.run();
    let Some(Told::Answer(_, 0, frame)) = zk.told(&mut rig) else { panic!("an answer") };
    assert!(!frame.windows(8).any(|bytes| bytes == throttled));
}

/// Few reads may bring as much as many, and are made over turns as well.
#[test]
fn few_reads_of_much_take_turns_as_many_do() {
    let mut rig = Rig::with(1, &serving(&settings()));
    let mut zk = filled(&mut rig);
    let mut other = Zk::with_timeout(&mut rig, 30_000);
    rig.send_bytes(zk.client(), &multi_read(&["/big"; 200]));
    let mut turns = 0;
    let frame = loop {
        other.send(&mut rig, &Ask::Ping);
        rig.turn(0);
        turns += 1;
        assert!(turns < 1_000, "it is never answered");
        if let Some(told) = zk.told(&mut rig) {
            let Told::Answer(_, 0, frame) = told else { panic!("an answer") };
            break frame;
        }
    };
    assert!(frame.len() > ZNODE_READS_BYTES_MAX);
    assert!(turns >= ZNODE_READS_BYTES_MAX / TURN_SEND_BYTES, "{turns} turns");
    rig.run();
    assert!(other.all(&mut rig).len() >= turns, "others are served meanwhile");
}

/// Reads that wait behind a change are all answered when it is there.
#[test]
fn a_client_that_does_not_read_holds_little_and_gets_everything_in_order_later() {
    let mut rig = Rig::with(1, &serving(&settings()));
    let mut healthy = filled(&mut rig);
    let mut greedy: Vec<Zk> = (0..6).map(|_| Zk::with_timeout(&mut rig, 30_000)).collect();
    for (n, zk) in greedy.iter_mut().enumerate() {
        rig.reads(zk.client(), false);
        let mut bytes = request(1, &create(&format!("/e{n}"), b""));
        for xid in 2..40 {
            let ask = if xid % 2 == 0 { Ask::GetChildren("/big", false) } else { Ask::GetData("/data", false) };
            bytes.extend(request(xid, &ask));
        }
        rig.send_bytes(zk.client(), &bytes);
    }
    for _ in 0..50 {
        rig.run();
        healthy.does(&mut rig, &Ask::GetData("/", false));
        healthy.does(&mut rig, &Ask::SetData("/big", b"", -1));
        rig.pass(20);
        assert!(held(&rig) <= (6 * (REPLY_BYTES_MAX + 600_000)) as u64, "{} bytes", held(&rig));
    }
    for zk in &mut greedy {
        rig.reads(zk.client(), true);
    }
    let mut got = vec![Vec::new(); greedy.len()];
    for _ in 0..400 {
        rig.pass(5);
        for (zk, got) in greedy.iter_mut().zip(&mut got) {
            got.extend(zk.all(&mut rig).into_iter().map(|told| match told {
                Told::Answer(xid, 0, _) => xid,
                other => panic!("{other:?}"),
            }));
        }
    }
    assert!(
        got.iter().all(|got| *got == (1..40).collect::<Vec<i32>>()),
        "{:?}",
        got.iter().map(Vec::len).collect::<Vec<_>>()
    );
    rig.pass(1_000);
    assert_eq!(held(&rig), 0, "all is given back");
}

/// More clients than memory has room for what they ask for: those go that take nothing, and everybody else is served.
#[test]
fn when_memory_is_short_long_answers_wait_and_short_ones_do_not() {
    let limit = 6 << 20;
    let memory = MemoryLimits { answers: limit, ..MemoryLimits::default() };
    let mut rig = Rig::with(1, &Settings { memory, ..serving(&settings()) });
    let mut healthy = filled(&mut rig);
    let greedy: Vec<Zk> = (0..2 * limit / 250_000).map(|_| Zk::with_timeout(&mut rig, 30_000)).collect();
    for zk in &greedy {
        rig.reads(zk.client(), false);
        rig.send_bytes(zk.client(), &request(1, &Ask::GetChildren("/big", false)));
    }
    for _ in 0..2_000 {
        healthy.does(&mut rig, &Ask::GetData("/", false));
        rig.pass(20);
        assert!(held(&rig) <= (limit / 2 + 600_000) as u64, "{} bytes of {limit}", held(&rig));
    }
    assert_eq!(
        healthy.ask(&mut rig, &Ask::GetChildren("/big", false)).names().len(),
        CHILDREN,
        "those have gone who took nothing"
    );
}

/// However long they wait for their turn, or for their client, and whether each of them is long or all of them together.
#[test]
fn reads_see_nothing_of_what_their_client_asked_for_behind_them() {
    let mut rig = Rig::with(1, &serving(&settings()));
    let mut healthy = filled(&mut rig);
    healthy.does(&mut rig, &create("/short", &[b'x'; 4_000]));
    for (path, reads) in [("/big", 12), ("/data", 12), ("/short", 700)] {
        let mut zk = Zk::with_timeout(&mut rig, 30_000);
        rig.reads(zk.client(), false);
        let ask = || if path == "/big" { Ask::GetChildren(path, false) } else { Ask::GetData(path, false) };
        let change = || if path == "/big" { create("/big/new", b"") } else { Ask::SetData(path, b"new", -1) };
        let mut bytes = request(1, &Ask::SetData("/big", b"", -1));
        (2..2 + reads).for_each(|xid| bytes.extend(request(xid, &ask())));
        bytes.extend(request(1_000, &change()));
        bytes.extend(request(1_001, &ask()));
        rig.send_bytes(zk.client(), &bytes);
        rig.pass(200);
        rig.reads(zk.client(), true);
        let mut told = Vec::new();
        while told.len() < reads as usize + 3 {
            rig.pass(5);
            told.extend(zk.all(&mut rig));
        }
        let (first, last) = (&told[1], told.last().expect("an answer"));
        // Behind the zxid, which may be a later one.
        let body =
            |told: &Told| if let Told::Answer(_, 0, frame) = told { frame[16..].to_vec() } else { panic!("{told:?}") };
        let same = told[1..=reads as usize].iter().filter(|told| body(told) == body(first)).count();
        assert_eq!((same, body(last) == body(first)), (reads as usize, false), "{path}");
    }
}

/// A list that takes more than one turn, while others change what it is of.
#[test]
fn a_list_that_is_made_over_turns_is_of_one_moment() {
    let mut rig = Rig::with(1, &serving(&settings()));
    let (mut zk, mut other) = (Zk::with_timeout(&mut rig, 30_000), Zk::with_timeout(&mut rig, 30_000));
    zk.does(&mut rig, &create("/big", b""));
    let name = |n: usize| format!("{n:06}-{}", "n".repeat(150));
    for n in 0..12_000 {
        zk.send(&mut rig, &create(&format!("/big/{}", name(n)), b""));
        if n % 100 == 99 {
            rig.run();
            assert!(zk.all(&mut rig).iter().all(|told| told.error() == 0));
        }
    }
    let mut all: BTreeSet<String> = (0..12_000).map(name).collect();
    let names = |told: &Told| BTreeSet::from_iter(told.names());
    assert!(names(&zk.ask(&mut rig, &Ask::GetChildren("/big", false))) == all);
    for changes in [1, 3, 40] {
        let gone: Vec<String> = all.iter().take(changes).cloned().collect();
        let come: Vec<String> = (0..changes).map(|n| name(100_000 * changes + n)).collect();
        zk.send(&mut rig, &Ask::GetChildren("/big", true));
        // One goes, then another comes.
        for (gone, come) in gone.iter().zip(&come) {
            other.send(&mut rig, &Ask::Delete(&format!("/big/{gone}"), -1));
            other.send(&mut rig, &create(&format!("/big/{come}"), b""));
            rig.pass(1);
        }
        rig.run();
        assert!(other.all(&mut rig).iter().all(|told| told.error() == 0));
        let told = zk.all(&mut rig);
        let answer = told.iter().position(|told| matches!(told, Told::Answer(..))).expect("an answer");
        let list = names(&told[answer]);
        assert_eq!(list.len(), told[answer].names().len(), "each name once");
        let (left, new) = (all.difference(&list).count(), list.difference(&all).count());
        assert!(left == new || left == new + 1, "{left} have gone and {new} have come");
        assert!(gone[..left].iter().all(|name| !list.contains(name)), "the first ones");
        assert!(come[..new].iter().all(|name| list.contains(name)), "the first ones");
        // The watch that was left with it tells of the next change, if there was one, and one from before of the first.
        assert_eq!((answer <= 1, told.len() - 1 - answer), (true, usize::from(left + new < 2 * changes)));
        gone.iter().for_each(|name| _ = all.remove(name));
        all.extend(come);
        assert!(names(&zk.ask(&mut rig, &Ask::GetChildren("/big", false))) == all);
    }
}

/// Data that were read by an answer to [`multi_read_of`], each as a number.
fn numbers(frame: &[u8]) -> Vec<u64> {
    let int = |at: usize| i32::from_be_bytes(*frame[at..].first_chunk().expect("a number"));
    let (mut at, mut all) = (16, Vec::new());
    while frame[at + 4] == 0 {
        assert_eq!(int(at), 4, "it was read");
        let len = int(at + 9) as usize;
        let text = std::str::from_utf8(&frame[at + 13..at + 13 + len]).expect("a text");
        all.push(text.parse().expect("a number"));
        at += 13 + len + 68;
    }
    assert_eq!(at + 9, frame.len());
    all
}

/// Reads that take more than one turn, while others change what they are of.
#[test]
fn a_long_list_of_reads_is_of_one_moment_and_made_over_turns() {
    let mut rig = Rig::with(1, &serving(&settings()));
    let (mut zk, mut other) = (Zk::with_timeout(&mut rig, 30_000), Zk::with_timeout(&mut rig, 30_000));
    for path in ["/first", "/last", "/rest"] {
        zk.does(&mut rig, &create(path, b"0"));
    }
    let mut paths = vec!["/rest"; 30_000];
    (paths[0], paths[29_999]) = ("/first", "/last");
    let frame = multi_read_of(4, &paths);
    // As often as somebody changes something in the middle of it: never, something else, now and then, all the time.
    for (path, every) in [("", 1_000), ("/rest2", 1), ("/first", 11), ("/first", 1)] {
        let mut written = 0;
        if path == "/rest2" {
            zk.does(&mut rig, &create(path, b"0"));
        }
        rig.send_bytes(zk.client(), &frame);
        let mut turns = 0;
        let told = loop {
            rig.turn(0);
            turns += 1;
            if turns % every == 0 && !path.is_empty() {
                written += 1;
                let data = written.to_string();
                // First the one, then the other.
                other.send(&mut rig, &Ask::SetData(path, data.as_bytes(), -1));
                other.send(&mut rig, &Ask::SetData("/last", data.as_bytes(), -1));
            }
            other.send(&mut rig, &Ask::Ping);
            if let Some(told) = zk.told(&mut rig) {
                break told;
            }
        };
        let Told::Answer(1, 0, frame) = told else { panic!("an answer") };
        let numbers = numbers(&frame);
        assert_eq!(numbers.len(), paths.len());
        let (first, last) = (numbers[0], numbers[29_999]);
        assert!(path != "/first" || first == last || first == last + 1, "{first} and {last} were never there together");
        assert!(turns > 4, "{turns} turns");
        assert!(other.all(&mut rig).len() >= 4, "others are served in between");
        rig.run();
        other.all(&mut rig);
        zk.does(&mut rig, &Ask::SetData("/first", b"0", -1));
        zk.does(&mut rig, &Ask::SetData("/last", b"0", -1));
    }
    // Who goes in the middle of it leaves nothing behind.
    rig.send_bytes(zk.client(), &frame);
    rig.turn(0);
    rig.turn(0);
    rig.abort(zk.client());
    rig.run();
    other.does(&mut rig, &Ask::SetData("/first", b"1", -1));
}
