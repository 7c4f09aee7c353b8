//! Nodes that do not lead ask the one that does, by mail, and tell it which sessions they have heard of.
//!
//! What is asked goes under a number, which stands in the entry that comes of it: so nobody needs to be told that it has
//! come about. What is refused, or needs no entry, is answered by mail. Mail is of one term: what an old leader is asked is
//! nothing to a new one. Whatever is asked is answered, or an entry comes of it, or the link is lost, or the node that asks
//! hears of another leader: so nobody waits for what does not come. Who is asked before its term has begun here answers then.

use super::changes::{Denied, Who, is_for_leader};
use super::clients::{Want, What};
use super::{Around, Lead, TreeAnswer, TreeAsk, TreeMail, Znodes};
use crate::mail::{Mail, Place};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use torc_base::ids::{ConnId, Index, NodeId, SessionId, ShardId, Term};
use torc_base::limits::FORWARDED_BYTES_MAX;
use torc_base::time::Mono;
use torc_net::zookeeper::decode;
use torc_state::tree::{Refused, TreeError};

/// What this node and others ask each other.
#[derive(Default)]
pub(super) struct Abroad {
    /// For the leader.
    asks: Vec<TreeAsk>,
    /// Bytes of requests that the leader has been asked and that are not answered.
    pub(super) bytes: usize,
    heard: BTreeSet<SessionId>,
    /// When the leader is told of them.
    report_at: Option<Mono>,
    /// For others, in the term that they asked in.
    answers: BTreeMap<(NodeId, Term), Vec<TreeAnswer>>,
    /// What others have asked, in which term: it has not been looked at, or waits for the leader's term to begin or for room
    /// in the log.
    waiting: VecDeque<(NodeId, Term, TreeAsk)>,
}

impl Abroad {
    /// A session was heard of; the leader is told so within half a tick.
    pub(super) fn heard(&mut self, now: Mono, session: SessionId, tick_ms: u64) {
        self.heard.insert(session);
        self.report_at.get_or_insert(now.plus_ms(tick_ms / 2));
    }

    /// Something for the leader that nobody waits for.
    pub(super) fn queue(&mut self, ask: TreeAsk) {
        self.asks.push(ask);
    }

    /// The leader is another one: it is not asked what the one before was to be asked.
    pub(super) fn forget(&mut self) {
        self.asks.clear();
        self.bytes = 0;
    }

    pub(super) fn answer(&mut self, to: NodeId, term: Term, answer: TreeAnswer) {
        self.answers.entry((to, term)).or_default().push(answer);
    }

    /// True while the leader has been asked as much as it may be at once.
    pub(super) fn is_full(&self) -> bool {
        self.bytes > FORWARDED_BYTES_MAX
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        self.report_at
    }
}

impl Znodes {
    /// Asks the leader something on behalf of a connection, which has its answer under that number.
    pub(super) fn ask_abroad(&mut self, conn: ConnId, number: u64, ask: TreeAsk) {
        let bytes = ask.bytes();
        self.asked.insert(number, (conn, bytes));
        self.abroad.bytes += bytes;
        self.abroad.asks.push(ask);
    }

    /// Mail from another node's clients' half.
    pub fn mail(&mut self, around: &mut Around, from: NodeId, mail: TreeMail) {
        if !around.groups.has_tree() {
            return;
        }
        let lead = self.look_at_lead(around);
        let TreeMail { term, asks, answers } = mail;
        // Of no term: that of the catalog is another.
        if asks.contains(&TreeAsk::MoveController) {
            return self.move_controller(around);
        }
        if term == around.groups.tree_term() && lead == Lead::There(from) {
            answers.into_iter().for_each(|answer| self.answered_abroad(around, answer));
        }
        // Once one waits, all that come later wait behind it.
        self.abroad.waiting.extend(asks.into_iter().map(|ask| (from, term, ask)));
        self.serve_waiting(around, lead);
    }

    /// Serves what others have asked, in its order, as far as that can be done now.
    fn serve_waiting(&mut self, around: &mut Around, lead: Lead) {
        while let Some((from, term, ask)) = self.abroad.waiting.pop_front() {
            if term != around.groups.tree_term() || !around.groups.is_to_lead_tree() {
                self.turn_away(from, term, &ask);
            } else if lead != Lead::Here || !self.serve_abroad(around, from, term, &ask) {
                return self.abroad.waiting.push_front((from, term, ask));
            }
        }
    }

    /// Nothing is done about what was asked.
    fn turn_away(&mut self, from: NodeId, term: Term, ask: &TreeAsk) {
        if let Some(number) = ask.number() {
            self.abroad.answer(from, term, TreeAnswer::Astray { number });
        }
    }

    /// Does what another node asks of this one, which leads. False: there is no room for it.
    fn serve_abroad(&mut self, around: &mut Around, from: NodeId, term: Term, ask: &TreeAsk) -> bool {
        let after = around.groups.tree_end();
        let answer = match ask {
            TreeAsk::Heard(sessions) => {
                let now = around.now();
                sessions.iter().for_each(|session| self.heard(now, *session));
                return true;
            }
            TreeAsk::MoveController => return true,
            TreeAsk::LivesFor { session, owner, timeout_ms } => {
                self.lives_for(around.now(), *session, *owner, *timeout_ms);
                return true;
            }
            TreeAsk::TakeUp { number, session, owner } => {
                let (number, error) = (*number, TreeError::SessionExpired);
                self.meters.counters.asked_for += 1;
                if self.take_up(around, *session, *owner) {
                    TreeAnswer::TakenUp { number, is_taken: true }
                } else {
                    match self.confirm_gone(around, *session) {
                        Some(after) => TreeAnswer::Refused { number, error, at: 0, after },
                        None => return false,
                    }
                }
            }
            TreeAsk::Upgrade { session, owner, timeout_ms } => {
                return self.begin_upgraded(around, *session, *owner, *timeout_ms);
            }
            TreeAsk::NewSession { number, wanted, timeout_ms } => {
                match self.begin_session(around, *number, *wanted, *timeout_ms) {
                    Ok(()) => return true,
                    // There is no room for it now.
                    Err(TreeError::SessionMoved) => return false,
                    Err(error) => TreeAnswer::Refused { number: *number, error, at: 0, after },
                }
            }
            TreeAsk::Write { number, session, owner, is_local, ids, frame } => {
                let Some((head, request)) = decode(frame).ok().filter(|(_, request)| is_for_leader(request)) else {
                    // The node that asks could read it.
                    self.turn_away(from, term, ask);
                    return true;
                };
                let abroad = Some((from, term));
                let who = Who { session: *session, owner: *owner, is_local: *is_local, ids, abroad };
                match self.change(around, &who, *number, head, (&request, frame)) {
                    Ok(()) => return true,
                    Err(Denied::Stalled) => return false,
                    Err(Denied::Refused(Refused { error, at })) => {
                        TreeAnswer::Refused { number: *number, error, at, after: around.groups.tree_end() }
                    }
                }
            }
        };
        self.abroad.answer(from, term, answer);
        true
    }

    /// What became of a request, if that is not said by an entry.
    pub(super) fn answered_abroad(&mut self, around: &mut Around, answer: TreeAnswer) {
        let number = match answer {
            TreeAnswer::Refused { number, .. } | TreeAnswer::TakenUp { number, .. } | TreeAnswer::Astray { number } => {
                number
            }
        };
        let Some(conn) = self.forget_asked(number) else { return };
        if let TreeAnswer::Astray { .. } = answer {
            return around.close(conn);
        }
        let Some(client) = self.clients.get_mut(&conn) else { return };
        let session = client.connect.and_then(|connect| connect.session);
        let Some(step) = client.asked(number) else { return };
        let What::Asked { xid, want, .. } = std::mem::replace(&mut step.what, What::Gone) else {
            unreachable!("just found")
        };
        let what = match (answer, want, session) {
            (TreeAnswer::TakenUp { is_taken: true, .. }, Want::TakeUp, Some(session)) => {
                self.established(around, conn, SessionId(session.id))
            }
            (TreeAnswer::TakenUp { .. }, want, _) => {
                let refused = Some(Refused { error: TreeError::SessionExpired, at: 0 });
                What::Settled { xid, want, refused, after: Index(0) }
            }
            (TreeAnswer::Refused { error, at, after, .. }, want, _) => {
                What::Settled { xid, want, refused: Some(Refused { error, at }), after }
            }
            (TreeAnswer::Astray { .. }, ..) => unreachable!("seen above"),
        };
        self.put_what(conn, what);
        self.look(around, conn);
    }

    /// Puts the answer in the place that it was taken out of.
    pub(super) fn put_what(&mut self, conn: ConnId, what: What) {
        let client = self.clients.get_mut(&conn).expect("the caller has it");
        let looked = client.looked;
        let place = client.line.iter_mut().take(looked).find(|step| matches!(step.what, What::Gone));
        place.expect("it was just taken out").what = what;
    }

    /// What is for other nodes leaves with this turn.
    pub(super) fn turn_abroad(&mut self, around: &mut Around, lead: Lead) {
        let now = around.now();
        let term = around.groups.tree_term();
        self.serve_waiting(around, lead);
        if lead != Lead::Nobody && self.abroad.report_at.is_some_and(|at| at <= now) {
            self.abroad.report_at = None;
            let heard: Vec<SessionId> = std::mem::take(&mut self.abroad.heard).into_iter().collect();
            match lead {
                Lead::There(_) => self.abroad.asks.push(TreeAsk::Heard(heard)),
                _ => heard.into_iter().for_each(|session| self.heard(now, session)),
            }
        }
        if let Lead::There(node) = lead {
            for asks in pieces(std::mem::take(&mut self.abroad.asks)) {
                post(around, node, TreeMail { term, asks, answers: Vec::new() });
            }
        }
        for ((node, term), answers) in std::mem::take(&mut self.abroad.answers) {
            post(around, node, TreeMail { term, asks: Vec::new(), answers });
        }
    }
}

/// Parts of what is asked, in its order, each short enough for a piece of mail.
fn pieces(asks: Vec<TreeAsk>) -> Vec<Vec<TreeAsk>> {
    let (mut pieces, mut bytes): (Vec<Vec<TreeAsk>>, usize) = (Vec::new(), 0);
    for ask in asks {
        bytes += ask.bytes();
        match pieces.last_mut().filter(|_| bytes <= FORWARDED_BYTES_MAX) {
            Some(piece) => piece.push(ask),
            None => {
                bytes = ask.bytes();
                pieces.push(vec![ask]);
            }
        }
    }
    pieces
}

fn post(around: &mut Around, node: NodeId, mail: TreeMail) {
    around.groups.outboxes.post(Place { node, shard: ShardId(0) }, Mail::Tree(Box::new(mail)));
}
