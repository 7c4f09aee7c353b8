//! The four-letter words that list all watches, or all ephemeral znodes. There may be millions of them: the text is made over many
//! turns, and no faster than its client takes it. What changes meanwhile is in it or not.

use super::clients::Stage;
use super::facts::Detail;
use super::{Around, Znodes, words};
use crate::conns::Conns;
use std::collections::VecDeque;
use std::fmt::Write;
use std::ops::Bound;
use torc_base::ids::{ConnId, SessionId};
use torc_base::limits::{REPLY_BYTES_MAX, TURN_SEND_BYTES};
use torc_state::tree::Tree;

/// Watches, and paths, that are listed in one turn.
const TURN_LISTED: usize = 4_096;

/// How a list goes, and what has been listed.
#[derive(Debug)]
enum By {
    /// Paths, and the sessions at each.
    Path(Option<String>),
    /// Sessions, and the paths of each: those through that session, of which paths through that number.
    Session(Option<(SessionId, u32)>),
    /// Ephemeral znodes (`dump`): from that session on, of which from that place on.
    Owner(SessionId, u32),
}

/// One that is being told.
#[derive(Debug)]
struct List {
    conn: ConnId,
    by: By,
}

/// All of them, in turn.
#[derive(Default)]
pub(super) struct Lists {
    waiting: VecDeque<List>,
}

impl Lists {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// True if one waits for nothing but its turn.
    pub(super) fn is_due(&self, conns: &Conns) -> bool {
        self.waiting.iter().any(|list| !is_held(conns, list.conn))
    }
}

/// The client is to take what it has been sent, or memory is short. One that is gone holds nothing.
fn is_held(conns: &Conns, conn: ConnId) -> bool {
    conns.held(conn) > REPLY_BYTES_MAX || conns.are_answers_full()
}

impl Znodes {
    /// Begins to tell a list. False: this word asks for none, or is not answered.
    pub(super) fn begin_list(&mut self, around: &mut Around, conn: ConnId, word: &str) -> bool {
        let (by, detail) = match word {
            "wchp" => (By::Path(None), Detail::None),
            "wchc" => (By::Session(None), Detail::None),
            "dump" => (By::Owner(SessionId(i64::MIN), 0), Detail::SessionsAlone),
            _ => return false,
        };
        let facts = self.facts(around, detail);
        if !facts.is_serving || !words::is_allowed(word, &facts.allowed) {
            return false;
        }
        if let By::Owner(first, _) = by {
            let mut text = words::dump_of_sessions(&facts);
            words::begin_ephemerals(&mut text, around.tree().owners(first).count());
            let bytes = self.packer.put(text.as_bytes());
            around.conns.push(around.now(), conn, bytes);
        }
        self.clients.get_mut(&conn).expect("it has asked").stage = Stage::Ending;
        self.lists.waiting.push_back(List { conn, by });
        true
    }

    /// Goes on with them.
    pub(super) fn turn_lists(&mut self, around: &mut Around) {
        let mut left = TURN_LISTED;
        for _ in 0..self.lists.waiting.len() {
            if left == 0 {
                return;
            }
            let Some(mut list) = self.lists.waiting.pop_front() else { return };
            if !self.clients.contains_key(&list.conn) {
                continue;
            }
            if is_held(around.conns, list.conn) {
                self.lists.waiting.push_back(list);
                continue;
            }
            let mut text = String::new();
            let is_whole = match &mut list.by {
                By::Path(through) => self.list_paths(through, &mut left, &mut text),
                By::Session(through) => self.list_sessions(through, &mut left, &mut text),
                By::Owner(session, from) => list_ephemerals(around.tree(), (session, from), &mut left, &mut text),
            };
            match list.by {
                By::Owner(..) if is_whole => {
                    text += &words::dump_of_connections(&self.facts(around, Detail::SessionsAlone));
                }
                _ if is_whole => text.push('\n'),
                _ => {}
            }
            let bytes = self.packer.put(text.as_bytes());
            around.conns.push(around.now(), list.conn, bytes);
            if is_whole {
                self.end(around, list.conn);
            } else {
                self.lists.waiting.push_back(list);
            }
        }
    }

    /// Lists what comes behind `through`, as [`words`] does. True: there is no more.
    fn list_paths(&self, through: &mut Option<String>, left: &mut usize, text: &mut String) -> bool {
        let mut last = None;
        let mut is_whole = true;
        for (path, conns) in self.watches.data_by_path(through.as_deref()) {
            if *left == 0 || text.len() > TURN_SEND_BYTES {
                is_whole = false;
                break;
            }
            let session = |conn: ConnId| self.clients.get(&conn).map(|client| client.session);
            let mut sessions: Vec<SessionId> = conns.into_iter().filter_map(session).collect();
            sessions.sort_unstable();
            if !sessions.is_empty() {
                let _ = writeln!(text, "{path}");
            }
            sessions.iter().for_each(|session| _ = writeln!(text, "\t0x{:x}", session.get()));
            *left = left.saturating_sub(1 + sessions.len());
            last = Some(path);
        }
        if let Some(last) = last.map(String::from) {
            *through = Some(last);
        }
        is_whole
    }

    /// The same of sessions.
    fn list_sessions(&self, through: &mut Option<(SessionId, u32)>, left: &mut usize, text: &mut String) -> bool {
        let from = through.map_or(Bound::Unbounded, |(session, _)| Bound::Included(session));
        for (session, conn) in self.sessions.range((from, Bound::Unbounded)) {
            let behind = through.filter(|(of, _)| of == session).map(|(_, number)| number);
            let mut is_told = behind.is_some();
            for (number, path) in self.watches.data_of(*conn, behind) {
                if *left == 0 || text.len() > TURN_SEND_BYTES {
                    return false;
                }
                if !is_told {
                    let _ = writeln!(text, "0x{:x}", session.get());
                    is_told = true;
                }
                let _ = writeln!(text, "\t{path}");
                *left -= 1;
                *through = Some((*session, number));
            }
        }
        true
    }
}

/// The same of ephemeral znodes.
fn list_ephemerals(tree: &Tree, (at, from): (&mut SessionId, &mut u32), left: &mut usize, text: &mut String) -> bool {
    let (first, mut place) = (*at, *from);
    for session in tree.owners(first) {
        if *left == 0 || text.len() > TURN_SEND_BYTES {
            (*at, *from) = (session, 0);
            return false;
        }
        let place = if session == first { std::mem::take(&mut place) } else { 0 };
        let (paths, next) = tree.some_ephemerals(session, place, *left);
        words::put_ephemerals(text, (place == 0).then_some(session), &paths);
        *left = left.saturating_sub(1 + paths.len());
        if let Some(next) = next {
            (*at, *from) = (session, next);
            return false;
        }
    }
    true
}
