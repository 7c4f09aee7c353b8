//! Long multis: they are looked at and applied over turns, as if each were of one moment, and others are served in between.

use super::rig::{Rig, settings};
use super::znodes::{Zk, events};
use super::zookeeper::{OPEN, Told, create, serving};
use crate::Settings;
use torc_base::limits::TREE_TURN_OPS;
use torc_net::zookeeper::{AddMode, Ask, Came, Change, Kind, New, WatcherType};

const NO_NODE: i32 = -101;
const NODE_EXISTS: i32 = -110;
const CREATED: i32 = 1;
const LONG: usize = 20_000;

/// With requests of some megabytes.
fn served() -> Settings {
    let mut served = serving(&settings());
    served.zookeeper.as_mut().expect("served").max_buffer = 4 << 20;
    served
}

fn rig() -> Rig {
    Rig::with(1, &served())
}

fn created<'a>(path: &'a str, data: &'a [u8]) -> Change<'a> {
    Change::Create(New {
        path,
        data,
        acls: OPEN,
        kind: Kind::Persistent,
        sequential: false,
        ttl_ms: 0,
        with_stat: false,
    })
}

fn came(told: &Told) -> Vec<Came<'_>> {
    let mut answer = told.answer();
    std::iter::from_fn(|| answer.came().expect("a result")).collect()
}

/// Turns until a client was told something; what others do in between is up to `between`.
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

fn names() -> Vec<String> {
    (0..LONG).map(|n| format!("/m/{n:05}")).collect()
}

#[test]
fn others_read_and_ping_while_a_long_multi_is_made_and_see_all_of_it_or_nothing() {
    let mut rig = rig();
    let (mut zk, mut other) = (Zk::with_timeout(&mut rig, 30_000), Zk::with_timeout(&mut rig, 30_000));
    let mut lister = Zk::with_timeout(&mut rig, 30_000);
    zk.does(&mut rig, &create("/m", b""));
    zk.does(&mut rig, &create("/x", b"x"));
    let names = names();
    let changes: Vec<Change<'_>> = names.iter().map(|name| created(name, b"")).collect();
    zk.send(&mut rig, &Ask::Multi(&changes));
    let (mut pings, mut counts, mut asked) = (0, Vec::new(), false);
    let (told, turns) = turns_until_told(&mut rig, &mut zk, |rig, _| {
        // One that is untouched is read at once, in the very next turns; one that is touched tells of all or nothing.
        other.send(rig, &Ask::GetData("/x", false));
        other.send(rig, &Ask::Ping);
        rig.turn(0);
        rig.turn(0);
        assert_eq!(other.all(rig).len(), 2, "others are answered");
        pings += 1;
        if !asked {
            lister.send(rig, &Ask::GetAllChildrenNumber("/m"));
            lister.send(rig, &Ask::Exists("/m/00000", false));
            lister.send(rig, &Ask::Exists("/m", false));
            asked = true;
        }
        let told = lister.all(rig);
        asked &= told.is_empty();
        if let [count, first, stat] = &told[..] {
            let count = count.answer().count().expect("a count") as usize;
            let children = stat.answer().stat().expect("a stat").num_children as usize;
            counts.push((count, first.error() == 0, children));
        } else {
            assert!(told.is_empty());
        }
    });
    // Three turns each: it is looked through, made, and applied.
    assert!(turns >= LONG / TREE_TURN_OPS && pings > 5, "{turns} turns, {pings} pings");
    assert!(came(&told).iter().zip(&names).all(|(came, name)| *came == Came::Created(name)));
    assert_eq!(came(&told).len(), LONG);
    assert!(counts.contains(&(0, false, 0)), "{counts:?}");
    for (count, has_first, children) in counts {
        // One after the other: each of all of it or of nothing.
        let seen = [count, if has_first { LONG } else { 0 }, children];
        assert!(seen.is_sorted() && seen.iter().all(|seen| [0, LONG].contains(seen)), "{seen:?}");
    }
    assert_eq!(other.ask(&mut rig, &Ask::GetAllChildrenNumber("/m")).answer().count(), Ok(LONG as i32));
    // Nothing is left of it.
    rig.run();
    assert!(rig.shard(0).tree_digest().is_some());
}

#[test]
fn requests_of_its_session_come_behind_it_and_other_writes_find_all_of_it_done() {
    let mut rig = rig();
    let (mut zk, mut other) = (Zk::with_timeout(&mut rig, 30_000), Zk::with_timeout(&mut rig, 30_000));
    zk.does(&mut rig, &create("/m", b""));
    let names = names();
    let changes: Vec<Change<'_>> = names.iter().map(|name| created(name, b"")).collect();
    zk.send(&mut rig, &Ask::Multi(&changes));
    zk.send(&mut rig, &Ask::GetData(&names[LONG - 1], false));
    zk.send(&mut rig, &Ask::Delete(&names[LONG - 1], 0));
    zk.send(&mut rig, &Ask::Exists(&names[LONG - 1], false));
    for _ in 0..LONG / TREE_TURN_OPS + 5 {
        rig.turn(0);
    }
    // In the middle of it: a new session, a change, an end of a session.
    other.send(&mut rig, &create(&names[1], b""));
    other.send(&mut rig, &create("/m/other", b""));
    other.send(&mut rig, &Ask::CloseSession);
    let mut newcomer = Zk::with_timeout(&mut rig, 30_000);
    rig.run();
    let told = zk.all(&mut rig);
    assert_eq!(told.iter().map(Told::error).collect::<Vec<_>>(), [0, 0, 0, NO_NODE]);
    assert_eq!(came(&told[0]).len(), LONG);
    assert_eq!(other.all(&mut rig).iter().map(Told::error).collect::<Vec<_>>(), [NODE_EXISTS, 0, 0]);
    let children = newcomer.ask(&mut rig, &Ask::Exists("/m", false)).answer().stat().expect("a stat").num_children;
    assert_eq!(children as usize, LONG);
}

#[test]
fn a_long_multi_is_refused_as_a_short_one_and_leaves_nothing() {
    let mut rig = rig();
    let (mut zk, mut other) = (Zk::with_timeout(&mut rig, 30_000), Zk::with_timeout(&mut rig, 30_000));
    zk.does(&mut rig, &create("/m", b""));
    let names = names();
    for wrong in [0, 5_000, LONG - 1] {
        let mut changes: Vec<Change<'_>> = names.iter().map(|name| created(name, b"")).collect();
        changes[wrong] = Change::Check("/none", 0);
        zk.send(&mut rig, &Ask::Multi(&changes));
        rig.turn(0);
        other.send(&mut rig, &create(&format!("/o{wrong}"), b""));
        rig.run();
        let told = zk.told(&mut rig).expect("an answer");
        let came = came(&told);
        assert_eq!(came.len(), LONG);
        assert!(came[..wrong].iter().all(|came| *came == Came::Failed(0)));
        assert_eq!(came[wrong], Came::Failed(NO_NODE));
        assert!(came[wrong + 1..].iter().all(|came| *came == Came::Failed(-2)));
        assert_eq!(other.told(&mut rig).expect("an answer").error(), 0);
        assert_eq!(other.ask(&mut rig, &Ask::Exists(&names[0], false)).error(), NO_NODE);
    }
    // What it would have left is in nobody's way.
    let changes: Vec<Change<'_>> = names.iter().map(|name| created(name, b"")).collect();
    assert_eq!(came(&zk.ask(&mut rig, &Ask::Multi(&changes))).len(), LONG);
}

#[test]
fn who_watches_is_told_of_all_of_a_long_multi_and_before_it_sees_it() {
    let mut rig = rig();
    let (mut zk, mut other) = (Zk::with_timeout(&mut rig, 30_000), Zk::with_timeout(&mut rig, 30_000));
    zk.does(&mut rig, &create("/m", b""));
    other.does(&mut rig, &Ask::AddWatch("/m", AddMode::Recursive));
    let names = names();
    let changes: Vec<Change<'_>> = names.iter().map(|name| created(name, b"")).collect();
    zk.send(&mut rig, &Ask::Multi(&changes));
    for _ in 0..16 {
        rig.turn(0);
    }
    other.send(&mut rig, &Ask::Exists(&names[LONG - 1], false));
    // Neither is a watch set or taken away in the middle.
    other.send(&mut rig, &Ask::RemoveWatches("/m", WatcherType::Any));
    rig.run();
    let told = other.all(&mut rig);
    let answers: Vec<i32> =
        told.iter().filter_map(|told| if let Told::Answer(_, error, _) = told { Some(*error) } else { None }).collect();
    if answers[0] == NO_NODE {
        // It was read before the multi was applied: so was the watch taken away.
        assert!(events(&told).is_empty());
    } else {
        assert_eq!(answers, [0, 0]);
        assert!(matches!(told[LONG..], [Told::Answer(..), Told::Answer(..)]));
        assert!(events(&told).iter().zip(&names).all(|(told, name)| *told == (CREATED, &name[..])));
    }
}

#[test]
fn what_a_client_leaves_under_way_is_done_whole_or_not_at_all_wherever_it_stops() {
    for turns in [1, 4, 8, 11, 14, 18, 30] {
        let mut rig = rig();
        let mut zk = Zk::with_timeout(&mut rig, 30_000);
        zk.does(&mut rig, &create("/m", b""));
        let names = names();
        let changes: Vec<Change<'_>> = names.iter().map(|name| created(name, b"")).collect();
        zk.send(&mut rig, &Ask::Multi(&changes));
        for _ in 0..turns {
            rig.turn(0);
        }
        rig.abort(zk.client());
        if turns % 2 == 0 {
            rig = rig.restart(&served());
        }
        rig.run();
        let mut other = Zk::with_timeout(&mut rig, 30_000);
        let stat = other.ask(&mut rig, &Ask::Exists("/m", false)).answer().stat().expect("a stat");
        assert!([0, LONG as i32].contains(&stat.num_children), "{} after {turns} turns", stat.num_children);
        other.does(&mut rig, &create("/m/one", b""));
    }
}
