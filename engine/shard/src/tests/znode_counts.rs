//! Counts of all below a znode, and lists inside of others: they take turns, as all that is long does, and are of one moment.

use super::rig::{Rig, settings};
use super::znode_reads::multi_read_of;
use super::znodes::Zk;
use super::zookeeper::{OPEN, Told, create, serving};
use crate::Settings;
use std::collections::BTreeSet;
use torc_base::limits::TURN_SEND_BYTES;
use torc_net::zookeeper::{Answer, Ask, Change, Kind, New};

const BIG: usize = 80_000;

fn served() -> Settings {
    let mut served = serving(&settings());
    served.zookeeper.as_mut().expect("served").max_buffer = 4 << 20;
    served
}

fn new(path: &str) -> Change<'_> {
    let kind = Kind::Persistent;
    Change::Create(New { path, data: b"", acls: OPEN, kind, sequential: false, ttl_ms: 0, with_stat: false })
}

/// A znode with so many children, of names of so many bytes.
fn filled(rig: &mut Rig, children: usize, bytes: usize) -> Zk {
    let mut zk = Zk::with_timeout(rig, 30_000);
    zk.does(rig, &create("/big", b""));
    let paths: Vec<String> = (0..children).map(|n| format!("/big/{n:0bytes$}")).collect();
    for paths in paths.chunks(5_000) {
        let changes: Vec<Change<'_>> = paths.iter().map(|path| new(path)).collect();
        zk.send(rig, &Ask::Multi(&changes));
        let told = loop {
            rig.run();
            rig.pass(1);
            if let Some(told) = zk.told(rig) {
                break told;
            }
        };
        assert_eq!(told.error(), 0);
    }
    zk
}

/// Turns until the client was told something; `between` them others do what they like.
fn turns_until_told(rig: &mut Rig, zk: &mut Zk, mut between: impl FnMut(&mut Rig, usize)) -> (Told, usize) {
    for turns in 0..100_000 {
        if let Some(told) = zk.told(rig) {
            return (told, turns);
        }
        rig.turn(0);
        between(rig, turns);
    }
    panic!("no answer");
}

#[test]
fn a_count_takes_turns_and_is_of_one_moment() {
    let mut rig = Rig::with(1, &served());
    let mut zk = filled(&mut rig, BIG, 6);
    let mut other = Zk::with_timeout(&mut rig, 30_000);
    other.does(&mut rig, &create("/elsewhere", b""));
    // As often as somebody changes something in the middle of it: never, elsewhere, once, and all the time.
    for (path, every) in [("", 1_000), ("/elsewhere", 1), ("/big/once", 2), ("/big/often", 1)] {
        zk.send(&mut rig, &Ask::GetAllChildrenNumber("/big"));
        let mut made = Vec::new();
        let (told, turns) = turns_until_told(&mut rig, &mut zk, |rig, turn| {
            other.send(rig, &Ask::Ping);
            let is_once = path.ends_with("once") && turn > 2;
            if !path.is_empty() && turn % every == 0 && !is_once {
                made.push(format!("{path}{turn}"));
                other.send(rig, &create(made.last().expect("just made"), b""));
            }
        });
        rig.run();
        assert!(turns > 2, "{path}: {turns} turns");
        assert!(other.all(&mut rig).len() >= turns, "others are served meanwhile");
        let counted = told.answer().count().expect("a count") as usize;
        let below = if path.starts_with("/big") { made.len() } else { 0 };
        assert!((BIG..=BIG + below).contains(&counted), "{path}: {counted}, and {below} were made");
        for path in &made {
            other.does(&mut rig, &Ask::Delete(path, -1));
        }
    }
    // Who goes in the middle of it leaves nothing behind, and what goes away is not counted.
    zk.send(&mut rig, &Ask::GetAllChildrenNumber("/big"));
    rig.turn(0);
    rig.turn(0);
    rig.abort(zk.client());
    rig.run();
    other.does(&mut rig, &Ask::Delete(&format!("/big/{:06}", 7), -1));
    assert_eq!(other.ask(&mut rig, &Ask::GetAllChildrenNumber("/big")).answer().count(), Ok(BIG as i32 - 1));
    assert_eq!(other.ask(&mut rig, &Ask::GetAllChildrenNumber("/none")).error(), -101);
}

/// Of a change that is asked for behind it a count sees nothing.
#[test]
fn a_count_sees_nothing_of_what_its_client_asked_for_behind_it() {
    let mut rig = Rig::with(1, &served());
    let mut zk = filled(&mut rig, BIG, 6);
    zk.send(&mut rig, &Ask::GetAllChildrenNumber("/big"));
    zk.send(&mut rig, &create("/big/new", b""));
    zk.send(&mut rig, &Ask::GetAllChildrenNumber("/big"));
    let mut told = Vec::new();
    while told.len() < 3 {
        rig.pass(1);
        told.extend(zk.all(&mut rig));
    }
    let counts = [0, 2].map(|at: usize| told[at].answer().count().expect("a count") as usize);
    assert_eq!(counts, [BIG, BIG + 1]);
}

/// The names in an answer to one list, and in that to another list behind it.
fn lists(frame: &[u8], count: usize) -> Vec<BTreeSet<String>> {
    let mut at = Answer::open(frame).map(|_| 16).expect("a head");
    let int = |at: usize| i32::from_be_bytes(*frame[at..].first_chunk().expect("a number"));
    let lists = (0..count).map(|_| {
        assert_eq!((int(at), frame[at + 4]), (8, 0), "children were read");
        let names = int(at + 9) as usize;
        at += 13;
        let list: BTreeSet<String> = (0..names)
            .map(|_| {
                let len = int(at) as usize;
                let name = std::str::from_utf8(&frame[at + 4..at + 4 + len]).expect("a name").to_string();
                at += 4 + len;
                name
            })
            .collect();
        assert_eq!(list.len(), names, "each name once");
        list
    });
    let lists: Vec<BTreeSet<String>> = lists.collect();
    assert_eq!(at + 9, frame.len(), "nothing stands behind them");
    lists
}

#[test]
fn a_long_list_in_a_list_of_reads_takes_turns_and_is_of_one_moment() {
    const CHILDREN: usize = 12_000;
    let mut rig = Rig::with(1, &served());
    let mut zk = filled(&mut rig, CHILDREN, 150);
    let mut other = Zk::with_timeout(&mut rig, 30_000);
    // Meanwhile nothing is changed, something once, and something in every turn.
    for every in [1_000, 2, 1] {
        rig.send_bytes(zk.client(), &multi_read_of(8, &["/big", "/", "/big"]));
        let mut made = Vec::new();
        let (told, turns) = turns_until_told(&mut rig, &mut zk, |rig, turn| {
            other.send(rig, &Ask::Ping);
            if every < 1_000 && turn % every == 0 && (every == 1 || turn < 3) {
                made.push(format!("/big/new-{turn}"));
                other.send(rig, &create(made.last().expect("just made"), b""));
            }
        });
        rig.run();
        let least = if every == 1_000 { 2 * CHILDREN * 150 / TURN_SEND_BYTES } else { 2 };
        assert!(turns > least, "{turns} turns");
        assert!(other.all(&mut rig).len() >= turns, "others are served meanwhile");
        let Told::Answer(_, 0, frame) = told else { panic!("an answer") };
        let lists = lists(&frame, 3);
        assert_eq!(lists[0], lists[2], "both are of one moment");
        assert!((CHILDREN..=CHILDREN + made.len()).contains(&lists[0].len()), "{} names", lists[0].len());
        for path in &made {
            other.does(&mut rig, &Ask::Delete(path, -1));
        }
    }
}
