//! Which topics a command means: names, and patterns with `*` (any text) and `?` (any character), which no name contains.

use super::describe::Topic;
use super::{TopicError, describe, refusals_of};
use crate::exit::Usage;
use torc_client::Cluster;

/// What is to become of a pattern that no topic matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoMatch {
    /// The answer is "none".
    Empty,
    /// Whoever wants to do something with the topics has mistyped it.
    Refused,
}

/// True if `text` stands for the names that match it, and for none itself.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// True if the whole `name` is what `pattern` says.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where the last `*` stands, and as far as it has taken text: taking more of it is all that a mismatch can lead to.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => (p, n) = (p + 1, n + 1),
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                (p, n) = (at + 1, taken + 1);
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// The topics that `wanted` names or matches, or all if it is empty, in the order of their names. Internal topics match no
/// pattern but one that begins as they do, with `__`.
///
/// # Errors
/// A name that is no topic's, besides what the cluster refuses: then nothing is to be done.
pub fn chosen(cluster: &mut Cluster, wanted: &[String], none: NoMatch) -> Result<Vec<Topic>, TopicError> {
    let mut refusals = Vec::new();
    if !wanted.iter().any(|text| is_pattern(text)) {
        let topics = describe::topics(cluster, wanted, &mut refusals)?;
        return refusals_of(refusals).map(|()| topics);
    }
    let all = describe::topics(cluster, &[], &mut refusals)?;
    let means = |text: &String, topic: &Topic| match is_pattern(text) {
        true => matches(text, &topic.name) && (!topic.internal || text.starts_with("__")),
        false => *text == topic.name,
    };
    for text in wanted {
        let found = all.iter().any(|topic| means(text, topic));
        match is_pattern(text) {
            _ if found => {}
            true if none == NoMatch::Refused => {
                return Err(TopicError::Usage(Usage(format!("no topic matches {text}"))));
            }
            true => {}
            // The cluster has its own words for a topic that is not there.
            false => drop(describe::topics(cluster, std::slice::from_ref(text), &mut refusals)?),
        }
    }
    refusals_of(refusals)?;
    Ok(all.into_iter().filter(|topic| wanted.iter().any(|text| means(text, topic))).collect())
}
