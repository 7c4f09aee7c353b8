//! What is to become a transaction: operations that were checked, and that new requests see already, before the log has them.
//!
//! So each is looked at once: what it leaves of the znodes that it touches is put in front of the state when it is checked, and
//! [`Tree::append`] takes over what is there. A draft may be made over several turns. Nothing else is appended meanwhile by who
//! makes it; what others append, and a cut, end it.

use super::error::TreeError;
use super::overlay::Mark;
use super::prepare::{Asker, Change, Leaves};
use super::txn::{Body, Op};
use super::{Tree, path};
use torc_base::limits::TREE_OPS_MAX;
use torc_base::time::Wall;

/// One that has begun.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) mark: Mark,
    time: Wall,
    ops: Vec<Op>,
    bytes: usize,
    /// Its operations have been handed out: the next transaction is the one that they make.
    is_whole: bool,
}

impl Tree {
    /// Begins one, of that time.
    pub fn begin_draft(&mut self, time: Wall) {
        assert!(self.draft.is_none(), "one at a time");
        self.draft = Some(Draft { mark: self.overlay.mark(), time, ops: Vec::new(), bytes: 0, is_whole: false });
    }

    /// Adds an operation, which sees what those before it will have done.
    pub fn draft(&mut self, who: &Asker<'_>, change: &Change<'_>) -> Result<(), TreeError> {
        let mut draft = self.draft.take().expect("it has begun");
        let added = self.add(&mut draft, who, change);
        self.draft = Some(draft);
        added
    }

    /// Adds an operation that asks for a version of what is shown at a path where the tree has no znode; `found`: whether it is that
    /// version. It changes nothing.
    pub fn draft_checked(
        &mut self,
        who: &Asker<'_>,
        path: &str,
        found: Result<(), TreeError>,
    ) -> Result<(), TreeError> {
        self.check_session(who, false)?;
        path::check(path)?;
        found?;
        let mut draft = self.draft.take().expect("it has begun");
        let added = self.put(&mut draft, Op::Check { path: path.into() }, [None, None]);
        self.draft = Some(draft);
        added
    }

    fn add(&mut self, draft: &mut Draft, who: &Asker<'_>, change: &Change<'_>) -> Result<(), TreeError> {
        let (op, leaves) = self.op(who, change, draft.time)?;
        self.put(draft, op, leaves)
    }

    fn put(&mut self, draft: &mut Draft, op: Op, leaves: Leaves) -> Result<(), TreeError> {
        let bytes = draft.bytes + op.bytes();
        self.check_size(bytes, &op)?;
        if draft.ops.len() == TREE_OPS_MAX {
            return Err(TreeError::BadArguments);
        }
        for (path, hash, view) in leaves.into_iter().flatten() {
            self.overlay.put_znode(path, hash, view);
        }
        draft.ops.push(op);
        draft.bytes = bytes;
        Ok(())
    }

    /// What the transaction does: it is appended next, or the draft is dropped. `is_many`: the request had a list of
    /// operations, were it of one.
    pub fn end_draft(&mut self, is_many: bool) -> Body {
        let draft = self.draft.as_mut().expect("it has begun");
        draft.is_whole = true;
        let mut ops = std::mem::take(&mut draft.ops);
        match ops.pop() {
            Some(op) if !is_many && ops.is_empty() => Body::One(op),
            last => {
                ops.extend(last);
                Body::Multi(ops)
            }
        }
    }

    /// The time of a draft's transaction, if there is a draft; and whether it is whole.
    pub fn drafted(&self) -> Option<(Wall, bool)> {
        self.draft.as_ref().map(|draft| (draft.time, draft.is_whole))
    }

    /// New requests do not see it any more.
    pub fn drop_draft(&mut self) {
        if let Some(draft) = self.draft.take() {
            self.overlay.back_to(draft.mark);
        }
    }

    /// The mark of the draft that the next transaction is made of; any other draft is dropped.
    pub(super) fn take_draft(&mut self) -> Option<Mark> {
        if self.draft.as_ref().is_some_and(|draft| draft.is_whole) {
            return self.draft.take().map(|draft| draft.mark);
        }
        self.drop_draft();
        None
    }
}

#[cfg(test)]
#[path = "draft_tests.rs"]
mod tests;
