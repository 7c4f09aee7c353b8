//! Requests that are answered from what is applied here.

use super::answers::{code, stat};
use super::kafka::KafkaTree;
use super::resume::Resuming;
use super::{Around, Znodes};
use crate::outbox::Piece;
use torc_base::buf::Buf;
use torc_base::ids::ConnId;
use torc_base::limits::{ZNODE_ANSWER_BYTES_MAX, ZNODE_READS_BYTES_MAX};
use torc_net::zookeeper::{
    self as wire, AddMode, ErrorCode, Head, Outcome, Reply, Request, WatcherType, decode, failure,
};
use torc_state::tree::watches::Watch;
use torc_state::tree::{Id, Tree, TreeError};

/// Which kind of watch is meant; `None`: any.
fn watch_of(kind: WatcherType) -> Option<Watch> {
    Some(match kind {
        WatcherType::Children => Watch::Children,
        WatcherType::Data => Watch::Data,
        WatcherType::Any => return None,
        WatcherType::Persistent => Watch::Persistent,
        WatcherType::Recursive => Watch::Recursive,
    })
}

impl Znodes {
    /// The answer to a request that only reads; `None`: it goes on in another turn.
    pub(super) fn read(&mut self, around: &mut Around, conn: ConnId, frame: &[u8]) -> Option<Vec<Piece>> {
        let one = |bytes: Buf| vec![Piece::Bytes(bytes)];
        if let Some(resuming) = self.clients.get_mut(&conn).and_then(|client| client.resuming.take()) {
            return self.resume(around, conn, frame, resuming).map(one);
        }
        if let Some(reading) = self.clients.get_mut(&conn).and_then(|client| client.reading.take()) {
            return self.go_on_reading(around, conn, frame, reading);
        }
        let (head, request) = decode(frame).expect("it was decoded before");
        if let Request::SetWatches(since, lists) = &request {
            return self.resume(around, conn, frame, Resuming::new(head, *since, lists)).map(one);
        }
        if let Some(bytes) = self.read_kafka(around, conn, head, &request) {
            return Some(one(bytes));
        }
        if let Request::MultiRead(ops) = &request
            && let Some(reading) = self.begin_reading(around.tree(), conn, head, ops)
        {
            return self.go_on_reading(around, conn, frame, reading);
        }
        if let Request::GetAllChildrenNumber(path) = request {
            return self.count(around, conn, head, path);
        }
        if self.is_listed(around, conn, &request) {
            return self.list(around, conn, head, &request);
        }
        if let Some(client) = self.clients.get_mut(&conn) {
            client.listing = None;
        }
        if let Request::AddWatch(path, _) = request {
            self.watch_kafka(around, path);
        }
        let mut scratch = std::mem::take(&mut self.packer.scratch);
        let zxid = around.tree().zxid().get();
        let put = self.put_read(around.tree(), conn, head, zxid, &request, &mut scratch);
        let is_too_long = scratch.len() > ZNODE_ANSWER_BYTES_MAX;
        if let Err(error) = put.and(if is_too_long { Err(ErrorCode::ThrottledOp) } else { Ok(()) }) {
            scratch.clear();
            failure(&mut scratch, head.xid, zxid, error);
        }
        self.packer.scratch = scratch;
        Some(one(self.packer.take_scratch()))
    }

    /// Appends the answer; what was appended before an error is of no use.
    fn put_read(
        &mut self,
        tree: &Tree,
        conn: ConnId,
        head: Head,
        zxid: i64,
        request: &Request<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), ErrorCode> {
        let Znodes { clients, watches, kafka, .. } = self;
        let client = clients.get(&conn).ok_or(ErrorCode::SessionExpired)?;
        let ids = &client.as_ids()[..];
        let mut watch = |wanted: bool, path: &str, watch: Watch| {
            if wanted { watches.add(conn, path, watch).map_err(code) } else { Ok(()) }
        };
        // A ping's answer has its own number, whatever stands in the request.
        let xid = if matches!(request, Request::Ping) { wire::xid::PING } else { head.xid };
        let mut reply = Reply::new(out, xid, zxid);
        match request {
            Request::Reconfig => return Err(ErrorCode::ReconfigDisabled),
            // A server that does not speak it has no token for an answer.
            Request::Sasl => reply.data(None),
            Request::Exists(path, is_watched) => {
                let found = tree.exists(path, ids);
                if matches!(found, Ok(_) | Err(TreeError::NoNode)) {
                    watch(*is_watched, path, Watch::Data)?;
                }
                reply.stat(&stat(&found.map_err(code)?));
            }
            Request::GetData(path, is_watched) => {
                let (data, found) = tree.data(path, ids).map_err(code)?;
                watch(*is_watched, path, Watch::Data)?;
                reply.data(data);
                reply.stat(&stat(&found));
            }
            Request::GetChildren(path, is_watched, with_stat) => {
                let (names, mut found) = tree.children(path, ids).map_err(code)?;
                watch(*is_watched, path, Watch::Children)?;
                let mut names: Vec<&str> = names.collect();
                if let Some(name) = kafka.child_of(tree, path).filter(|name| !names.contains(name)) {
                    names.push(name);
                    found.num_children += 1;
                }
                reply.names(names.into_iter());
                if *with_stat {
                    reply.stat(&stat(&found));
                }
            }
            Request::GetAcl(path) => {
                let (list, found) = tree.acl(path, ids).map_err(code)?;
                let acl = |acl: torc_state::tree::Acl<'_>| (acl.perms, acl.id.scheme.to_owned(), acl.id.id.to_owned());
                let all: Vec<(i32, String, String)> = list.iter().map(acl).collect();
                reply.acls(all.iter().map(|(perms, scheme, id)| wire::Acl { perms: *perms, scheme, id }));
                reply.stat(&stat(&found));
            }
            Request::CheckWatches(path, kind) => {
                let is_there = watches.contains(conn, path, watch_of(*kind));
                is_there.then_some(()).ok_or(ErrorCode::NoWatcher)?;
            }
            Request::RemoveWatches(path, kind) => watches.remove(conn, path, watch_of(*kind)).map_err(code)?,
            Request::GetEphemerals(prefix) => {
                let paths = tree.ephemerals(client.session, prefix);
                reply.names(paths.iter().map(String::as_str));
            }
            Request::AddWatch(path, mode) => {
                let kind = match mode {
                    AddMode::Persistent => Watch::Persistent,
                    AddMode::Recursive => Watch::Recursive,
                };
                watch(true, path, kind)?;
                reply.count(0);
            }
            Request::WhoAmI => {
                let user = |id: &Id<'_>| match id.scheme {
                    "digest" => id.id.split(':').next().unwrap_or_default().to_owned(),
                    _ => id.id.to_owned(),
                };
                // What was shown last comes first, the address last, as ZooKeeper lists them.
                let users: Vec<(&str, String)> = ids.iter().rev().map(|id| (id.scheme, user(id))).collect();
                reply.clients(users.iter().map(|(scheme, user)| (*scheme, user.as_str())));
            }
            Request::MultiRead(ops) => {
                put_reads(ops.clone(), &mut reply, |op, reply| put_read_of_many((tree, &*kafka, ids), op, reply));
            }
            // The session is heard of, and that is all.
            _ => {}
        }
        reply.end();
        Ok(())
    }
}

/// Appends the results of reads, each of which fails by itself: those that come behind too much of them do, too.
pub(super) fn put_reads(ops: wire::Ops<'_>, reply: &mut Reply<'_>, mut put: impl FnMut(&wire::Op<'_>, &mut Reply<'_>)) {
    for op in ops {
        if reply.bytes() > ZNODE_READS_BYTES_MAX {
            reply.outcome(&Outcome::Error(Some(ErrorCode::ThrottledOp)));
        } else {
            put(&op, reply);
        }
    }
    reply.end_of_outcomes();
}

/// What is read, and by whom.
pub(super) type Seen<'a> = (&'a Tree, &'a KafkaTree, &'a [Id<'a>]);

/// Appends the result of one of many reads in the tree.
pub(super) fn put_read_of_many((tree, kafka, ids): Seen<'_>, op: &wire::Op<'_>, reply: &mut Reply<'_>) {
    match op {
        wire::Op::GetData(path) => match tree.data(path, ids) {
            Ok((data, found)) => reply.outcome(&Outcome::GetData(data, stat(&found))),
            Err(error) => reply.outcome(&Outcome::Error(Some(code(error)))),
        },
        wire::Op::GetChildren(path) => match tree.children(path, ids) {
            Ok((names, _)) => {
                reply.outcome_names(names.chain(kafka.child_of(tree, path)).collect::<Vec<_>>().into_iter())
            }
            Err(error) => reply.outcome(&Outcome::Error(Some(code(error)))),
        },
        _ => unreachable!("not mixed with changes"),
    }
}
