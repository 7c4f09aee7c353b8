//! Live groups change their protocol, in both directions, and no partition is lost or doubled on the way.

use super::consumer_tests::Client;
use super::request::{Heartbeat, Join, Leave, Leaver, Request, Sync};
use super::response::{GroupState, GroupType, JoinResponse, Joined, LeaverResponse, Refusal, Response};
use super::rig::{Rig, blob, joining, text};
use super::{Blob, CoordinatorSettings, Migration, Text, Ticket, embedded};
use std::collections::{BTreeMap, BTreeSet};
use torc_base::prng::Prng;

/// A subscription to "t" of one that holds these partitions of it.
fn subscribing(held: &BTreeSet<i32>) -> Blob {
    let mut bytes = vec![0, 1, 0, 0, 0, 1, 0, 1, b't', 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0, 1, b't'];
    bytes.extend_from_slice(&(held.len() as u32).to_be_bytes());
    held.iter().for_each(|partition| bytes.extend_from_slice(&partition.to_be_bytes()));
    bytes.into()
}

/// A consumer of the classic protocol that gives back what it is asked for when it joins again.
#[derive(Clone)]
pub(super) struct Classic {
    pub(super) id: Text,
    pub(super) generation: i32,
    pub(super) held: BTreeSet<i32>,
}

impl Classic {
    pub(super) fn join(&mut self, rig: &mut Rig) -> Result<Joined, Refusal> {
        let protocols = vec![(text("cooperative"), subscribing(&self.held))];
        let join = Join { protocols, ..joining("c", &self.id) };
        match rig.now(Request::Join(join)) {
            Response::Join(JoinResponse { member, result }) => {
                self.id = member;
                result.inspect(|joined| self.generation = joined.generation)
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn sync(&mut self, rig: &mut Rig) -> Result<(), Refusal> {
        let sync = Sync {
            group: text("g"),
            member: self.id.clone(),
            instance: None,
            generation: self.generation,
            protocol_type: Some(text("consumer")),
            protocol: Some(text("cooperative")),
            assignments: Vec::new(),
        };
        match rig.now(Request::Sync(sync)) {
            Response::Sync(result) => result.map(|synced| {
                let topics = embedded::assigned(&synced.assignment).expect("can be read");
                self.held = topics.into_iter().flat_map(|(_, partitions)| partitions).collect();
            }),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn heartbeat(&self, rig: &mut Rig) -> Result<(), Refusal> {
        rig.heartbeat(&self.id, self.generation)
    }

    /// What a client does from one heartbeat to the next.
    pub(super) fn turn(&mut self, rig: &mut Rig) {
        if self.heartbeat(rig) == Err(Refusal::RebalanceInProgress) {
            self.join(rig).expect("joins again");
            self.sync(rig).expect("was just told of this epoch");
        }
    }
}

/// A stable classic group in which "a" has partitions 0 and 1 of "t" and "b" has 2 and 3.
fn classic_group(rig: &mut Rig) -> [Classic; 2] {
    let ids = [rig.id("a"), rig.id("b")];
    let with = |id: &Text| Join { protocols: vec![(text("cooperative"), subscribing(&[].into()))], ..joining("c", id) };
    let tickets = [rig.ask(Request::Join(with(&ids[0]))), rig.ask(Request::Join(with(&ids[1])))];
    rig.pass(10_000);
    tickets.into_iter().for_each(|ticket| assert_eq!(rig.joined(ticket).generation, 1));
    let shares = [vec![0, 1], vec![2, 3]].map(|p| embedded::assignment(&subscribing(&[].into()), &[(text("t"), p)]));
    let sync = Sync {
        group: text("g"),
        member: ids[0].clone(),
        instance: None,
        generation: 1,
        protocol_type: None,
        protocol: None,
        assignments: ids.iter().cloned().zip(shares).collect(),
    };
    rig.ask(Request::Sync(sync));
    let [a, b] = ids;
    [Classic { id: a, generation: 1, held: [0, 1].into() }, Classic { id: b, generation: 1, held: [2, 3].into() }]
}

fn rig(migration: Migration) -> Rig {
    let mut rig = Rig::new(CoordinatorSettings { migration, ..CoordinatorSettings::default() });
    rig.topics.set("t", 4);
    rig
}

fn kind(rig: &Rig) -> GroupType {
    rig.coordinator.groups.get(&"g".into()).expect("is there").kind()
}

fn held_by(client: &Client) -> BTreeSet<i32> {
    client.held.iter().map(|(_, partition)| *partition).collect()
}

/// Nobody holds what another one holds.
fn check(clients: &[Client], classics: &[Classic]) {
    let sets: Vec<BTreeSet<i32>> =
        clients.iter().map(held_by).chain(classics.iter().map(|classic| classic.held.clone())).collect();
    let all: BTreeSet<i32> = sets.iter().flatten().copied().collect();
    assert_eq!(all.len(), sets.iter().map(BTreeSet::len).sum::<usize>(), "{sets:?}");
}

#[test]
fn a_group_moves_to_the_consumer_protocol_member_by_member_and_back() {
    let mut rig = rig(Migration::Bidirectional);
    let mut classics = classic_group(&mut rig).to_vec();
    assert_eq!(rig.commit(&classics[0].id, 1, "t", 5), Ok(()));
    let mut new = Client::new("new", &["t"]);
    new.turn(&mut rig);
    assert_eq!((kind(&rig), new.epoch, new.held.len()), (GroupType::Consumer, 2, 0));
    assert_eq!(rig.offset("t"), Some(5));
    for _ in 0..6 {
        classics.iter_mut().for_each(|classic| classic.turn(&mut rig));
        new.turn(&mut rig);
        check(std::slice::from_ref(&new), &classics);
    }
    assert_eq!(rig.state(), Some(GroupState::Stable));
    assert_eq!((new.held.len(), classics[0].held.len(), classics[1].held.len()), (1, 2, 1));
    assert_eq!(rig.commit(&classics[0].id, classics[0].generation, "t", 6), Ok(()));
    assert_eq!(rig.commit(&classics[0].id, 1, "t", 7), Err(Refusal::IllegalGeneration));
    rig.restart();
    classics.iter_mut().for_each(|classic| assert_eq!(classic.heartbeat(&mut rig), Ok(())));
    // One of the old members changes.
    let members = vec![Leaver { member: classics[1].id.clone(), instance: None }];
    let left = LeaverResponse { member: classics[1].id.clone(), instance: None, result: Ok(()) };
    assert_eq!(rig.now(Request::Leave(Leave { group: text("g"), members })), Response::Leave(Ok(vec![left])));
    classics.pop();
    let mut second = Client::new("second", &["t"]);
    for _ in 0..6 {
        second.turn(&mut rig);
        classics[0].turn(&mut rig);
        new.turn(&mut rig);
        check(&[new.clone(), second.clone()], &classics);
    }
    assert_eq!(new.held.len() + second.held.len() + classics[0].held.len(), 4);
    // And back: the last ones that speak the new protocol go.
    new.epoch = -1;
    new.ask(&mut rig).expect("leaves");
    assert_eq!(kind(&rig), GroupType::Consumer);
    second.epoch = -1;
    second.ask(&mut rig).expect("leaves");
    assert_eq!((kind(&rig), rig.state()), (GroupType::Classic, Some(GroupState::PreparingRebalance)));
    assert_eq!(classics[0].heartbeat(&mut rig), Err(Refusal::RebalanceInProgress), "it keeps what it holds");
    let before = classics[0].generation;
    let protocols = vec![(text("cooperative"), subscribing(&classics[0].held))];
    let ticket = rig.ask(Request::Join(Join { protocols, ..joining("c", &classics[0].id) }));
    let joined = rig.joined(ticket);
    assert!(joined.generation > before, "generations go on where epochs stood");
    assert_eq!((&joined.leader, joined.members.len()), (&classics[0].id, 1));
    assert_eq!(rig.offset("t"), Some(6));
    rig.restart();
    assert_eq!(kind(&rig), GroupType::Classic);
}

/// Members that give up nothing before they are told to hold their partitions while the next generation is being assigned.
#[test]
fn a_group_that_changes_its_protocol_between_two_generations_gives_nobody_what_another_holds() {
    let mut rig = rig(Migration::Bidirectional);
    let mut classics = classic_group(&mut rig);
    let again = |classic: &Classic| Join {
        protocols: vec![(text("cooperative"), subscribing(&classic.held))],
        ..joining("c", &classic.id)
    };
    let tickets = [rig.ask(Request::Join(again(&classics[0]))), rig.ask(Request::Join(again(&classics[1])))];
    for (classic, ticket) in classics.iter_mut().zip(tickets) {
        classic.generation = rig.joined(ticket).generation;
    }
    assert_eq!(rig.state(), Some(GroupState::CompletingRebalance));
    let mut new = Client::new("new", &["t"]);
    for _ in 0..6 {
        new.turn(&mut rig);
        check(std::slice::from_ref(&new), &classics);
        classics.iter_mut().for_each(|classic| classic.turn(&mut rig));
        check(std::slice::from_ref(&new), &classics);
    }
    assert_eq!(kind(&rig), GroupType::Consumer);
    assert_eq!(rig.state(), Some(GroupState::Stable));
    assert_eq!((new.held.len(), classics[0].held.len() + classics[1].held.len()), (1, 3));
}

#[test]
fn a_member_that_dies_takes_the_group_back_with_it() {
    let mut rig = rig(Migration::Bidirectional);
    let mut classics = classic_group(&mut rig);
    Client::new("new", &["t"]).turn(&mut rig);
    for _ in 0..10 {
        rig.pass(5_000);
        if kind(&rig) == GroupType::Consumer {
            classics.iter_mut().for_each(|classic| classic.turn(&mut rig));
        }
    }
    assert_eq!(kind(&rig), GroupType::Classic);
    assert_eq!(
        rig.coordinator.groups.get(&"g".into()).expect("is there").classic.as_ref().expect("is there").members().len(),
        2
    );
}

#[test]
fn who_is_called_and_does_not_join_again_is_given_up() {
    let mut rig = rig(Migration::Bidirectional);
    let mut classics = classic_group(&mut rig);
    let mut new = Client::new("new", &["t"]);
    new.turn(&mut rig);
    for _ in 0..13 {
        // It is alive, but joins no more.
        let _ = classics[0].heartbeat(&mut rig);
        classics[1].turn(&mut rig);
        new.turn(&mut rig);
        rig.pass(5_000);
    }
    assert_eq!(classics[0].heartbeat(&mut rig), Err(Refusal::UnknownMemberId));
    classics[1].turn(&mut rig);
    new.turn(&mut rig);
    new.turn(&mut rig);
    check(std::slice::from_ref(&new), &classics[1..]);
    assert_eq!(new.held.len() + classics[1].held.len(), 4);
}

#[test]
fn a_policy_can_forbid_either_way() {
    for (policy, upgrades, downgrades) in [
        (Migration::Disabled, false, false),
        (Migration::Upgrade, true, false),
        (Migration::Downgrade, false, true),
        (Migration::Bidirectional, true, true),
    ] {
        let mut rig = rig(policy);
        classic_group(&mut rig);
        let mut new = Client::new("new", &["t"]);
        let result = new.ask(&mut rig);
        assert_eq!(result.is_ok(), upgrades, "{policy:?}");
        if !upgrades {
            assert_eq!((result, kind(&rig)), (Err(Refusal::GroupIdNotFound), GroupType::Classic));
            continue;
        }
        new.epoch = -1;
        new.ask(&mut rig).expect("leaves");
        assert_eq!(kind(&rig) == GroupType::Classic, downgrades, "{policy:?}");
    }
}

#[test]
fn a_group_that_cannot_be_read_stays_what_it_is() {
    let mut rig = rig(Migration::Bidirectional);
    let id = rig.id("a");
    let broken = Join { protocols: vec![(text("range"), blob("nonsense"))], ..joining("a", &id) };
    let ticket = rig.ask(Request::Join(broken));
    rig.pass(10_000);
    rig.joined(ticket);
    let records = rig.log.len();
    assert_eq!(Client::new("new", &["t"]).ask(&mut rig).map(drop), Err(Refusal::GroupIdNotFound));
    assert_eq!((kind(&rig), rig.log.len()), (GroupType::Classic, records));
    // Nor does a consumer group take one that it cannot read.
    let mut other = Rig::new(CoordinatorSettings::default());
    Client::new("new", &["t"]).turn(&mut other);
    let broken = Join { protocols: vec![(text("range"), blob("nonsense"))], ..joining("a", &text("")) };
    let Response::Join(JoinResponse { result, .. }) = other.now(Request::Join(broken)) else { panic!("no join") };
    assert_eq!(result, Err(Refusal::InconsistentGroupProtocol));
    let wrong_kind = Join { protocol_type: text("connect"), ..joining("a", &text("")) };
    let Response::Join(JoinResponse { result, .. }) = other.now(Request::Join(wrong_kind)) else { panic!("no join") };
    assert_eq!(result, Err(Refusal::InconsistentGroupProtocol));
}

#[test]
fn who_waits_in_a_classic_group_is_sent_to_join_again() {
    let mut rig = rig(Migration::Bidirectional);
    let classics = classic_group(&mut rig);
    let protocols = vec![(text("cooperative"), subscribing(&classics[0].held))];
    let again = rig.ask(Request::Join(Join { protocols, ..joining("c", &classics[0].id) }));
    assert_eq!(rig.answer(again), None);
    Client::new("new", &["t"]).turn(&mut rig);
    let Some(Response::Join(JoinResponse { result, .. })) = rig.answer(again) else { panic!("it still waits") };
    assert_eq!(result, Err(Refusal::RebalanceInProgress));
    let beat = Heartbeat { group: text("g"), member: text("nobody"), instance: None, generation: 1 };
    assert_eq!(rig.now(Request::Heartbeat(beat)), Response::Heartbeat(Err(Refusal::UnknownMemberId)));
}

/// Members of both protocols come and go at random; the group changes its protocol many times.
#[test]
fn members_of_both_protocols_share_a_topic_and_never_a_partition() {
    let (mut consumers, mut classics_seen) = (0, 0);
    for seed in 0..25 {
        let mut rig =
            Rig::seeded(CoordinatorSettings { initial_rebalance_delay_ms: 0, ..CoordinatorSettings::default() }, seed);
        rig.topics.set("t", 5);
        let mut prng = Prng::new(seed);
        let mut clients: Vec<Client> = Vec::new();
        let mut classics: Vec<Classic> = Vec::new();
        let mut tickets = Tickets::default();
        for n in 0..120 {
            match prng.below(12) {
                0 if clients.len() < 3 => clients.push(Client::new(&format!("new-{n}"), &["t"])),
                1 if classics.len() < 3 => {
                    classics.push(Classic { id: text(""), generation: 0, held: BTreeSet::new() })
                }
                2 if !clients.is_empty() => {
                    let mut client = clients.swap_remove(prng.below(clients.len() as u64) as usize);
                    client.epoch = -1;
                    let _ = client.ask(&mut rig);
                }
                3 if !classics.is_empty() => {
                    let classic = classics.swap_remove(prng.below(classics.len() as u64) as usize);
                    let members = vec![Leaver { member: classic.id, instance: None }];
                    rig.now(Request::Leave(Leave { group: text("g"), members }));
                }
                4 => rig.pass([10, 3_000, 46_000][prng.below(3) as usize]),
                5 => {
                    rig.restart();
                    tickets.0.clear();
                }
                _ => {
                    for client in &mut clients {
                        match client.ask(&mut rig) {
                            Ok(beat) => client.take(&beat),
                            Err(_) => (client.epoch, client.held) = (0, BTreeSet::new()),
                        }
                    }
                    classics.iter_mut().for_each(|classic| classic.live(&mut rig, &mut tickets));
                }
            }
            let Some(group) = rig.coordinator.groups.get(&"g".into()) else { continue };
            match group.kind() {
                GroupType::Consumer => {
                    consumers += 1;
                    let is_member = |id: &Text| rig.has_member(id);
                    clients.iter_mut().filter(|client| !is_member(&client.id)).for_each(|client| client.held.clear());
                    let known: Vec<Classic> =
                        classics.iter().filter(|classic| is_member(&classic.id)).cloned().collect();
                    check(&clients, &known);
                }
                GroupType::Classic => classics_seen += 1,
            }
        }
    }
    assert!(consumers > 500 && classics_seen > 200, "{consumers} and {classics_seen}");
}

/// JoinGroups that wait, by member.
#[derive(Default)]
struct Tickets(BTreeMap<Text, Ticket>);

impl Classic {
    /// One round of a client's life, in a group of either protocol. Whoever leads assigns everything to itself.
    fn live(&mut self, rig: &mut Rig, tickets: &mut Tickets) {
        if let Some(ticket) = tickets.0.get(&self.id).copied() {
            let Some(answer) = rig.answer(ticket) else { return };
            tickets.0.remove(&self.id);
            let Response::Join(JoinResponse { result, .. }) = answer else { panic!("another answer") };
            return self.joined(rig, result);
        }
        if !self.id.is_empty() && self.heartbeat(rig).is_ok() {
            return;
        }
        if rig.knows("g") && kind(rig) == GroupType::Classic {
            // An eager one gives everything back before it joins again.
            self.held.clear();
        }
        let protocols = vec![(text("cooperative"), subscribing(&self.held))];
        let ticket = rig.ask(Request::Join(Join { protocols, ..joining("c", &self.id) }));
        match rig.answer(ticket) {
            Some(Response::Join(JoinResponse { member, result })) => {
                self.id = member;
                self.joined(rig, result);
            }
            None => drop(tickets.0.insert(self.id.clone(), ticket)),
            other => panic!("{other:?}"),
        }
    }

    fn joined(&mut self, rig: &mut Rig, result: Result<Joined, Refusal>) {
        match result {
            Ok(joined) => {
                self.generation = joined.generation;
                let everything = embedded::assignment(&subscribing(&self.held), &[(text("t"), vec![0, 1, 2, 3, 4])]);
                let leads = joined.leader == self.id;
                let assignments = leads.then(|| (self.id.clone(), everything)).into_iter().collect();
                let (group, member) = (text("g"), self.id.clone());
                let (generation, protocol_type, protocol) = (self.generation, None, None);
                let sync = Sync { group, member, instance: None, generation, protocol_type, protocol, assignments };
                let ticket = rig.ask(Request::Sync(sync));
                // A follower asks again in its next round.
                if let Some(Response::Sync(Ok(synced))) = rig.answer(ticket) {
                    let topics = embedded::assigned(&synced.assignment).expect("can be read");
                    self.held = topics.into_iter().flat_map(|(_, partitions)| partitions).collect();
                }
            }
            Err(Refusal::MemberIdRequired | Refusal::RebalanceInProgress) => {}
            Err(_) => (self.id, self.held) = (text(""), BTreeSet::new()),
        }
    }
}
