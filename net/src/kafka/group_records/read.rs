//! Reading: whatever the bytes, never past their end, and memory in proportion to them.

use super::super::wire::{Wire, WireReader};
use super::{
    ClassicMember, ConsumerGroupValue, CurrentValue, GroupMember, GroupRecord, GroupValue, MemberValue, OffsetValue,
    RegularExpressionValue, TargetValue, TopicMetadata, TopicPartitions, kind,
};
use torc_base::ids::TopicId;

/// Highest versions of values whose layout is known; all flexible ones may have tagged fields of later days.
const OFFSET_VERSION_MAX: i16 = 4;
const GROUP_VERSION_MAX: i16 = 4;

/// A record from its key and value. Kinds of keys that are not known are no error: see [`GroupRecord::Unknown`].
pub fn decode<'a>(key: &'a [u8], value: Option<&'a [u8]>) -> Result<GroupRecord<'a>, &'static str> {
    let mut key = WireReader::new(key);
    let key_kind = key.i16()?;
    let record = match key_kind {
        kind::OFFSET_OF_OLD | kind::OFFSET => {
            let (group, topic, partition) = (key.string(false)?, key.string(false)?, key.i32()?);
            GroupRecord::Offset { group, topic, partition, value: value.map(offset).transpose()? }
        }
        kind::GROUP => GroupRecord::Group { group: key.string(false)?, value: value.map(group_metadata).transpose()? },
        kind::CONSUMER_GROUP => {
            GroupRecord::ConsumerGroup { group: key.string(false)?, value: of_first(value, consumer_group)? }
        }
        kind::PARTITION_METADATA => {
            GroupRecord::PartitionMetadata { group: key.string(false)?, value: of_first(value, partition_metadata)? }
        }
        kind::MEMBER => {
            let (group, member) = (key.string(false)?, key.string(false)?);
            GroupRecord::Member { group, member, value: of_first(value, member_metadata)? }
        }
        kind::TARGET => GroupRecord::Target { group: key.string(false)?, value: of_first(value, target)? },
        kind::TARGET_MEMBER => {
            let (group, member) = (key.string(false)?, key.string(false)?);
            GroupRecord::TargetMember { group, member, value: of_first(value, target_member)? }
        }
        kind::CURRENT_ASSIGNMENT => {
            let (group, member) = (key.string(false)?, key.string(false)?);
            GroupRecord::CurrentAssignment { group, member, value: of_first(value, current)? }
        }
        kind::REGULAR_EXPRESSION => {
            let (group, expression) = (key.string(false)?, key.string(false)?);
            GroupRecord::RegularExpression { group, expression, value: of_first(value, regular_expression)? }
        }
        kind if kind < 0 => return Err("the kind of a key is negative"),
        kind => return Ok(GroupRecord::Unknown { kind }),
    };
    if key.remaining() > 0 {
        return Err("a key goes on behind its fields");
    }
    Ok(record)
}

/// A value of a kind that has had one version so far.
fn of_first<'a, T>(value: Option<&'a [u8]>, read: fn(&mut WireReader<'a>) -> Wire<T>) -> Wire<Option<T>> {
    let Some(value) = value else { return Ok(None) };
    let mut from = WireReader::new(value);
    if from.i16()? != 0 {
        return Err("a value's version is not known");
    }
    read(&mut from).map(Some)
}

fn offset(value: &[u8]) -> Wire<OffsetValue<'_>> {
    let mut from = WireReader::new(value);
    let version = from.i16()?;
    if !(0..=OFFSET_VERSION_MAX).contains(&version) {
        return Err("an offset's version is not known");
    }
    let flexible = version >= 4;
    let offset = from.i64()?;
    let leader_epoch = if version >= 3 { from.i32()? } else { -1 };
    let metadata = from.string(flexible)?;
    let commit_timestamp = from.i64()?;
    let expire_timestamp = if version == 1 { from.i64()? } else { -1 };
    let mut topic_id = TopicId::ZERO;
    if flexible {
        from.tags(|tag, bytes| {
            if tag == 0 {
                topic_id = TopicId(WireReader::new(bytes).u128()?);
            }
            Ok(())
        })?;
    }
    Ok(OffsetValue { offset, leader_epoch, metadata, commit_timestamp, expire_timestamp, topic_id })
}

fn group_metadata(value: &[u8]) -> Wire<GroupValue<'_>> {
    let mut from = WireReader::new(value);
    let version = from.i16()?;
    if !(0..=GROUP_VERSION_MAX).contains(&version) {
        return Err("a group's version is not known");
    }
    let flexible = version >= 4;
    let protocol_type = from.string(flexible)?;
    let generation = from.i32()?;
    let protocol = from.nullable_string(flexible)?;
    let leader = from.nullable_string(flexible)?;
    let current_state_timestamp = if version >= 2 { from.i64()? } else { -1 };
    let members = list(&mut from, flexible, 12, |from| group_member(from, version))?;
    from.skip_tags(flexible)?;
    Ok(GroupValue { protocol_type, generation, protocol, leader, current_state_timestamp, members })
}

fn group_member<'a>(from: &mut WireReader<'a>, version: i16) -> Wire<GroupMember<'a>> {
    let flexible = version >= 4;
    let member = GroupMember {
        member_id: from.string(flexible)?,
        group_instance_id: if version >= 3 { from.nullable_string(flexible)? } else { None },
        client_id: from.string(flexible)?,
        client_host: from.string(flexible)?,
        rebalance_timeout: if version >= 1 { from.i32()? } else { -1 },
        session_timeout: from.i32()?,
        subscription: from.bytes(flexible)?,
        assignment: from.bytes(flexible)?,
    };
    from.skip_tags(flexible)?;
    Ok(member)
}

fn consumer_group(from: &mut WireReader<'_>) -> Wire<ConsumerGroupValue> {
    let mut value = ConsumerGroupValue { epoch: from.i32()?, metadata_hash: 0 };
    from.tags(|tag, bytes| {
        if tag == 0 {
            value.metadata_hash = WireReader::new(bytes).i64()?;
        }
        Ok(())
    })?;
    Ok(value)
}

fn partition_metadata<'a>(from: &mut WireReader<'a>) -> Wire<Vec<TopicMetadata<'a>>> {
    let topics = list(from, true, 23, |from| {
        let topic_id = TopicId(from.u128()?);
        let topic_name = from.string(true)?;
        let num_partitions = from.i32()?;
        list(from, true, 6, |from| {
            from.i32()?;
            list(from, true, 1, |from| from.string(true))?;
            from.skip_tags(true)
        })?;
        from.skip_tags(true)?;
        Ok(TopicMetadata { topic_id, topic_name, num_partitions })
    })?;
    from.skip_tags(true)?;
    Ok(topics)
}

fn member_metadata<'a>(from: &mut WireReader<'a>) -> Wire<MemberValue<'a>> {
    let mut value = MemberValue {
        instance_id: from.nullable_string(true)?,
        rack_id: from.nullable_string(true)?,
        client_id: from.string(true)?,
        client_host: from.string(true)?,
        subscribed_topic_names: list(from, true, 1, |from| from.string(true))?,
        subscribed_topic_regex: from.nullable_string(true)?,
        rebalance_timeout: from.i32()?,
        server_assignor: from.nullable_string(true)?,
        classic: None,
    };
    from.tags(|tag, bytes| {
        if tag == 0 {
            value.classic = classic_member(&mut WireReader::new(bytes))?;
        }
        Ok(())
    })?;
    Ok(value)
}

/// A struct that may be null begins with a byte that says so.
fn classic_member<'a>(from: &mut WireReader<'a>) -> Wire<Option<ClassicMember<'a>>> {
    if from.i8()? < 0 {
        return Ok(None);
    }
    let session_timeout = from.i32()?;
    let supported_protocols = list(from, true, 3, |from| {
        let protocol = (from.string(true)?, from.bytes(true)?);
        from.skip_tags(true)?;
        Ok(protocol)
    })?;
    from.skip_tags(true)?;
    Ok(Some(ClassicMember { session_timeout, supported_protocols }))
}

fn target(from: &mut WireReader<'_>) -> Wire<TargetValue> {
    let mut value = TargetValue { assignment_epoch: from.i32()?, assignment_timestamp: 0 };
    from.tags(|tag, bytes| {
        if tag == 0 {
            value.assignment_timestamp = WireReader::new(bytes).i64()?;
        }
        Ok(())
    })?;
    Ok(value)
}

fn target_member(from: &mut WireReader<'_>) -> Wire<Vec<TopicPartitions>> {
    let partitions = topic_partitions(from)?;
    from.skip_tags(true)?;
    Ok(partitions)
}

fn current(from: &mut WireReader<'_>) -> Wire<CurrentValue> {
    let value = CurrentValue {
        member_epoch: from.i32()?,
        previous_member_epoch: from.i32()?,
        state: from.i8()?,
        assigned_partitions: topic_partitions(from)?,
        partitions_pending_revocation: topic_partitions(from)?,
    };
    from.skip_tags(true)?;
    Ok(value)
}

fn topic_partitions(from: &mut WireReader<'_>) -> Wire<Vec<TopicPartitions>> {
    list(from, true, 18, |from| {
        let topic_id = TopicId(from.u128()?);
        let partitions = list(from, true, 4, WireReader::i32)?;
        let mut assignment_epochs = Vec::new();
        from.tags(|tag, bytes| {
            if tag == 0 {
                assignment_epochs =
                    nullable_list(&mut WireReader::new(bytes), true, 4, WireReader::i32)?.unwrap_or_default();
            }
            Ok(())
        })?;
        if !assignment_epochs.is_empty() && assignment_epochs.len() != partitions.len() {
            return Err("a partition lacks its epoch");
        }
        Ok(TopicPartitions { topic_id, partitions, assignment_epochs })
    })
}

fn regular_expression<'a>(from: &mut WireReader<'a>) -> Wire<RegularExpressionValue<'a>> {
    let topics = list(from, true, 1, |from| from.string(true))?;
    let value = RegularExpressionValue { topics, version: from.i64()?, timestamp: from.i64()? };
    from.skip_tags(true)?;
    Ok(value)
}

fn list<'a, T>(
    from: &mut WireReader<'a>,
    flexible: bool,
    element_min: usize,
    read: impl Fn(&mut WireReader<'a>) -> Wire<T>,
) -> Wire<Vec<T>> {
    nullable_list(from, flexible, element_min, read)?.ok_or("an array is null that may not be")
}

/// An array whose elements take at least `element_min` bytes each.
fn nullable_list<'a, T>(
    from: &mut WireReader<'a>,
    flexible: bool,
    element_min: usize,
    read: impl Fn(&mut WireReader<'a>) -> Wire<T>,
) -> Wire<Option<Vec<T>>> {
    let Some(count) = from.nullable_array(flexible, element_min)? else { return Ok(None) };
    let mut elements = Vec::with_capacity(count);
    for _ in 0..count {
        elements.push(read(from)?);
    }
    Ok(Some(elements))
}
