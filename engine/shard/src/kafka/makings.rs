//! Long answers are made over turns: one turn of the shard does a bounded part of them, one after the other. (Metadata of
//! all topics, which many ask for alike, is in `all_topics.rs`.)

use super::configs::Describing;
use super::groups::Telling;
use super::log_dirs::Survey;
use super::topics::Creating;
use super::{Kafka, Out, ReplyTo};
use std::collections::VecDeque;
use torc_base::limits::{TURN_ITEMS, TURN_ITEMS_FREE};
use torc_base::turns::Work;

/// An answer that is being made.
pub(super) enum Making {
    Configs(Describing),
    Created(Creating),
    LogDirs(Survey),
    Offsets(Box<Telling>),
}

/// Answers that are being made, the first of them now.
#[derive(Default)]
pub(super) struct Makings {
    line: VecDeque<(ReplyTo, Making)>,
    /// Items that may still be put in in this turn.
    left: usize,
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
        if self.make_part(out, &mut making, &mut { TURN_ITEMS_FREE }) {
            return self.end_making(out, to, making);
        }
        self.makings.line.push_back((to, making));
        self.make_on(out);
    }

    /// A new turn: goes on with what was begun.
    pub(super) fn turn_makings(&mut self, out: &mut Out) {
        self.makings.left = TURN_ITEMS;
        self.make_on(out);
    }

    fn make_on(&mut self, out: &mut Out) {
        while self.makings.left > 0
            && let Some((to, mut making)) = self.makings.line.pop_front()
        {
            if !out.conns.is_open(to.conn) {
                continue;
            }
            let mut left = self.makings.left;
            let is_whole = self.make_part(out, &mut making, &mut left);
            self.makings.left = left;
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
            Making::Configs(describing) => self.describe_on(describing, left),
            Making::Created(creating) => self.tell_created(creating, left),
            Making::LogDirs(survey) => self.survey_on(out, survey, left),
            Making::Offsets(telling) => telling.tell_on(left),
        };
        self.stats.turns.at(before);
        is_whole
    }

    fn end_making(&mut self, out: &mut Out, to: ReplyTo, making: Making) {
        let before = self.stats.turns.at(Work::Lists);
        match making {
            Making::Configs(describing) => self.reply(out, to, &describing.into_response()),
            Making::Created(creating) => self.reply(out, to, &creating.into_response()),
            Making::LogDirs(survey) => self.end_survey(out, survey),
            Making::Offsets(telling) => self.reply(out, to, &telling.into_response()),
        }
        self.stats.turns.at(before);
    }
}
