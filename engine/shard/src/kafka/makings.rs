//! Long answers are made over turns: one turn of the shard does a bounded part of them, one after the other. (Metadata of
//! all topics, which many ask for alike, is in `all_topics.rs`.)

use super::configs::Describing;
use super::groups::{Grouping, Telling};
use super::lines::{BYTES_ENCODED, ITEM_COST};
use super::log_dirs::{Survey, Surveyed};
use super::named_topics::Naming;
use super::topic_partitions::Paging;
use super::topics::Creating;
use super::{Kafka, Out, ReplyTo};
use crate::complaints::Complaint;
use crate::outbox::Piece;
use crate::packer::Packer;
use crate::stages::Path;
use std::collections::VecDeque;
use torc_base::limits::TURN_ITEMS_FREE;
use torc_base::turns::Work;
use torc_net::kafka::{Behind, Encodable, ListWriter, NestedWriter};

/// An answer that is being made.
pub(super) enum Making {
    Configs(Describing),
    Created(Creating),
    LogDirs(Survey),
    LogDirsFound(Box<Surveyed>),
    Offsets(Box<Telling>),
    Named(Box<Naming>),
    Page(Box<Paging>),
    Groups(Box<Grouping>),
}

/// An answer that is a list: what is there of it is encoded.
pub(super) struct Listing {
    writer: ListWriter,
    pieces: Vec<Piece>,
}

impl Listing {
    /// Nothing is there.
    pub(super) fn new(to: ReplyTo) -> Listing {
        Listing { writer: ListWriter::new(to.api, to.version), pieces: Vec::new() }
    }

    /// Elements so far.
    pub(super) fn count(&self) -> usize {
        self.writer.count()
    }

    /// Adds an element; how many items that was.
    pub(super) fn put(&mut self, element: &impl Encodable) -> usize {
        self.writer.put(element) / BYTES_ENCODED / ITEM_COST
    }

    fn pack(&mut self, packer: &mut Packer) {
        let bytes = self.writer.take();
        if !bytes.is_empty() {
            self.pieces.push(Piece::Bytes(packer.put(&bytes)));
        }
    }
}

/// An answer with lists in lists: what is there of it is encoded.
pub(super) struct Nesting {
    writer: NestedWriter,
    pieces: Vec<Piece>,
}

impl Nesting {
    /// Nothing is there.
    pub(super) fn new(to: ReplyTo) -> Nesting {
        Nesting { writer: NestedWriter::new(to.api, to.version), pieces: Vec::new() }
    }

    /// Begins a list of so many elements in that which `around` makes of it.
    pub(super) fn open<E, T>(&mut self, count: usize, around: impl Fn(Vec<E>) -> T) -> Behind
    where
        E: Encodable + Clone + Default,
        T: Encodable,
    {
        self.writer.open(count, around)
    }

    /// Adds an element of the list that was begun last.
    pub(super) fn put(&mut self, element: &impl Encodable) {
        self.put_long(element);
    }

    /// The same; how many items that was.
    pub(super) fn put_long(&mut self, element: &impl Encodable) -> usize {
        self.writer.put(element) / BYTES_ENCODED / ITEM_COST
    }

    /// Ends the list that was begun last.
    pub(super) fn close(&mut self, behind: Behind) {
        self.writer.close(behind);
    }

    fn pack(&mut self, packer: &mut Packer) {
        let bytes = self.writer.take();
        if !bytes.is_empty() {
            self.pieces.push(Piece::Bytes(packer.put(&bytes)));
        }
    }
}

/// Answers that are being made, the first of them now.
#[derive(Default)]
pub(super) struct Makings {
    line: VecDeque<(ReplyTo, Making)>,
}

impl Makings {
    /// True if an answer is being made.
    pub(super) fn is_due(&self) -> bool {
        !self.line.is_empty()
    }
}

impl Kafka {
    /// Begins an answer. A short one is there at once, whatever else is being made.
    pub(super) fn make(&mut self, out: &mut Out, to: ReplyTo, mut making: Making) {
        if self.make_part(out, &mut making, &mut { TURN_ITEMS_FREE + 1 }) {
            return self.end_making(out, to, making);
        }
        self.makings.line.push_back((to, making));
        let left = out.conns.allowance.long().max(0) as usize;
        self.make_on(out, left / ITEM_COST);
    }

    /// A new turn: goes on with what was begun.
    pub(super) fn turn_makings(&mut self, out: &mut Out) {
        let part = out.conns.allowance.part();
        self.make_on(out, part / ITEM_COST);
    }

    fn make_on(&mut self, out: &mut Out, mut left: usize) {
        while left > 0
            && let Some((to, mut making)) = self.makings.line.pop_front()
        {
            if !out.conns.is_open(to.conn) {
                continue;
            }
            let before = left;
            let is_whole = self.make_part(out, &mut making, &mut left);
            out.conns.charge(to.conn, ITEM_COST * (before - left));
            if is_whole {
                self.end_making(out, to, making);
            } else {
                self.makings.line.push_front((to, making));
            }
        }
    }

    /// Goes on with an answer, for about `left` items. True if nothing is missing in it.
    fn make_part(&mut self, out: &mut Out, making: &mut Making, left: &mut usize) -> bool {
        let before = self.stats.turns.at(Work::Lists);
        let is_whole = match making {
            Making::Configs(describing) => {
                let is_whole = self.describe_on(describing, left);
                describing.results.pack(&mut self.packer);
                is_whole
            }
            Making::Created(creating) => {
                let is_whole = self.tell_created(creating, left);
                creating.topics.pack(&mut self.packer);
                is_whole
            }
            Making::LogDirs(survey) => self.survey_on(out, survey, left),
            Making::LogDirsFound(surveyed) => {
                let is_whole = surveyed.tell_on(left);
                surveyed.nesting.pack(&mut self.packer);
                is_whole
            }
            Making::Offsets(telling) => {
                let is_whole = telling.tell_on(&self.view, left);
                telling.nesting.pack(&mut self.packer);
                is_whole
            }
            Making::Named(naming) => self.name_on(naming, left),
            Making::Page(paging) => {
                let is_whole = self.page_on(paging, left);
                paging.nesting.pack(&mut self.packer);
                is_whole
            }
            Making::Groups(grouping) => {
                let is_whole = grouping.tell_on(&self.view, left);
                grouping.nesting.pack(&mut self.packer);
                is_whole
            }
        };
        self.stats.turns.at(before);
        is_whole
    }

    fn end_nesting(&mut self, out: &mut Out, to: ReplyTo, nesting: Nesting) {
        match nesting.writer.finish(to.correlation) {
            Ok(head) => {
                let mut pieces = vec![Piece::Bytes(self.packer.put(&head))];
                pieces.extend(nesting.pieces);
                out.conns.answer(to.conn, to.slot, pieces, Path::Other);
            }
            Err(error) => self.close_with(out, to.conn, Complaint::Answer, &error),
        }
    }

    fn end_listing(&mut self, out: &mut Out, to: ReplyTo, listing: Listing) {
        match listing.writer.finish(to.correlation) {
            Ok((head, tail)) => {
                let mut pieces = vec![Piece::Bytes(self.packer.put(&head))];
                pieces.extend(listing.pieces);
                if !tail.is_empty() {
                    pieces.push(Piece::Bytes(self.packer.put(tail)));
                }
                out.conns.answer(to.conn, to.slot, pieces, Path::Other);
            }
            Err(error) => self.close_with(out, to.conn, Complaint::Answer, &error),
        }
    }

    fn end_making(&mut self, out: &mut Out, to: ReplyTo, making: Making) {
        let before = self.stats.turns.at(Work::Lists);
        match making {
            Making::Configs(describing) => self.end_listing(out, to, describing.results),
            Making::Created(creating) => self.end_listing(out, to, creating.topics),
            Making::LogDirs(survey) => self.end_survey(out, survey),
            Making::LogDirsFound(surveyed) => self.end_nesting(out, to, surveyed.nesting),
            Making::Offsets(telling) => self.end_nesting(out, to, telling.nesting),
            Making::Named(naming) => self.end_naming(out, to, *naming),
            Making::Page(paging) => self.end_nesting(out, to, paging.nesting),
            Making::Groups(grouping) => self.end_nesting(out, to, grouping.nesting),
        }
        self.stats.turns.at(before);
    }
}
