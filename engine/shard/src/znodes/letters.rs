//! What nodes ask each other on behalf of ZooKeeper's clients, and how it travels.

use torc_base::ids::{Index, SessionId, Term};
use torc_base::limits::{
    CLIENT_IDENTITIES_BYTES_MAX, CLIENT_IDENTITIES_MAX, FRAME_BYTES_MAX, SESSIONS_MAX, TREE_OPS_MAX,
};
use torc_state::codec::{DecodeError, Decoder, put_bytes, put_i64, put_u64};
use torc_state::tree::expiry::Owner;
use torc_state::tree::{Identity, TreeError};

/// Something for the node that leads the tree's group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeAsk {
    /// A request that changes something or goes through the log: as it came from a client, and who that is.
    Write { number: u64, session: SessionId, owner: Owner, is_local: bool, ids: Vec<Identity>, frame: Vec<u8> },
    /// A session, under that id unless it is taken.
    NewSession { number: u64, wanted: SessionId, timeout_ms: u32 },
    /// A session that only the asking node knew is to be known to all: it makes a znode that ends with it.
    Upgrade { session: SessionId, owner: Owner, timeout_ms: u32 },
    /// Another connection serves a session from now on.
    TakeUp { number: u64, session: SessionId, owner: Owner },
    /// A session lives for so long without being heard of: so its client was told by the connection that serves it.
    LivesFor { session: SessionId, owner: Owner, timeout_ms: u32 },
    /// These sessions were heard of.
    Heard(Vec<SessionId>),
    /// Another node is to be the controller of the catalog; for the one that is, whoever leads the tree.
    MoveController,
}

impl TreeAsk {
    /// Of what waits for an answer: the number that it goes by.
    pub fn number(&self) -> Option<u64> {
        match self {
            TreeAsk::Write { number, .. } | TreeAsk::NewSession { number, .. } | TreeAsk::TakeUp { number, .. } => {
                Some(*number)
            }
            TreeAsk::Upgrade { .. } | TreeAsk::LivesFor { .. } | TreeAsk::Heard(_) | TreeAsk::MoveController => None,
        }
    }

    /// What it takes on its way, at most.
    pub fn bytes(&self) -> usize {
        let known = |of: &Identity| of.scheme.len() + of.id.len() + 2 * NUMBER;
        match self {
            TreeAsk::Write { ids, frame, .. } => ids.iter().map(known).sum::<usize>() + frame.len() + 7 * NUMBER,
            TreeAsk::NewSession { .. }
            | TreeAsk::Upgrade { .. }
            | TreeAsk::TakeUp { .. }
            | TreeAsk::LivesFor { .. }
            | TreeAsk::MoveController => 4 * NUMBER,
            TreeAsk::Heard(sessions) => (sessions.len() + 2) * NUMBER,
        }
    }
}

/// What it answers; not if an entry of the log says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeAnswer {
    /// Nothing comes of it, as will be seen when entry `after` is applied.
    Refused { number: u64, error: TreeError, at: usize, after: Index },
    /// Whether there is such a session.
    TakenUp { number: u64, is_taken: bool },
    /// The node that was asked does not lead in the term that it was asked in, or not any more.
    Astray { number: u64 },
}

/// All that one node tells another one in a turn, in a term of the tree's group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TreeMail {
    pub term: Term,
    pub asks: Vec<TreeAsk>,
    pub answers: Vec<TreeAnswer>,
}

const WRITE: u8 = 1;
const NEW_SESSION: u8 = 2;
const TAKE_UP: u8 = 3;
const HEARD: u8 = 4;
const MOVE_CONTROLLER: u8 = 5;
const UPGRADE: u8 = 6;
const LIVES_FOR: u8 = 7;

/// Bytes of a number, at most.
const NUMBER: usize = 10;
/// Things in one piece of mail.
const MAIL_MAX: usize = 1 << 20;
/// Schemes of what is known of clients.
const SCHEMES: [&str; 3] = ["ip", "digest", "super"];

type Read<T> = Result<T, DecodeError>;

impl TreeMail {
    /// Appends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.term.get());
        put_u64(out, self.asks.len() as u64);
        self.asks.iter().for_each(|ask| put_ask(out, ask));
        put_u64(out, self.answers.len() as u64);
        for answer in &self.answers {
            match answer {
                TreeAnswer::Refused { number, error, at, after } => {
                    out.push(0);
                    put_u64(out, *number);
                    put_i64(out, error.code().into());
                    put_u64(out, *at as u64);
                    put_u64(out, after.get());
                }
                TreeAnswer::TakenUp { number, is_taken } => {
                    out.push(1);
                    put_u64(out, *number);
                    out.push(u8::from(*is_taken));
                }
                TreeAnswer::Astray { number } => {
                    out.push(2);
                    put_u64(out, *number);
                }
            }
        }
    }

    /// Takes it off the front of what is there.
    pub fn decode(from: &mut Decoder<'_, '_>) -> Read<TreeMail> {
        let term = Term(from.u64("term")?);
        let count = from.count(MAIL_MAX, "questions")?;
        let asks = (0..count).map(|_| take_ask(from)).collect::<Read<_>>()?;
        let count = from.count(MAIL_MAX, "answers")?;
        let answers = (0..count).map(|_| take_answer(from)).collect::<Read<_>>()?;
        Ok(TreeMail { term, asks, answers })
    }
}

fn put_ask(out: &mut Vec<u8>, ask: &TreeAsk) {
    match ask {
        TreeAsk::Write { number, session, owner, is_local, ids, frame } => {
            out.push(WRITE);
            put_u64(out, *number);
            put_i64(out, session.get());
            put_u64(out, owner.0);
            out.push(u8::from(*is_local));
            put_u64(out, ids.len() as u64);
            for Identity { scheme, id } in ids {
                put_bytes(out, scheme.as_bytes());
                put_bytes(out, id.as_bytes());
            }
            put_bytes(out, frame);
        }
        TreeAsk::NewSession { number, wanted, timeout_ms } => {
            out.push(NEW_SESSION);
            put_u64(out, *number);
            put_i64(out, wanted.get());
            put_u64(out, (*timeout_ms).into());
        }
        TreeAsk::Upgrade { session, owner, timeout_ms } => {
            out.push(UPGRADE);
            put_i64(out, session.get());
            put_u64(out, owner.0);
            put_u64(out, (*timeout_ms).into());
        }
        TreeAsk::TakeUp { number, session, owner } => {
            out.push(TAKE_UP);
            put_u64(out, *number);
            put_i64(out, session.get());
            put_u64(out, owner.0);
        }
        TreeAsk::LivesFor { session, owner, timeout_ms } => {
            out.push(LIVES_FOR);
            put_i64(out, session.get());
            put_u64(out, owner.0);
            put_u64(out, (*timeout_ms).into());
        }
        TreeAsk::Heard(sessions) => {
            out.push(HEARD);
            put_u64(out, sessions.len() as u64);
            sessions.iter().for_each(|session| put_i64(out, session.get()));
        }
        TreeAsk::MoveController => out.push(MOVE_CONTROLLER),
    }
}

fn take_ask(from: &mut Decoder<'_, '_>) -> Read<TreeAsk> {
    Ok(match from.u8("kind of question")? {
        WRITE => {
            let (number, session) = (from.u64("number")?, SessionId(from.i64("session")?));
            let owner = Owner(from.u64("owner")?);
            let is_local = from.u8("whether a session is local")?;
            from.check(is_local <= 1, "whether a session is local")?;
            let is_local = is_local == 1;
            let count = from.count(CLIENT_IDENTITIES_MAX, "identities")?;
            let ids = (0..count).map(|_| take_identity(from)).collect::<Read<_>>()?;
            let len = from.u64_max(FRAME_BYTES_MAX as u64, "request")?;
            let frame = from.take(len as usize, "request")?.to_vec();
            TreeAsk::Write { number, session, owner, is_local, ids, frame }
        }
        UPGRADE => {
            let (session, owner) = (SessionId(from.i64("session")?), Owner(from.u64("owner")?));
            let timeout_ms = from.u64_max(u32::MAX.into(), "timeout")? as u32;
            TreeAsk::Upgrade { session, owner, timeout_ms }
        }
        NEW_SESSION => {
            let (number, wanted) = (from.u64("number")?, SessionId(from.i64("session")?));
            let timeout_ms = from.u64_max(u32::MAX.into(), "timeout")? as u32;
            TreeAsk::NewSession { number, wanted, timeout_ms }
        }
        TAKE_UP => {
            let (number, session) = (from.u64("number")?, SessionId(from.i64("session")?));
            TreeAsk::TakeUp { number, session, owner: Owner(from.u64("owner")?) }
        }
        LIVES_FOR => {
            let (session, owner) = (SessionId(from.i64("session")?), Owner(from.u64("owner")?));
            let timeout_ms = from.u64_max(u32::MAX.into(), "timeout")? as u32;
            TreeAsk::LivesFor { session, owner, timeout_ms }
        }
        HEARD => {
            let count = from.count(SESSIONS_MAX, "sessions")?;
            let sessions = (0..count).map(|_| from.i64("session").map(SessionId)).collect::<Read<_>>()?;
            TreeAsk::Heard(sessions)
        }
        MOVE_CONTROLLER => TreeAsk::MoveController,
        _ => return Err(from.bad("kind of question")),
    })
}

fn take_identity(from: &mut Decoder<'_, '_>) -> Read<Identity> {
    let scheme = from.text(CLIENT_IDENTITIES_BYTES_MAX, "scheme")?;
    let scheme = SCHEMES.into_iter().find(|known| *known == scheme).ok_or(from.bad("scheme"))?;
    Ok(Identity { scheme, id: from.text(CLIENT_IDENTITIES_BYTES_MAX, "identity")?.to_string() })
}

fn take_answer(from: &mut Decoder<'_, '_>) -> Read<TreeAnswer> {
    let kind = from.u8("kind of answer")?;
    let number = from.u64("number")?;
    Ok(match kind {
        0 => {
            let code = i32::try_from(from.i64("error")?).ok().and_then(TreeError::from_code);
            let error = code.ok_or(from.bad("error"))?;
            let at = from.u64_max(TREE_OPS_MAX as u64, "operation")? as usize;
            TreeAnswer::Refused { number, error, at, after: Index(from.u64("entry")?) }
        }
        1 => TreeAnswer::TakenUp { number, is_taken: from.u64_max(1, "whether it is taken")? == 1 },
        2 => TreeAnswer::Astray { number },
        _ => return Err(from.bad("kind of answer")),
    })
}

#[cfg(test)]
#[path = "letters_tests.rs"]
mod tests;
