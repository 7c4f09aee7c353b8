//! Reading what members of classic groups write into the protocol, which brokers hand on without looking at it: anything may come.
//! No length is believed before its bytes are there.

use crate::offsets::TopicPartition;
use std::collections::BTreeSet;

/// What stands in a subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub topics: BTreeSet<String>,
    /// From version 1 on.
    pub owned: BTreeSet<TopicPartition>,
    /// -1: it does not say.
    pub generation: i32,
}

/// First versions: with what a member owns, and since which generation. Later ones have more behind.
const OWNED: i16 = 1;
const GENERATION: i16 = 2;

struct MemberBytes<'a>(&'a [u8]);

impl<'a> MemberBytes<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn i16(&mut self) -> Option<i16> {
        Some(i16::from_be_bytes(self.take(2)?.try_into().expect("2 bytes")))
    }

    fn i32(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().expect("4 bytes")))
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.i16()?).ok()?;
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }

    /// Bytes that may be null.
    fn bytes(&mut self) -> Option<&'a [u8]> {
        match self.i32()? {
            -1 => Some(&[]),
            length => self.take(usize::try_from(length).ok()?),
        }
    }

    fn places(&mut self) -> Option<BTreeSet<TopicPartition>> {
        let mut places = BTreeSet::new();
        for _ in 0..self.i32()? {
            let topic = self.text()?;
            for _ in 0..self.i32()? {
                places.insert(TopicPartition::new(&topic, self.i32()?));
            }
        }
        Some(places)
    }
}

/// `None` if it makes no sense.
pub(crate) fn subscription(bytes: &[u8]) -> Option<Subscription> {
    let mut reader = MemberBytes(bytes);
    let version = reader.i16()?;
    let mut topics = BTreeSet::new();
    for _ in 0..reader.i32()? {
        topics.insert(reader.text()?);
    }
    let data = reader.bytes()?;
    let owned = if version >= OWNED { reader.places()? } else { BTreeSet::new() };
    let generation = match version >= GENERATION {
        true => reader.i32()?,
        // What older members write instead: the number alone, as their own data.
        false => data.first_chunk::<4>().map_or(-1, |number| i32::from_be_bytes(*number)),
    };
    Some(Subscription { topics, owned, generation })
}

/// The partitions in an assignment; `None` if it makes no sense.
pub(crate) fn assignment(bytes: &[u8]) -> Option<BTreeSet<TopicPartition>> {
    let mut reader = MemberBytes(bytes);
    reader.i16()?;
    reader.places()
}
