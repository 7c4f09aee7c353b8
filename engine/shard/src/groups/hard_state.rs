//! A group's hard state as it lies in the log: term and vote, the kind of the group's log, what the member may have forgotten,
//! and who belongs to the group. Each log begins with one, its leader's vote for itself or a follower's new term, so that a
//! start knows what it reads before there is a checkpoint.
//!
//! ```text
//! term (8) | voted (1) | vote (4) | kind (1) | doubt: 0, or 1 and a mark (16), or 2 and an incarnation (8)
//! | index (8) of the configuration that follows
//! ```
//!
//! A group whose only member is this node says no more than its kind, and very old logs not even that.

use crate::meaning::LogKind;
use torc_base::ids::{Index, NodeId, Term};
use torc_consensus::wire::{encode_configuration, take_configuration};
use torc_consensus::{Configuration, Doubt, HardState, Mark, Seat};

/// What one such entry says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub hard_state: HardState,
    /// The tag of the log's kind.
    pub kind: Option<u8>,
    /// The members as they were applied then, and since which entry.
    pub members: Option<(Index, Configuration)>,
}

/// The entry's bytes. `members`: those that are applied, with their entry; `node`: this one.
pub(super) fn encode_hard_state(
    hard_state: &HardState,
    kind: LogKind,
    members: (Index, &Configuration),
    node: NodeId,
) -> Vec<u8> {
    let mut out = vec![0; 14];
    out[..8].copy_from_slice(&hard_state.term.get().to_le_bytes());
    if let Some(vote) = hard_state.vote {
        out[8] = 1;
        out[9..13].copy_from_slice(&vote.get().to_le_bytes());
    }
    out[13] = kind as u8;
    if hard_state.doubt.is_some() || !is_alone(members, node) {
        encode_doubt(hard_state.doubt, &mut out);
        out.extend_from_slice(&members.0.get().to_le_bytes());
        encode_configuration(members.1, &mut out);
    }
    out
}

/// True of the members of a group that this node has for itself, from the beginning.
pub(super) fn is_alone((index, members): (Index, &Configuration), node: NodeId) -> bool {
    index == Index(0) && matches!(members.members(), [only] if only.id == node && only.seat == Seat::Voter)
}

/// The reverse; `None` if the bytes make no sense.
pub(super) fn decode_hard_state(bytes: &[u8]) -> Option<Told> {
    let (numbers, rest) = bytes.split_first_chunk::<13>()?;
    let term = Term(u64::from_le_bytes(numbers[..8].try_into().ok()?));
    let vote = u32::from_le_bytes(numbers[9..].try_into().ok()?);
    let vote = (numbers[8] == 1).then_some(NodeId(vote));
    let mut hard_state = HardState { term, vote, doubt: None };
    let Some((kind, mut rest)) = rest.split_first() else {
        return Some(Told { hard_state, kind: None, members: None });
    };
    let mut members = None;
    if !rest.is_empty() {
        hard_state.doubt = take_doubt(&mut rest)?;
        let (index, after) = rest.split_first_chunk()?;
        rest = after;
        members = Some((Index(u64::from_le_bytes(*index)), take_configuration(&mut rest).ok()?));
    }
    rest.is_empty().then_some(Told { hard_state, kind: Some(*kind), members })
}

/// An entry that replaces the whole log: the mark (16) behind which it goes on, the members there, the state.
pub(super) fn encode_state(mark: Mark, members: &Configuration, state: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(32 + state.len());
    out.extend_from_slice(&mark.term.get().to_le_bytes());
    out.extend_from_slice(&mark.index.get().to_le_bytes());
    encode_configuration(members, &mut out);
    out.extend_from_slice(state);
    out
}

/// The reverse; `None` if the bytes make no sense.
pub(super) fn decode_state(mut bytes: &[u8]) -> Option<(Mark, Configuration, &[u8])> {
    let rest = &mut bytes;
    let mut number = || crate::meaning::take_u64(rest);
    let mark = Mark { term: Term(number()?), index: Index(number()?) };
    let members = take_configuration(rest).ok()?;
    (mark.index > Index(0)).then_some((mark, members, *rest))
}

/// Appends a doubt, or that there is none.
pub(super) fn encode_doubt(doubt: Option<Doubt>, out: &mut Vec<u8>) {
    match doubt {
        None => out.push(0),
        Some(Doubt::Tail(mark)) => {
            out.push(1);
            out.extend_from_slice(&mark.term.get().to_le_bytes());
            out.extend_from_slice(&mark.index.get().to_le_bytes());
        }
        Some(Doubt::All { incarnation }) => {
            out.push(2);
            out.extend_from_slice(&incarnation.to_le_bytes());
        }
    }
}

/// Takes it off the front of `rest`; `None` if it makes no sense.
pub(super) fn take_doubt(rest: &mut &[u8]) -> Option<Option<Doubt>> {
    let (kind, after) = rest.split_first()?;
    *rest = after;
    let mut number = || crate::meaning::take_u64(rest);
    Some(match kind {
        0 => None,
        1 => Some(Doubt::Tail(Mark { term: Term(number()?), index: Index(number()?) })),
        2 => Some(Doubt::All { incarnation: number()? }),
        _ => return None,
    })
}

#[cfg(test)]
#[path = "hard_state_tests.rs"]
mod tests;
