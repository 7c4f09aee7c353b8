//! How long offsets are kept without anybody who would need them: `offsets.retention.minutes` from when the group
//! became empty, or, where no group stands behind an offset, from its commit. What a live group consumes is kept, and
//! while it rebalances everything is.

use super::Step;
use super::group::{Group, Subscription};
use super::record::OffsetValue;
use super::response::GroupState;
use torc_base::time::Wall;

use super::Text;

impl Group {
    /// Forgets what has expired, and the group itself once nothing is left of it.
    pub(super) fn expire(&mut self, step: &mut Step<'_>) {
        let Some(rule) = self.rule() else { return };
        let retention = step.settings.offsets_retention_ms;
        let mut expired: Vec<(Text, i32)> = Vec::new();
        for (topic, partitions) in self.offsets.topics() {
            if !rule.subscription.may_have(topic) {
                let over = partitions.iter().filter(|(_, value)| rule.is_over(value, step.now.wall, retention));
                expired.extend(over.map(|(partition, _)| (topic.clone(), *partition)));
            }
        }
        expired.iter().for_each(|(topic, partition)| self.forget(step, topic, *partition));
        let is_awaited = self.classic.as_ref().is_some_and(|classic| classic.has_pending());
        if self.offsets.is_empty() && self.is_empty() && !is_awaited {
            self.delete(step);
        }
    }

    /// How offsets of the group expire now; `None` if they do not.
    fn rule(&self) -> Option<Rule> {
        if self.consumer.is_some() {
            return Some(Rule { since: None, subscription: self.subscription() });
        }
        let Some(classic) = &self.classic else {
            return Some(Rule { since: None, subscription: Subscription::None });
        };
        match classic.state() {
            GroupState::Empty if classic.protocol_type().is_some() => {
                let since = Some(classic.since()).filter(|since| since.0 >= 0);
                Some(Rule { since, subscription: Subscription::None })
            }
            GroupState::Empty => Some(Rule { since: None, subscription: Subscription::None }),
            GroupState::Stable => match self.subscription() {
                subscription @ Subscription::To(_) => Some(Rule { since: None, subscription }),
                _ => None,
            },
            _ => None,
        }
    }
}

struct Rule {
    /// When the group lost its last member.
    since: Option<Wall>,
    /// What is kept whatever its age.
    subscription: Subscription,
}

impl Rule {
    fn is_over(&self, value: &OffsetValue, now: Wall, retention: i64) -> bool {
        match value.expires {
            Some(expires) => now >= expires,
            None => now.0.saturating_sub(self.since.unwrap_or(value.committed).0) >= retention,
        }
    }
}
