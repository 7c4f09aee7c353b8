//! Requests that change something: the leader's node makes transactions of them.

use super::clients::{Client, Looked, Want, What};
use super::kafka::path_of;
use super::long_multis::Seen;
use super::{Around, Lead, TreeAsk, Znodes};
use crate::complaints::Complaint;
use crate::groups::TxnHead;
use crate::refusal::Refusal;
use torc_base::ids::{ConnId, NodeId, SessionId, Term};
use torc_base::limits::{CLIENT_IDENTITIES_BYTES_MAX, CLIENT_IDENTITIES_MAX, TREE_TURN_OPS, TREE_TXN_BYTES_MAX};
use torc_net::zookeeper::{self as wire, ErrorCode, Head, Request, failure};
use torc_state::tree::expiry::Owner;
use torc_state::tree::{self, Acl, Asker, Body, Change, Create, Id, Identity, Refused, TreeError, authenticate};

/// Who asks for a change.
pub(super) struct Who<'a> {
    pub(super) session: SessionId,
    pub(super) owner: Owner,
    /// Only the node that asks knows the session.
    pub(super) is_local: bool,
    pub(super) ids: &'a [Identity],
    /// The node that asks, in which term, if it is another.
    pub(super) abroad: Option<(NodeId, Term)>,
}

/// Why a change does not get into the log.
pub(super) enum Denied {
    /// It is refused.
    Refused(Refused),
    /// There is no room, or this node does not lead any more: it may be asked again.
    Stalled,
}

impl Denied {
    /// As the log's owner puts it.
    pub(super) fn of(refusal: Refusal) -> Denied {
        let error = match refusal {
            Refusal::Storage => TreeError::QuotaExceeded,
            Refusal::TooLarge => TreeError::BadArguments,
            _ => return Denied::Stalled,
        };
        Denied::Refused(Refused { error, at: 0 })
    }
}

fn acls<'a>(acls: &wire::Acls<'a>) -> Vec<Acl<'a>> {
    let acl = |acl: wire::Acl<'a>| Acl { perms: acl.perms, id: Id { scheme: acl.scheme, id: acl.id } };
    acls.clone().map(acl).collect()
}

/// True if a request changes nothing, neither znodes nor what its client is.
pub(super) fn only_reads(request: &Request<'_>) -> bool {
    !matches!(
        request,
        Request::Create(_)
            | Request::Delete(..)
            | Request::SetData(..)
            | Request::SetAcl(..)
            | Request::Check(..)
            | Request::Multi(_)
            | Request::CloseSession
            | Request::Sync(_)
            | Request::Auth(..)
    )
}

/// True if a request goes to the tree's leader: it changes something, or is answered when what was there before it is applied.
pub(super) fn is_for_leader(request: &Request<'_>) -> bool {
    !only_reads(request) && !matches!(request, Request::Auth(..))
}

/// What is answered to a request that changes something, or goes through the log; `None`: it only reads.
pub(super) fn want(request: &Request<'_>) -> Option<Want> {
    Some(match request {
        Request::Create(create) => Want::Create(create.with_stat),
        Request::Delete(..) | Request::Check(..) => Want::Empty,
        Request::SetData(..) | Request::SetAcl(..) => Want::Stat,
        Request::Multi(ops) => Want::Multi(ops.clone().map(|op| has_stat(&op)).collect()),
        Request::CloseSession => Want::Close,
        Request::Sync(path) => Want::Sync((*path).into()),
        _ => return None,
    })
}

/// True if what an operation of a multi makes is told with its stat.
pub(super) fn has_stat(op: &wire::Op<'_>) -> bool {
    matches!(op, wire::Op::Create(create) if create.with_stat)
}

impl Znodes {
    /// Takes a request of a session up; `None`: it only reads. `seen`: of a long multi, what was seen of it.
    pub(super) fn take_request(
        &mut self,
        around: &mut Around,
        conn: ConnId,
        head: Head,
        (request, frame): (&Request<'_>, &[u8]),
        seen: Option<&Seen>,
    ) -> Option<Looked> {
        if let Request::Auth(scheme, credentials) = request {
            // Reads that came before it are those of who its client was then.
            if self.clients.get(&conn).is_some_and(Client::has_reads) {
                return Some(Looked::Behind);
            }
            return Some(Looked::Taken(self.authenticate(around, conn, head, scheme, *credentials)));
        }
        let want = match seen {
            Some(seen) => Want::Multi(seen.with_stat.clone()),
            None => want(request)?,
        };
        if let Some(looked) = self.take_local(around, conn, head, request) {
            return Some(looked);
        }
        if seen.is_none_or(|seen| seen.is_kafkas)
            && let Some(looked) = self.change_kafka(around, head, &want, request)
        {
            return Some(looked);
        }
        if frame.len() > TREE_TXN_BYTES_MAX {
            // No transaction is so long, nor does it get to a leader elsewhere.
            let (refused, after) = (Some(Refused { error: TreeError::BadArguments, at: 0 }), around.tree().applied());
            return Some(Looked::Taken(What::Settled { xid: head.xid, want, refused, after }));
        }
        // Nobody else decides, so that what is in the log here is all that there is.
        if matches!(request, Request::Sync(_)) && around.groups.tree_others() == 0 {
            let after = around.groups.tree_end();
            return Some(Looked::Taken(What::Settled { xid: head.xid, want, refused: None, after }));
        }
        Some(self.take_to_leader(around, conn, head, want, (request, frame)))
    }

    /// Has the tree's leader decide on a request.
    fn take_to_leader(
        &mut self,
        around: &mut Around,
        conn: ConnId,
        head: Head,
        want: Want,
        (request, frame): (&Request<'_>, &[u8]),
    ) -> Looked {
        let client = self.clients.get(&conn).expect("the caller has it");
        let (session, owner, is_local) = (client.session, client.owner, client.is_local);
        match self.lead(around.groups) {
            Lead::Nobody => Looked::Stalled,
            Lead::There(_) if self.abroad.is_full() => Looked::Stalled,
            Lead::There(_) => {
                let (number, ids, frame) = (self.number(), self.clients[&conn].ids.clone(), frame.to_vec());
                self.ask_abroad(conn, number, TreeAsk::Write { number, session, owner, is_local, ids, frame });
                Looked::Taken(What::Asked { number, xid: head.xid, want })
            }
            Lead::Here => {
                let number = self.number();
                // It is put back: nothing of it is changed meanwhile.
                let ids = std::mem::take(&mut self.clients.get_mut(&conn).expect("just seen").ids);
                let who = Who { session, owner, is_local, ids: &ids, abroad: None };
                let result = self.change(around, &who, number, head, (request, frame));
                self.clients.get_mut(&conn).expect("just seen").ids = ids;
                match result {
                    Ok(()) => {
                        self.asked.insert(number, (conn, 0));
                        Looked::Taken(What::Asked { number, xid: head.xid, want })
                    }
                    Err(Denied::Refused(refused)) => {
                        let after = around.groups.tree_end();
                        Looked::Taken(What::Settled { xid: head.xid, want, refused: Some(refused), after })
                    }
                    Err(Denied::Stalled) => Looked::Stalled,
                }
            }
        }
    }

    /// Puts a change into the log, which this node leads, under the number of its request; a long multi some turns later, if
    /// nothing is wrong with it.
    pub(super) fn change(
        &mut self,
        around: &mut Around,
        who: &Who<'_>,
        number: u64,
        head: Head,
        (request, frame): (&Request<'_>, &[u8]),
    ) -> Result<(), Denied> {
        if self.drafting.is_some() || !around.groups.admits_txn(frame.len()) {
            return Err(Denied::Stalled);
        }
        let Some(expiry) = &mut self.expiry else { return Err(Denied::Stalled) };
        let is_moved = !who.is_local && {
            expiry.touch(who.session, around.out.now.mono);
            expiry.check(who.session, who.owner) == Err(TreeError::SessionMoved)
        };
        let txn = TxnHead { number, session: who.session, cxid: head.xid };
        match request {
            // Also on a connection that the session has left, as in ZooKeeper: its client is the same.
            Request::CloseSession => return self.end_session(around, who.session, number, head.xid),
            // Nothing changes; but when it is applied, so is all that was there before.
            Request::Sync(_) => return self.propose(around, txn, Body::Multi(Vec::new()), false),
            Request::Multi(ops) if ops.len() > TREE_TURN_OPS => {
                self.begin_drafting(around, who, (txn, is_moved), (frame, ops));
                return Ok(());
            }
            _ => {}
        }
        let ids: Vec<Id<'_>> = who.ids.iter().map(Identity::as_id).collect();
        let asker = Asker { session: who.session, ids: &ids, is_moved, is_local: who.is_local };
        let grows = !matches!(request, Request::Delete(..) | Request::Check(..));
        let now = around.out.now.wall;
        around.groups.tree_mut().state_mut().begin_draft(now);
        let result = match self.draft(around, &asker, request) {
            Ok(()) => {
                let body = around.groups.tree_mut().state_mut().end_draft(matches!(request, Request::Multi(_)));
                self.propose(around, txn, body, grows)
            }
            Err(refused) => Err(Denied::Refused(refused)),
        };
        if result.is_err() {
            around.groups.tree_mut().state_mut().drop_draft();
        }
        result
    }

    /// Believes what a client shows, as far as there is room for it.
    fn authenticate(
        &mut self,
        around: &mut Around,
        conn: ConnId,
        head: Head,
        scheme: &str,
        credentials: Option<&[u8]>,
    ) -> What {
        let super_digest = self.zookeeper.super_digest.as_deref();
        let client = self.clients.get_mut(&conn).expect("the caller has it");
        let known = authenticate(scheme, credentials, &client.peer.ip().to_string(), super_digest);
        let proved = known.map(|known| client.prove(known));
        if proved == Ok(true) {
            wire::Reply::new(&mut self.packer.scratch, head.xid, 0).end();
            return What::Ready(self.packer.take_scratch());
        }
        self.meters.auth_failures += 1;
        if proved == Ok(false) {
            let why = format_args!(
                "its client shows more credentials than the {CLIENT_IDENTITIES_MAX}, of {CLIENT_IDENTITIES_BYTES_MAX} bytes \
                 together, that are kept of one"
            );
            self.complain(around, conn, Complaint::Identities, &why);
        }
        failure(&mut self.packer.scratch, head.xid, 0, ErrorCode::AuthFailed);
        What::Last(self.packer.take_scratch())
    }

    /// Adds what a request asks for to the draft that has begun.
    fn draft(&mut self, around: &mut Around, who: &Asker<'_>, request: &Request<'_>) -> Result<(), Refused> {
        if let Request::Multi(ops) = request {
            for (at, op) in ops.clone().enumerate() {
                self.draft_op(around, who, &op).map_err(|error| Refused { error, at })?;
            }
            return Ok(());
        }
        let tree = around.groups.tree_mut().state_mut();
        let mut one = |change: &Change<'_>| tree.draft(who, change).map_err(|error| Refused { error, at: 0 });
        match request {
            Request::Create(create) => one(&Change::Create(of_create(create, &acls(&create.acls)))),
            Request::Delete(path, version) => one(&Change::Delete(path, *version)),
            Request::SetData(path, data, version) => one(&Change::SetData(path, *data, *version)),
            Request::SetAcl(path, list, version) => one(&Change::SetAcl(path, &acls(list), *version)),
            Request::Check(path, version) => one(&Change::Check(path, *version)),
            _ => unreachable!("it only reads, or needs no draft"),
        }
    }

    /// The same of an operation of a multi.
    pub(super) fn draft_op(
        &mut self,
        around: &mut Around,
        who: &Asker<'_>,
        op: &wire::Op<'_>,
    ) -> Result<(), TreeError> {
        let judged = self.judge_kafkas(around, op);
        let tree = around.groups.tree_mut().state_mut();
        if let Some(judged) = judged {
            return tree.draft_checked(who, path_of(op), judged);
        }
        match op {
            wire::Op::Create(create) => tree.draft(who, &Change::Create(of_create(create, &acls(&create.acls)))),
            wire::Op::Delete(path, version) => tree.draft(who, &Change::Delete(path, *version)),
            wire::Op::SetData(path, data, version) => tree.draft(who, &Change::SetData(path, *data, *version)),
            wire::Op::Check(path, version) => tree.draft(who, &Change::Check(path, *version)),
            wire::Op::GetData(_) | wire::Op::GetChildren(_) => unreachable!("not mixed with changes"),
        }
    }
}

fn of_create<'a>(create: &wire::Create<'a>, acls: &'a [tree::Acl<'a>]) -> Create<'a> {
    let wire::Create { path, data, flags, is_container, ttl, .. } = *create;
    Create { path, data, acls, flags, is_container, ttl }
}
