//! Which topics a command means: names, and patterns, which no name contains.

use super::describe;
use super::describe::Topic;
use crate::admin::pattern::{NoMatch, is_pattern, matches};
use crate::admin::{AdminError, refusals_of};
use crate::exit::Usage;
use torc_client::Cluster;

/// The topics that `wanted` names or matches, or all if it is empty, in the order of their names. Internal topics match no
/// pattern but one that begins as they do, with `__`.
///
/// # Errors
/// A name that is no topic's, besides what the cluster refuses: then nothing is to be done.
pub fn chosen(cluster: &mut Cluster, wanted: &[String], none: NoMatch) -> Result<Vec<Topic>, AdminError> {
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
                return Err(AdminError::Usage(Usage(format!("no topic matches {text}"))));
            }
            true => {}
            // The cluster has its own words for a topic that is not there.
            false => drop(describe::topics(cluster, std::slice::from_ref(text), &mut refusals)?),
        }
    }
    refusals_of(refusals)?;
    Ok(all.into_iter().filter(|topic| wanted.iter().any(|text| means(text, topic))).collect())
}
