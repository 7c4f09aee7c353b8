//! What all clients of a run know of the tree together: one history of changes in the order of their zxids, with which
//! everything must agree that anybody is told, whenever and by whichever node.
//!
//! A change that was not answered may have come about, once, or not at all. Data say which request they come of; so whoever
//! reads them tells at which zxid it came about, and with it all else that the same request did.

use super::line::{Kind, Line, Sight};
use super::{CONTAINERS, COUNTERS, GUARD, MORTALS};
use crate::violation::{Rule, Violation};
use std::collections::{BTreeMap, BTreeSet};

/// The number by which data name the request that they come of.
pub type Attempt = u64;

/// One thing that a request is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// Of a sequential znode, what its number is put behind.
    pub path: String,
    pub kind: Kind,
    pub sequential: bool,
    /// The session that what is made goes with; 0: none.
    pub owner: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    /// It came about by this change.
    Done(i64),
    Refused,
}

#[derive(Debug)]
struct Asked {
    effects: Vec<Effect>,
    /// The newest change that was answered before this was asked.
    floor: i64,
    fate: Fate,
}

/// A session, as clients know it.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// The least that any of its connections asked for: it may be gone after that, since not every server knows of the others.
    timeout: u64,
    /// When something was asked last that came about: it was heard of then, or later.
    touched: u64,
    /// The newest zxid that it was told of.
    told: i64,
    /// It had ended by then.
    ended: Option<i64>,
    /// A client was told then that it is gone.
    denied: Option<u64>,
}

/// An event that a client was told, between two answers that tell of these zxids.
#[derive(Clone, Debug)]
pub struct Claim {
    pub path: String,
    pub of_children: bool,
    pub behind: i64,
    pub through: i64,
}

/// A watch that stays, on one connection: what was told from one zxid through another.
#[derive(Clone, Debug)]
pub struct Stretch {
    pub path: String,
    pub recursive: bool,
    pub from: i64,
    pub to: i64,
    pub claims: Vec<Claim>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Annals {
    lines: BTreeMap<String, Line>,
    asked: BTreeMap<Attempt, Asked>,
    /// Requests that may have changed a path, or may yet.
    open: BTreeMap<String, BTreeSet<Attempt>>,
    next: Attempt,
    /// The newest change that somebody was told has come about.
    pub newest: i64,
    sessions: BTreeMap<i64, Known>,
    /// Writes that a lock guards, by their changes: the lock's token.
    guarded: BTreeMap<i64, i64>,
    claims: Vec<Claim>,
    stretches: Vec<Stretch>,
    /// What stands for the tree behind a change.
    digests: BTreeMap<i64, (usize, u64)>,
    /// Changes may be refused for lack of room.
    pub lacks_room: bool,
    /// For the report.
    pub written: u64,
    pub read: u64,
    pub events: u64,
    pub expired: u64,
    pub held: u64,
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn below(path: &str, top: &str) -> bool {
    path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn wrong(rule: Rule, text: impl Into<String>) -> Result<(), Violation> {
    Err(Violation::new(rule, text))
}

impl Annals {
    /// Something is asked that may change something; the number that its data are to tell.
    pub fn ask(&mut self, effects: Vec<Effect>) -> Attempt {
        self.next += 1;
        for effect in &effects {
            self.open.entry(effect.path.clone()).or_default().insert(self.next);
        }
        self.asked.insert(self.next, Asked { effects, floor: self.newest, fate: Fate::Open });
        self.next
    }

    fn settle_one(&mut self, attempt: Attempt, fate: Fate) {
        let asked = self.asked.get_mut(&attempt).expect("it was asked");
        asked.fate = fate;
        for effect in &asked.effects {
            if let Some(open) = self.open.get_mut(&effect.path) {
                open.remove(&attempt);
            }
        }
    }

    /// It was answered with an error, by what there was at `at`: nothing of it has come about.
    pub fn refused(&mut self, attempt: Attempt, error: i32, at: i64) -> Result<(), Violation> {
        let asked = &self.asked[&attempt];
        if at < asked.floor {
            let (effects, floor) = (&asked.effects, asked.floor);
            let text = format!(
                "{effects:?} was refused with error {error} by what was there at {at:#x}, and {floor:#x} was answered before \
                 it was asked"
            );
            return wrong(Rule::OneOrder, text);
        }
        if let Fate::Done(at) = asked.fate {
            let text = format!("{:?} was answered with error {error}, and was done by change {at:#x}", asked.effects);
            return wrong(Rule::OneOrder, text);
        }
        self.settle_one(attempt, Fate::Refused);
        Ok(())
    }

    /// It came about by change `at`. `names`: the paths of what it did.
    pub fn done(&mut self, attempt: Attempt, at: i64, names: &[String]) -> Result<(), Violation> {
        let Asked { effects, floor, fate } = &self.asked[&attempt];
        let (effects, floor) = (effects.clone(), *floor);
        match fate {
            Fate::Open => {}
            Fate::Done(before) if *before == at => {}
            fate => return wrong(Rule::OneOrder, format!("{effects:?} was done by change {at:#x}, and is {fate:?}")),
        }
        if at <= floor {
            let text =
                format!("{effects:?} was done by change {at:#x}, and {floor:#x} was answered before it was asked");
            return wrong(Rule::OneOrder, text);
        }
        self.settle_one(attempt, Fate::Done(at));
        for (n, effect) in effects.iter().enumerate() {
            let name = names.get(n).cloned().or((!effect.sequential).then(|| effect.path.clone()));
            if let Some(path) = name {
                self.change(&path, at, effect.kind, effect.owner)?;
            }
        }
        Ok(())
    }

    /// The answer to it has come.
    pub fn acknowledged(&mut self, attempt: Attempt, at: i64, names: &[String]) -> Result<(), Violation> {
        self.written += 1;
        self.newest = self.newest.max(at);
        self.done(attempt, at, names)
    }

    fn line(&mut self, path: &str) -> &mut Line {
        self.lines.entry(path.to_string()).or_default()
    }

    fn change(&mut self, path: &str, at: i64, kind: Kind, owner: i64) -> Result<(), Violation> {
        let of = |text: String| Violation::new(Rule::OneOrder, format!("{path}: {text}"));
        self.line(path).change(at, kind, owner).map_err(of)?;
        if kind != Kind::Set {
            self.line(parent(path)).child_changed(at).map_err(of)?;
        }
        Ok(())
    }

    /// A znode was seen at `at`, with the request that its data name and the number behind that.
    pub fn seen(&mut self, path: &str, at: i64, sight: &Sight, data: Option<(Attempt, i64)>) -> Result<(), Violation> {
        self.read += 1;
        let of = |text: String| Violation::new(Rule::OneOrder, format!("{path}: {text}"));
        let is_new = !self.line(path).changes.contains_key(&sight.czxid);
        self.line(path).seen(at, sight).map_err(of)?;
        if is_new {
            self.line(parent(path)).child_changed(sight.czxid).map_err(of)?;
        }
        self.line(path).calm(sight.pzxid, at).map_err(of)?;
        if let Some(ended) = self.ended(sight.owner).filter(|ended| *ended <= at) {
            let text = format!("{path} is there at {at:#x}, and its session had ended by {ended:#x}");
            return wrong(Rule::SessionLife, text);
        }
        let Some((attempt, count)) = data else { return Ok(()) };
        let comes_of = self.asked.get(&attempt).map_or(&[][..], |asked| &asked.effects);
        let fits = |effect: &Effect| match effect.sequential {
            _ if effect.kind == Kind::Gone => false,
            true => path.starts_with(&effect.path),
            false => effect.path == path,
        };
        if !comes_of.iter().any(fits) {
            return wrong(Rule::OneOrder, format!("{path}: nobody wrote what is there: {attempt} {count}"));
        }
        let names: Vec<String> = comes_of
            .iter()
            .map(|effect| if effect.sequential { path.to_string() } else { effect.path.clone() })
            .collect();
        self.done(attempt, sight.mzxid, &names)?;
        if path.starts_with(COUNTERS) && count != i64::from(sight.version) {
            let text = format!("{path} counts {count}, and has been changed {} times", sight.version);
            return wrong(Rule::OneOrder, text);
        }
        if path == GUARD { self.guarded(sight.mzxid, count) } else { Ok(()) }
    }

    /// The guarded znode was written by change `at` under a lock with that token.
    fn guarded(&mut self, at: i64, token: i64) -> Result<(), Violation> {
        let older = self.guarded.range(..at).next_back().filter(|(_, of)| **of > token);
        let newer = self.guarded.range(at..).next().filter(|(_, of)| **of < token);
        if let Some((other, of)) = older.or(newer) {
            let text = format!("change {at:#x} was made under lock {token:#x}, and {other:#x} under {of:#x}");
            return wrong(Rule::LockSafety, text);
        }
        self.guarded.insert(at, token);
        Ok(())
    }

    fn ended(&self, owner: i64) -> Option<i64> {
        self.sessions.get(&owner)?.ended
    }

    /// Somebody may have removed it, as far as is known.
    fn may_be_removed(&self, path: &str) -> bool {
        let of = |attempt: &Attempt| {
            self.asked[attempt].effects.iter().any(|effect| effect.kind == Kind::Gone && effect.path == path)
        };
        self.open.get(path).is_some_and(|open| open.iter().any(of))
    }

    fn may_be_made(&self, path: &str) -> bool {
        let made = |attempt: &Attempt| {
            self.asked[attempt].effects.iter().any(|effect| effect.kind == Kind::Made && path.starts_with(&effect.path))
        };
        self.open.iter().filter(|(of, _)| path.starts_with(of.as_str())).any(|(_, open)| open.iter().any(made))
    }

    /// A znode was not there at `at`.
    pub fn missing(&mut self, path: &str, at: i64) -> Result<(), Violation> {
        self.read += 1;
        let of = |text: String| Violation::new(Rule::OneOrder, format!("{path}: {text}"));
        let Some((czxid, owner)) = self.line(path).missing(at).map_err(of)? else { return Ok(()) };
        if self.may_be_removed(path) {
            return Ok(());
        }
        if owner != 0 {
            return self.session_ended(owner, at);
        }
        let had_child = || self.lines.keys().chain(self.open.keys()).any(|of| parent(of) == path);
        if parent(path) == MORTALS || parent(path) == CONTAINERS && had_child() {
            return Ok(());
        }
        wrong(Rule::OneOrder, format!("{path}, made by change {czxid:#x}, is gone at {at:#x}: nobody removed it"))
    }

    /// The children of a znode, as they were at `at`.
    pub fn listed(&mut self, path: &str, at: i64, names: &BTreeSet<String>, sight: &Sight) -> Result<(), Violation> {
        self.seen(path, at, sight, None)?;
        let top = format!("{path}/");
        let under = self.lines.range(top.clone()..).map(|(of, _)| of).take_while(|of| of.starts_with(&top));
        let known: Vec<String> = under.filter(|of| parent(of) == path).cloned().collect();
        for child in known {
            let name = &child[path.len() + 1..];
            if !names.contains(name) {
                self.missing(&child, at)?;
            } else if self.lines[&child].was_removed(at) && !self.may_be_made(&child) {
                return wrong(Rule::OneOrder, format!("{child} was removed before {at:#x}, and is listed"));
            }
        }
        Ok(())
    }

    /// A session begins.
    pub fn session(&mut self, id: i64, timeout: u64, asked: u64) {
        let new = Known { timeout, touched: asked, told: 0, ended: None, denied: None };
        self.sessions.entry(id).or_insert(new);
    }

    /// A session is to be taken up, and to live for so long: whether its client hears of that or not.
    pub fn taken_up(&mut self, id: i64, timeout: u64) {
        let known = self.sessions.get_mut(&id).expect("it began");
        known.timeout = known.timeout.min(timeout);
    }

    /// An answer in a session told of `at`.
    pub fn told(&mut self, id: i64, at: i64) -> Result<(), Violation> {
        let known = self.sessions.get_mut(&id).expect("it began");
        if at < known.told {
            let text = format!("session {id:#x} was told of {:#x}, and then of {at:#x}", known.told);
            return wrong(Rule::SessionOrder, text);
        }
        known.told = at;
        if let Some(ended) = known.ended.filter(|ended| *ended <= at) {
            let text = format!("session {id:#x} is served at {at:#x}, and one of its znodes was gone at {ended:#x}");
            return wrong(Rule::SessionLife, text);
        }
        Ok(())
    }

    /// What was asked in a session at `asked` has come about.
    pub fn touched(&mut self, id: i64, asked: u64) {
        let known = self.sessions.get_mut(&id).expect("it began");
        known.touched = known.touched.max(asked);
    }

    /// What was asked at `asked` went through the log, and its answer tells of `at`: sessions that had been said to be gone before
    /// had ended by then.
    pub fn behind(&mut self, asked: u64, at: i64) {
        for known in self.sessions.values_mut().filter(|known| known.denied.is_some_and(|since| since <= asked)) {
            known.ended = Some(known.ended.map_or(at, |ended| ended.min(at)));
        }
    }

    fn session_ended(&mut self, id: i64, by: i64) -> Result<(), Violation> {
        let Some(known) = self.sessions.get_mut(&id) else {
            return wrong(Rule::SessionLife, format!("a znode is of session {id:#x}, which nobody began"));
        };
        known.ended = Some(known.ended.map_or(by, |ended| ended.min(by)));
        if known.told >= by {
            let text =
                format!("session {id:#x} was told of {:#x}, and one of its znodes was gone at {by:#x}", known.told);
            return wrong(Rule::SessionLife, text);
        }
        Ok(())
    }

    /// A client has closed its session by change `at`.
    pub fn closed(&mut self, id: i64, at: i64) -> Result<(), Violation> {
        self.newest = self.newest.max(at);
        let known = self.sessions.get_mut(&id).expect("it began");
        known.ended = Some(known.ended.map_or(at, |ended| ended.min(at)));
        let its = |line: &Line| line.alive.iter().any(|(_, (to, owner))| *owner == id && *to >= at);
        match self.lines.iter().find(|(_, line)| its(line)) {
            None => Ok(()),
            Some((path, _)) => {
                wrong(Rule::SessionLife, format!("{path} is there behind {at:#x}, by which its session was closed"))
            }
        }
    }

    /// A client is told that its session is gone. `was_asked`: it may have ended it itself.
    pub fn expired(&mut self, id: i64, now: u64, was_asked: bool) -> Result<(), Violation> {
        self.expired += 1;
        let known = self.sessions.get_mut(&id).expect("it began");
        known.denied.get_or_insert(now);
        if now < known.touched + known.timeout && !was_asked {
            let ms = (now - known.touched) / 1_000_000;
            let text = format!(
                "session {id:#x} is said to be gone, {ms} ms after it asked for something that was done; its timeout is \
                 {} ms",
                known.timeout / 1_000_000
            );
            return wrong(Rule::SessionLife, text);
        }
        Ok(())
    }

    /// A znode is there long after all clients have ended: it is of no session that any had.
    pub fn is_nobodys(&self, path: &str, owner: i64) -> Result<(), Violation> {
        if owner == 0 {
            return Ok(());
        }
        wrong(Rule::SessionLife, format!("{path} has outlived its session {owner:#x}"))
    }

    /// A client was told of an event.
    pub fn claim(&mut self, claim: Claim) {
        self.events += 1;
        self.claims.push(claim);
    }

    /// What a watch that stays was told on one connection.
    pub fn stretch(&mut self, stretch: Stretch) {
        self.stretches.push(stretch);
    }

    /// A watch of a znode's data was silent from `from` through `to`, as it was not there.
    pub fn absent(&mut self, path: &str, from: i64, to: i64) -> Result<(), Violation> {
        let of = |text: String| Violation::new(Rule::Watches, format!("{path}, which was watched: {text}"));
        self.line(path).still(from, to).map_err(of)?;
        self.line(path).missing(to).map(|_| ()).map_err(of)
    }

    /// A watch of a znode was silent through `to` since it was seen.
    pub fn silent(&mut self, path: &str, to: i64, sight: &Sight, of_children: bool) -> Result<(), Violation> {
        let of = |text: String| Violation::new(Rule::Watches, format!("{path}, which was watched: {text}"));
        if of_children {
            self.line(path).there(sight.czxid, to, sight.owner).map_err(of)?;
            return self.line(path).calm(sight.pzxid, to).map_err(of);
        }
        self.line(path).there(sight.czxid, to, sight.owner).map_err(of)?;
        self.line(path).still(sight.mzxid, to).map_err(of)
    }

    /// Node `node` has a tree behind change `at` that this stands for.
    pub fn digest(&mut self, node: usize, at: i64, digest: u64) -> Result<(), Violation> {
        let (other, known) = *self.digests.entry(at).or_insert((node, digest));
        if known == digest {
            return Ok(());
        }
        let text =
            format!("behind change {at:#x} node {node} has tree {digest:016x}, and node {other} had {known:016x}");
        wrong(Rule::TreesAgree, text)
    }

    /// All is known that ever will be.
    pub fn end(&mut self) -> Result<(), Violation> {
        for claim in &self.claims {
            if !self.may_be_true(claim) {
                return wrong(Rule::Watches, format!("an event came of nothing: {claim:x?}"));
            }
        }
        for stretch in &self.stretches {
            self.look_along(stretch)?;
        }
        for (path, line) in &self.lines {
            let of = |text: String| Violation::new(Rule::OneOrder, format!("{path}: {text}"));
            let open = self.open.get(path).map_or(0, BTreeSet::len);
            let unknown = line.unknown_versions().map_err(of)?;
            if unknown > open {
                let text = format!("{path} has {unknown} versions that nobody knows of, and {open} changes are open");
                return wrong(Rule::OneOrder, text);
            }
        }
        Ok(())
    }

    /// Some change is known, or may have been made, that a claim tells of.
    fn may_be_true(&self, claim: &Claim) -> bool {
        let Claim { path, of_children, behind, through } = claim;
        let within = |at: &i64| *behind < *at && at <= through;
        let is_known = self.lines.get(path).is_some_and(|line| match of_children {
            true => line.children.iter().any(within),
            false => line.changes.keys().any(within),
        });
        // What is numbered is open under what the number is put behind.
        let touches = |of: &str| if *of_children { parent(of) == path } else { path.starts_with(of) };
        let ends_by_itself = |of: &str, line: &Line| {
            let is_mortal = parent(of) == MORTALS || parent(of) == CONTAINERS;
            line.alive.values().any(|(to, owner)| (is_mortal || *owner != 0) && to < through)
        };
        is_known
            || self.open.iter().any(|(of, open)| !open.is_empty() && touches(of))
            || self.lines.iter().any(|(of, line)| touches(of) && ends_by_itself(of, line))
    }

    /// All changes are told that a watch that stays was there for.
    fn look_along(&self, stretch: &Stretch) -> Result<(), Violation> {
        let Stretch { path, recursive, from, to, claims } = stretch;
        let mut used = vec![false; claims.len()];
        let mut look = |of: &str, of_children: bool, at: i64| {
            let tells = |claim: &Claim| {
                claim.path == of && claim.of_children == of_children && claim.behind < at && at <= claim.through
            };
            match (0..claims.len()).find(|n| !used[*n] && tells(&claims[*n])) {
                Some(n) => {
                    used[n] = true;
                    Ok(())
                }
                None => {
                    let kind = if *recursive { "all below it" } else { "it" };
                    let text = format!(
                        "{path} was watched, and {kind}, from {from:#x} through {to:#x}, and change {at:#x} of {of} was not told"
                    );
                    wrong(Rule::Watches, text)
                }
            }
        };
        let within = |at: &&i64| from < *at && *at <= to;
        for (of, line) in self.lines.iter().filter(|(of, _)| if *recursive { below(of, path) } else { *of == path }) {
            for at in line.changes.keys().filter(within) {
                look(of, false, *at)?;
            }
            if !recursive {
                for at in line.children.iter().filter(within) {
                    look(of, true, *at)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "annals_tests.rs"]
mod tests;
