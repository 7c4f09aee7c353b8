//! Random histories of groups of the consumer protocol: no partition is held by two at once, whatever gets lost.

use super::consumer_tests::Client;
use super::request::Request;
use super::response::{GroupState, Response};
use super::rig::{Rig, committing, text};
use super::{CoordinatorSettings, Text};
use std::collections::BTreeMap;
use torc_base::limits::ENTRY_BYTES_MAX;
use torc_base::prng::Prng;

struct History {
    rig: Rig,
    prng: Prng,
    clients: Vec<Client>,
    next: u32,
    is_limited: bool,
}

impl History {
    fn new(seed: u64) -> History {
        // In every second history the log takes little more in one record than a member that wants something.
        let mut prng = Prng::new(seed);
        let record_bytes_max = if seed.is_multiple_of(2) { 3_300 + prng.below(200) as usize } else { ENTRY_BYTES_MAX };
        let mut rig = Rig::limited(CoordinatorSettings::default(), seed, record_bytes_max);
        rig.topics.set("t", 5);
        rig.topics.set("u", 3);
        let mut history =
            History { rig, prng, clients: Vec::new(), next: 0, is_limited: record_bytes_max < ENTRY_BYTES_MAX };
        for n in 0..4 {
            let client = history.client(n);
            history.clients.push(client);
        }
        history
    }

    fn client(&mut self, n: usize) -> Client {
        self.next += 1;
        let wants = [&["t"][..], &["t", "u"], &["u"], &[]][self.prng.below(4) as usize];
        let mut client = Client::new(&format!("m{}", self.next), wants);
        client.regex = wants.is_empty().then(|| text(["t|v", "u", ".*"][self.prng.below(3) as usize]));
        client.instance = (n < 2).then(|| text(&format!("i-{n}")));
        client
    }

    fn step(&mut self) {
        let who = self.prng.below(self.clients.len() as u64) as usize;
        match self.prng.below(16) {
            0..8 => self.beat(who),
            8 => self.leave(who),
            9 | 10 => {
                let ms = [1, 3_000, 30_000, 46_000][self.prng.below(4) as usize];
                self.rig.pass(ms);
            }
            11 => {
                let name = ["t", "u", "v"][self.prng.below(3) as usize];
                self.rig.topics.set(name, self.prng.below(7) as u32);
            }
            12 => self.rig.restart(),
            13 => {
                let (id, epoch) = (self.clients[who].id.clone(), self.clients[who].epoch);
                self.rig.now(Request::Commit(committing("g", &id, epoch, "t", 1)));
            }
            14 => {
                // It has crashed; another one comes in its place.
                self.clients[who] = self.client(who);
            }
            _ => {
                let response = self.rig.now(Request::DeleteGroups { groups: vec![text("g")] });
                assert!(matches!(response, Response::DeleteGroups(_)));
            }
        }
        self.check();
    }

    fn beat(&mut self, who: usize) {
        let answer = self.clients[who].ask(&mut self.rig);
        match answer {
            // Lost on its way.
            Ok(_) if self.prng.chance(1, 6) => {}
            // It knows, and is slow to give back.
            Ok(beat) if self.prng.chance(1, 6) => {
                let held = self.clients[who].held.clone();
                self.clients[who].take(&beat);
                let told = self.clients[who].held.clone();
                self.clients[who].held = held.union(&told).copied().collect();
                self.check();
                self.clients[who].held = told;
            }
            Ok(beat) => self.clients[who].take(&beat),
            Err(_) => {
                self.clients[who].epoch = 0;
                self.clients[who].held.clear();
            }
        }
    }

    fn leave(&mut self, who: usize) {
        let mut client = self.clients[who].clone();
        client.epoch = if client.instance.is_some() && self.prng.chance(1, 2) { -2 } else { -1 };
        let _ = client.ask(&mut self.rig);
        self.clients[who] = self.client(who);
    }

    /// Nobody holds what another one holds, but those that the coordinator has given up.
    fn check(&mut self) {
        let mut holders: BTreeMap<_, &Text> = BTreeMap::new();
        for client in &self.clients {
            if !self.rig.has_member(&client.id) {
                continue;
            }
            for partition in &client.held {
                if let Some(other) = holders.insert(*partition, &client.id) {
                    panic!("{partition:?} is held by {other} and {}", client.id);
                }
            }
        }
    }
}

#[test]
fn no_history_gives_a_partition_to_two() {
    for seed in 0..40 {
        let mut history = History::new(seed);
        for _ in 0..150 {
            history.step();
        }
        // Once nothing happens any more, all is assigned to those that are there.
        history.rig.topics.set("t", 9);
        history.rig.pass(100_000);
        let mut clients = std::mem::take(&mut history.clients);
        for _ in 0..12 {
            for client in &mut clients {
                match client.ask(&mut history.rig) {
                    Ok(beat) => client.take(&beat),
                    Err(_) => {
                        client.epoch = 0;
                        client.held.clear();
                    }
                }
                history.rig.pass(1_000);
            }
        }
        history.clients = clients;
        history.check();
        if history.is_limited {
            // Who wants too much is not let in.
            continue;
        }
        let state = history.rig.state();
        assert_eq!(state, Some(GroupState::Stable), "seed {seed}");
        let t = history.rig.topics.id("t");
        let wants_t = |client: &Client| {
            client.topics.iter().any(|topic| &**topic == "t")
                || client.regex.as_deref().is_some_and(|regex| regex == "t|v" || regex == ".*")
        };
        let held = history.clients.iter().flat_map(|client| &client.held).filter(|(topic, _)| *topic == t).count();
        assert_eq!(held, if history.clients.iter().any(wants_t) { 9 } else { 0 }, "seed {seed}");
    }
}
