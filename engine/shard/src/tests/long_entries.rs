//! Small segments, and requests whose entry would be longer than such a log takes: each gets its protocol's own error, and
//! nobody else notices.

use super::consumers::Member;
use super::groups::{commit, commit_request, committed, find, heartbeat, join, join_request, s, sync};
use super::rig::{Client, Rig, settings};
use super::znodes::Zk;
use super::zookeeper::{create, ephemeral, serving};
use crate::{Settings, WalSettings};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::*;
use torc_base::limits::SEGMENT_BYTES_MIN;
use torc_net::kafka::error;
use torc_net::zookeeper::{Ask, Change};

/// Segments of 256 KiB, whose entries have up to 192 KiB; all groups have one coordinator.
fn small() -> Settings {
    let usual = settings();
    Settings {
        wal: WalSettings { segment_bytes: SEGMENT_BYTES_MIN, ..usual.wal.clone() },
        offsets_partitions: 1,
        ..usual
    }
}

/// More than an entry has.
const LONG: usize = 200 << 10;

fn saying(group: &str, member: &str, bytes: usize) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default().with_name(s("range"));
    join_request(group, member).with_protocols(vec![protocol.with_metadata(vec![1; bytes].into())])
}

/// The coordinator has never been loaded anew, and serves the group beside the one that asks for too much.
fn check(rig: &mut Rig, client: Client, member: &str, generation: i32) {
    assert_eq!(heartbeat(rig, client, "beside", member, generation), error::NONE);
    assert_eq!(committed(rig, client, "beside", "t", &[0])[0].0, 7);
    let anew = |line: &&&str| line.contains("loaded anew");
    assert_eq!(rig.logs().iter().filter(anew).count(), 0, "{:?}", rig.logs());
}

/// A group with one member that has committed offset 7.
fn beside(rig: &mut Rig) -> (Client, String, i32) {
    let client = rig.connect(0);
    rig.create(client, "t", 200, &[]);
    find(rig, client, "beside");
    let (member, generation) = join(rig, client, "beside");
    sync(rig, client, "beside", &member, generation);
    let request = commit_request("beside", &member, generation, "t", &[(0, 7)]);
    assert_eq!(commit(rig, client, &request), [error::NONE]);
    (client, member, generation)
}

#[test]
fn a_classic_group_takes_no_more_than_its_record_holds_and_others_notice_nothing() {
    let mut rig = Rig::with(1, &small());
    let (client, member, generation) = beside(&mut rig);
    // One by itself, then one more than fits in beside others.
    let large = rig.connect(0);
    assert_eq!(rig.ask(large, 9, &saying("large", "", LONG)).error_code, error::GROUP_MAX_SIZE_REACHED);
    check(&mut rig, client, &member, generation);
    let told = rig.ask(large, 9, &saying("large", "", LONG / 2));
    let first = told.member_id.to_string();
    let correlation = rig.send(large, 9, &saying("large", &first, LONG / 2));
    rig.pass(4_000);
    let joined = rig.take::<JoinGroupRequest>(large, 9, correlation).expect("the group forms");
    let another = rig.connect(0);
    let refused = rig.ask(another, 9, &saying("large", "", LONG / 2));
    assert_eq!(refused.error_code, error::GROUP_MAX_SIZE_REACHED);
    // What its leader assigns is too much beside what its members say.
    let assignment = |bytes: usize| {
        SyncGroupRequestAssignment::default().with_member_id(s(&first)).with_assignment(vec![9; bytes].into())
    };
    let request = |bytes, generation| {
        SyncGroupRequest::default()
            .with_group_id(s("large").into())
            .with_generation_id(generation)
            .with_member_id(s(&first))
            .with_protocol_type(Some(s("consumer")))
            .with_protocol_name(Some(s("range")))
            .with_assignments(vec![assignment(bytes)])
    };
    let refused = rig.ask(large, 5, &request(LONG / 2, joined.generation_id));
    assert_eq!(refused.error_code, error::UNKNOWN_SERVER_ERROR);
    check(&mut rig, client, &member, generation);
    let joined = rig.ask(large, 9, &saying("large", &first, LONG / 2));
    assert_eq!(joined.error_code, error::NONE);
    assert_eq!(rig.ask(large, 5, &request(LONG / 4, joined.generation_id)).error_code, error::NONE);
    // All of it is there in the next start.
    let mut rig = rig.restart(&small());
    let (client, large) = (rig.connect(0), rig.connect(0));
    find(&mut rig, client, "beside");
    check(&mut rig, client, &member, generation);
    assert_eq!(heartbeat(&mut rig, large, "large", &first, joined.generation_id), error::NONE);
}

#[test]
fn a_consumer_group_takes_no_more_than_a_record_holds_and_others_notice_nothing() {
    let mut rig = Rig::with(1, &small());
    let (client, member, generation) = beside(&mut rig);
    let mut first = Member::new(&mut rig, 0, "large", "m1");
    first.join(&mut rig, 1, &["t"]);
    let names: Vec<String> = (0..LONG / 200).map(|n| format!("{n:0>200}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut second = Member::new(&mut rig, 0, "large", "m2");
    let hello = second.hello(&names);
    assert_eq!(second.ask(&mut rig, 1, &hello), error::UNKNOWN_SERVER_ERROR);
    let more = first.hello(&names);
    assert_eq!(first.ask(&mut rig, 1, &more), error::UNKNOWN_SERVER_ERROR);
    let beat = first.beat();
    assert_eq!(first.ask(&mut rig, 1, &beat), error::NONE);
    check(&mut rig, client, &member, generation);
    // What fits is written, also where one step writes more than one entry holds.
    let mut third = Member::new(&mut rig, 0, "large", "m3");
    third.join(&mut rig, 1, &names[..LONG / 200 / 2]);
    let mut rig = rig.restart(&small());
    let client = rig.connect(0);
    find(&mut rig, client, "beside");
    check(&mut rig, client, &member, generation);
}

#[test]
fn a_commit_of_more_than_one_entry_holds_is_several() {
    let mut rig = Rig::with(1, &small());
    let (client, member, generation) = beside(&mut rig);
    let offsets: Vec<(i32, i64)> = (0..200).map(|n| (n, n.into())).collect();
    let mut many = commit_request("many", "", -1, "t", &offsets);
    let metadata = s(&"m".repeat(4 << 10));
    many.topics[0].partitions.iter_mut().for_each(|one| one.committed_metadata = Some(metadata.clone()));
    assert_eq!(commit(&mut rig, client, &many), [error::NONE; 200]);
    let mut rig = rig.restart(&small());
    let client = rig.connect(0);
    find(&mut rig, client, "many");
    let last = committed(&mut rig, client, "many", "t", &[0, 199]);
    assert_eq!(last.iter().map(|(offset, ..)| *offset).collect::<Vec<_>>(), [0, 199]);
    check(&mut rig, client, &member, generation);
}

#[test]
fn a_session_ends_in_as_many_entries_as_its_znodes_take_and_a_change_that_is_too_long_is_refused() {
    let settings = serving(&small());
    let mut rig = Rig::with(1, &settings);
    let (mut owner, mut other) = (Zk::new(&mut rig), Zk::with_timeout(&mut rig, 40_000));
    for n in 0..300 {
        owner.does(&mut rig, &ephemeral(&format!("/{n:0>1000}")));
    }
    let (data, most) = (vec![0; LONG], vec![0; LONG - (20 << 10)]);
    assert_eq!(owner.ask(&mut rig, &create("/long", &data)).error(), -8);
    owner.does(&mut rig, &create("/a", b""));
    assert_eq!(owner.ask(&mut rig, &Ask::SetData("/a", &data, -1)).error(), -8);
    let both = [Change::SetData("/a", &most, -1), Change::SetData("/a", &most, -1)];
    owner.ask(&mut rig, &Ask::Multi(&both));
    // Nothing of it was done.
    owner.does(&mut rig, &Ask::SetData("/a", &most, 0));
    assert_eq!(other.ask(&mut rig, &Ask::GetChildren("/", false)).names().len(), 302);
    owner.does(&mut rig, &Ask::CloseSession);
    rig.pass(100);
    assert_eq!(other.ask(&mut rig, &Ask::GetChildren("/", false)).names(), ["a", "zookeeper"]);
    // The same when nobody is heard of.
    let mut silent = Zk::new(&mut rig);
    for n in 0..300 {
        silent.does(&mut rig, &ephemeral(&format!("/{n:0>1000}")));
    }
    rig.leave(silent.client());
    for _ in 0..20 {
        rig.pass(1_000);
        other.does(&mut rig, &Ask::Exists("/a", false));
    }
    assert_eq!(other.ask(&mut rig, &Ask::GetChildren("/", false)).names(), ["a", "zookeeper"]);
}
