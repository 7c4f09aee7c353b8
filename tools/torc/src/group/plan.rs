//! What is to become of a group's offsets: which partitions are meant, and where each shall be.

use super::args::{ResetArgs, TopicPartitions};
use crate::admin::AdminError;
use crate::output::complain;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use torc_client::{Committed, EARLIEST, GroupClient, LATEST, Outcomes, Refusal, TopicPartition};

/// Kafka's code for a partition that is not there.
const UNKNOWN_TOPIC: i16 = 3;
/// A file of offsets may be so large.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// What becomes of a partition's offset.
#[derive(Debug, Serialize)]
pub struct Change {
    pub topic: String,
    pub partition: i32,
    /// `None`: there is none now.
    pub before: Option<i64>,
    pub after: i64,
    /// What is left to read then.
    pub lag: i64,
}

/// A refusal of what was asked of a group.
pub fn refusal(what: String, code: i16, message: Option<String>) -> AdminError {
    AdminError::Refused(vec![Refusal { what, code, message, record: None }])
}

/// All that was found out, or all that stands against it.
fn whole<T>(outcomes: Outcomes<T>) -> Result<BTreeMap<TopicPartition, T>, AdminError> {
    let (mut found, mut refusals) = (BTreeMap::new(), Vec::new());
    for (place, outcome) in outcomes {
        match outcome {
            Ok(value) => drop(found.insert(place, value)),
            Err(refusal) => refusals.push(refusal),
        }
    }
    if refusals.is_empty() { Ok(found) } else { Err(AdminError::Refused(refusals)) }
}

/// The partitions that are meant: those of topics that are there, with all that exist where none are named.
pub fn places(groups: &mut GroupClient, wanted: &[TopicPartitions]) -> Result<Vec<TopicPartition>, AdminError> {
    let names: Vec<String> = wanted.iter().map(|topic| topic.topic.clone()).collect();
    let metadata = groups.metadata(&names)?;
    let (mut places, mut refusals) = (Vec::new(), Vec::new());
    for wanted in wanted {
        let told = metadata.topics.iter().find(|told| told.name.as_ref().is_some_and(|n| n.as_str() == wanted.topic));
        let code = told.map_or(UNKNOWN_TOPIC, |told| told.error_code);
        let refuse = |what: String, code| Refusal { what, code, message: None, record: None };
        let Some(told) = told.filter(|_| code == 0) else {
            refusals.push(refuse(format!("find topic {}", wanted.topic), code));
            continue;
        };
        let there: Vec<i32> = told.partitions.iter().map(|partition| partition.partition_index).collect();
        for partition in wanted.partitions.iter().filter(|partition| !there.contains(partition)) {
            let place = TopicPartition::new(&wanted.topic, *partition);
            refusals.push(refuse(format!("find {place}"), UNKNOWN_TOPIC));
        }
        let meant = if wanted.partitions.is_empty() { &there } else { &wanted.partitions };
        places.extend(meant.iter().map(|partition| TopicPartition::new(&wanted.topic, *partition)));
    }
    places.sort();
    places.dedup();
    if refusals.is_empty() { Ok(places) } else { Err(AdminError::Refused(refusals)) }
}

/// Where each partition shall be, inside of its log.
pub fn changes(
    groups: &mut GroupClient,
    args: &ResetArgs,
    committed: &BTreeMap<TopicPartition, Committed>,
) -> Result<Vec<Change>, AdminError> {
    let given = match &args.from_file {
        Some(path) => read(path)?,
        None => BTreeMap::new(),
    };
    let places: Vec<TopicPartition> = match (&args.from_file, args.all_topics) {
        (Some(_), _) => given.keys().cloned().collect(),
        (None, true) => committed.keys().cloned().collect(),
        (None, false) => places(groups, &args.topic)?,
    };
    let mut at = |time: i64| -> Result<BTreeMap<TopicPartition, i64>, AdminError> {
        let asked = places.iter().map(|place| (place.clone(), time)).collect();
        whole(groups.offsets_at(&asked)?)
    };
    let (starts, ends) = (at(EARLIEST)?, at(LATEST)?);
    let times = match args.to_time {
        Some(time) => at(time)?,
        None => BTreeMap::new(),
    };
    let mut refusals = Vec::new();
    let mut changes = Vec::new();
    for place in places {
        let before = committed.get(&place).map(|committed| committed.offset);
        let (start, end) = (starts[&place], ends[&place]);
        let wanted = match () {
            () if args.to_earliest => start,
            () if args.to_latest => end,
            // Where nothing is as new, what comes next is.
            () if args.to_time.is_some() => Some(times[&place]).filter(|offset| *offset >= 0).unwrap_or(end),
            () if args.from_file.is_some() => given[&place],
            () if args.to_offset.is_some() => args.to_offset.unwrap_or_default(),
            () => match before {
                Some(before) => before.saturating_add(args.shift_by.unwrap_or(0)),
                None => {
                    let what = format!("move the offset of {place}");
                    let message = Some("the group has none there: name --to-earliest or another place".to_string());
                    refusals.push(Refusal { what, code: 1, message, record: None });
                    continue;
                }
            },
        };
        let after = wanted.clamp(start, end.max(start));
        if after != wanted {
            let edge = if wanted < start { "begins" } else { "ends" };
            complain(&format!("{place} {edge} at offset {after}: set to that instead of {wanted}"));
        }
        changes.push(Change { topic: place.topic, partition: place.partition, before, after, lag: end - after });
    }
    if refusals.is_empty() { Ok(changes) } else { Err(AdminError::Refused(refusals)) }
}

fn read(path: &Path) -> Result<BTreeMap<TopicPartition, i64>, AdminError> {
    let name = if path.as_os_str() == "-" { "standard input".to_string() } else { path.display().to_string() };
    let got = match path.as_os_str() == "-" {
        true => text_of(std::io::stdin().lock(), FILE_BYTES_MAX),
        false => std::fs::File::open(path).and_then(|file| text_of(file, FILE_BYTES_MAX)),
    };
    let text = got.map_err(|error| AdminError::Input(format!("cannot read {name}: {error}")))?;
    parse(&text).map_err(|why| AdminError::Input(format!("{name}, {why}")))
}

/// All of a text of at most so many bytes: a part of it would be taken for the whole.
pub(super) fn text_of(input: impl Read, most: u64) -> std::io::Result<String> {
    let mut text = String::new();
    input.take(most + 1).read_to_string(&mut text)?;
    if text.len() as u64 > most {
        let why = format!("it is longer than {most} bytes: do it in several parts");
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, why));
    }
    Ok(text)
}

/// Lines `TOPIC,PARTITION,OFFSET`, as Kafka's own tool writes them. Empty ones and those that begin with # say nothing.
pub fn parse(text: &str) -> Result<BTreeMap<TopicPartition, i64>, String> {
    let mut offsets = BTreeMap::new();
    // Spreadsheets begin a file with a mark of its byte order.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |why: &str| format!("line {}: {why}: {line}", number + 1);
        let fields: Vec<&str> = line.split(',').map(|field| field.trim().trim_matches('"')).collect();
        let [topic, partition, offset] = fields[..] else {
            return Err(wrong("it must be TOPIC,PARTITION,OFFSET"));
        };
        let partition = partition.parse().ok().filter(|n: &i32| *n >= 0);
        let offset = offset.parse().ok().filter(|n: &i64| *n >= 0);
        let (Some(partition), Some(offset), false) = (partition, offset, topic.is_empty()) else {
            return Err(wrong("it must be TOPIC,PARTITION,OFFSET, with numbers from 0 on"));
        };
        if offsets.insert(TopicPartition::new(topic, partition), offset).is_some() {
            return Err(wrong("this partition has an offset already"));
        }
    }
    if offsets.is_empty() { Err("which has no offsets".to_string()) } else { Ok(offsets) }
}
