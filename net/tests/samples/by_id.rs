//! Requests of OffsetCommit and OffsetFetch of version 10, which the schema crate does not have.

use super::Sampler;
use kafka_protocol::protocol::StrBytes;
use torc_base::ids::TopicId;
use torc_net::kafka::offsets_by_id::{Commit, CommitPartition, CommitTopic, Fetch, FetchGroup};

/// The version of both.
pub const VERSION: i16 = 10;

pub fn commit(s: &mut Sampler) -> Commit {
    Commit {
        group: s.text(),
        generation: s.i32(),
        member: s.text(),
        instance: s.maybe(Sampler::text),
        topics: s.list(|s| CommitTopic {
            id: id(s),
            partitions: s.list(|s| CommitPartition {
                index: s.i32(),
                offset: s.i64(),
                leader_epoch: s.i32(),
                metadata: s.maybe(Sampler::text),
            }),
        }),
    }
}

pub fn fetch(s: &mut Sampler) -> Fetch {
    Fetch {
        groups: s.list(|s| FetchGroup {
            group: s.text(),
            member: s.maybe(Sampler::text),
            epoch: s.i32(),
            topics: s.maybe(|s| s.list(|s| (id(s), s.list(Sampler::i32)))),
        }),
        require_stable: s.bool(),
    }
}

fn id(s: &mut Sampler) -> TopicId {
    TopicId(s.uuid().as_u128())
}

/// The body of a commit. Every other one has tagged fields that mean nothing.
pub fn encode_commit(commit: &Commit) -> Vec<u8> {
    let mut out = Out { bytes: Vec::new(), tags: commit.generation % 2 == 0 };
    out.text(Some(&commit.group));
    out.bytes.extend(commit.generation.to_be_bytes());
    out.text(Some(&commit.member));
    out.text(commit.instance.as_ref());
    out.list(&commit.topics, |out, topic| {
        out.bytes.extend(topic.id.0.to_be_bytes());
        out.list(&topic.partitions, |out, partition| {
            out.bytes.extend(partition.index.to_be_bytes());
            out.bytes.extend(partition.offset.to_be_bytes());
            out.bytes.extend(partition.leader_epoch.to_be_bytes());
            out.text(partition.metadata.as_ref());
            out.tags();
        });
        out.tags();
    });
    out.tags();
    out.bytes
}

/// The body of a fetch, likewise.
pub fn encode_fetch(fetch: &Fetch) -> Vec<u8> {
    let mut out = Out { bytes: Vec::new(), tags: fetch.require_stable };
    out.list(&fetch.groups, |out, group| {
        out.text(Some(&group.group));
        out.text(group.member.as_ref());
        out.bytes.extend(group.epoch.to_be_bytes());
        match &group.topics {
            None => out.bytes.push(0),
            Some(topics) => out.list(topics, |out, (id, partitions)| {
                out.bytes.extend(id.0.to_be_bytes());
                out.list(partitions, |out, index| out.bytes.extend(index.to_be_bytes()));
                out.tags();
            }),
        }
        out.tags();
    });
    out.bytes.push(u8::from(fetch.require_stable));
    out.tags();
    out.bytes
}

struct Out {
    bytes: Vec<u8>,
    tags: bool,
}

impl Out {
    fn varint(&mut self, mut value: usize) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    fn text(&mut self, text: Option<&StrBytes>) {
        self.varint(text.map_or(0, |text| text.len() + 1));
        self.bytes.extend(text.into_iter().flat_map(|text| text.as_bytes()));
    }

    fn list<T>(&mut self, items: &[T], mut item: impl FnMut(&mut Out, &T)) {
        self.varint(items.len() + 1);
        items.iter().for_each(|one| item(self, one));
    }

    fn tags(&mut self) {
        self.bytes.extend_from_slice(if self.tags { &[1, 77, 2, 9, 9] } else { &[0] });
    }
}
