//! Transactions: what a request has become when it was checked against the state. Nothing is left to decide when they are
//! applied: names have their numbers, versions are told, ephemeral znodes of a session that ends are listed.

use super::acl::AclList;
use super::error::TreeError;
use super::lifetime::Lifetime;
use super::path;
use crate::codec::{DecodeError, Decoder, put_bytes, put_i64, put_u64};
use std::sync::Arc;
use torc_base::ids::{SessionId, Zxid};
use torc_base::limits::*;
use torc_base::time::Wall;

/// First byte of an encoded transaction.
const VERSION: u8 = 1;

/// One change of one znode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// It is made. `creates`: children that its parent has ever had then.
    Create { path: Arc<str>, data: Option<Box<[u8]>>, acl: AclList, lifetime: Lifetime, creates: i32 },
    /// It goes.
    Delete { path: Arc<str> },
    /// Its data become others, under this version.
    SetData { path: Arc<str>, data: Option<Box<[u8]>>, version: i32 },
    /// Its access list becomes another, under this version.
    SetAcl { path: Arc<str>, acl: AclList, version: i32 },
    /// Nothing: its version was right.
    Check { path: Arc<str> },
}

/// What a transaction does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// One change.
    One(Op),
    /// All of these.
    Multi(Vec<Op>),
    /// The session begins; milliseconds.
    CreateSession { timeout_ms: u32 },
    /// The session ends, and these znodes with it. More of them follow unless it is the `last`.
    CloseSession { ephemerals: Vec<Arc<str>>, last: bool },
    /// Nothing: the request was refused.
    Error(TreeError),
}

/// One entry of the tree's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Txn {
    /// Whose request it was, and the number that the client gave it.
    pub session: SessionId,
    pub cxid: i32,
    /// Larger than that of every transaction before.
    pub zxid: Zxid,
    /// The leader's clock.
    pub time: Wall,
    /// What it does.
    pub body: Body,
}

const ONE: u8 = 0;
const MULTI: u8 = 1;
const CREATE_SESSION: u8 = 2;
const CLOSE_SESSION: u8 = 3;
const ERROR: u8 = 4;

const CREATE: u8 = 0;
const DELETE: u8 = 1;
const SET_DATA: u8 = 2;
const SET_ACL: u8 = 3;
const CHECK: u8 = 4;

impl Op {
    /// The znode.
    pub fn path(&self) -> &Arc<str> {
        match self {
            Op::Create { path, .. }
            | Op::Delete { path }
            | Op::SetData { path, .. }
            | Op::SetAcl { path, .. }
            | Op::Check { path } => path,
        }
    }

    /// Bytes that it takes encoded, at most.
    pub(super) fn bytes(&self) -> usize {
        let rest = match self {
            Op::Create { data, acl, .. } => data.as_ref().map_or(0, |data| data.len()) + acl.as_bytes().len(),
            Op::SetData { data, .. } => data.as_ref().map_or(0, |data| data.len()),
            Op::SetAcl { acl, .. } => acl.as_bytes().len(),
            Op::Delete { .. } | Op::Check { .. } => 0,
        };
        self.path().len() + rest + 48
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let mut begin = |kind| {
            out.push(kind);
            put_bytes(out, self.path().as_bytes());
        };
        match self {
            Op::Create { data, acl, lifetime, creates, .. } => {
                begin(CREATE);
                put_data(out, data.as_deref());
                acl.encode(out);
                put_i64(out, lifetime.owner());
                put_i64(out, i64::from(*creates));
            }
            Op::Delete { .. } => begin(DELETE),
            Op::SetData { data, version, .. } => {
                begin(SET_DATA);
                put_data(out, data.as_deref());
                put_i64(out, i64::from(*version));
            }
            Op::SetAcl { acl, version, .. } => {
                begin(SET_ACL);
                acl.encode(out);
                put_i64(out, i64::from(*version));
            }
            Op::Check { .. } => begin(CHECK),
        }
    }

    fn decode(from: &mut Decoder<'_, '_>) -> Result<Op, DecodeError> {
        let kind = from.u8("the kind of an operation")?;
        let path = path(from)?;
        Ok(match kind {
            CREATE => Op::Create {
                path,
                data: data(from)?.map(Box::from),
                acl: AclList::decode(from)?,
                lifetime: Lifetime::of(from.i64("what a znode ends with")?),
                creates: number(from, "children that were made")?,
            },
            DELETE => Op::Delete { path },
            SET_DATA => {
                let data = data(from)?.map(Box::from);
                Op::SetData { path, data, version: number(from, "a version")? }
            }
            SET_ACL => Op::SetAcl { path, acl: AclList::decode(from)?, version: number(from, "a version")? },
            CHECK => Op::Check { path },
            _ => return Err(from.bad("the kind of an operation")),
        })
    }

    /// Passes over one that [`Op::decode`] can read.
    fn skip(from: &mut Decoder<'_, '_>) -> Result<(), DecodeError> {
        let kind = from.u8("the kind of an operation")?;
        path_text(from)?;
        match kind {
            CREATE => {
                data(from)?;
                AclList::skip(from)?;
                from.i64("what a znode ends with")?;
                number(from, "children that were made")?;
            }
            SET_DATA => {
                data(from)?;
                number(from, "a version")?;
            }
            SET_ACL => {
                AclList::skip(from)?;
                number(from, "a version")?;
            }
            DELETE | CHECK => {}
            _ => return Err(from.bad("the kind of an operation")),
        }
        Ok(())
    }
}

impl Txn {
    /// Its operations, if it has any.
    pub fn ops(&self) -> &[Op] {
        match &self.body {
            Body::One(op) => std::slice::from_ref(op),
            Body::Multi(ops) => ops,
            _ => &[],
        }
    }

    /// Bytes that it takes encoded, at most.
    pub(super) fn bytes(&self) -> usize {
        let listed = |paths: &[Arc<str>]| paths.iter().map(|path| path.len() + 4).sum::<usize>();
        64 + match &self.body {
            Body::CloseSession { ephemerals, .. } => listed(ephemerals),
            _ => self.ops().iter().map(Op::bytes).sum(),
        }
    }

    /// Appends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        put_i64(out, self.session.get());
        put_i64(out, i64::from(self.cxid));
        put_i64(out, self.zxid.get());
        put_i64(out, self.time.0);
        match &self.body {
            Body::One(op) => {
                out.push(ONE);
                op.encode(out);
            }
            Body::Multi(ops) => {
                out.push(MULTI);
                put_u64(out, ops.len() as u64);
                ops.iter().for_each(|op| op.encode(out));
            }
            Body::CreateSession { timeout_ms } => {
                out.push(CREATE_SESSION);
                put_u64(out, u64::from(*timeout_ms));
            }
            Body::CloseSession { ephemerals, last } => {
                out.extend([CLOSE_SESSION, u8::from(*last)]);
                put_u64(out, ephemerals.len() as u64);
                ephemerals.iter().for_each(|path| put_bytes(out, path.as_bytes()));
            }
            Body::Error(error) => {
                out.push(ERROR);
                put_i64(out, i64::from(error.code()));
            }
        }
    }

    /// Reads one that fills `bytes`.
    pub fn decode(mut bytes: &[u8]) -> Result<Txn, DecodeError> {
        let mut from = Decoder::new(&mut bytes);
        let mut txn = head(&mut from)?;
        txn.body = body(&mut from)?;
        from.check(from.is_empty(), "the end of a transaction")?;
        Ok(txn)
    }

    /// The zxid of one that fills `bytes`. It can be read: that is looked at, and nothing of a long one is kept.
    pub fn check(mut bytes: &[u8]) -> Result<Zxid, DecodeError> {
        let mut from = Decoder::new(&mut bytes);
        let zxid = head(&mut from)?.zxid;
        if from.is_at(MULTI) {
            from.u8("the kind of a transaction")?;
            let count = from.count(TREE_OPS_MAX, "operations")?;
            (0..count).try_for_each(|_| Op::skip(&mut from))?;
        } else {
            body(&mut from)?;
        }
        from.check(from.is_empty(), "the end of a transaction")?;
        Ok(zxid)
    }
}

/// What stands in front of what a transaction does.
fn head(from: &mut Decoder<'_, '_>) -> Result<Txn, DecodeError> {
    let version = from.u8("the version of a transaction")?;
    from.check(version == VERSION, "the version of a transaction")?;
    let session = SessionId(from.i64("a session")?);
    let cxid = number(from, "a client's number")?;
    let zxid = Zxid(from.i64("a zxid")?);
    from.check(zxid > Zxid(0), "a zxid")?;
    let time = Wall(from.i64("a time")?);
    Ok(Txn { session, cxid, zxid, time, body: Body::Multi(Vec::new()) })
}

fn body(from: &mut Decoder<'_, '_>) -> Result<Body, DecodeError> {
    Ok(match from.u8("the kind of a transaction")? {
        ONE => Body::One(Op::decode(from)?),
        MULTI => {
            let count = from.count(TREE_OPS_MAX, "operations")?;
            Body::Multi((0..count).map(|_| Op::decode(from)).collect::<Result<_, _>>()?)
        }
        CREATE_SESSION => {
            let timeout_ms = from.u64_max(u64::from(u32::MAX), "a session's timeout")? as u32;
            Body::CreateSession { timeout_ms }
        }
        CLOSE_SESSION => {
            let last = from.u8("whether a session has ended")?;
            from.check(last <= 1, "whether a session has ended")?;
            let count = from.count(SESSION_END_ZNODES, "ephemeral znodes")?;
            let ephemerals = (0..count).map(|_| path(from)).collect::<Result<_, _>>()?;
            Body::CloseSession { ephemerals, last: last == 1 }
        }
        ERROR => {
            let code = number(from, "an error")?;
            Body::Error(TreeError::from_code(code).ok_or(from.bad("an error"))?)
        }
        _ => return Err(from.bad("the kind of a transaction")),
    })
}

/// A path that there can be.
pub(super) fn path(from: &mut Decoder<'_, '_>) -> Result<Arc<str>, DecodeError> {
    path_text(from).map(Arc::from)
}

fn path_text<'a>(from: &mut Decoder<'a, '_>) -> Result<&'a str, DecodeError> {
    let text = from.text(ZNODE_PATH_BYTES_MAX, "a path")?;
    path::check(text).map_err(|_| from.bad("a path"))?;
    Ok(text)
}

/// Appends data, of which "none" is another thing than no bytes.
pub(super) fn put_data(out: &mut Vec<u8>, data: Option<&[u8]>) {
    put_u64(out, data.map_or(0, |data| data.len() as u64 + 1));
    out.extend_from_slice(data.unwrap_or_default());
}

pub(super) fn data<'a>(from: &mut Decoder<'a, '_>) -> Result<Option<&'a [u8]>, DecodeError> {
    let len = from.u64_max(ZNODE_DATA_BYTES_MAX as u64 + 1, "the length of data")?;
    len.checked_sub(1).map(|len| from.take(len as usize, "data")).transpose()
}

/// A number of 32 bits.
pub(super) fn number(from: &mut Decoder<'_, '_>, what: &'static str) -> Result<i32, DecodeError> {
    i32::try_from(from.i64(what)?).map_err(|_| from.bad(what))
}

#[cfg(test)]
#[path = "txn_tests.rs"]
mod tests;
