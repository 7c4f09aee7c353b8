//! Lines about connections that are closed for what they sent. A port that anybody can reach must not fill the log, so
//! each kind of complaint has few lines, and how many were left out is said.

use crate::line_limit::LineLimit;
use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use torc_base::ids::ConnId;
use torc_base::time::Mono;
use torc_net::foreign::Foreign;

/// The span that lines are counted in.
const SPAN_MS: u64 = 10_000;
/// Lines of one kind in it: what is malformed differs from case to case ...
const LINES_MAX: u32 = 5;
/// ... while a stranger says all there is to say the first time.
const FOREIGN_LINES_MAX: u32 = 1;

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Complaint {
    /// A frame's length is negative or too large.
    Length,
    /// An API or version that is not served.
    Unsupported,
    /// A request that contradicts its schema.
    Malformed,
    /// Its answer cannot be encoded.
    Answer,
    /// A request failed that wants no answer, so that only the end of the connection can tell.
    Unanswered,
    /// It does not say what a ZooKeeper client says first.
    Connect,
    /// A ZooKeeper client that has seen more than this node knows.
    Ahead,
    /// A ZooKeeper client that proves to be too much.
    Identities,
    /// It speaks another protocol.
    Foreign(Foreign),
}

impl Complaint {
    fn lines_max(self) -> u32 {
        if matches!(self, Complaint::Foreign(_)) { FOREIGN_LINES_MAX } else { LINES_MAX }
    }

    /// The kind, in the plural.
    fn name(self) -> &'static str {
        match self {
            Complaint::Length => "frames with a bad length",
            Complaint::Unsupported => "requests that are not served",
            Complaint::Malformed => "malformed requests",
            Complaint::Answer => "answers that cannot be encoded",
            Complaint::Unanswered => "produce requests with acks=0 that failed",
            Complaint::Connect => "ZooKeeper clients that ask for no session",
            Complaint::Ahead => "ZooKeeper clients that have seen more than this node knows",
            Complaint::Identities => "ZooKeeper clients with too many identities",
            Complaint::Foreign(Foreign::Tls) => "TLS clients",
            Complaint::Foreign(Foreign::Http) => "HTTP clients",
            Complaint::Foreign(Foreign::Kafka) => "Kafka clients",
            Complaint::Foreign(Foreign::ZooKeeper) => "ZooKeeper clients",
            Complaint::Foreign(Foreign::ProxyHeader) => "PROXY headers",
            Complaint::Foreign(Foreign::Ssh) => "SSH clients",
            Complaint::Foreign(Foreign::Redis) => "Redis clients",
        }
    }
}

/// Counts the lines of each kind.
#[derive(Default)]
pub struct Complaints {
    kinds: BTreeMap<Complaint, LineLimit>,
}

impl Complaints {
    /// The line about a connection, if it gets one.
    pub fn line(&mut self, now: Mono, complaint: Complaint, conn: ConnId, why: &dyn Display) -> Option<String> {
        let limit = self.kinds.entry(complaint).or_insert_with(|| LineLimit::new(complaint.lines_max(), SPAN_MS));
        let left_out = limit.admit(now)?;
        let mut line = format!("connection {conn}: {why}; closed");
        if left_out > 0 {
            let _ = write!(line, " ({left_out} more {} since the last line)", complaint.name());
        }
        Some(line)
    }

    /// When [`Complaints::left_out`] has something to tell.
    pub fn due(&self) -> Option<Mono> {
        self.kinds.values().filter_map(LineLimit::due).min()
    }

    /// Lines about what was left out in spans that are over.
    pub fn left_out(&mut self, now: Mono) -> Vec<String> {
        let over = self.kinds.iter_mut().filter_map(|(kind, limit)| Some((kind, limit.take_left_out(now)?)));
        over.map(|(kind, left_out)| format!("{left_out} more connections were closed: {}", kind.name())).collect()
    }
}
