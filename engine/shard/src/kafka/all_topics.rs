//! Metadata of all topics. It is long, clients ask for it again and again, and each change makes it a new one: it is made
//! over turns, once for all who ask for it in the same way, and kept until something changes. (That of topics which are named
//! is in `named_topics.rs`.)

use super::lines::{ITEM_COST, Length};
use super::metadata::{TOPIC_OPERATIONS, asked};
use super::{Kafka, Out, ReplyTo};
use crate::complaints::Complaint;
use crate::outbox::Piece;
use crate::stages::Path;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use torc_base::buf::Buf;
use torc_base::ids::ListenerId;
use torc_base::turns::Work;
use torc_net::kafka::schema::MetadataRequest;
use torc_net::kafka::{EncodeError, MetadataWriter, Request};
use torc_state::catalog::Topic;

/// What makes one answer about all topics differ from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Form {
    version: i16,
    listener: ListenerId,
    /// Whether operations of topics, and of the cluster, are told.
    topic_operations: bool,
    cluster_operations: bool,
}

/// An answer that is being made. What changes meanwhile may be in it or not: nobody waits for it who asked after a change.
struct Making {
    form: Form,
    /// [`super::view::View::told`] when it was begun; `None`: it has not been.
    told: Option<u64>,
    writer: MetadataWriter,
    /// The topic that is being written, and its partition that comes next.
    at: Option<(Arc<Topic>, usize)>,
    /// The last topic that was gone through.
    last: Option<Arc<str>>,
    waiting: Vec<(ReplyTo, MetadataRequest)>,
}

/// Answers about all topics, as frames, and those that are being made, the first of them now.
#[derive(Default)]
pub(super) struct AllTopics {
    /// [`super::view::View::told`] when the frames were made.
    told: u64,
    frames: BTreeMap<Form, Buf>,
    makings: VecDeque<Making>,
    /// Partitions that may still be written in this turn.
    left: usize,
}

/// Forms that are kept: clients of few kinds are there at a time.
const FORMS_MAX: usize = 4;
/// A frame's length and the request's correlation id, which differs.
const PER_REQUEST: usize = 8;

impl AllTopics {
    /// Frames that are older than the view are none.
    fn outdate(&mut self, told: u64) {
        if self.told != told {
            self.told = told;
            self.frames.clear();
        }
    }

    fn get(&mut self, told: u64, form: Form) -> Option<&Buf> {
        self.outdate(told);
        self.frames.get(&form)
    }

    fn put(&mut self, told: u64, form: Form, frame: Buf) {
        self.outdate(told);
        if self.frames.len() >= FORMS_MAX {
            self.frames.clear();
        }
        self.frames.insert(form, frame);
    }

    /// True if an answer is being made.
    pub(super) fn is_due(&self) -> bool {
        !self.makings.is_empty()
    }

    /// Lets a request wait for an answer of this form that will be as new as the view is.
    fn wait(&mut self, told: u64, form: Form, to: ReplyTo, request: MetadataRequest) {
        let is_new = |making: &&mut Making| making.form == form && making.told.is_none_or(|begun| begun == told);
        if let Some(making) = self.makings.iter_mut().find(is_new) {
            return making.waiting.push((to, request));
        }
        let (writer, waiting) = (MetadataWriter::new(form.version), vec![(to, request)]);
        self.makings.push_back(Making { form, told: None, writer, at: None, last: None, waiting });
    }
}

impl Kafka {
    /// Answers with what is known, or when that is.
    pub(super) fn metadata_of_all(&mut self, out: &mut Out, to: ReplyTo, request: MetadataRequest) {
        let form = Form {
            version: to.version,
            listener: out.conns.listener(to.conn),
            topic_operations: request.include_topic_authorized_operations,
            cluster_operations: request.include_cluster_authorized_operations,
        };
        let told = self.view.told();
        if let Some(frame) = self.all_topics.get(told, form).cloned() {
            return self.answer_with_all(out, to, &frame);
        }
        self.all_topics.wait(told, form, to, request);
        // Of a small cluster it is there at once.
        let left = out.conns.allowance.long().max(0) as usize;
        self.make_all_topics(out, left / ITEM_COST);
    }

    fn answer_with_all(&mut self, out: &mut Out, to: ReplyTo, frame: &Buf) {
        let mut start = [0; PER_REQUEST];
        start.copy_from_slice(&frame[..PER_REQUEST]);
        start[4..].copy_from_slice(&to.correlation.to_be_bytes());
        let pieces = vec![Piece::Bytes(self.packer.put(&start)), Piece::Bytes(frame.slice(PER_REQUEST..frame.len()))];
        out.conns.answer(to.conn, to.slot, pieces, Path::Other);
    }

    /// A new turn: writes on, as far as it goes.
    pub(super) fn turn_all_topics(&mut self, out: &mut Out) {
        let part = out.conns.allowance.part();
        self.make_all_topics(out, part / ITEM_COST);
    }

    fn make_all_topics(&mut self, out: &mut Out, left: usize) {
        self.all_topics.left = left;
        while self.all_topics.left > 0
            && let Some(mut making) = self.all_topics.makings.pop_front()
        {
            if !making.waiting.iter().any(|(to, _)| out.conns.is_open(to.conn)) {
                continue;
            }
            let before = self.stats.turns.at(Work::Lists);
            let left = self.all_topics.left;
            let written = self.write_topics(&mut making);
            out.conns.allowance.charge(ITEM_COST * (left - self.all_topics.left));
            self.stats.turns.at(before);
            match written {
                Ok(true) => self.finish_all_topics(out, making),
                Ok(false) => return self.all_topics.makings.push_front(making),
                Err(error) => self.fail_all_topics(out, &making.waiting, &error),
            }
        }
    }

    /// Writes on. True if all topics have been gone through.
    fn write_topics(&mut self, making: &mut Making) -> Result<bool, EncodeError> {
        making.told.get_or_insert(self.view.told());
        while self.all_topics.left > 0 {
            let Some((topic, from)) = making.at.take() else {
                let Some(topic) = self.view.topic_behind(making.last.as_deref()) else { return Ok(true) };
                let operations = asked(making.form.topic_operations, TOPIC_OPERATIONS);
                making.writer.begin_topic(&self.describe_head(topic, operations), topic.partitions.len() as usize)?;
                making.at = Some((Arc::clone(topic), 0));
                self.all_topics.left -= 1;
                continue;
            };
            let count = topic.partitions.len() as usize;
            let next = count.min(from + self.all_topics.left);
            self.write_partitions(&mut making.writer, &topic, from..next)?;
            self.all_topics.left -= next - from;
            if next < count {
                making.at = Some((topic, next));
            } else {
                // One that went meanwhile would be told of with partitions that nobody leads.
                match self.view.by_id(topic.id) {
                    Some(_) => making.writer.end_topic(),
                    None => making.writer.drop_topic(),
                }
                making.last = Some(Arc::clone(&topic.name));
            }
        }
        Ok(false)
    }

    /// Writes partitions of the topic that was begun.
    pub(super) fn write_partitions(
        &self,
        writer: &mut MetadataWriter,
        topic: &Topic,
        indexes: Range<usize>,
    ) -> Result<(), EncodeError> {
        for index in indexes {
            let group = topic.partitions.get(index as u32).expect("it is below their number");
            writer.partition(&self.describe_partition(topic, index, group))?;
        }
        Ok(())
    }

    /// All who have waited are answered, as far as there is memory for answers; the others ask again.
    fn finish_all_topics(&mut self, out: &mut Out, making: Making) {
        let Making { form, told, writer, waiting, .. } = making;
        let response = self.describe_brokers(form.listener, form.cluster_operations);
        if let Err(error) = writer.finish(&response, 0, &mut self.packer.scratch) {
            return self.fail_all_topics(out, &waiting, &error);
        }
        let frame = self.packer.take_scratch();
        if told == Some(self.view.told()) {
            self.all_topics.put(self.view.told(), form, frame.clone());
        }
        for (to, request) in waiting {
            if Length::of(frame.len()).waits(out.conns) {
                self.lists.push(to, Request::Metadata(request), 1);
            } else {
                self.answer_with_all(out, to, &frame);
            }
        }
    }

    fn fail_all_topics(&mut self, out: &mut Out, waiting: &[(ReplyTo, MetadataRequest)], error: &EncodeError) {
        for (to, _) in waiting {
            self.close_with(out, to.conn, Complaint::Answer, error);
        }
    }
}
