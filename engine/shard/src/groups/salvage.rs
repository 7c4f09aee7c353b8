//! What damage has taken of the groups of a replica, and what it may promise from then on.
//!
//! A node alone refuses a damaged log; one of several starts with what is whole of it, and gets the rest from the others.
//! What it must not do meanwhile follows from what is lost (`engine/consensus/src/doubt.rs`):
//!
//! - An entry whose bytes are damaged, behind the checkpoint: the group's log ends in front of it. Its terms and votes are
//!   known, and how far the log had reached. It votes only for logs that reach as far. What lies behind it is kept, for when nobody
//!   can lead (`regain.rs`).
//! - A batch of which nothing is whole: whatever it said of any group is lost, be it a vote or an entry. A later word about
//!   votes makes those known again, a later entry shows what is missing. Of what is still open nothing may be promised.
//! - Entries in front of the checkpoint's end: the state has their effect, and the log lacks them for those who read it. If
//!   just their bytes are damaged they are replaced where they lie (`mend.rs`). If it is not known what is missing, the group
//!   begins anew, without entries, and votes only for logs that reach as far as its own had.
//! - What may have been made in a lost batch, nobody knows of: groups that the catalog asks for are in doubt as on a new disk.
//!
//! What is lost is found again by every start until a checkpoint lies behind it; all that follows from it is the same then.

use super::recover::RecoveredGroup;
use super::{Groups, Out};
use crate::meaning::{Meaning, kind};
use crate::settings::Settings;
use crate::stats::add;
use std::collections::BTreeSet;
use torc_base::ids::{GroupId, Index, Term};
use torc_base::io::Level;
use torc_consensus::{Configuration, Doubt, Mark, TermRun};
use torc_wal::Lost;

/// What damage has taken of a group, as far as the log has been read.
#[derive(Debug, Default)]
pub(super) struct Loss {
    /// The newest place that the log ever reached.
    reached: Mark,
    /// Entries from here on are not whole: what lies behind is not taken in, but for what replaces them.
    from: Option<Index>,
    /// The last word about terms and votes may be lost.
    votes: bool,
    /// So may entries behind the last one that was found, or what replaced that.
    tail: bool,
    /// Entries are missing that the checkpoint has applied.
    gap: bool,
}

/// What damage means for a group that is about to run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Consequence {
    /// The member's doubt, if that is another one than its hard state says.
    pub doubt: Option<Doubt>,
    /// Its log begins anew.
    pub anew: bool,
    /// The log has entries from here on that are none.
    pub cut: Option<Index>,
}

impl Loss {
    /// Of a group that a checkpoint describes, whose log ends with these terms.
    pub(super) fn of(terms: &[TermRun], last: Index) -> Loss {
        let term = terms.last().map_or(Term(0), |run| run.term);
        Loss { reached: Mark { term, index: last }, ..Loss::default() }
    }

    /// Of a group that is first heard of behind batches that are lost.
    pub(super) fn of_beginning() -> Loss {
        Loss { votes: true, tail: true, ..Loss::default() }
    }

    /// A later word about terms and votes was found.
    pub(super) fn votes_are_known(&mut self) {
        self.votes = false;
    }

    /// Nothing of its log is taken in any more.
    pub(super) fn is_gap(&self) -> bool {
        self.gap
    }

    /// A state at `mark` took the place of all that was there.
    pub(super) fn restored(self, mark: Mark) -> Loss {
        Loss { reached: self.reached.max(mark), from: None, tail: false, ..self }
    }

    fn is_any(&self) -> bool {
        self.from.is_some() || self.votes || self.tail || self.gap
    }
}

impl RecoveredGroup {
    /// The log lacks entries, nobody knows which.
    pub(super) fn note_gap(&mut self) {
        self.loss.gap = true;
        self.behind.forget();
    }

    /// Behind what is whole it had another log, or may have had: what is lost may have replaced what was found behind it.
    pub(super) fn note_tail(&mut self) {
        self.loss.tail = true;
        self.behind.forget();
    }

    /// True if an entry that was found is to be taken in: it follows from what is whole, or replaces what is not.
    pub(super) fn follows(&mut self, term: Term, index: Index) -> bool {
        self.loss.reached = self.loss.reached.max(Mark { term, index });
        if self.loss.gap {
            return false;
        }
        if std::mem::take(&mut self.loss.tail) {
            // What is committed stays. One leader's entries follow from each other. Whatever else was there when this entry was
            // written may have been lost.
            let before = Index(index.get() - 1);
            let same = |at: Index| at <= self.last && self.term_at(at) == Some(term);
            if before > self.applied && !same(before) {
                let whole = if same(self.last) && index > self.last { self.last } else { self.applied };
                self.lose_from(whole.next());
                return false;
            }
        }
        let known = index <= self.last && self.term_at(index) == Some(term);
        match self.loss.from {
            Some(from) if index > from => false,
            Some(_) if !known => {
                self.loss.from = None;
                true
            }
            _ => true,
        }
    }

    /// Entries from `from` on are not whole.
    fn lose_from(&mut self, from: Index) {
        if from <= self.last {
            self.cut(from);
        }
        self.loss.from = Some(self.loss.from.map_or(from, |before| before.min(from)));
    }

    /// An entry was found behind what is whole, or without its bytes (`item`): it is known where it belongs.
    pub(super) fn note_behind(&mut self, term: Term, index: Index, item: Option<&torc_wal::Item>) {
        let last = Mark { term: self.terms.last().map_or(Term(0), |run| run.term), index: self.last };
        self.behind.note(last, term, index, item);
    }

    /// An entry was found without its bytes.
    fn lose(&mut self, of: torc_wal::Kind, term: Term, index: Index) {
        match of {
            kind::HARD_STATE => self.loss.votes = true,
            // It had another log from there on.
            kind::STATE | kind::PARTS => self.note_tail(),
            // What speaks of it finds that it is not there.
            kind::PART => self.parts = None,
            _ if index <= self.applied => {}
            _ => {
                if self.follows(term, index) {
                    self.lose_from(index);
                }
                self.note_behind(term, index, None);
            }
        }
    }

    /// What is lost, when the log has been read. `life` names this start.
    pub(super) fn consequence(&mut self, settings: &Settings, life: u64, has_others: bool) -> Consequence {
        if !self.loss.is_any() {
            return Consequence::default();
        }
        let doubt = match self.hard_state.doubt {
            Some(Doubt::Tail(before)) if !(self.loss.votes || self.loss.tail) => {
                Doubt::Tail(self.loss.reached.max(before))
            }
            None if !(self.loss.votes || self.loss.tail) => Doubt::Tail(self.loss.reached),
            _ => Doubt::All { incarnation: life },
        };
        if self.hard_state.term < self.loss.reached.term {
            // It was said in what is lost.
            (self.hard_state.term, self.hard_state.vote) = (self.loss.reached.term, None);
        }
        self.hard_state.doubt = Some(doubt);
        // What is left may be all that there is: where nobody else has any of it, it stays.
        let anew = self.loss.gap && has_others;
        if anew {
            self.begin_anew(settings);
        }
        Consequence { doubt: Some(doubt), anew, cut: self.loss.from.filter(|_| has_others && !anew) }
    }

    /// True if an entry that was found is the first of a log that has others behind it already: the log began anew, and its word of
    /// that is lost. (Older torcs had none for replicas that moved away and back.)
    pub(super) fn is_begun_again(&self, item: &torc_wal::Item) -> bool {
        let known = self.term_at(item.index).is_none_or(|term| term == item.term);
        item.index == Index(1) && self.applied > Index(0) && known
    }

    /// The log says, or shows, that it begins anew, with the members that it named in front of that.
    pub(super) fn begin_again(&mut self, settings: &Settings) {
        self.begin_anew(settings);
        if let Some(members) = self.told.take() {
            self.configurations = vec![(Index(0), members)];
        }
        self.loss.gap = false;
        self.began_anew = true;
    }

    /// A replica that is made again knows no term. A crash may have left its hard state, and not the word that the log begins anew:
    /// then the log is the one before, and the member is in doubt.
    pub(super) fn know_its_terms(&mut self) {
        let known = self.terms.last().map_or(Term(0), |run| run.term);
        if matches!(self.hard_state.doubt, Some(Doubt::All { .. })) && self.hard_state.term < known {
            (self.hard_state.term, self.hard_state.vote) = (known, None);
        }
    }

    /// Its log is empty.
    pub(super) fn begin_anew(&mut self, settings: &Settings) {
        let members = self.configurations.pop().map(|(_, members)| members);
        (self.first, self.last, self.applied) = (Index(1), Index(0), Index(0));
        self.terms.clear();
        self.configurations = members.into_iter().map(|members| (Index(0), members)).collect();
        (self.loss.from, self.loss.tail) = (None, false);
        self.behind.forget();
        self.meaning = Meaning::new(self.meaning.kind(), settings);
        self.restored = false;
    }
}

impl Groups {
    /// Recovery has passed over damage.
    pub(super) fn lost(&mut self, out: &mut Out, lost: Lost) {
        let found = &mut self.checkpoint.recovery.found;
        match lost {
            Lost::Entry { group, kind, term, index, in_checkpoint, what } => {
                add(&self.stats.damage_found_total, 1);
                out.log(Level::Error, format!("the log is damaged: {what}; the other replicas have what is lost"));
                if in_checkpoint {
                    self.checkpoint.recovery.wounds.push((group, Mark { term, index }));
                } else if let Some(found) = found.get_mut(&group) {
                    found.lose(kind, term, index);
                }
            }
            Lost::Batches { first, last, in_checkpoint, what } => {
                add(&self.stats.damage_found_total, 1);
                let text = format!(
                    "the log is damaged: {what}; batches {first} to {last} are lost, and what the other replicas have of them is \
                     got from there"
                );
                out.log(Level::Error, text);
                if !in_checkpoint {
                    self.checkpoint.recovery.lost_batches = true;
                    for found in found.values_mut() {
                        found.loss.votes = true;
                        found.note_tail();
                    }
                }
            }
            Lost::Gap { group } => {
                if let Some(found) = found.get_mut(&group) {
                    found.note_gap();
                }
            }
        }
    }

    /// A number for what was lost in this life of the process, which no other one has.
    pub(super) fn life(&self) -> u64 {
        (self.settings.cluster.start ^ u64::from(self.settings.shard.0) << 48).max(1)
    }

    /// Says in the log what a group has lost and what follows.
    pub(super) fn tell_loss(&self, out: &mut Out, id: GroupId, consequence: &Consequence, members: &Configuration) {
        let Some(doubt) = consequence.doubt else { return };
        let others: Vec<String> =
            members.members().iter().filter(|m| m.id != self.settings.node).map(|m| m.id.to_string()).collect();
        if others.is_empty() {
            let text = format!(
                "group {id} has its only replica here, and some of it may be lost: it is not served; delete its topic, or \
                 restore this directory from a copy"
            );
            return out.log(Level::Error, text);
        }
        let (what, until) = match (consequence.anew, doubt) {
            (true, _) => ("lacks entries and begins anew".to_string(), "it has all that it had"),
            (_, Doubt::Tail(Mark { term, index })) => {
                let from = consequence.cut.map_or_else(|| "?".to_string(), |from| from.to_string());
                (format!("has lost entries {from} to {index} of term {term} at most"), "it has them again")
            }
            (_, Doubt::All { .. }) => ("may have lost votes and entries".to_string(), "its leader lets it"),
        };
        let others = others.join(", ");
        out.log(
            Level::Warn,
            format!("group {id} {what}; it votes for no shorter log until {until} (from nodes {others})"),
        );
    }
}

/// Groups whose beginning is lost: neither a checkpoint nor a word about votes said what they are.
pub(super) fn without_beginning(recovery: &super::recover::Recovery) -> BTreeSet<GroupId> {
    if !recovery.lost_batches {
        return BTreeSet::new();
    }
    recovery.found.iter().filter(|(_, found)| !found.began).map(|(id, _)| *id).collect()
}
