//! The wire form of what members say to each other, and of configurations, which also stand in logs.
//!
//! Numbers are little endian. A message is its kind (1), the sender's term (8), and what [`Body`] says, field by field;
//! lists after their number (2). An `Append` says nothing of configurations: they stand among the entries that go with it.

use crate::configuration::{Configuration, Member, Seat};
use crate::message::{Body, Mark, Message, Run};
use torc_base::ids::{Index, NodeId, Term};
use torc_base::malformed::Malformed;

/// Appends the message to `out`: a few numbers, and for each run of entries 12 bytes more, for each member 5.
pub fn encode(message: &Message, out: &mut Vec<u8>) {
    let at = out.len();
    out.push(0);
    put_u64(out, message.term.0);
    out[at] = match &message.body {
        Body::PreVote { last } => with_mark(out, 1, *last),
        Body::PreVoteReply { granted } => with_flag(out, 2, *granted),
        Body::RequestVote { last } => with_mark(out, 3, *last),
        Body::VoteReply { granted } => with_flag(out, 4, *granted),
        Body::Append { prev, runs, configurations: _, committed } => {
            put_mark(out, *prev);
            put_u64(out, committed.0);
            out.extend_from_slice(&count(runs.len()).to_le_bytes());
            for run in runs {
                put_u64(out, run.term.0);
                out.extend_from_slice(&run.entries.to_le_bytes());
            }
            5
        }
        Body::Accepted { through, incarnation } => with_numbers(out, 6, [through.0, *incarnation]),
        Body::Rejected { prev, hint, incarnation, damaged } => {
            put_u64(out, prev.0);
            put_mark(out, *hint);
            put_u64(out, *incarnation);
            with_flag(out, 7, *damaged)
        }
        Body::Commit { through } => with_numbers(out, 8, [through.0]),
        Body::Heartbeat { committed, round } => with_numbers(out, 9, [committed.0, *round]),
        Body::HeartbeatReply { round, incarnation } => with_numbers(out, 10, [*round, *incarnation]),
        Body::TimeoutNow => 11,
        Body::Resigned => 12,
        Body::Snapshot { mark, configuration } => {
            put_mark(out, *mark);
            encode_configuration(configuration, out);
            13
        }
        Body::Readmitted { through, incarnation } => with_numbers(out, 14, [through.0, *incarnation]),
        Body::Abstained { pre } => with_flag(out, 15, *pre),
    };
}

/// The message that `bytes` are, all of them. Its `Append` names no configurations: whoever has the entries fills them in.
pub fn decode(bytes: &[u8]) -> Result<Message, Malformed> {
    let mut reader = MessageReader { rest: bytes, what: "a message between members" };
    let (kind, term) = (reader.u8()?, Term(reader.u64()?));
    let body = match kind {
        1 => Body::PreVote { last: reader.mark()? },
        2 => Body::PreVoteReply { granted: reader.flag()? },
        3 => Body::RequestVote { last: reader.mark()? },
        4 => Body::VoteReply { granted: reader.flag()? },
        5 => reader.append()?,
        6 => Body::Accepted { through: Index(reader.u64()?), incarnation: reader.u64()? },
        7 => {
            let (prev, hint, incarnation) = (Index(reader.u64()?), reader.mark()?, reader.u64()?);
            Body::Rejected { prev, hint, incarnation, damaged: reader.flag()? }
        }
        8 => Body::Commit { through: Index(reader.u64()?) },
        9 => Body::Heartbeat { committed: Index(reader.u64()?), round: reader.u64()? },
        10 => Body::HeartbeatReply { round: reader.u64()?, incarnation: reader.u64()? },
        11 => Body::TimeoutNow,
        12 => Body::Resigned,
        13 => Body::Snapshot { mark: reader.mark()?, configuration: reader.configuration()? },
        14 => Body::Readmitted { through: Index(reader.u64()?), incarnation: reader.u64()? },
        15 => Body::Abstained { pre: reader.flag()? },
        _ => return Err(Malformed { what: "the kind of a message between members" }),
    };
    reader.end()?;
    Ok(Message { term, body })
}

/// Appends a configuration: the number of members (2), and of each the node (4) and the seat (1).
pub fn encode_configuration(configuration: &Configuration, out: &mut Vec<u8>) {
    out.extend_from_slice(&count(configuration.members().len()).to_le_bytes());
    for member in configuration.members() {
        out.extend_from_slice(&member.id.0.to_le_bytes());
        out.push(match member.seat {
            Seat::Voter => 0,
            Seat::Learner => 1,
            Seat::Joining => 2,
            Seat::Leaving => 3,
            Seat::Demoted => 4,
        });
    }
}

/// Takes a configuration off the front of `bytes`.
pub fn take_configuration(bytes: &mut &[u8]) -> Result<Configuration, Malformed> {
    let mut reader = MessageReader { rest: bytes, what: "a configuration" };
    let configuration = reader.configuration()?;
    *bytes = reader.rest;
    Ok(configuration)
}

fn count(len: usize) -> u16 {
    u16::try_from(len).expect("a message has few runs, and a group few members")
}

fn put_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_mark(out: &mut Vec<u8>, mark: Mark) {
    put_u64(out, mark.term.0);
    put_u64(out, mark.index.0);
}

fn with_mark(out: &mut Vec<u8>, kind: u8, mark: Mark) -> u8 {
    put_mark(out, mark);
    kind
}

fn with_flag(out: &mut Vec<u8>, kind: u8, flag: bool) -> u8 {
    out.push(flag.into());
    kind
}

fn with_numbers<const N: usize>(out: &mut Vec<u8>, kind: u8, numbers: [u64; N]) -> u8 {
    numbers.into_iter().for_each(|number| put_u64(out, number));
    kind
}

/// Numbers off the front of `rest`; no length is believed.
struct MessageReader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl MessageReader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(Malformed { what: self.what })?;
        self.rest = rest;
        Ok(*head)
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    fn flag(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed { what: self.what }),
        }
    }

    fn mark(&mut self) -> Result<Mark, Malformed> {
        Ok(Mark { term: Term(self.u64()?), index: Index(self.u64()?) })
    }

    /// A number of things of `size` bytes, all of which are there.
    fn count(&mut self, size: usize) -> Result<usize, Malformed> {
        let count = usize::from(self.u16()?);
        if count * size <= self.rest.len() { Ok(count) } else { Err(Malformed { what: self.what }) }
    }

    fn append(&mut self) -> Result<Body, Malformed> {
        let (prev, committed) = (self.mark()?, Index(self.u64()?));
        let runs = self.count(12)?;
        let runs = (0..runs).map(|_| Ok(Run { term: Term(self.u64()?), entries: self.u32()? }));
        Ok(Body::Append { prev, runs: runs.collect::<Result<_, _>>()?, configurations: Vec::new(), committed })
    }

    fn configuration(&mut self) -> Result<Configuration, Malformed> {
        let count = self.count(5)?;
        let members = (0..count).map(|_| {
            let id = NodeId(self.u32()?);
            let seat = match self.u8()? {
                0 => Seat::Voter,
                1 => Seat::Learner,
                2 => Seat::Joining,
                3 => Seat::Leaving,
                4 => Seat::Demoted,
                _ => return Err(Malformed { what: "a member's seat" }),
            };
            Ok(Member { id, seat })
        });
        let members = members.collect::<Result<Vec<_>, _>>()?;
        let in_order = members.is_sorted_by(|a, b| a.id < b.id);
        let configuration = in_order.then(|| Configuration::new(members)).flatten();
        configuration.ok_or(Malformed { what: "a configuration (without voters, or not each member once, by id)" })
    }

    fn end(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed { what: self.what }) }
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
