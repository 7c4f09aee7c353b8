//! Long multis become transactions over turns: some operations are looked at in each, so that others are answered in between.
//!
//! What was looked at stands before the state as a draft ([`torc_state::tree::Tree::draft`]). Meanwhile nothing else goes into
//! the tree's log here: other changes wait, and find all of it done. Reads and pings do not wait, and see nothing of it.

use super::changes::{Denied, Who};
use super::{Around, TreeAnswer, Znodes};
use crate::groups::TxnHead;
use torc_base::ids::{NodeId, Term};
use torc_base::limits::TREE_TURN_OPS;
use torc_base::time::Mono;
use torc_net::zookeeper::{Ops, Place};
use torc_state::tree::{Asker, Body, Id, Identity, Refused};

/// Where the log has no room for one that is whole, it is tried again after so long, if nothing happens before.
const AGAIN_MS: u64 = 20;

/// One that is being made.
pub(super) struct Drafting {
    head: TxnHead,
    ids: Vec<Identity>,
    is_moved: bool,
    is_local: bool,
    /// The node that has asked, in which term, if it was another.
    abroad: Option<(NodeId, Term)>,
    frame: Vec<u8>,
    place: Place,
    at: usize,
    pub(super) due: Mono,
}

impl Znodes {
    /// Begins one, with the operations of a request that stand in `frame`.
    pub(super) fn begin_drafting(
        &mut self,
        around: &mut Around,
        who: &Who<'_>,
        (head, is_moved): (TxnHead, bool),
        (frame, ops): (&[u8], &Ops<'_>),
    ) {
        around.groups.tree_mut().state_mut().begin_draft(around.out.now.wall);
        self.drafting = Some(Box::new(Drafting {
            head,
            ids: who.ids.to_vec(),
            is_moved,
            is_local: who.is_local,
            abroad: who.abroad,
            frame: frame.to_vec(),
            place: ops.place(),
            at: 0,
            due: Mono(0),
        }));
    }

    /// Goes on with it: its next operations, or its way into the log.
    pub(super) fn turn_drafting(&mut self, around: &mut Around) {
        let Some(mut drafting) = self.drafting.take_if(|drafting| drafting.due <= around.now()) else { return };
        if around.tree().drafted().is_none() {
            // Another leads by now: nobody knows what becomes of the request.
            return;
        }
        let drafted = if drafting.place.is_end() { Ok(()) } else { self.draft_on(around, &mut drafting) };
        let result = match drafted {
            Ok(()) if !drafting.place.is_end() => return self.drafting = Some(drafting),
            Ok(()) if !around.groups.admits_txn(drafting.frame.len()) => {
                drafting.due = around.now().plus_ms(AGAIN_MS);
                return self.drafting = Some(drafting);
            }
            Ok(()) => {
                let body = around.groups.tree_mut().state_mut().end_draft(true);
                self.propose(around, drafting.head, body, true)
            }
            Err(refused) => Err(Denied::Refused(refused)),
        };
        let Err(denied) = result else { return };
        around.groups.tree_mut().state_mut().drop_draft();
        let Denied::Refused(Refused { error, at }) = denied else {
            // This node leads no more: whoever waits for it is left.
            return;
        };
        let answer = TreeAnswer::Refused { number: drafting.head.number, error, at, after: around.groups.tree_end() };
        match drafting.abroad {
            Some((node, term)) => self.abroad.answer(node, term, answer),
            None => self.answered_abroad(around, answer),
        }
    }

    /// Looks at some operations more.
    fn draft_on(&mut self, around: &mut Around, drafting: &mut Drafting) -> Result<(), Refused> {
        let ids: Vec<Id<'_>> = drafting.ids.iter().map(Identity::as_id).collect();
        let (session, is_moved, is_local) = (drafting.head.session, drafting.is_moved, drafting.is_local);
        let asker = Asker { session, ids: &ids, is_moved, is_local };
        let mut ops = Ops::at(&drafting.frame, drafting.place);
        for op in ops.by_ref().take(TREE_TURN_OPS) {
            self.draft_op(around, &asker, &op).map_err(|error| Refused { error, at: drafting.at })?;
            drafting.at += 1;
        }
        drafting.place = ops.place();
        Ok(())
    }

    /// Nothing comes of it: this node leads no more.
    pub(super) fn forget_drafting(&mut self, around: &mut Around) {
        if self.drafting.take().is_some() && around.groups.has_tree() {
            around.groups.tree_mut().state_mut().drop_draft();
        }
    }

    /// Puts what a draft has become into the log, which this node leads.
    pub(super) fn propose(
        &mut self,
        around: &mut Around,
        head: TxnHead,
        body: Body,
        grows: bool,
    ) -> Result<(), Denied> {
        around.groups.propose_txn(around.out, head, body, grows).map(|_| ()).map_err(Denied::of)
    }
}
