//! Lists of all watches, or of all ephemeral znodes, for four-letter words and for the commands of the HTTP server. There may be
//! millions of them: they are made in parts, over many turns, and those of words no faster than their clients take them. What
//! changes meanwhile is in them or not.

use super::clients::Stage;
use super::facts::{Detail, ListOf, ListPart, ListPlace};
use super::{Around, Znodes, words};
use crate::conns::Conns;
use std::collections::VecDeque;
use std::fmt::Write;
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
    /// Sessions, and the paths of each.
    Session(ListOf, ListPlace),
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
            "wchc" => (By::Session(ListOf::Watches, ListPlace::BEGINNING), Detail::None),
            "dump" => (By::Session(ListOf::Ephemerals, ListPlace::BEGINNING), Detail::Sessions),
            _ => return false,
        };
        let facts = self.facts(around, detail);
        if !facts.is_serving || !words::is_allowed(word, &facts.allowed) {
            return false;
        }
        if let By::Session(ListOf::Ephemerals, ListPlace { session, .. }) = by {
            let mut text = words::dump_of_sessions(&facts);
            words::begin_ephemerals(&mut text, around.tree().owners(session).count());
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
                By::Session(of, place) => {
                    let part = self.list_part(around, *of, *place, &mut left);
                    words::put_list(&mut text, *of, *place, &part);
                    *place = part.next.unwrap_or(*place);
                    part.next.is_none()
                }
            };
            match list.by {
                By::Session(ListOf::Ephemerals, _) if is_whole => {
                    text += &words::dump_of_connections(&self.facts(around, Detail::Sessions));
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

    /// For whoever else asks: as much of such a list as one turn makes.
    pub fn some_of(&self, around: &Around, of: ListOf, place: ListPlace) -> ListPart {
        let mut left = TURN_LISTED;
        self.list_part(around, of, place, &mut left)
    }

    /// Lists sessions with their paths from a place on, as far as this turn goes.
    fn list_part(&self, around: &Around, of: ListOf, place: ListPlace, left: &mut usize) -> ListPart {
        match of {
            ListOf::Ephemerals if around.groups.has_tree() => list_ephemerals(around.tree(), place, left),
            ListOf::Ephemerals => ListPart::default(),
            ListOf::Watches => self.list_watches(place, left),
        }
    }

    fn list_watches(&self, from: ListPlace, left: &mut usize) -> ListPart {
        let (mut sessions, mut bytes) = (Vec::new(), 0);
        for (session, conn) in self.sessions.range(from.session..) {
            let mut at = ListPlace { session: *session, behind: from.behind.filter(|_| *session == from.session) };
            if *left == 0 {
                return ListPart { sessions, next: Some(at) };
            }
            *left -= 1;
            let mut paths = Vec::new();
            for (number, path) in self.watches.data_of(*conn, at.behind) {
                if *left == 0 || bytes > TURN_SEND_BYTES {
                    if !paths.is_empty() {
                        sessions.push((*session, paths));
                    }
                    return ListPart { sessions, next: Some(at) };
                }
                at.behind = Some(number);
                bytes += path.len();
                paths.push(path.to_string());
                *left -= 1;
            }
            if !paths.is_empty() {
                sessions.push((*session, paths));
            }
        }
        ListPart { sessions, next: None }
    }
}

fn list_ephemerals(tree: &Tree, from: ListPlace, left: &mut usize) -> ListPart {
    let (mut sessions, mut bytes) = (Vec::new(), 0);
    for session in tree.owners(from.session) {
        let at = ListPlace { session, behind: from.behind.filter(|_| session == from.session) };
        if *left == 0 || bytes > TURN_SEND_BYTES {
            return ListPart { sessions, next: Some(at) };
        }
        let (paths, next) = tree.some_ephemerals(session, at.behind.map_or(0, |behind| behind + 1), *left);
        *left = left.saturating_sub(1 + paths.len());
        bytes += paths.iter().map(String::len).sum::<usize>();
        if !paths.is_empty() {
            sessions.push((session, paths));
        }
        if let Some(next) = next {
            // Places that are listed lie before it.
            return ListPart { sessions, next: Some(ListPlace { session, behind: next.checked_sub(1) }) };
        }
    }
    ListPart { sessions, next: None }
}
