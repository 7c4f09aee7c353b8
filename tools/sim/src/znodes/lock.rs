//! A lock as recipes have it: numbered ephemeral znodes, each client behind the one before its own, and a token, the change
//! that made its znode, with everything that is written under it. Who believes to hold it though its session is gone is
//! refused, as its znode is gone then.

use super::asked::{Asked, Op, Why};
use super::client::Client;
use super::{GUARD, LOCK};
use crate::wire::Port;
use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};
use torc_base::prng::Prng;
use torc_net::zookeeper::Kind;

/// How far it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Step {
    #[default]
    Idle,
    /// It has asked for a znode.
    Making,
    /// It is to look who else is there.
    ToList,
    Listing,
    /// Somebody is before it, here.
    ToLook(String),
    Looking(String),
    Waiting(String),
    /// For so many turns more.
    Held(u32),
    Releasing,
    /// Nobody told whether there is a znode.
    Lost,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Lock {
    step: Step,
    /// Its znode and the token.
    mine: Option<(String, i64)>,
    /// What it held when its session went.
    former: Option<(String, i64)>,
}

impl Lock {
    /// Nobody told whether there is a znode of a session that lives.
    pub fn is_lost(&self) -> bool {
        self.step == Step::Lost
    }

    pub fn disconnected(&mut self) {
        self.step = match std::mem::take(&mut self.step) {
            Step::Making | Step::Lost => Step::Lost,
            Step::Idle => Step::Idle,
            Step::Held(turns) => Step::Held(turns),
            _ => Step::ToList,
        };
    }

    pub fn session_over(&mut self) {
        if matches!(self.step, Step::Held(_)) {
            self.former = self.mine.take();
        }
        (self.step, self.mine) = (Step::Idle, None);
    }

    pub fn event(&mut self, path: &str) {
        if self.step == Step::Waiting(path.to_string()) {
            self.step = Step::ToList;
        }
    }

    pub fn looked(&mut self, found: bool) {
        if let Step::Looking(before) = &self.step {
            self.step = if found { Step::Waiting(before.clone()) } else { Step::ToList };
        }
    }

    pub fn listed(&mut self, names: &BTreeSet<String>, held: &mut u64, rng: &mut Prng) {
        let (Step::Listing, Some((mine, _))) = (&self.step, &self.mine) else { return };
        let mine = mine.rsplit('/').next().expect("a path has a name");
        self.step = match names.range::<str, _>((Unbounded, Excluded(mine))).next_back() {
            _ if !names.contains(mine) => Step::Idle,
            Some(before) => Step::ToLook(format!("{LOCK}/{before}")),
            None => {
                *held += 1;
                Step::Held(rng.between(1, 20) as u32)
            }
        };
    }

    pub fn changed(&mut self, made: Option<&str>, at: i64) {
        match (&self.step, made) {
            (Step::Making, Some(path)) => {
                self.mine = Some((path.to_string(), at));
                self.step = Step::ToList;
            }
            (Step::Making | Step::Releasing, _) => (self.step, self.mine) = (Step::Idle, None),
            _ => {}
        }
    }
}

/// A write under a lock: it is done only while the lock's znode is there.
fn guarded((name, token): &(String, i64)) -> Vec<Op> {
    vec![Op::check(name, -1), Op::set(GUARD, -1, *token)]
}

impl Client {
    /// Goes on with the lock. True: it asked something.
    pub(super) fn turn_lock(&mut self, port: &mut dyn Port) -> bool {
        if let Some(former) = self.lock.former.clone()
            && self.rng.chance(1, 4)
        {
            self.lock.former = None;
            self.change(port, guarded(&former), true, Why::Load);
            return true;
        }
        match self.lock.step.clone() {
            Step::Idle if self.rng.chance(1, 12) => {
                self.lock.step = Step::Making;
                self.change(port, vec![Op::numbered(&format!("{LOCK}/n-"), Kind::Ephemeral)], false, Why::Lock);
            }
            Step::ToList => {
                self.lock.step = Step::Listing;
                self.ask(port, Asked::List { path: LOCK.to_string(), watch: false, why: Why::Lock });
            }
            Step::ToLook(before) => {
                self.ask(port, Asked::Exists { path: before.clone(), watch: true, why: Why::Lock });
                self.lock.step = Step::Looking(before);
            }
            Step::Held(0) => {
                let (name, _) = self.lock.mine.clone().expect("it holds it");
                self.lock.step = Step::Releasing;
                self.change(port, vec![Op::delete(&name, -1)], false, Why::Lock);
            }
            Step::Held(turns) => {
                self.lock.step = Step::Held(turns - 1);
                if !self.rng.chance(1, 3) {
                    return false;
                }
                let mine = self.lock.mine.clone().expect("it holds it");
                self.change(port, guarded(&mine), true, Why::Load);
            }
            _ => return false,
        }
        true
    }
}
