//! What is committed is applied, watches fire, and whoever waits for it is answered, in this order.

use super::clients::{Client, Stage, Want, What};
use super::long_reads::Hold;
use super::meters::Meters;
use super::{Around, Znodes};
use crate::conns::Conns;
use crate::meaning::{AppliedPart, AppliedTxn};
use crate::packer::Packer;
use std::collections::BTreeMap;
use torc_base::buf::Buf;
use torc_base::ids::{ConnId, Index, SessionId};
use torc_base::time::Mono;
use torc_net::zookeeper::{self as wire, Connected, ErrorCode, EventState, Reply, failure};
use torc_state::tree::watches::Watches;
use torc_state::tree::{AclList, Body, Event, EventKind, Id, Op, Outcome, Refused, Stat, TreeError, Txn, perms};

/// Events that a client has not read, in bytes. One that has more is left: it gets what it missed when it comes again.
const EVENTS_BYTES_MAX: usize = 8 << 20;

/// What is committed and not applied: no turn applies more than some operations.
#[derive(Default)]
pub(super) struct Applying {
    /// The last entry that is committed.
    through: Index,
    /// Operations that this turn may still apply.
    pub(super) left: usize,
    /// There may be more than this turn applies.
    pub(super) goes_on: bool,
    /// Of the transaction that is applied in part: what is answered, without its head.
    parts: Vec<Buf>,
    /// Connections that are to see all of it or nothing.
    pub(super) waiting: Vec<ConnId>,
}

impl Applying {
    /// What is applied in part is gone.
    pub(super) fn forget_parts(&mut self) {
        self.parts.clear();
    }
}

/// Transactions of no more operations are applied whole.
const SHORT_OPS: usize = 256;

/// An error as clients are told of it.
pub(super) fn code(error: TreeError) -> ErrorCode {
    match error {
        TreeError::RuntimeInconsistency => ErrorCode::RuntimeInconsistency,
        TreeError::Unimplemented => ErrorCode::Unimplemented,
        TreeError::BadArguments => ErrorCode::BadArguments,
        TreeError::NoNode => ErrorCode::NoNode,
        TreeError::NoAuth => ErrorCode::NoAuth,
        TreeError::BadVersion => ErrorCode::BadVersion,
        TreeError::NoChildrenForEphemerals => ErrorCode::NoChildrenForEphemerals,
        TreeError::NodeExists => ErrorCode::NodeExists,
        TreeError::NotEmpty => ErrorCode::NotEmpty,
        TreeError::SessionExpired => ErrorCode::SessionExpired,
        TreeError::InvalidAcl => ErrorCode::InvalidAcl,
        TreeError::AuthFailed => ErrorCode::AuthFailed,
        TreeError::SessionMoved => ErrorCode::SessionMoved,
        TreeError::EphemeralOnLocalSession => ErrorCode::EphemeralOnLocalSession,
        TreeError::NoWatcher => ErrorCode::NoWatcher,
        TreeError::QuotaExceeded => ErrorCode::QuotaExceeded,
    }
}

/// A stat as clients are told of it.
pub(super) fn stat(stat: &Stat) -> wire::Stat {
    wire::Stat {
        czxid: stat.czxid.get(),
        mzxid: stat.mzxid.get(),
        ctime: stat.ctime.0,
        mtime: stat.mtime.0,
        version: stat.version,
        cversion: stat.cversion,
        aversion: stat.aversion,
        ephemeral_owner: stat.ephemeral_owner.get(),
        data_length: stat.data_length,
        num_children: stat.num_children,
        pzxid: stat.pzxid.get(),
    }
}

/// Appends an event.
pub(super) fn put_event(out: &mut Vec<u8>, kind: EventKind, path: &str) {
    let kind = match kind {
        EventKind::Created => wire::EventKind::Created,
        EventKind::Deleted => wire::EventKind::Deleted,
        EventKind::DataChanged => wire::EventKind::DataChanged,
        EventKind::ChildrenChanged => wire::EventKind::ChildrenChanged,
    };
    wire::event(out, -1, wire::Event { kind, state: EventState::Connected, path });
}

/// What it takes to tell clients of events.
struct Teller<'a> {
    now: Mono,
    watches: &'a mut Watches,
    clients: &'a mut BTreeMap<ConnId, Client>,
    conns: &'a mut Conns,
    packer: &'a mut Packer,
    meters: &'a mut Meters,
    skips_acls: bool,
    /// Clients that do not read what they are told.
    slow: Vec<ConnId>,
}

impl Teller<'_> {
    /// Tells those who watch a znode, and may read it. `acl`: `None` where everybody may.
    fn tell(&mut self, kind: EventKind, path: &str, acl: Option<&AclList>) {
        let Teller { now, watches, clients, conns, packer, meters, skips_acls, slow } = self;
        let acl = acl.filter(|_| !*skips_acls);
        let mut is_open: Option<bool> = None;
        let mut told: Option<Buf> = None;
        let mut watchers = 0;
        watches.fire(kind, path, |conn| {
            watchers += 1;
            let Some(client) = clients.get_mut(&conn) else { return };
            let allows = |ids: &[Id<'_>]| acl.is_none_or(|acl| acl.allow(perms::READ, ids).is_ok());
            if !*is_open.get_or_insert_with(|| allows(&[])) && !allows(&client.as_ids()) {
                return;
            }
            let bytes = told.get_or_insert_with(|| {
                put_event(&mut packer.scratch, kind, path);
                packer.take_scratch()
            });
            meters.sent += 1;
            meters.counters.told_bytes += bytes.len() as u64;
            client.meters.sent += 1;
            conns.push(*now, conn, bytes.clone());
            if conns.held(conn) > EVENTS_BYTES_MAX {
                slow.push(conn);
            }
        });
        meters.counters.add_watchers(kind, watchers);
    }
}

impl Znodes {
    /// The tree's log is committed through that entry.
    pub fn committed(&mut self, around: &mut Around, through: Index) {
        if !around.groups.has_tree() {
            return;
        }
        self.applying.through = through;
        // What is applied over turns goes on with the next one.
        if !self.applying.goes_on {
            self.apply(around);
        }
    }

    /// Applies what is committed, as much as one turn does of it.
    pub(super) fn apply(&mut self, around: &mut Around) {
        let mut outcomes = std::mem::take(&mut self.outcomes);
        let through = self.applying.through;
        self.applying.goes_on = false;
        loop {
            if self.applying.left == 0 {
                self.applying.goes_on = true;
                break;
            }
            match self.apply_next(around, through, &mut outcomes) {
                Some(AppliedPart::Last(AppliedTxn { number, txn })) => self.applied(around, number, txn, &outcomes),
                Some(AppliedPart::NotLast { .. }) => self.applied_part(around, &outcomes),
                None => break,
            }
        }
        self.outcomes = outcomes;
        let applied = around.tree().applied();
        while let Some((after, conn)) = self.behind.first().copied().filter(|(after, _)| *after <= applied) {
            self.behind.remove(&(after, conn));
            self.advance(around, conn);
        }
    }

    /// Applies the next entry, or some of a long one, and tells those who watch.
    fn apply_next(&mut self, around: &mut Around, through: Index, outcomes: &mut Vec<Outcome>) -> Option<AppliedPart> {
        let (now, most) = (around.now(), self.applying.left.max(SHORT_OPS));
        let mut teller = self.teller(now, around.conns);
        let mut tell = |event: Event<'_>| teller.tell(event.kind, event.path, Some(event.acl));
        let applied = around.groups.tree_mut().apply_part(through, most, outcomes, &mut tell);
        let slow = teller.slow;
        slow.into_iter().for_each(|conn| around.close(conn));
        let operations = match applied.as_ref()? {
            AppliedPart::Last(_) => outcomes.len().max(1),
            AppliedPart::NotLast { operations } => *operations,
        };
        self.applying.left = self.applying.left.saturating_sub(operations);
        applied
    }

    fn teller<'a>(&'a mut self, now: Mono, conns: &'a mut Conns) -> Teller<'a> {
        let Znodes { watches, clients, packer, zookeeper, meters, .. } = self;
        Teller { now, watches, clients, conns, packer, meters, skips_acls: zookeeper.skips_acls, slow: Vec::new() }
    }

    /// Tells those who watch a path of what stands in no log.
    pub(super) fn tell_of(&mut self, around: &mut Around, kind: EventKind, path: &str) {
        let (now, acl) = (around.now(), around.tree().access(path).cloned());
        let mut teller = self.teller(now, around.conns);
        teller.tell(kind, path, acl.as_ref());
        let slow = teller.slow;
        slow.into_iter().for_each(|conn| around.close(conn));
    }

    fn applied(&mut self, around: &mut Around, number: u64, txn: Txn, outcomes: &[Outcome]) {
        self.changed.note(&txn);
        self.counted.note(&txn);
        let ends = matches!(txn.body, Body::CloseSession { last: true, .. });
        if let Some(expiry) = &mut self.expiry {
            self.meters.counters.committed += 1;
            match txn.body {
                Body::CreateSession { timeout_ms } => expiry.begin(txn.session, timeout_ms, around.out.now.mono),
                Body::CloseSession { .. } => expiry.end(txn.session),
                _ => {}
            }
        }
        // Nothing of what comes behind it is to be seen by whoever has waited for it alone.
        for conn in std::mem::take(&mut self.applying.waiting) {
            if let Some(client) = self.clients.get_mut(&conn).filter(|client| client.hold == Hold::Change) {
                client.hold = Hold::Free;
                self.advance(around, conn);
            }
        }
        if let Some(conn) = self.forget_asked(number) {
            // What was refused before it comes first.
            self.advance(around, conn);
            self.answer_asked(around, conn, number, &txn, outcomes);
            // What came behind a request for a session has not been looked at.
            self.look(around, conn);
        }
        self.applying.parts.clear();
        if ends {
            self.session_ended(around, txn.session);
        }
        around.groups.tree_mut().state_mut().spend(txn);
    }

    /// A part of a transaction is applied: what is answered to whoever waits for it is made as far.
    fn applied_part(&mut self, around: &mut Around, outcomes: &[Outcome]) {
        if outcomes.is_empty() {
            // It was looked through.
            return;
        }
        let (number, txn) = around.groups.tree().in_part();
        let Some((conn, _)) = self.asked.get(&number) else { return };
        let Some(step) = self.clients.get_mut(conn).and_then(|client| client.asked(number)) else { return };
        let What::Asked { want: Want::Multi(with_stat), .. } = &step.what else { return };
        let done = around.tree().applying() - outcomes.len();
        let mut reply = Reply::part(&mut self.packer.scratch);
        put_outcomes(&mut reply, &txn.ops()[done..], outcomes, &with_stat[done..]);
        self.applying.parts.push(self.packer.take_scratch());
    }

    fn answer_asked(&mut self, around: &mut Around, conn: ConnId, number: u64, txn: &Txn, outcomes: &[Outcome]) {
        let Some(client) = self.clients.get_mut(&conn) else { return };
        let Some(step) = client.asked(number) else { return };
        let What::Asked { xid, want, .. } = std::mem::replace(&mut step.what, What::Gone) else {
            unreachable!("just found")
        };
        let what = match want {
            Want::NewSession => self.established(around, conn, txn.session),
            Want::Multi(with_stat) if !self.applying.parts.is_empty() => {
                What::ReadyParts(self.end_of_parts(xid, &with_stat, txn, outcomes))
            }
            want => {
                let is_last = want == Want::Close;
                put_answer(&mut self.packer.scratch, xid, &want, txn, outcomes);
                let bytes = self.packer.take_scratch();
                if is_last { What::Last(bytes) } else { What::Ready(bytes) }
            }
        };
        self.put_what(conn, what);
    }

    /// The answer to a multi that was applied over turns; `outcomes`: of the last of these.
    fn end_of_parts(&mut self, xid: i32, with_stat: &[bool], txn: &Txn, outcomes: &[Outcome]) -> Vec<Buf> {
        let (scratch, done) = (&mut self.packer.scratch, txn.ops().len() - outcomes.len());
        let mut reply = Reply::part(scratch);
        put_outcomes(&mut reply, &txn.ops()[done..], outcomes, &with_stat[done..]);
        reply.end_of_outcomes();
        let mut parts = std::mem::take(&mut self.applying.parts);
        parts.push(self.packer.take_scratch());
        let bytes = parts.iter().map(|part| part.len()).sum();
        Reply::new(&mut self.packer.scratch, xid, txn.zxid.get()).end_before(bytes);
        parts.insert(0, self.packer.take_scratch());
        parts
    }

    /// A session has ended: nobody is served in it any more.
    fn session_ended(&mut self, around: &mut Around, session: SessionId) {
        if let Some(conn) = self.sessions.remove(&session) {
            let is_ending = self.clients.get(&conn).is_some_and(|client| client.stage == Stage::Ending);
            if !is_ending {
                around.close(conn);
            }
        }
    }

    /// The answer to what was refused or needs no entry, and whether it is the last; without one the connection is of no use.
    pub(super) fn settled(
        &mut self,
        around: &mut Around,
        conn: ConnId,
        xid: i32,
        want: &Want,
        refused: Option<Refused>,
    ) -> (Option<Buf>, bool) {
        let zxid = around.tree().zxid().get();
        let scratch = &mut self.packer.scratch;
        let mut is_last = false;
        match (want, refused) {
            (Want::TakeUp, _) => {
                let client = self.clients.get(&conn);
                let (connect, read_only) =
                    client.and_then(|client| Some((client.connect?, client.reads_alone))).expect("it has been said");
                let none = Connected { session: None, timeout_ms: 0, read_only };
                none.encode(&connect, scratch);
                is_last = true;
            }
            (Want::NewSession, _) => return (None, true),
            // Another connection serves the session: this one is not to tell its client anything any more.
            (_, Some(Refused { error: TreeError::SessionMoved, .. })) => return (None, true),
            (Want::Multi(ops), Some(refused)) if !ops.is_empty() => {
                let mut reply = Reply::new(scratch, xid, zxid);
                for n in 0..ops.len() {
                    reply.outcome(&wire::Outcome::Error(refused.of(n).map(code)));
                }
                reply.end_of_outcomes();
                reply.end();
            }
            (_, Some(refused)) => failure(scratch, xid, zxid, code(refused.error)),
            (want, None) => {
                let mut reply = Reply::new(scratch, xid, zxid);
                if let Want::Sync(path) = want {
                    reply.path(path);
                }
                reply.end();
                // A session that stands in no log.
                is_last = *want == Want::Close;
            }
        }
        (Some(self.packer.take_scratch()), is_last)
    }
}

/// Appends the answer to a change that was applied.
fn put_answer(out: &mut Vec<u8>, xid: i32, want: &Want, txn: &Txn, outcomes: &[Outcome]) {
    let zxid = txn.zxid.get();
    let failed =
        outcomes.iter().find_map(|outcome| if let Outcome::Failed(error) = outcome { Some(*error) } else { None });
    if let Some(error) = failed.filter(|_| !matches!(want, Want::Multi(_))) {
        return failure(out, xid, zxid, code(error));
    }
    let mut reply = Reply::new(out, xid, zxid);
    match want {
        Want::Create(with_stat) => {
            if let ([op], [Outcome::Created(made)]) = (txn.ops(), outcomes) {
                reply.path(op.path());
                if *with_stat {
                    reply.stat(&stat(made));
                }
            }
        }
        Want::Stat => {
            if let [Outcome::DataSet(found) | Outcome::AclSet(found)] = outcomes {
                reply.stat(&stat(found));
            }
        }
        Want::Multi(with_stat) => {
            put_outcomes(&mut reply, txn.ops(), outcomes, with_stat);
            reply.end_of_outcomes();
        }
        Want::Sync(path) => reply.path(path),
        Want::Empty | Want::Close | Want::NewSession | Want::TakeUp => {}
    }
    reply.end();
}

/// Appends what became of operations of a multi.
fn put_outcomes(reply: &mut Reply<'_>, ops: &[Op], outcomes: &[Outcome], with_stat: &[bool]) {
    for ((op, outcome), with_stat) in ops.iter().zip(outcomes).zip(with_stat) {
        reply.outcome(&of_operation(op, outcome, *with_stat));
    }
}

fn of_operation<'a>(op: &'a Op, outcome: &Outcome, with_stat: bool) -> wire::Outcome<'a> {
    match outcome {
        Outcome::Created(made) if with_stat => wire::Outcome::Create2(op.path(), stat(made)),
        Outcome::Created(_) => wire::Outcome::Create(op.path()),
        Outcome::Deleted => wire::Outcome::Delete,
        Outcome::DataSet(found) | Outcome::AclSet(found) => wire::Outcome::SetData(stat(found)),
        Outcome::Checked => wire::Outcome::Check,
        Outcome::Failed(error) => wire::Outcome::Error(Some(code(*error))),
    }
}
