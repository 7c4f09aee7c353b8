//! What a damaged log had behind its last whole entry, as recovery finds it: places with their terms, in the order of the log, and
//! of those that are whole the entry. What nobody knows the place of is not here.

use std::collections::VecDeque;
use torc_base::buf::Buf;
use torc_base::ids::{Index, Term};
use torc_consensus::Mark;
use torc_consensus::log::Log;
use torc_wal::Item;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Behind {
    /// The entry in front of the first place.
    before: Mark,
    /// No entry: it is lost, or was not kept.
    places: VecDeque<(Term, Option<Item>)>,
    bytes: usize,
    /// There is memory for whole entries.
    pub keeps: bool,
}

impl Behind {
    /// True if nothing is known to have been there.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Bytes of entries.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Behind the log, which ends at `last`, recovery has come by an entry: whole (`item`), or without its bytes. It follows what
    /// is here, or replaces what is here from its index on.
    pub fn note(&mut self, last: Mark, term: Term, index: Index, item: Option<&Item>) {
        if self.places.is_empty() {
            self.before = last;
        }
        let Some(at) = index.get().checked_sub(self.first().get()) else { return };
        let known = self.places.len() as u64;
        if at > known {
            // One leader's entries follow from each other: what lies between two of them is its, too.
            let before = self.places.back().map_or(last.term, |(term, _)| *term);
            if before != term {
                return self.forget();
            }
            self.places.extend((known..at).map(|_| (term, None)));
        }
        let item = item.filter(|_| self.keeps).map(|item| Item { bytes: Buf::copy_of(&item.bytes), ..item.clone() });
        match self.places.get_mut(at as usize) {
            Some((of, kept)) if *of == term => {
                if kept.is_none() {
                    self.bytes += bytes_of(&item);
                    *kept = item;
                }
            }
            _ => {
                self.cut(at as usize);
                self.bytes += bytes_of(&item);
                self.places.push_back((term, item));
            }
        }
    }

    /// Recovery takes an entry into the log, which had `before` at that index: it is the first place here again, or it replaces
    /// what is here.
    pub fn taken(&mut self, before: Option<Term>, term: Term, index: Index) {
        let is_same = match self.places.front() {
            None => return,
            Some(_) if index < self.first() => before == Some(term),
            Some((of, _)) => index == self.first() && *of == term,
        };
        if !is_same {
            self.forget();
        } else if index == self.first() {
            self.pop();
        }
    }

    /// Nothing is known of what was there.
    pub fn forget(&mut self) {
        self.cut(0);
    }

    /// Leaves out what the log has again; nothing is left if that is another log now.
    pub fn settle(&mut self, log: &Log) {
        while let Some((term, _)) = self.places.front() {
            if self.first() > log.last() {
                break;
            }
            if log.term_at(self.first()) != Some(*term) {
                return self.forget();
            }
            self.pop();
        }
        // Whoever led meanwhile may have written another entry in front of it.
        if log.last_mark() != self.before && self.first() > log.last() {
            self.forget();
        }
    }

    /// The entry that the first place follows.
    pub fn before(&self) -> Mark {
        self.before
    }

    fn first(&self) -> Index {
        self.before.index.next()
    }

    /// The first place, if its entry is not here.
    pub fn lacks(&self) -> Option<Mark> {
        let (term, item) = self.places.front()?;
        item.is_none().then_some(Mark { term: *term, index: self.first() })
    }

    /// The entries from the first place on that are whole, of one term, `most` of them at most and about so many bytes.
    pub fn whole(&self, most: usize, bytes: usize) -> Vec<Item> {
        let Some((term, _)) = self.places.front() else { return Vec::new() };
        let (mut items, mut sum) = (Vec::new(), 0);
        for (of, item) in self.places.iter().take(most) {
            let Some(item) = item.as_ref().filter(|_| of == term && (sum == 0 || sum < bytes)) else { break };
            sum += item.bytes.len().max(1);
            items.push(item.clone());
        }
        items
    }

    /// An entry that was lost.
    pub fn give(&mut self, item: Item) {
        let at = item.index.get().checked_sub(self.first().get());
        if let Some((term, kept)) = at.and_then(|at| self.places.get_mut(at as usize))
            && (*term, kept.is_none()) == (item.term, true)
        {
            self.bytes += item.bytes.len();
            *kept = Some(item);
        }
    }

    /// What came of others makes no sense there: it is lost as before.
    pub fn refuse(&mut self, index: Index) {
        let at = index.get().checked_sub(self.first().get());
        if let Some((_, kept)) = at.and_then(|at| self.places.get_mut(at as usize)) {
            self.bytes -= bytes_of(kept);
            *kept = None;
        }
    }

    /// An entry that is whole.
    pub fn get(&self, mark: Mark) -> Option<&Item> {
        let at = mark.index.get().checked_sub(self.first().get())?;
        let (term, item) = self.places.get(at as usize)?;
        item.as_ref().filter(|_| *term == mark.term)
    }

    fn pop(&mut self) {
        if let Some((term, item)) = self.places.pop_front() {
            self.bytes -= bytes_of(&item);
            self.before = Mark { term, index: self.first() };
        }
    }

    fn cut(&mut self, at: usize) {
        for (_, item) in self.places.drain(at.min(self.places.len())..) {
            self.bytes -= bytes_of(&item);
        }
    }
}

fn bytes_of(item: &Option<Item>) -> usize {
    item.as_ref().map_or(0, |item| item.bytes.len())
}

#[cfg(test)]
#[path = "behind_tests.rs"]
mod tests;
