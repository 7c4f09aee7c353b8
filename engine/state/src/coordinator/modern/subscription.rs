//! What the members want: names and patterns, and whether the topics behind them have changed.

use super::super::record::{ConsumerGroupValue, MemberValue, Record, RegularExpressionValue, names_bytes_max};
use super::super::response::Refusal;
use super::super::{Step, Text};
use super::Consumer;
use super::re2::translated;
use regex::bytes::{Regex, RegexBuilder};
use std::collections::{BTreeMap, BTreeSet};
use torc_base::ids::TopicId;
use torc_base::limits::PATTERN_BYTES_MAX;

/// Milliseconds, at least, between two look-ups of a group's patterns because of other topics.
const PATTERNS_REST_MS: u64 = 10_000;

/// A pattern in RE2's syntax, which matches whole names. Names of topics are ASCII, and so are the classes.
pub(super) fn compile(pattern: &str) -> Result<Regex, Refusal> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(Refusal::InvalidRegularExpression);
    }
    let pattern = translated(pattern).ok_or(Refusal::InvalidRegularExpression)?;
    let build = |pattern: &str| {
        let limits = |builder: &mut RegexBuilder| builder.unicode(false).size_limit(1 << 20).nest_limit(100).build();
        limits(&mut RegexBuilder::new(pattern)).map_err(|_| Refusal::InvalidRegularExpression)
    };
    // By itself first: "a)|(b" is a pattern only between parentheses.
    build(&pattern)?;
    build(&format!("^(?:{pattern})$"))
}

/// The topics that a pattern matches, in order.
pub(super) fn matched(step: &Step<'_>, pattern: &Regex) -> Vec<Text> {
    let mut topics = Vec::new();
    step.cluster.topic_names(&mut |name| {
        if pattern.is_match(name.as_bytes()) {
            topics.push(name.clone());
        }
    });
    topics.sort();
    topics
}

/// True if the log takes what an expression has matched.
pub(super) fn are_written(step: &Step<'_>, expression: &str, topics: &[Text]) -> bool {
    step.fits(expression.len() + names_bytes_max(topics))
}

impl Consumer {
    /// The names that a member wants.
    pub(super) fn names<'a>(&'a self, value: Option<&'a MemberValue>) -> impl Iterator<Item = &'a Text> {
        let regex = value.and_then(|value| value.regex.as_ref());
        let matched = regex.and_then(|regex| self.patterns.get(regex)).map(|pattern| &pattern.topics);
        value.into_iter().flat_map(|value| &value.topics).chain(matched.into_iter().flatten())
    }

    /// The topics that a member wants, as far as they exist.
    pub(super) fn topics(&self, step: &Step<'_>, value: Option<&MemberValue>) -> BTreeMap<TopicId, u32> {
        let found = self.names(value).filter_map(|name| step.cluster.topic(name));
        found.map(|topic| (topic.id, topic.partitions)).collect()
    }

    /// Looks whether assignments have to be computed anew: members want something else, or the topics have changed.
    pub(super) fn refresh(&mut self, step: &mut Step<'_>, wants_other: bool) {
        let version = step.cluster.version();
        if !wants_other && self.seen == Some(version) {
            return;
        }
        self.look_up_patterns(step, version);
        let metadata_hash = self.metadata_hash(step);
        let before = self.epoch.as_ref();
        if wants_other || before.is_none_or(|before| before.metadata_hash != metadata_hash) {
            let epoch = self.epoch().checked_add(1).unwrap_or(1);
            let value = Some(ConsumerGroupValue { epoch, metadata_hash });
            self.write(Record::ConsumerGroup { group: step.group.clone(), value }, step);
        }
    }

    /// Looks up the patterns of members that are new, and, after a rest, all of them in other topics.
    fn look_up_patterns(&mut self, step: &mut Step<'_>, version: u64) {
        let regex = |member: &super::Member| member.value.as_ref().and_then(|value| value.regex.clone());
        let wanted: BTreeSet<Text> = self.members.values().filter_map(regex).collect();
        let unused: Vec<Text> = self.patterns.keys().filter(|pattern| !wanted.contains(*pattern)).cloned().collect();
        for expression in unused {
            self.write(Record::RegularExpression { group: step.group.clone(), expression, value: None }, step);
        }
        self.looked_up.retain(|pattern, _| wanted.contains(pattern));
        let rests = step.now.mono < self.patterns_after;
        if !rests || wanted.is_empty() {
            self.seen = Some(version);
        }
        for expression in wanted {
            let before = self.patterns.get(&expression);
            if self.looked_up.get(&expression) == Some(&version) || before.is_some() && rests {
                continue;
            }
            let Ok(pattern) = compile(&expression) else { continue };
            let topics = matched(step, &pattern);
            self.patterns_after = step.now.mono.plus_ms(PATTERNS_REST_MS);
            self.looked_up.insert(expression.clone(), version);
            // What has come to match more than one record tells stays as it was.
            if before.is_some_and(|before| before.topics == topics) || !are_written(step, &expression, &topics) {
                continue;
            }
            let value = Some(RegularExpressionValue { topics, version: version as i64, computed: step.now.wall });
            self.write(Record::RegularExpression { group: step.group.clone(), expression, value }, step);
        }
    }

    /// A digest of all that assignments depend on besides the members: FNV-1a over the subscribed topics.
    fn metadata_hash(&self, step: &Step<'_>) -> i64 {
        let mut topics = BTreeMap::new();
        for member in self.members.values() {
            topics.extend(self.topics(step, member.value.as_ref()));
        }
        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        let mut add = |bytes: &[u8]| {
            for byte in bytes {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        for (id, partitions) in &topics {
            add(&id.0.to_be_bytes());
            add(&partitions.to_be_bytes());
        }
        if topics.is_empty() { 0 } else { hash as i64 }
    }
}
