//! Random histories: whatever clients do, the log says what the state is, generations go forward, and everybody who
//! can be answered is.

use super::request::{DeleteOffsets, Heartbeat, Join, Leave, Leaver, Request, Sync};
use super::response::{JoinResponse, Response};
use super::rig::{Rig, blob, committing, joining, text};
use super::{CoordinatorSettings, Text, Ticket};
use std::collections::BTreeMap;
use torc_base::limits::ENTRY_BYTES_MAX;
use torc_base::prng::Prng;

/// A client as far as it has got.
#[derive(Clone, Default)]
struct Client {
    id: Option<Text>,
    instance: Option<Text>,
    generation: i32,
    leads: Vec<Text>,
    waits: Option<Ticket>,
}

struct History {
    rig: Rig,
    prng: Prng,
    clients: Vec<Client>,
    /// The latest generation that anybody was told of.
    generation: i32,
    record_bytes_max: usize,
}

fn settings(prng: &mut Prng) -> CoordinatorSettings {
    CoordinatorSettings {
        initial_rebalance_delay_ms: [0, 100, 3_000][prng.below(3) as usize],
        group_max_size: [2, 3, 100][prng.below(3) as usize],
        offsets_retention_ms: 30_000,
        offsets_retention_check_interval_ms: 20_000,
        ..CoordinatorSettings::default()
    }
}

impl History {
    fn new(seed: u64) -> History {
        let mut prng = Prng::new(seed);
        // In every third history the log takes so little that what members say does not always fit.
        let record_bytes_max = if seed.is_multiple_of(3) { 8 << 10 } else { ENTRY_BYTES_MAX };
        let rig = Rig::limited(settings(&mut prng), seed, record_bytes_max);
        let instance = |n: usize| (n < 2).then(|| text(&format!("i-{n}")));
        let clients = (0..5).map(|n| Client { instance: instance(n), ..Client::default() }).collect();
        History { rig, prng, clients, generation: 0, record_bytes_max }
    }

    fn step(&mut self) {
        let who = self.prng.below(self.clients.len() as u64) as usize;
        match self.prng.below(20) {
            0..6 => self.join(who),
            6..10 => self.sync(who),
            10..12 => self.heartbeat(who),
            12 => self.leave(who),
            13..15 => self.commit(who),
            15..17 => {
                let ms = [1, 90, 2_000, 7_000, 40_000][self.prng.below(5) as usize];
                self.rig.pass(ms);
            }
            17 => {
                if let Some(ticket) = self.clients[who].waits.take() {
                    self.rig.cancel(ticket);
                }
            }
            18 => self.administer(),
            _ => {
                if self.record_bytes_max < ENTRY_BYTES_MAX {
                    // What was written on another disk may be more than fits into a record here.
                    self.rig.restart_with([6 << 10, 8 << 10, 12 << 10][self.prng.below(3) as usize]);
                } else {
                    self.rig.restart();
                }
                self.clients.iter_mut().for_each(|client| client.waits = None);
            }
        }
        self.collect();
    }

    fn join(&mut self, who: usize) {
        let client = &self.clients[who];
        let prng = &mut self.prng;
        let mut join: Join = joining(&format!("c{who}"), &client.id.clone().unwrap_or_default());
        join.instance.clone_from(&client.instance);
        join.takes_id = who != 4;
        join.skips_assignment = prng.chance(1, 2);
        join.rebalance_timeout = [0, 5_000, 60_000, -1][prng.below(4) as usize];
        if prng.chance(1, 4) {
            join.protocols.swap(0, 1);
        }
        if prng.chance(1, 8) {
            join.protocols.remove(0);
        }
        if prng.chance(1, 20) {
            join.protocol_type = text("connect");
        }
        if self.record_bytes_max < ENTRY_BYTES_MAX {
            let bytes = self.prng.below(3 << 10) as usize;
            join.protocols
                .iter_mut()
                .for_each(|(_, metadata)| *metadata = [&metadata[..], &vec![0; bytes]].concat().into());
        }
        let ticket = self.rig.ask(Request::Join(join));
        self.clients[who].waits = Some(ticket);
    }

    fn sync(&mut self, who: usize) {
        let client = &self.clients[who];
        let Some(member) = client.id.clone() else { return };
        let any = self.prng.chance(9, 10);
        let share =
            "share".repeat(if self.record_bytes_max < ENTRY_BYTES_MAX { self.prng.below(400) as usize } else { 1 });
        let assignments = client.leads.iter().filter(|_| any).map(|id| (id.clone(), blob(&share))).collect();
        let sync = Sync {
            group: text("g"),
            member,
            instance: client.instance.clone(),
            generation: self.guess(who),
            protocol_type: None,
            protocol: None,
            assignments,
        };
        let ticket = self.rig.ask(Request::Sync(sync));
        self.clients[who].waits = Some(ticket);
    }

    /// Mostly the right generation.
    fn guess(&mut self, who: usize) -> i32 {
        self.clients[who].generation - i32::from(self.prng.chance(1, 10))
    }

    fn heartbeat(&mut self, who: usize) {
        let Some(member) = self.clients[who].id.clone() else { return };
        let (generation, instance) = (self.guess(who), self.clients[who].instance.clone());
        self.rig.now(Request::Heartbeat(Heartbeat { group: text("g"), member, instance, generation }));
    }

    fn leave(&mut self, who: usize) {
        let client = &self.clients[who];
        let leaver = Leaver { member: client.id.clone().unwrap_or_default(), instance: client.instance.clone() };
        self.rig.now(Request::Leave(Leave { group: text("g"), members: vec![leaver] }));
        self.clients[who].id = None;
    }

    fn commit(&mut self, who: usize) {
        let generation = if self.prng.chance(1, 4) { -1 } else { self.guess(who) };
        let member = self.clients[who].id.clone().filter(|_| generation >= 0).unwrap_or_default();
        let topic = ["t", "u"][self.prng.below(2) as usize];
        let group = ["g", "g", "h"][self.prng.below(3) as usize];
        let mut commit = committing(group, &member, generation, topic, self.prng.below(100) as i64);
        if self.prng.chance(1, 5) {
            commit.retention = Some(self.prng.below(50_000) as i64);
        }
        self.rig.now(Request::Commit(commit));
    }

    fn administer(&mut self) {
        match self.prng.below(3) {
            0 => self.rig.topic_deleted("u"),
            1 => {
                let topics = vec![(text("t"), vec![0]), (text("u"), vec![0])];
                self.rig.now(Request::DeleteOffsets(DeleteOffsets { group: text("g"), topics }));
            }
            _ => {
                let Response::DeleteGroups(results) = self.rig.now(Request::DeleteGroups { groups: vec![text("g")] })
                else {
                    panic!("another answer")
                };
                if results[0].1.is_ok() {
                    self.generation = 0;
                }
            }
        }
    }

    /// Takes the answers that have come.
    fn collect(&mut self) {
        // What came in one step may be of several generations.
        let before = self.generation;
        let mut told = BTreeMap::new();
        for client in &mut self.clients {
            let Some(response) = client.waits.and_then(|ticket| self.rig.answer(ticket)) else { continue };
            client.waits = None;
            if let Response::Join(JoinResponse { member, result }) = response {
                client.id = Some(member).filter(|id| !id.is_empty());
                if let Ok(joined) = result {
                    assert!(joined.generation >= before, "a generation goes back");
                    self.generation = self.generation.max(joined.generation);
                    client.generation = joined.generation;
                    client.leads = joined.members.into_iter().map(|member| member.id).collect();
                    let protocol = told.entry(joined.generation).or_insert_with(|| joined.protocol.clone());
                    assert_eq!(*protocol, joined.protocol, "one generation, one protocol");
                }
            }
        }
        if !self.rig.knows("g") {
            // Deleted, or expired with its last offset.
            self.generation = 0;
        }
    }
}

#[test]
fn any_history_is_what_its_log_says() {
    let mut most = 0;
    for seed in 0..120 {
        let mut history = History::new(seed);
        for _ in 0..150 {
            history.step();
            most = most.max(history.generation);
        }
        // Whatever happened, whoever still waits is answered when time passes.
        history.rig.pass(1_000_000);
        assert_eq!(history.rig.coordinator.parked().count(), 0, "seed {seed}: somebody waits for ever");
    }
    assert!(most > 5, "histories in which something happens");
}
