//! Counters that ZooKeeper has names for, as far as what they count is there.

use super::facts::{Figure, Latency, Number};
use torc_state::tree::EventKind;

/// What has happened since the start or the last `srst`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Clients that said what they want, and those of them that took a session up.
    pub greeted: u64,
    pub renewed: u64,
    /// Connections: closed as they came, as their address had enough of them; closed since they said nothing; gone.
    pub rejected: u64,
    pub silent: u64,
    pub gone: u64,
    /// Of a leader: sessions that were not heard of in time, sessions that other nodes asked for, and changes.
    pub expired: u64,
    pub asked_for: u64,
    pub committed: u64,
    /// How often the leader was lost.
    pub leaderless: u64,
    /// Bytes of requests, of answers and of events.
    pub received_bytes: u64,
    pub answered_bytes: u64,
    pub told_bytes: u64,
    /// Of each kind of event, how many watched for one, least and most.
    watchers: [Latency; 4],
}

/// The five names of a summary.
macro_rules! summary {
    ($name:literal) => {
        [
            concat!("avg_", $name),
            concat!("min_", $name),
            concat!("max_", $name),
            concat!("cnt_", $name),
            concat!("sum_", $name),
        ]
    };
}

/// Of each kind of event.
const WATCHERS: [(EventKind, [&str; 5]); 4] = [
    (EventKind::Created, summary!("node_created_watch_count")),
    (EventKind::Deleted, summary!("node_deleted_watch_count")),
    (EventKind::DataChanged, summary!("node_changed_watch_count")),
    (EventKind::ChildrenChanged, summary!("node_children_watch_count")),
];

impl Counters {
    /// So many watched for an event that came.
    pub(super) fn add_watchers(&mut self, kind: EventKind, watchers: u64) {
        if watchers > 0 {
            self.watchers[kind as usize].add(watchers);
        }
    }

    /// Under ZooKeeper's names.
    pub(super) fn figures(&self) -> Vec<Figure> {
        let whole = |name, help, number: u64| Figure { name, help, number: Number::Whole(number as i64) };
        let mut figures = vec![
            whole("connection_request_count", "Clients that asked for a session or took one up.", self.greeted),
            whole("connection_revalidate_count", "Clients that took a session up.", self.renewed),
            whole("connection_rejected", "Connections beyond what one address may have.", self.rejected),
            whole("sessionless_connections_expired", "Connections on which nothing was said.", self.silent),
            whole("connection_drop_count", "Connections of clients that ended.", self.gone),
            whole("stale_sessions_expired", "Sessions that were not heard of in time.", self.expired),
            whole("revalidate_count", "Sessions that clients of other nodes took up.", self.asked_for),
            whole("commit_count", "Changes that were committed while this node led.", self.committed),
            whole("looking_count", "Times that this node had no leader any more.", self.leaderless),
            whole("bytes_received_count", "Bytes of clients' requests.", self.received_bytes),
            whole("response_bytes", "Bytes of answers to clients.", self.answered_bytes),
            whole("watch_bytes", "Bytes of events that clients were sent.", self.told_bytes),
        ];
        for (kind, [average, min, max, count, sum]) in WATCHERS {
            let watchers = &self.watchers[kind as usize];
            let help = "Watches that one event found: on average.";
            figures.push(Figure { name: average, help, number: Number::Real(watchers.average()) });
            figures.push(whole(min, "The same: at least.", watchers.min));
            figures.push(whole(max, "The same: at most.", watchers.max));
            figures.push(whole(count, "The same: events.", watchers.count));
            figures.push(whole(sum, "The same: watches of all events together.", watchers.sum));
        }
        figures
    }
}
