//! Lists of a million names: they are made over turns, a part in each, and are what is there in the last of these.
//!
//! A part is of use as long as nothing that the list is of has come or gone; if something has, it begins anew. One that begins
//! too often, or whose client has changed something since that the list is not to show, is made in one turn after all. While
//! one is being made no other long read begins, so that there are not many halves in memory.

use super::answers::{code, stat};
use super::{Around, Znodes};
use crate::outbox::Piece;
use torc_base::buf::Buf;
use torc_base::ids::ConnId;
use torc_base::limits::{PIECE_BYTES_MIN, ZNODE_ANSWER_BYTES_MAX};
use torc_net::zookeeper::{ErrorCode, Head, Reply, Request, failure, put_name, put_stat};
use torc_state::tree::watches::Watch;
use torc_state::tree::{ListPlace, Listed};

/// What a name costs besides its bytes: the znode is looked up.
const NAME_BYTES: usize = 32;
/// A list that has begun anew so often is made in one turn.
const BEGINNINGS_MAX: u32 = 3;

/// How far one has come.
#[derive(Debug, Default)]
pub(super) struct Listing {
    parts: Vec<Buf>,
    bytes: usize,
    names: usize,
    place: Option<ListPlace>,
    has_kafkas: bool,
    /// How often it has begun anew.
    beginnings: u32,
}

impl Znodes {
    /// True of a request for a list that is to be made over turns.
    pub(super) fn is_listed(&self, around: &Around, conn: ConnId, request: &Request<'_>) -> bool {
        let Some(client) = self.clients.get(&conn) else { return false };
        let is_long = match request {
            Request::GetEphemerals(_) => true,
            Request::GetChildren(path, ..) => around
                .tree()
                .exists(path, &client.as_ids())
                .is_ok_and(|stat| stat.num_children as usize > PIECE_BYTES_MIN / NAME_BYTES),
            _ => false,
        };
        let is_restless = client.listing.as_ref().is_some_and(|listing| listing.beginnings > BEGINNINGS_MAX);
        is_long && !is_restless && !client.has_asked()
    }

    /// Goes on with the list that is asked for. The answer, when that was all of it.
    pub(super) fn list(
        &mut self,
        around: &mut Around,
        conn: ConnId,
        head: Head,
        request: &Request<'_>,
    ) -> Option<Vec<Piece>> {
        let client = self.clients.get_mut(&conn).expect("the caller has it");
        let mut listing = client.listing.take().unwrap_or_default();
        let (session, ids) = (client.session, client.as_ids());
        let (tree, scratch, long_reads) =
            (around.groups.tree().state(), &mut self.packer.scratch, &mut self.long_reads);
        let (names, has_kafkas) = (&mut listing.names, &mut listing.has_kafkas);
        let mut put = |name: &str, is_one: bool| {
            if is_one {
                put_name(scratch, name);
                *names += 1;
            }
            long_reads.take(NAME_BYTES + name.len())
        };
        let listed = match request {
            Request::GetChildren(path, ..) => {
                let kafkas = self.kafka.child_of(tree, path);
                tree.list_children(path, &ids, listing.place, &mut |name| {
                    *has_kafkas |= kafkas == Some(name);
                    put(name, true)
                })
            }
            Request::GetEphemerals(prefix) => {
                let prefix = if matches!(prefix.trim(), "" | "/") { "" } else { prefix };
                Ok(tree.list_ephemerals(session, listing.place, &mut |path| put(path, path.starts_with(prefix))))
            }
            _ => unreachable!("no list"),
        };
        match listed.map_err(code) {
            Ok(Listed::Whole) => {
                listing.parts.push(self.packer.take_scratch());
                Some(self.listed(around, conn, head, request, *listing))
            }
            Ok(Listed::Part(place)) => {
                let part = self.packer.take_scratch();
                listing.bytes += part.len();
                listing.parts.push(part);
                listing.place = Some(place);
                if listing.bytes > ZNODE_ANSWER_BYTES_MAX {
                    return Some(self.not_listed(around, head, ErrorCode::ThrottledOp));
                }
                self.clients.get_mut(&conn).expect("just seen").listing = Some(listing);
                None
            }
            Ok(Listed::Changed) => {
                self.packer.scratch.clear();
                let listing = Listing { beginnings: listing.beginnings + 1, ..Listing::default() };
                self.clients.get_mut(&conn).expect("just seen").listing = Some(Box::new(listing));
                None
            }
            Err(error) => Some(self.not_listed(around, head, error)),
        }
    }

    /// The answer, with what stands before and behind the names.
    fn listed(
        &mut self,
        around: &mut Around,
        conn: ConnId,
        head: Head,
        request: &Request<'_>,
        mut listing: Listing,
    ) -> Vec<Piece> {
        if let Request::GetChildren(path, is_watched, with_stat) = request {
            let tree = around.groups.tree().state();
            let found = tree.exists(path, &self.clients[&conn].as_ids()).map_err(code);
            let watched =
                if *is_watched { self.watches.add(conn, path, Watch::Children).map_err(code) } else { Ok(()) };
            let mut found = match found.and_then(|found| watched.map(|()| found)) {
                Ok(found) => found,
                Err(error) => return self.not_listed(around, head, error),
            };
            let scratch = &mut self.packer.scratch;
            if let Some(name) = self.kafka.child_of(tree, path).filter(|_| !listing.has_kafkas) {
                put_name(scratch, name);
                listing.names += 1;
                found.num_children += 1;
            }
            if *with_stat {
                put_stat(scratch, &stat(&found));
            }
            listing.parts.push(self.packer.take_scratch());
        }
        let bytes = listing.parts.iter().map(|part| part.len()).sum::<usize>();
        if bytes > ZNODE_ANSWER_BYTES_MAX {
            return self.not_listed(around, head, ErrorCode::ThrottledOp);
        }
        let mut reply = Reply::new(&mut self.packer.scratch, head.xid, around.tree().zxid().get());
        reply.count(i32::try_from(listing.names).expect("an answer is bounded"));
        reply.end_before(bytes);
        let first = std::iter::once(self.packer.take_scratch());
        first.chain(listing.parts).filter(|part| !part.is_empty()).map(Piece::Bytes).collect()
    }

    /// The answer where one cannot be, or would be too long.
    pub(super) fn not_listed(&mut self, around: &Around, head: Head, error: ErrorCode) -> Vec<Piece> {
        self.packer.scratch.clear();
        failure(&mut self.packer.scratch, head.xid, around.tree().zxid().get(), error);
        vec![Piece::Bytes(self.packer.take_scratch())]
    }
}
