//! What is known of one path: changes at their zxids, and stretches of zxids in which it is known what was not.
//!
//! There is one history. Whoever has seen the path at some zxid has seen what the last change before made of it, so each
//! sight says that nothing changed from that change to the sight. A change within such a stretch is a contradiction, in
//! whichever order the two are learned, and whoever saw which.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included};

/// Kinds of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Made,
    Set,
    Gone,
}

/// A znode as somebody saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    pub czxid: i64,
    pub mzxid: i64,
    pub pzxid: i64,
    pub version: i32,
    /// The session that it goes with; 0: none.
    pub owner: i64,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Line {
    pub changes: BTreeMap<i64, Kind>,
    /// From the change that made it, through which zxid it is known to have been there, and whose it is.
    pub alive: BTreeMap<i64, (i64, i64)>,
    /// From a zxid through another its data did not change, nor whether it is there.
    still: BTreeMap<i64, i64>,
    /// It was not there.
    absent: BTreeSet<i64>,
    /// Versions by the changes that made them, with the change that made the znode.
    pub versions: BTreeMap<i64, (i64, i32)>,
    /// Changes of children.
    pub children: BTreeSet<i64>,
    /// From a zxid through another there was none.
    calm: BTreeMap<i64, i64>,
}

fn stretches_over(stretches: &BTreeMap<i64, i64>, at: i64) -> Option<(i64, i64)> {
    stretches.range(..at).map(|(from, to)| (*from, *to)).find(|(_, to)| *to >= at)
}

fn between<T>(map: &BTreeMap<i64, T>, from: i64, to: i64) -> Option<(i64, &T)> {
    if from >= to {
        return None;
    }
    map.range((Excluded(from), Included(to))).next().map(|(at, what)| (*at, what))
}

impl Line {
    /// A change is known. `owner`: whose it is, of one that was made.
    pub fn change(&mut self, at: i64, kind: Kind, owner: i64) -> Result<(), String> {
        if let Some(before) = self.changes.get(&at) {
            return if *before == kind { Ok(()) } else { Err(format!("change {at:#x} is {kind:?} and {before:?}")) };
        }
        if let Some((from, to)) = stretches_over(&self.still, at) {
            return Err(format!("{kind:?} by change {at:#x}, but as it was from {from:#x} through {to:#x}"));
        }
        let over = self.alive.range(..at).map(|(from, (to, _))| (*from, *to)).find(|(_, to)| *to >= at);
        if let Some((from, to)) = over.filter(|_| kind != Kind::Set) {
            return Err(format!("{kind:?} by change {at:#x}, but there from {from:#x} through {to:#x}"));
        }
        if kind != Kind::Gone && self.absent.contains(&at) {
            return Err(format!("{kind:?} by change {at:#x}, and not there then"));
        }
        self.changes.insert(at, kind);
        match kind {
            Kind::Made => self.there(at, at, owner),
            Kind::Set => Ok(()),
            Kind::Gone => {
                self.absent.insert(at);
                Ok(())
            }
        }
    }

    /// It was there at `at`, made by change `czxid`.
    pub fn there(&mut self, czxid: i64, at: i64, owner: i64) -> Result<(), String> {
        if let Some(gone) = self.absent.range(czxid..=at).next() {
            return Err(format!("made by change {czxid:#x}, seen at {at:#x}, and not there at {gone:#x}"));
        }
        if let Some((other, _)) = between(&self.alive, czxid, at) {
            return Err(format!("made by change {czxid:#x}, seen at {at:#x}, and made by change {other:#x}"));
        }
        let before = self.alive.range(..czxid).find(|(_, (to, _))| *to >= czxid);
        if let Some((other, (to, _))) = before {
            return Err(format!("made by change {czxid:#x}, but there from {other:#x} through {to:#x}"));
        }
        let known = self.alive.entry(czxid).or_insert((at, owner));
        if known.1 != owner {
            return Err(format!("made by change {czxid:#x}, it is {:#x}'s and {owner:#x}'s", known.1));
        }
        known.0 = known.0.max(at);
        Ok(())
    }

    /// Nothing changed behind `from` through `to`.
    pub fn still(&mut self, from: i64, to: i64) -> Result<(), String> {
        if let Some((at, kind)) = between(&self.changes, from, to) {
            return Err(format!("as it was from {from:#x} through {to:#x}, but {kind:?} by change {at:#x}"));
        }
        let known = self.still.entry(from).or_insert(to);
        *known = to.max(*known);
        Ok(())
    }

    /// It was seen at `at`.
    pub fn seen(&mut self, at: i64, sight: &Sight) -> Result<(), String> {
        let Sight { czxid, mzxid, version, owner, .. } = *sight;
        if mzxid < czxid || mzxid > at {
            return Err(format!("made by change {czxid:#x}, changed by {mzxid:#x}, and seen at {at:#x}"));
        }
        let kind = if mzxid == czxid { Kind::Made } else { Kind::Set };
        self.change(czxid, Kind::Made, owner)?;
        self.there(czxid, at, owner)?;
        self.change(mzxid, kind, owner)?;
        self.still(mzxid, at)?;
        let known = *self.versions.entry(mzxid).or_insert((czxid, version));
        if known != (czxid, version) {
            return Err(format!("change {mzxid:#x} made version {version} of it, and {}", known.1));
        }
        let older = self.versions.range(..mzxid).next_back().filter(|(_, (of, _))| *of == czxid);
        let newer = self.versions.range(mzxid + 1..).next().filter(|(_, (of, _))| *of == czxid);
        if older.is_some_and(|(_, (_, before))| *before >= version)
            || newer.is_some_and(|(_, (_, behind))| *behind <= version)
        {
            return Err(format!("version {version} by change {mzxid:#x}, beside {older:x?} and {newer:x?}"));
        }
        Ok(())
    }

    /// It was not there at `at`. Returns the znode that was there before, if nobody is known to have removed it.
    pub fn missing(&mut self, at: i64) -> Result<Option<(i64, i64)>, String> {
        let before = self.alive.range(..=at).next_back().map(|(from, (to, owner))| (*from, *to, *owner));
        if let Some((from, to, _)) = before.filter(|(_, to, _)| *to >= at) {
            return Err(format!("not there at {at:#x}, but from {from:#x} through {to:#x}"));
        }
        self.absent.insert(at);
        let Some((czxid, to, owner)) = before else { return Ok(None) };
        let mut known = self.changes.range((Excluded(to), Included(at))).map(|(_, kind)| *kind);
        Ok((!known.any(|kind| kind == Kind::Gone)).then_some((czxid, owner)))
    }

    /// Whether it was gone at `at`, as far as is known: somebody removed it, and nobody is known to have made it again.
    pub fn was_removed(&self, at: i64) -> bool {
        self.changes.range(..=at).next_back().is_some_and(|(_, kind)| *kind == Kind::Gone)
    }

    /// A child was made, or is gone.
    pub fn child_changed(&mut self, at: i64) -> Result<(), String> {
        if let Some((from, to)) = stretches_over(&self.calm, at) {
            return Err(format!("children changed by {at:#x}, but were the same from {from:#x} through {to:#x}"));
        }
        self.children.insert(at);
        Ok(())
    }

    /// Its children were the same behind `from` through `to`.
    pub fn calm(&mut self, from: i64, to: i64) -> Result<(), String> {
        if from < to
            && let Some(at) = self.children.range((Excluded(from), Included(to))).next()
        {
            return Err(format!("the same children from {from:#x} through {to:#x}, but changed by {at:#x}"));
        }
        let known = self.calm.entry(from).or_insert(to);
        *known = to.max(*known);
        Ok(())
    }

    /// Versions that somebody must have made, and nobody is known to have: at most. An error if two changes made one.
    pub fn unknown_versions(&self) -> Result<usize, String> {
        let mut unknown = 0;
        let all: Vec<(i64, i64, i32)> = self.versions.iter().map(|(at, (of, version))| (*at, *of, *version)).collect();
        for pair in all.windows(2).filter(|pair| pair[0].1 == pair[1].1) {
            let ((from, _, older), (to, _, newer)) = (pair[0], pair[1]);
            let known = self.changes.range((Excluded(from), Included(to))).count();
            let made = (newer - older) as usize;
            if known > made {
                return Err(format!("{known} changes behind {from:#x} through {to:#x} made {made} versions"));
            }
            unknown += made - known;
        }
        Ok(unknown)
    }
}
