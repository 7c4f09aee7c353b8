//! Metadata of many topics that a client names: the answer is made over turns.

use super::makings::Making;
use super::metadata::{TOPIC_OPERATIONS, asked};
use super::{Kafka, Out, ReplyTo};
use crate::complaints::Complaint;
use crate::stages::Path;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::vec::IntoIter;
use torc_net::kafka::schema::metadata_request::MetadataRequestTopic;
use torc_net::kafka::schema::{MetadataRequest, TopicName};
use torc_net::kafka::{EncodeError, MetadataWriter, Uuid};
use torc_state::catalog::Topic;

/// An answer that is being made.
pub(super) struct Naming {
    version: i16,
    topic_operations: i32,
    cluster_operations: bool,
    /// What has not been looked at, and what has: as in Kafka each is told of once.
    rest: IntoIter<MetadataRequestTopic>,
    seen: BTreeSet<(Option<TopicName>, Uuid)>,
    /// The topic that is being written, as it was asked for, and its partition that comes next.
    at: Option<(MetadataRequestTopic, Arc<Topic>, usize)>,
    writer: MetadataWriter,
    failed: Option<EncodeError>,
}

impl Kafka {
    /// Begins the answer to a request that names its topics.
    pub(super) fn metadata_of_named(&mut self, out: &mut Out, to: ReplyTo, request: MetadataRequest) {
        let naming = Naming {
            version: to.version,
            topic_operations: asked(request.include_topic_authorized_operations, TOPIC_OPERATIONS),
            cluster_operations: request.include_cluster_authorized_operations,
            rest: request.topics.unwrap_or_default().into_iter(),
            seen: BTreeSet::new(),
            at: None,
            writer: MetadataWriter::new(to.version),
            failed: None,
        };
        self.make(out, to, Making::Named(Box::new(naming)));
    }

    /// Goes on with it, for about `left` items. True if nothing is missing in it.
    pub(super) fn name_on(&self, naming: &mut Naming, left: &mut usize) -> bool {
        match self.write_named(naming, left) {
            Ok(is_whole) => is_whole,
            Err(error) => {
                naming.failed = Some(error);
                true
            }
        }
    }

    fn write_named(&self, naming: &mut Naming, left: &mut usize) -> Result<bool, EncodeError> {
        while *left > 0 {
            let Some((wanted, topic, from)) = naming.at.take() else {
                let Some(wanted) = naming.rest.next() else { return Ok(true) };
                *left -= 1;
                if naming.seen.insert((wanted.name.clone(), wanted.topic_id)) {
                    self.begin_named(naming, wanted)?;
                }
                continue;
            };
            let count = topic.partitions.len() as usize;
            let next = count.min(from + *left);
            self.write_partitions(&mut naming.writer, &topic, from..next)?;
            *left -= next - from;
            if next < count {
                naming.at = Some((wanted, topic, next));
            } else if self.view.by_id(topic.id).is_some() {
                naming.writer.end_topic();
            } else {
                // It went meanwhile: nobody would lead the partitions.
                naming.writer.drop_topic();
                self.begin_named(naming, wanted)?;
            }
        }
        Ok(false)
    }

    /// Begins the next topic, or writes that there is none.
    fn begin_named(&self, naming: &mut Naming, wanted: MetadataRequestTopic) -> Result<(), EncodeError> {
        let operations = naming.topic_operations;
        match self.find_wanted(naming.version, &wanted, operations, (&[], None)) {
            Ok(topic) => {
                let count = topic.partitions.len() as usize;
                naming.writer.begin_topic(&self.describe_head(topic, operations), count)?;
                naming.at = Some((wanted, Arc::clone(topic), 0));
            }
            Err(refused) => {
                naming.writer.begin_topic(&refused, 0)?;
                naming.writer.end_topic();
            }
        }
        Ok(())
    }

    pub(super) fn end_naming(&mut self, out: &mut Out, to: ReplyTo, naming: Naming) {
        let response = self.describe_brokers(out.conns.listener(to.conn), naming.cluster_operations);
        let written = match naming.failed {
            Some(error) => Err(error),
            None => naming.writer.finish(&response, to.correlation, &mut self.packer.scratch),
        };
        match written {
            Ok(()) => {
                let frame = self.packer.take_scratch();
                self.answer_with(out, to, Some(frame), Path::Other);
            }
            Err(error) => self.close_with(out, to.conn, Complaint::Answer, &error),
        }
    }
}
