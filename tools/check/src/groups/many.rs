//! Thousands of groups of three, of both protocols, whose members only send heartbeats: what that costs in CPU and memory, and how
//! soon all are served again after `kill -9`.

use super::place::{BEATS_EVERY, MEMBERS, Seat, make};
use super::{Plan, requests};
use crate::failure::{Result, wrong};
use crate::process::{Launch, Server, raise_open_files};
use crate::report::{Report, ms};
use crate::wire::Client;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

pub const THREADS: usize = 4;
/// Heartbeats go out at their time, give or take this: a client that looked all the time would have the core to itself.
const LOOK: Duration = Duration::from_millis(2);
/// Connections: one for the three members of a group, or of several.
const CONNECTIONS_MAX: u64 = 10_000;
/// Requests under way on one connection, where it is about being quick.
pub const AT_ONCE: usize = 100;
const TOPIC: &str = "many";

const READY_MAX: Duration = Duration::from_secs(3);
/// The promise speaks of this share of one core.
const CPU_MAX: f64 = 0.2;
/// Of the heartbeats that should have been sent so many must have been, or the share is of something else.
const SENT_MIN: f64 = 0.98;
/// The promises speak of so many groups.
const PROMISED: u32 = 10_000;

/// What is measured.
pub const NUMBERS: &[&str] = &[
    "groups_of_three",
    "memory_of_a_group_made_bytes",
    "memory_of_a_group_loaded_bytes",
    "memory_of_a_connection_bytes",
    "heartbeats_per_second",
    "heartbeats_cpu_percent_of_a_core",
    "ready_after_kill_ms",
    "all_groups_answer_after_kill_ms",
    "all_members_answer_after_kill_ms",
];

/// Makes the groups, beats their hearts, kills the server.
pub fn run(plan: &Plan, report: &mut Report) -> Result<()> {
    let mut launch = Launch::new(&plan.torc, &plan.dir).shards(plan.shards);
    // No busy machine shall throw anybody out.
    let settings = [
        "group.initial.rebalance.delay.ms=1000",
        "group.consumer.max.session.timeout.ms=300000",
        "group.consumer.session.timeout.ms=300000",
    ];
    launch.more = settings.iter().flat_map(|setting| ["--set".to_string(), setting.to_string()]).collect();
    let mut server = launch.start()?;
    let names: Vec<String> = (0..plan.groups).map(|number| format!("many-{number}")).collect();
    // The coordinators and their topic are no group's.
    let mut client = requests::connect(server.kafka, &names[0])?;
    client.create_topic(TOPIC, MEMBERS as i32, &[])?;
    names.iter().take(200).try_for_each(|name| requests::committed(&mut client, name, TOPIC, 1).map(drop))?;
    let (empty, _) = server.memory()?;
    let mut seats = make_all(server.kafka, &names)?;
    let (full, _) = server.memory()?;
    report.number("groups_of_three", f64::from(plan.groups));
    report.number("memory_of_a_group_made_bytes", per(full, empty, names.len()));
    beat_for(&server, &mut seats, plan, full, report)?;
    server.kill()?;

    let began = Instant::now();
    let mut server = launch.start()?;
    beat_all(server.kafka, &mut seats, |member| member == 0)?;
    let groups = began.elapsed();
    beat_all(server.kafka, &mut seats, |member| member > 0)?;
    let members = began.elapsed();
    report.number("ready_after_kill_ms", ms(server.ready));
    report.number("all_groups_answer_after_kill_ms", ms(groups));
    report.number("all_members_answer_after_kill_ms", ms(members));
    report.number("memory_of_a_group_loaded_bytes", per(server.memory()?.0, empty, names.len()));
    if plan.groups >= PROMISED {
        report.demand_within(format!("after kill -9 all {} groups answer a heartbeat", plan.groups), groups, READY_MAX);
    }
    let seen = format!("{} members of {} groups", seats.iter().map(Vec::len).sum::<usize>(), seats.len());
    report.demand("after kill -9 all members are known, in their generations and epochs", true, seen);
    server.stop()
}

/// Bytes of each of `count`.
fn per(after: u64, before: u64, count: usize) -> f64 {
    after.saturating_sub(before) as f64 / count as f64
}

/// Every member sends heartbeats as often as clients do by default, each at times of its own, on a connection of its group.
fn beat_for(server: &Server, seats: &mut [Vec<Seat>], plan: &Plan, memory: u64, report: &mut Report) -> Result<()> {
    // Some files are the process's own.
    let most = CONNECTIONS_MAX.min(raise_open_files().saturating_sub(500)).max(1) as usize;
    let groups_each = seats.len().div_ceil(most);
    let due: f64 = seats.iter().flatten().map(|seat| 1.0 / seat.beats_every().as_secs_f64()).sum();
    let mut lanes = on_threads(seats, |part| {
        let mut lanes = Vec::new();
        for groups in part.chunks_mut(groups_each) {
            let client = Client::connect(server.kafka)?;
            lanes.push((client, groups));
        }
        Ok(lanes)
    })?;
    let connections: usize = lanes.iter().map(Vec::len).sum();
    // A first round makes connections what they are to be.
    let warm = beat_lanes(&mut lanes, BEATS_EVERY[0])?;
    report.number("memory_of_a_connection_bytes", per(server.memory()?.0, memory, connections));
    let (cpu, began) = (server.metric("process_cpu_seconds_total")?, Instant::now());
    let beats = beat_lanes(&mut lanes, Duration::from_secs(plan.seconds))?;
    let seconds = began.elapsed().as_secs_f64();
    let share = (server.metric("process_cpu_seconds_total")? - cpu) / seconds;
    report.number("heartbeats_per_second", beats as f64 / seconds);
    report.number("heartbeats_cpu_percent_of_a_core", share * 100.0);
    report.demand("heartbeats are answered, all of them", warm > 0 && beats > 0, format!("{}", warm + beats));
    if plan.groups >= PROMISED {
        let sent = beats as f64 / seconds / due;
        let seen = format!("{:.1} %, with {:.0} % of {due:.0} heartbeats a second", share * 100.0, sent * 100.0);
        let good = share < CPU_MAX && sent >= SENT_MIN;
        report.demand_of_time(format!("heartbeats take under {} % of a core", CPU_MAX * 100.0), good, seen);
    }
    Ok(())
}

/// A connection with the groups that use it.
type Lane<'a> = (Client, &'a mut [Vec<Seat>]);

/// Beats for so long; how many heartbeats were answered.
fn beat_lanes(lanes: &mut [Vec<Lane>], time: Duration) -> Result<u64> {
    thread::scope(|scope| {
        let hands: Vec<_> = lanes.iter_mut().map(|lanes| scope.spawn(move || beat_lane(lanes, time))).collect();
        let beats: Result<Vec<u64>> = hands.into_iter().map(|hand| hand.join().expect("no thread panics")).collect();
        Ok(beats?.into_iter().sum())
    })
}

/// The heartbeats of members that send them equally often.
struct Due {
    every: Duration,
    /// Whose turn it is, one after the other, on and on: connection, group, member.
    order: Vec<(usize, usize, usize)>,
    next: usize,
}

/// First one member of each group, then the next.
fn order(lanes: &[Lane], every: Duration) -> Due {
    let mut order = Vec::new();
    for member in 0..MEMBERS {
        for (lane, (_, groups)) in lanes.iter().enumerate() {
            let of_kind = (0..groups.len()).filter(|group| groups[*group][member].beats_every() == every);
            order.extend(of_kind.map(|group| (lane, group, member)));
        }
    }
    Due { every, order, next: 0 }
}

/// The heartbeats of some connections, evenly over their intervals.
fn beat_lane(lanes: &mut [Lane], time: Duration) -> Result<u64> {
    let mut dues = BEATS_EVERY.map(|every| order(lanes, every));
    let (began, mut beats) = (Instant::now(), 0);
    while began.elapsed() < time {
        let mut some = Vec::new();
        for Due { every, order, next } in &mut dues {
            let due = (began.elapsed().as_secs_f64() / every.as_secs_f64() * order.len() as f64) as usize;
            // Who is late catches up, but not with all of it at once.
            let until = due.min(*next + lanes.len());
            some.extend((*next..until).map(|at| order[at % order.len()]));
            *next = until;
        }
        for (lane, group, member) in &some {
            let (client, groups) = &mut lanes[*lane];
            groups[*group][*member].send(client)?;
        }
        for (lane, group, member) in &some {
            let (client, groups) = &mut lanes[*lane];
            let seat = &mut groups[*group][*member];
            match seat.receive(client)? {
                0 => beats += 1,
                code => return wrong(format!("a heartbeat of {:?}: error {code}", seat.place())),
            }
        }
        thread::sleep(LOOK);
    }
    Ok(beats)
}

/// Works on parts of `items` on several threads.
fn on_threads<'a, T: Send, R: Send>(
    items: &'a mut [T],
    work: impl Fn(&'a mut [T]) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let work = &work;
    thread::scope(|scope| {
        let each = items.len().div_ceil(THREADS).max(1);
        let hands: Vec<_> = items.chunks_mut(each).map(|part| scope.spawn(move || work(part))).collect();
        hands.into_iter().map(|hand| hand.join().expect("no thread panics")).collect()
    })
}

/// A heartbeat of these members of every group, as quickly as it goes.
fn beat_all(address: SocketAddr, seats: &mut [Vec<Seat>], which: impl Fn(usize) -> bool + Sync) -> Result<()> {
    on_threads(seats, |groups| {
        let mut client = requests::connect(address, &groups[0][0].place().group)?;
        for some in groups.chunks_mut(AT_ONCE) {
            let mut wanted: Vec<&mut Seat> = Vec::new();
            for group in some.iter_mut() {
                wanted.extend(group.iter_mut().enumerate().filter(|(n, _)| which(*n)).map(|(_, seat)| seat));
            }
            wanted.iter().try_for_each(|seat| seat.send(&mut client))?;
            let mut again = Vec::new();
            for seat in wanted {
                match seat.receive(&mut client)? {
                    0 => {}
                    code if requests::passes(code) => again.push(seat),
                    code => return wrong(format!("a heartbeat of {:?}: error {code}", seat.place())),
                }
            }
            // Their coordinators are being loaded.
            for seat in again {
                match seat.beat(&mut client)? {
                    0 => {}
                    code => return wrong(format!("a heartbeat of {:?}: error {code}", seat.place())),
                }
            }
        }
        Ok(())
    })
    .map(drop)
}

/// All groups with their members.
fn make_all(address: SocketAddr, names: &[String]) -> Result<Vec<Vec<Seat>>> {
    let mut numbered: Vec<(usize, &String)> = names.iter().enumerate().collect();
    let parts = on_threads(&mut numbered, |part| make(address, TOPIC, part))?;
    Ok(parts.into_iter().flatten().collect())
}
