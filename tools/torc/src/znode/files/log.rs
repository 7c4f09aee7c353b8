//! Log files, `log.ZXID`: a head, then transactions, each with its checksum and an end mark; zeros stand where space was taken in
//! advance. Source: FileTxnLog, SerializeUtils and `zookeeper.jute` of Apache ZooKeeper 3.9.

use super::super::kinds::Ends;
use super::jute::{Adler, Damage, FileReader};
use super::snapshot::acls;
use super::state::{Head, State, Txn};

/// `ZKLG`.
const MAGIC: i32 = 0x5a4b_4c47;
const VERSION: i32 = 2;
/// Stands behind each transaction.
const END: u8 = b'B';
/// A multi in a multi is none.
const DEPTH_MAX: u32 = 1;

/// Types of transactions.
mod op {
    pub const ERROR: i32 = -1;
    pub const CREATE_SESSION: i32 = -10;
    pub const CLOSE_SESSION: i32 = -11;
    pub const CREATE: i32 = 1;
    pub const DELETE: i32 = 2;
    pub const SET_DATA: i32 = 5;
    pub const SET_ACL: i32 = 7;
    pub const CHECK: i32 = 13;
    pub const MULTI: i32 = 14;
    pub const CREATE2: i32 = 15;
    pub const RECONFIG: i32 = 16;
    pub const CREATE_CONTAINER: i32 = 19;
    pub const DELETE_CONTAINER: i32 = 20;
    pub const CREATE_TTL: i32 = 21;
}

/// Makes all changes of a file that `state` does not have yet. Returns how many.
///
/// # Errors
/// What stands in it is not what was written. A last transaction that was not written whole is none.
pub fn replay(bytes: &[u8], state: &mut State) -> Result<u64, Damage> {
    let mut reader = FileReader::new(bytes);
    // One that ends in its head was begun, and nothing is in it.
    if bytes.len() < 16 || bytes[..16].iter().all(|byte| *byte == 0) {
        return Ok(0);
    }
    if reader.int("the head")? != MAGIC {
        return Err(Damage { at: 0, what: "it is no log of ZooKeeper's".to_string() });
    }
    let version = reader.int("the head")?;
    if version != VERSION {
        return Err(reader.damage(format!("version {version} of logs is unknown, {VERSION} is known")));
    }
    reader.long("the head")?;
    // What the snapshot has is not made again: it may have been undone since.
    let from = state.zxid;
    let mut replayed = 0;
    while let Some(bytes) = entry(&mut reader)? {
        let at = reader.at();
        let (head, txn) = transaction(bytes).map_err(|damage| Damage { at, ..damage })?;
        if head.zxid > from {
            state.apply(&head, txn);
            replayed += 1;
        }
    }
    Ok(replayed)
}

/// The next transaction's bytes; `None`: there are no more.
fn entry<'a>(reader: &mut FileReader<'a>) -> Result<Option<&'a [u8]>, Damage> {
    // Where the file ends in an entry, its writer has acknowledged nothing of it.
    let Ok(sealed) = reader.long("a checksum") else { return Ok(None) };
    let at = reader.at();
    let bytes = match reader.buffer("a transaction") {
        Ok(Some(bytes)) if !bytes.is_empty() => bytes,
        Ok(_) => return Ok(None),
        Err(damage) if damage.what.starts_with("the file ends") => return Ok(None),
        Err(damage) => return Err(damage),
    };
    let mut sum = Adler::default();
    sum.add(bytes);
    if sum.value() != sealed {
        return Err(Damage { at, what: format!("the checksum is {:#x}, and {sealed:#x} was written", sum.value()) });
    }
    match reader.take(1, "the end of a transaction") {
        Ok([END]) => Ok(Some(bytes)),
        Ok(_) => Err(reader.damage("there is no end behind a transaction")),
        Err(_) => Ok(None),
    }
}

fn transaction(bytes: &[u8]) -> Result<(Head, Txn), Damage> {
    let mut reader = FileReader::new(bytes);
    let session = reader.long("a transaction's session")?;
    reader.int("a transaction's xid")?;
    let zxid = reader.long("a transaction's zxid")?;
    let time = reader.long("a transaction's time")?;
    let head = Head { session, zxid, time };
    let number = reader.int("a transaction's type")?;
    Ok((head, body(&mut reader, number, &head, 0)?))
}

/// What stands behind it, the tree's digest, is not needed.
fn body(reader: &mut FileReader<'_>, number: i32, head: &Head, depth: u32) -> Result<Txn, Damage> {
    Ok(match number {
        op::CREATE | op::CREATE2 => {
            let (path, data) = (reader.string("a path")?.to_string(), owned(reader)?);
            let acls = acls(reader)?;
            let owner = if reader.flag("whether it is ephemeral")? { head.session } else { 0 };
            // Logs of before ZooKeeper 3.4 do not have it.
            let parent_cversion = if reader.is_at_end() { -1 } else { reader.int("the parent's version")? };
            Txn::Create { path, data, acls, owner, parent_cversion }
        }
        op::CREATE_CONTAINER | op::CREATE_TTL => {
            let (path, data) = (reader.string("a path")?.to_string(), owned(reader)?);
            let (acls, parent_cversion) = (acls(reader)?, reader.int("the parent's version")?);
            let ends = match number {
                op::CREATE_TTL => Ends::After(reader.long("a time to live")?),
                _ => Ends::Emptied,
            };
            Txn::Create { path, data, acls, owner: ends.owner(), parent_cversion }
        }
        op::DELETE | op::DELETE_CONTAINER => Txn::Delete { path: reader.string("a path")?.to_string() },
        op::SET_DATA | op::RECONFIG => {
            let (path, data) = (reader.string("a path")?.to_string(), owned(reader)?);
            Txn::SetData { path, data, version: reader.int("a version")? }
        }
        op::SET_ACL => {
            let (path, acls) = (reader.string("a path")?.to_string(), acls(reader)?);
            Txn::SetAcl { path, acls, version: reader.int("a version")? }
        }
        op::CREATE_SESSION => Txn::CreateSession { timeout_ms: reader.int("a session's timeout")? },
        // Newer versions name the paths that go, which are those of its ephemeral znodes.
        op::CLOSE_SESSION => Txn::CloseSession,
        op::CHECK => Txn::Nothing,
        op::ERROR => Txn::Error,
        op::MULTI if depth < DEPTH_MAX => {
            let mut txns = Vec::new();
            for _ in 0..reader.count(8, "operations of a multi")? {
                let number = reader.int("an operation's type")?;
                let bytes = reader.buffer("an operation")?.unwrap_or_default();
                txns.push(body(&mut FileReader::new(bytes), number, head, depth + 1)?);
            }
            Txn::Multi(txns)
        }
        _ => return Err(reader.damage(format!("transactions of type {number} are unknown"))),
    })
}

fn owned(reader: &mut FileReader<'_>) -> Result<Option<Vec<u8>>, Damage> {
    Ok(reader.buffer("a znode's data")?.map(<[u8]>::to_vec))
}
