//! Members that do nothing but stay: how they come into their groups, three at a time, and their heartbeats.

use super::many::AT_ONCE;
use super::requests::{Place, REBALANCING, UNKNOWN_MEMBER, passes, patiently};
use super::{classic, consumer, requests};
use crate::failure::{Result, wrong};
use crate::wire::Client;
use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, HeartbeatRequest, JoinGroupRequest, SyncGroupRequest};
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;
use torc_base::prng::Prng;

/// Of each group.
pub const MEMBERS: usize = 3;
/// Times that a group may have to begin anew, as its members came too far apart.
const TRIES: usize = 20;
/// Members that came too far apart wait so long for each other, then some of them begin anew.
const REBALANCE_MS: i32 = 5_000;

/// Between two heartbeats of a member: Kafka's defaults for classic members, and for those of the consumer protocol.
pub const BEATS_EVERY: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(5)];

/// A member.
#[derive(Clone, Debug)]
pub enum Seat {
    Classic(Place),
    Consumer(consumer::Member),
}

impl Seat {
    pub fn place(&self) -> Place {
        match self {
            Seat::Classic(place) => place.clone(),
            Seat::Consumer(member) => member.place(),
        }
    }

    /// One of [`BEATS_EVERY`].
    pub fn beats_every(&self) -> Duration {
        match self {
            Seat::Classic(_) => BEATS_EVERY[0],
            Seat::Consumer(_) => BEATS_EVERY[1],
        }
    }

    /// Sends a heartbeat.
    pub fn send(&self, client: &mut Client) -> Result<()> {
        match self {
            Seat::Classic(place) => client.send(&classic::beat_request(place), classic::BEAT),
            Seat::Consumer(member) => client.send(&member.request(), consumer::BEAT),
        }
    }

    /// What it is answered: a code. A member's epoch must be what it was.
    pub fn receive(&mut self, client: &mut Client) -> Result<i16> {
        match self {
            Seat::Classic(_) => Ok(client.receive::<HeartbeatRequest>(classic::BEAT)?.error_code),
            Seat::Consumer(member) => {
                let before = member.epoch;
                let code = member.answered(&client.receive::<ConsumerGroupHeartbeatRequest>(consumer::BEAT)?)?;
                if code == 0 && member.epoch != before {
                    return wrong(format!("{:?} had epoch {before}", member.place()));
                }
                Ok(code)
            }
        }
    }

    /// A heartbeat, with patience.
    pub fn beat(&mut self, client: &mut Client) -> Result<i16> {
        let (code, ()) = patiently(|| {
            self.send(client)?;
            Ok((self.receive(client)?, ()))
        })?;
        Ok(code)
    }
}

/// Makes groups: those with odd numbers are of the consumer protocol.
pub fn make(address: SocketAddr, topic: &str, names: &[(usize, &String)]) -> Result<Vec<Vec<Seat>>> {
    let mut clients = Vec::new();
    for _ in 0..MEMBERS {
        clients.push(requests::connect(address, names[0].1)?);
    }
    let mut seats = Vec::new();
    // Members of classic groups wait for more to come, so that many groups are to wait at once.
    for some in names.chunks(10 * AT_ONCE) {
        let of = |odd: usize| some.iter().filter(|(n, _)| n % 2 == odd).map(|(_, name)| name.as_str()).collect();
        let (classic, consumer): (Vec<&str>, Vec<&str>) = (of(0), of(1));
        // Asked of a coordinator that is being loaded, they would come one after the other.
        for name in &classic {
            requests::committed(&mut clients[0], name, topic, 1)?;
        }
        seats.extend(make_classic(&mut clients, &classic)?);
        for some in consumer.chunks(AT_ONCE) {
            seats.extend(make_consumer(&mut clients[0], topic, some)?);
        }
    }
    Ok(seats)
}

/// Classic groups: members join until all of a group are told of the same generation, and all have its assignment.
fn make_classic(clients: &mut [Client], names: &[&str]) -> Result<Vec<Vec<Seat>>> {
    let nobody = |name: &&str| {
        let place = Place { group: name.to_string(), member: String::new(), generation: -1 };
        vec![place; MEMBERS]
    };
    let mut groups: Vec<Vec<Place>> = names.iter().map(nobody).collect();
    let mut open: Vec<usize> = (0..groups.len()).collect();
    for _ in 0..TRIES {
        let mut some: Vec<&mut Vec<Place>> = Vec::new();
        for (n, group) in groups.iter_mut().enumerate() {
            if open.binary_search(&n).is_ok() {
                some.push(group);
            }
        }
        let good = join_and_sync(clients, &mut some)?;
        open = open.into_iter().zip(good).filter(|(_, good)| !good).map(|(n, _)| n).collect();
        if open.is_empty() {
            let seats = |group: Vec<Place>| group.into_iter().map(Seat::Classic).collect();
            return Ok(groups.into_iter().map(seats).collect());
        }
    }
    wrong(format!("{} of {} groups do not get together, such as {:?}", open.len(), groups.len(), groups[open[0]]))
}

/// All members of some groups join at once, and ask for their assignments; by group, whether it is complete.
fn join_and_sync(clients: &mut [Client], groups: &mut [&mut Vec<Place>]) -> Result<Vec<bool>> {
    for (n, client) in clients.iter_mut().enumerate() {
        for group in groups.iter() {
            client.send(&classic::join_request(&group[n].group, &group[n].member, REBALANCE_MS), classic::JOIN)?;
        }
    }
    let mut leaders = vec![None; groups.len()];
    for (n, client) in clients.iter_mut().enumerate() {
        for (group, leader) in groups.iter_mut().zip(&mut leaders) {
            let answer = client.receive::<JoinGroupRequest>(classic::JOIN)?;
            match answer.error_code {
                0 => group[n] = classic::joined(&group[n].group, &answer),
                UNKNOWN_MEMBER => group[n] = Place { member: String::new(), generation: -1, ..group[n].clone() },
                code if passes(code) || code == REBALANCING => group[n].generation = -1,
                code => return wrong(format!("joining {:?}: error {code}", group[n])),
            }
            if answer.error_code == 0 && answer.leader == answer.member_id && answer.members.len() == MEMBERS {
                *leader = Some(n);
            }
        }
    }
    let synced: Vec<bool> =
        groups.iter().zip(&leaders).map(|(group, leader)| is_one(group) && leader.is_some()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        for ((group, leader), synced) in groups.iter().zip(&leaders).zip(&synced) {
            let all: Vec<String> = group.iter().map(|place| place.member.clone()).collect();
            let gives: &[String] = if *leader == Some(n) { &all } else { &[] };
            if *synced {
                client.send(&classic::sync_request(&group[n], gives), classic::SYNC)?;
            }
        }
    }
    let mut good = synced.clone();
    for (n, client) in clients.iter_mut().enumerate() {
        for ((group, good), _) in groups.iter().zip(good.iter_mut()).zip(&synced).filter(|(_, synced)| **synced) {
            let answer = client.receive::<SyncGroupRequest>(classic::SYNC)?;
            let is_given = answer.error_code == 0 && answer.assignment == group[n].member.as_bytes();
            match answer.error_code {
                0 if !is_given => return wrong(format!("{:?} was given {:?}", group[n], answer.assignment)),
                _ => *good &= is_given,
            }
        }
    }
    Ok(good)
}

/// True if all members were told of one generation.
fn is_one(group: &[Place]) -> bool {
    group[0].generation > 0 && group.iter().all(|place| place.generation == group[0].generation)
}

/// Groups of the consumer protocol: heartbeats until everybody has the share that all want.
fn make_consumer(client: &mut Client, topic: &str, names: &[&str]) -> Result<Vec<Vec<Seat>>> {
    let mut prng = Prng::new(crate::kill::now_ms() as u64);
    let mut groups: Vec<Vec<consumer::Member>> = Vec::new();
    for name in names {
        groups.push((0..MEMBERS).map(|_| consumer::Member::new(name, &[topic], REBALANCE_MS, &mut prng)).collect());
    }
    for _ in 0..TRIES {
        groups.iter().flatten().try_for_each(|member| client.send(&member.request(), consumer::BEAT))?;
        for member in groups.iter_mut().flatten() {
            match member.answered(&client.receive::<ConsumerGroupHeartbeatRequest>(consumer::BEAT)?)? {
                0 => member.take_up(),
                code if passes(code) => thread::sleep(Duration::from_millis(5)),
                code => return wrong(format!("a heartbeat of {:?}: error {code}", member.place())),
            }
        }
        let is_there = |group: &Vec<consumer::Member>| {
            group.iter().all(|member| member.is_settled() && member.owned.len() == 1 && member.epoch == group[0].epoch)
        };
        if groups.iter().all(is_there) {
            let seats = |group: Vec<consumer::Member>| group.into_iter().map(Seat::Consumer).collect();
            return Ok(groups.into_iter().map(seats).collect());
        }
    }
    wrong(format!("some of {} groups do not get together, such as {:?}", groups.len(), groups[0]))
}
