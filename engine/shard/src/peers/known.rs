//! Since which version of the peers' protocol ([`torc_net::peer::VERSIONS`]) a server knows each kind of what nodes say to each
//! other: all of it, in one place.
//!
//! An older server ends a link on which comes what it does not know, again and again. So nothing leaves that the version of its link
//! does not know ([`fitting`], [`fitting_message`]), and what comes all the same ends the link on this side, too: a kind that is sent
//! without a look here is found by whoever lets two versions speak. Who adds a kind:
//!
//! - gives it a version of its own, or that of others which are not out yet, here and in `VERSIONS`;
//! - says what becomes of it where the other side is older: something of the old kinds that means as much, or nothing. For what is left
//!   out nobody may wait;
//! - changes nothing about the bytes of a kind that is there. Who has more to say needs another kind.
//!
//! What stands in logs is read by all members of a group, later ones too: an entry of a new kind may be appended only when all
//! of them know it. All kinds of entries are as old as version 1.

use crate::groups::{LendingWord, TreeWord};
use crate::mail::{Admin, Answer, Ask, Mail};
use crate::znodes::{TreeAnswer, TreeAsk};
use torc_base::ids::Term;
use torc_consensus::{Body, Message};
use torc_net::peer::Frame;

/// The first version in which nodes say how long an entry their logs take.
pub(super) const WITH_ENTRY_BYTES: u16 = 2;
/// The first version in which nodes lend each other entries.
pub(super) const WITH_LENDING: u16 = 3;

/// Of mail; `None` of what stays inside a node.
pub(crate) fn since(mail: &Mail) -> Option<u16> {
    Some(match mail {
        Mail::Ask { ask, .. } => return of_ask(ask),
        Mail::Answer { answer, .. } => return of_answer(answer),
        Mail::Leaders(_) | Mail::Digests(_) => 1,
        Mail::Tree(mail) => {
            let asks = mail.asks.iter().map(of_letter);
            asks.chain(mail.answers.iter().map(of_letters_answer)).max().unwrap_or(1)
        }
        Mail::TreeStart(told) => match told.word {
            TreeWord::Part { .. }
            | TreeWord::GivenUp
            | TreeWord::Written { .. }
            | TreeWord::Whole { .. }
            | TreeWord::Refused => 1,
        },
        Mail::Lending(told) => match told.word {
            LendingWord::Wanted { .. } | LendingWord::Piece { .. } | LendingWord::Lacked | LendingWord::Gone => {
                WITH_LENDING
            }
        },
        // Who does not hear of room looks for it, now and then.
        Mail::Room => 4,
        Mail::Catalog { .. }
        | Mail::CatalogDone { .. }
        | Mail::Present(_)
        | Mail::Roster(_)
        | Mail::Begun { .. }
        | Mail::Drained
        | Mail::Finish
        | Mail::Pressed
        | Mail::Moving(_)
        | Mail::Calling(_) => return None,
    })
}

fn of_ask(ask: &Ask) -> Option<u16> {
    Some(match ask {
        Ask::Admin(admin) => match admin {
            Admin::Create { .. }
            | Admin::CreateInternal { .. }
            | Admin::Delete(_)
            | Admin::AddPartitions { .. }
            | Admin::Reassign { .. }
            | Admin::Configs { .. } => 1,
        },
        Ask::ProducerId | Ask::Register(_) | Ask::Admit(..) | Ask::Arrived(_) | Ask::Elect(_) | Ask::Quorums(_) => 1,
        Ask::Produce(_)
        | Ask::Fetch { .. }
        | Ask::Hurry { .. }
        | Ask::Watch { .. }
        | Ask::Unwatch
        | Ask::Offsets(_)
        | Ask::CancelOffsets
        | Ask::EpochEnds(_)
        | Ask::DeleteRecords(_)
        | Ask::Sizes(_)
        | Ask::Coordinate(_)
        | Ask::CancelCoordinate => return None,
    })
}

fn of_answer(answer: &Answer) -> Option<u16> {
    Some(match answer {
        Answer::ProducerId(_) | Answer::Committed { .. } | Answer::Elected(_) | Answer::Quorums(_) => 1,
        Answer::Produced(_)
        | Answer::Fetched(_)
        | Answer::Wake { .. }
        | Answer::Offsets(_)
        | Answer::EpochEnds(_)
        | Answer::Deleted(_)
        | Answer::Sizes(_)
        | Answer::Admin(_)
        | Answer::Coordinated { .. } => return None,
    })
}

fn of_letter(ask: &TreeAsk) -> u16 {
    match ask {
        TreeAsk::Write { .. }
        | TreeAsk::NewSession { .. }
        | TreeAsk::Upgrade { .. }
        | TreeAsk::TakeUp { .. }
        | TreeAsk::Heard(_)
        | TreeAsk::MoveController => 1,
        // An older leader goes by what the log says.
        TreeAsk::LivesFor { .. } => 4,
    }
}

fn of_letters_answer(answer: &TreeAnswer) -> u16 {
    match answer {
        TreeAnswer::Refused { .. } | TreeAnswer::TakenUp { .. } | TreeAnswer::Astray { .. } => 1,
    }
}

/// Of what members of a group say.
pub(crate) fn of_message(message: &Message) -> u16 {
    match message.body {
        Body::PreVote { .. }
        | Body::PreVoteReply { .. }
        | Body::RequestVote { .. }
        | Body::VoteReply { .. }
        | Body::Append { .. }
        | Body::Accepted { .. }
        | Body::Rejected { .. }
        | Body::Commit { .. }
        | Body::Heartbeat { .. }
        | Body::HeartbeatReply { .. }
        | Body::TimeoutNow
        | Body::Resigned
        | Body::Snapshot { .. }
        | Body::Readmitted { .. } => 1,
        Body::Abstained { .. } => 4,
    }
}

/// Of frames.
pub(crate) fn of_frame(frame: &Frame) -> u16 {
    match frame {
        Frame::Hello(_)
        | Frame::Welcome(_)
        | Frame::Refusal(_)
        | Frame::Groups(_)
        | Frame::Beat
        | Frame::Untaken(_)
        | Frame::Mail(_)
        | Frame::Form(_) => 1,
    }
}

/// What of mail may leave on a link of that version.
pub(super) fn fitting(mut mail: Mail, version: u16) -> Option<Mail> {
    if let Mail::Tree(letters) = &mut mail {
        letters.asks.retain(|ask| of_letter(ask) <= version);
        letters.answers.retain(|answer| of_letters_answer(answer) <= version);
        if letters.asks.is_empty() && letters.answers.is_empty() {
            return None;
        }
    }
    since(&mail).filter(|since| *since <= version).map(|_| mail)
}

/// What is said instead of a message on a link of that version.
pub(super) fn fitting_message(message: Message, version: u16) -> Message {
    match message.body {
        _ if of_message(&message) <= version => message,
        // Who does not vote is taken for one who refuses, as it was.
        Body::Abstained { pre: true } => {
            let term = Term(message.term.get().saturating_sub(1));
            Message { term, body: Body::PreVoteReply { granted: false } }
        }
        Body::Abstained { pre: false } => Message { body: Body::VoteReply { granted: false }, ..message },
        _ => unreachable!("version {version} knows {message:?}"),
    }
}

#[cfg(test)]
#[path = "known_tests.rs"]
mod tests;
