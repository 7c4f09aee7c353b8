//! What entries are, as torc's shard numbers them in the log.

/// A Kafka record batch.
pub const RECORDS: u8 = 1;
/// A change of the catalog.
pub const COMMAND: u8 = 5;

/// A word for the kind; `None` for one that this torc does not know.
pub fn name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        RECORDS => "records",
        2 => "no-op",
        3 => "hard-state",
        4 => "trim",
        6 => "clock",
        7 => "members",
        8 => "hole",
        9 => "state",
        10 => "anew",
        11 => "transaction",
        12 => "part",
        13 => "parts",
        COMMAND => "command",
        _ => return None,
    })
}
