//! What a client watches, and what it is told of it.
//!
//! A watch that has been silent says as much as a read: as long as no event has come, all that the session is told of has
//! not touched what is watched. An event says that something did, behind the last answer before it, and not behind the next.

use super::annals::{Annals, Claim, Stretch};
use super::line::Sight;
use crate::violation::{Rule, Violation};
use std::collections::BTreeMap;

/// Numbers of events.
mod event {
    pub const CREATED: i32 = 1;
    pub const DELETED: i32 = 2;
    pub const CHILDREN: i32 = 4;
}

/// A znode when its watch was set.
#[derive(Clone, Debug)]
enum Was {
    There(Sight),
    /// It was not, at this zxid.
    Absent(i64),
}

/// A watch that stays.
#[derive(Debug)]
struct Staying {
    /// It is there from this zxid on; `None`: not on this connection.
    from: Option<i64>,
    claims: Vec<Claim>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Watching {
    data: BTreeMap<String, Was>,
    children: BTreeMap<String, Sight>,
    /// By path, and whether all below is watched.
    staying: BTreeMap<(String, bool), Staying>,
    /// Told since the last answer.
    fresh: Vec<Claim>,
}

impl Watching {
    /// A znode was seen at `at`, and is watched.
    pub fn saw(&mut self, annals: &mut Annals, path: &str, at: i64, sight: Option<Sight>) -> Result<(), Violation> {
        if let Some(was) = self.data.remove(path) {
            silent(annals, path, at, &was)?;
        }
        self.data.insert(path.to_string(), sight.map_or(Was::Absent(at), Was::There));
        Ok(())
    }

    /// Children were seen at `at`, and are watched.
    pub fn saw_children(&mut self, annals: &mut Annals, path: &str, at: i64, sight: Sight) -> Result<(), Violation> {
        if let Some(was) = self.children.remove(path) {
            annals.silent(path, at, &was, true)?;
        }
        self.children.insert(path.to_string(), sight);
        Ok(())
    }

    /// A watch stays from `at` on.
    pub fn stays(&mut self, path: &str, recursive: bool, at: i64) {
        let key = (path.to_string(), recursive);
        let one = self.staying.entry(key).or_insert(Staying { from: None, claims: Vec::new() });
        one.from.get_or_insert(at);
    }

    pub fn has_staying(&self, path: &str, recursive: bool) -> bool {
        self.staying.contains_key(&(path.to_string(), recursive))
    }

    /// An event came; `last`: what the answer before told of.
    pub fn event(&mut self, annals: &mut Annals, last: i64, kind: i32, path: &str) -> Result<(), Violation> {
        let mut is_wanted = false;
        if kind != event::CHILDREN
            && let Some(was) = self.data.remove(path)
        {
            is_wanted = true;
            silent(annals, path, last, &was)?;
        }
        if matches!(kind, event::CHILDREN | event::DELETED)
            && let Some(was) = self.children.remove(path)
        {
            is_wanted = true;
            annals.silent(path, last, &was, true)?;
        }
        let of_children = kind == event::CHILDREN;
        let claim = Claim { path: path.to_string(), of_children, behind: last, through: i64::MAX };
        for ((top, recursive), one) in &self.staying {
            let under = path.strip_prefix(top.as_str()).is_some_and(|rest| rest.starts_with('/'));
            is_wanted |= one.from.is_some() && (path == top && !(of_children && *recursive) || under && *recursive);
        }
        if !is_wanted || !(event::CREATED..=event::CHILDREN).contains(&kind) {
            let text = format!("an event of kind {kind} at {path} came behind {last:#x}, and nobody watches");
            return Err(Violation::new(Rule::Watches, text));
        }
        self.fresh.push(claim);
        Ok(())
    }

    /// An answer told of `at`: what caused the events before it is not behind that.
    pub fn answered(&mut self, annals: &mut Annals, at: i64) {
        for claim in std::mem::take(&mut self.fresh) {
            let claim = Claim { through: at, ..claim };
            for one in self.staying.values_mut() {
                one.claims.push(claim.clone());
            }
            annals.claim(claim);
        }
    }

    /// The connection is gone; the session was told of `last`.
    pub fn lost(&mut self, annals: &mut Annals, last: i64) -> Result<(), Violation> {
        self.answered(annals, i64::MAX);
        for ((path, recursive), one) in &mut self.staying {
            let claims = std::mem::take(&mut one.claims);
            if let Some(from) = one.from.take() {
                annals.stretch(Stretch { path: path.clone(), recursive: *recursive, from, to: last, claims });
            }
        }
        for (path, was) in &self.data {
            silent(annals, path, last, was)?;
        }
        for (path, was) in &self.children {
            annals.silent(path, last, was, true)?;
        }
        Ok(())
    }

    /// What is to be watched again on another connection; `None`: nothing.
    pub fn lists(&self) -> Option<[Vec<String>; 5]> {
        let data = |there: bool| {
            let of = self.data.iter().filter(|(_, was)| matches!(was, Was::There(_)) == there);
            of.map(|(path, _)| path.clone()).collect::<Vec<_>>()
        };
        let staying = |recursive: bool| {
            let of = self.staying.keys().filter(|(_, of)| *of == recursive);
            of.map(|(path, _)| path.clone()).collect::<Vec<_>>()
        };
        let children = self.children.keys().cloned().collect();
        let lists = [data(true), data(false), children, staying(false), staying(true)];
        lists.iter().any(|list| !list.is_empty()).then_some(lists)
    }

    /// All is watched again, as it is at `at`.
    pub fn restored(&mut self, at: i64) {
        for was in self.data.values_mut() {
            if let Was::Absent(since) = was {
                *since = at;
            }
        }
        self.staying.values_mut().for_each(|one| one.from = Some(at));
    }
}

fn silent(annals: &mut Annals, path: &str, to: i64, was: &Was) -> Result<(), Violation> {
    match was {
        Was::There(sight) => annals.silent(path, to, sight, false),
        Was::Absent(since) => annals.absent(path, *since, to),
    }
}
