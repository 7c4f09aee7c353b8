//! What Kafka's consumers put into the fields of the classic protocol that the coordinator only carries: subscriptions
//! and assignments. Source: `ConsumerProtocolSubscription.json` and `ConsumerProtocolAssignment.json` of Apache Kafka.
//! Both begin with a version; what a later version adds stands at the end, so that every reader understands the start.

use super::{Blob, Text};

/// The newest version; assignments have looked the same in all of them.
const VERSION_MAX: i16 = 3;

/// The protocol type of Kafka's consumers.
pub(super) const PROTOCOL_TYPE: &str = "consumer";

/// Reads big-endian fields off the front.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n)?;
        self.0 = tail;
        Some(head)
    }

    fn i16(&mut self) -> Option<i16> {
        self.take(2).map(|bytes| i16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn i32(&mut self) -> Option<i32> {
        self.take(4).map(|bytes| i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.i16()?).ok()?;
        std::str::from_utf8(self.take(length)?).ok()
    }

    fn nullable_text(&mut self) -> Option<Option<&'a str>> {
        if self.0.starts_with(&[0xff, 0xff]) {
            self.take(2)?;
            return Some(None);
        }
        self.text().map(Some)
    }

    fn skip_nullable_bytes(&mut self) -> Option<()> {
        let length = self.i32()?;
        if length >= 0 {
            self.take(length as usize)?;
        }
        (length >= -1).then_some(())
    }

    fn partitions(&mut self) -> Option<Vec<(&'a str, Vec<i32>)>> {
        let count = self.count(6)?;
        let topic = |_| {
            let name = self.text()?;
            let count = self.count(4)?;
            let partitions: Option<Vec<i32>> = (0..count).map(|_| self.i32()).collect();
            Some((name, partitions?))
        };
        (0..count).map(topic).collect()
    }

    /// The length of an array whose elements take at least `element_min` bytes each.
    fn count(&mut self, element_min: usize) -> Option<usize> {
        let count = usize::try_from(self.i32()?).ok()?;
        (count <= self.0.len() / element_min).then_some(count)
    }
}

/// What a consumer says of itself.
#[derive(Debug, Default)]
pub(super) struct Subscription<'a> {
    pub(super) topics: Vec<&'a str>,
    /// What it holds, from version 1 on.
    pub(super) owned: Vec<(&'a str, Vec<i32>)>,
    /// From version 3 on.
    pub(super) rack: Option<&'a str>,
}

/// A subscription; `None` if it cannot be read.
pub(super) fn subscription(bytes: &[u8]) -> Option<Subscription<'_>> {
    let topics = subscribed_topics(bytes)?;
    let mut fields = Fields(bytes);
    let version = fields.i16()?;
    for _ in 0..fields.count(2)? {
        fields.text()?;
    }
    fields.skip_nullable_bytes()?;
    let owned = if version >= 1 { fields.partitions()? } else { Vec::new() };
    if version >= 2 {
        fields.i32()?;
    }
    let rack = if version >= 3 { fields.nullable_text()? } else { None };
    Some(Subscription { topics, owned, rack })
}

/// Topics and partitions of an assignment; none if it is empty; `None` if it cannot be read.
pub(super) fn assigned(bytes: &[u8]) -> Option<Vec<(&str, Vec<i32>)>> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let mut fields = Fields(bytes);
    if fields.i16()? < 0 {
        return None;
    }
    fields.partitions()
}

/// An assignment for a consumer that has written `subscription`.
pub(super) fn assignment(subscription: &[u8], topics: &[(Text, Vec<i32>)]) -> Blob {
    let version = Fields(subscription).i16().unwrap_or(0).clamp(0, VERSION_MAX);
    let mut out = version.to_be_bytes().to_vec();
    out.extend_from_slice(&(topics.len() as u32).to_be_bytes());
    for (topic, partitions) in topics {
        out.extend_from_slice(&(topic.len() as u16).to_be_bytes());
        out.extend_from_slice(topic.as_bytes());
        out.extend_from_slice(&(partitions.len() as u32).to_be_bytes());
        partitions.iter().for_each(|partition| out.extend_from_slice(&partition.to_be_bytes()));
    }
    // No user data.
    out.extend_from_slice(&(-1i32).to_be_bytes());
    out.into()
}

/// The topics that a subscription names; `None` if it cannot be read.
pub(super) fn subscribed_topics(subscription: &[u8]) -> Option<Vec<&str>> {
    let mut fields = Fields(subscription);
    let version = fields.i16()?;
    if version < 0 {
        return None;
    }
    let count = fields.count(2)?;
    (0..count).map(|_| fields.text()).collect()
}
