//! Watches that a client had on another connection, and takes up again: as many as one request holds, so they take turns.
//!
//! What a client has missed it is told before it is answered, and nothing that it asked for later is answered before. Between two
//! turns znodes change. Watches that stand already are told of that at once; those that do not stand yet find the change when it is
//! their turn, as one that was missed. So all is as if the whole had been done in the last of the turns, whatever comes in between:
//! what was missed has no order, and watches that stay, which miss nothing, are taken up behind all others.

use super::answers::{code, put_event};
use super::{Around, Znodes};
use torc_base::buf::Buf;
use torc_base::ids::{ConnId, Zxid};
use torc_base::limits::{REPLY_BYTES_MAX, RESUMED_WATCH_BYTES};
use torc_net::zookeeper::{ErrorCode, Head, Place, Reply, Strings, failure};
use torc_state::tree::TreeError;
use torc_state::tree::watches::Kept;

/// As the lists stand in a request.
const KINDS: [Kept; 5] = [Kept::Data, Kept::Absent, Kept::Children, Kept::Persistent, Kept::Recursive];

/// How far the first request of a connection has come, if it takes up watches.
#[derive(Debug)]
pub(super) struct Resuming {
    head: Head,
    /// What its client had seen.
    since: Zxid,
    /// What is left of the lists.
    lists: [Place; 5],
    refused: Option<TreeError>,
}

impl Resuming {
    pub(super) fn new(head: Head, since: i64, lists: &[Strings<'_>; 5]) -> Resuming {
        Resuming { head, since: Zxid(since), lists: lists.each_ref().map(Strings::place), refused: None }
    }
}

impl Znodes {
    /// Goes on with the watches that the request in `frame` takes up, as far as this turn goes: at least by one. The answer,
    /// when that was all of them.
    pub(super) fn resume(
        &mut self,
        around: &mut Around,
        conn: ConnId,
        frame: &[u8],
        mut resuming: Resuming,
    ) -> Option<Buf> {
        let mut is_over = false;
        for (kept, place) in KINDS.into_iter().zip(&mut resuming.lists) {
            let mut paths = Strings::at(frame, *place);
            while !is_over && let Some(path) = paths.next_or_null() {
                let Some(path) = path else {
                    // As in ZooKeeper: what stands before it is done, and nothing of what stands behind it.
                    return Some(self.end_of_resuming(around, &resuming, Some(ErrorCode::MarshallingError)));
                };
                match self.resume_one(around, conn, resuming.since, kept, path) {
                    Ok(()) => {}
                    Err(error) => resuming.refused = Some(error),
                }
                is_over = !self.long_reads.take(RESUMED_WATCH_BYTES) || around.conns.held(conn) > REPLY_BYTES_MAX;
            }
            *place = paths.place();
        }
        if resuming.lists.iter().any(|place| !place.is_end()) {
            self.clients.get_mut(&conn).expect("the caller has it").resuming = Some(resuming);
            return None;
        }
        Some(self.end_of_resuming(around, &resuming, resuming.refused.map(code)))
    }

    fn end_of_resuming(&mut self, around: &Around, resuming: &Resuming, refused: Option<ErrorCode>) -> Buf {
        let (zxid, xid) = (around.tree().zxid().get(), resuming.head.xid);
        match refused {
            Some(error) => failure(&mut self.packer.scratch, xid, zxid, error),
            None => Reply::new(&mut self.packer.scratch, xid, zxid).end(),
        }
        self.packer.take_scratch()
    }

    /// Takes one up. What has been missed is told now.
    fn resume_one(
        &mut self,
        around: &mut Around,
        conn: ConnId,
        since: Zxid,
        kept: Kept,
        path: &str,
    ) -> Result<(), TreeError> {
        let missed = match self.is_in_kafka(around, path) {
            // When this node was told says nothing of what the client has seen.
            Some(is_there) => self.watches.resume_unsure(conn, kept, path, is_there),
            None => self.watches.resume(around.groups.tree().state(), conn, since, kept, path),
        };
        if let Some(missed) = missed? {
            put_event(&mut self.packer.scratch, missed, path);
            let bytes = self.packer.take_scratch();
            self.meters.sent += 1;
            self.meters.counters.told_bytes += bytes.len() as u64;
            around.conns.push(around.now(), conn, bytes);
        }
        Ok(())
    }
}
