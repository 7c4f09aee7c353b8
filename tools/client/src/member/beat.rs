//! Heartbeats of a member, on a thread and a connection of their own.

use super::{OLD_GENERATION, REBALANCING, UNKNOWN_MEMBER};
use crate::cluster::text;
use crate::groups::{GroupClient, id};
use kafka_protocol::messages::HeartbeatRequest;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// Between two of them: others wait so long for this member to hear of a rebalance.
const INTERVAL: Duration = Duration::from_secs(1);
/// Who does nothing with what it reads for so long gives others a turn, as with Kafka's `max.poll.interval.ms`.
const POLL_INTERVAL_MAX: Duration = Duration::from_secs(300);

#[derive(Debug)]
struct State {
    /// Whose heartbeats are to be sent: the member's id and generation.
    of: Option<(String, i32)>,
    rebalancing: bool,
    lost: bool,
    polled: Instant,
}

/// The member's side.
pub(super) struct Beats(Arc<Mutex<State>>);

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Beats {
    /// Starts the thread; it ends when this is dropped.
    pub fn start(groups: GroupClient, group: String) -> Beats {
        let state = State { of: None, rebalancing: false, lost: false, polled: Instant::now() };
        let state = Arc::new(Mutex::new(state));
        let weak = Arc::downgrade(&state);
        thread::spawn(move || run(groups, &group, &weak));
        Beats(state)
    }

    /// The member has a generation.
    pub fn begin(&self, member: &str, generation: i32) {
        let mut state = lock(&self.0);
        (state.of, state.rebalancing, state.lost) = (Some((member.to_string(), generation)), false, false);
    }

    /// None are sent until the next generation.
    pub fn pause(&self) {
        let mut state = lock(&self.0);
        (state.of, state.rebalancing, state.lost) = (None, false, false);
    }

    /// The group has said elsewhere that it does not know the member.
    pub fn lose(&self) {
        lock(&self.0).lost = true;
    }

    pub fn polled(&self) {
        lock(&self.0).polled = Instant::now();
    }

    pub fn is_rebalancing(&self) -> bool {
        lock(&self.0).rebalancing
    }

    pub fn is_lost(&self) -> bool {
        lock(&self.0).lost
    }
}

fn run(mut groups: GroupClient, group: &str, state: &Weak<Mutex<State>>) {
    loop {
        thread::sleep(INTERVAL);
        let Some(strong) = state.upgrade() else { return };
        let of = {
            let state = lock(&strong);
            state.of.clone().filter(|_| state.polled.elapsed() < POLL_INTERVAL_MAX)
        };
        drop(strong);
        let Some((member, generation)) = of else { continue };
        let request = HeartbeatRequest::default()
            .with_group_id(id(group))
            .with_generation_id(generation)
            .with_member_id(text(&member));
        let told = groups.one(group, "stay in", |client| client.call(&request).map(|answer| (answer.error_code, ())));
        // Without an answer it is tried again, until the session is over for the group.
        let Ok(Err(refusal)) = told else { continue };
        let Some(strong) = state.upgrade() else { return };
        let mut state = lock(&strong);
        if state.of != Some((member, generation)) {
            continue;
        }
        match refusal.code {
            REBALANCING => state.rebalancing = true,
            UNKNOWN_MEMBER | OLD_GENERATION => state.lost = true,
            _ => {}
        }
    }
}
