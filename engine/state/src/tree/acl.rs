//! Access lists: who may do what with a znode. A list is kept once, however many znodes have it.

use super::error::TreeError;
use crate::codec::{DecodeError, Decoder, put_bytes, put_i64, put_u64};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use torc_base::limits::ZNODE_ACL_BYTES_MAX;

/// What an entry of an access list permits: bits that are added up.
pub mod perms {
    /// Its data and children are read.
    pub const READ: i32 = 1;
    /// Its data are written.
    pub const WRITE: i32 = 2;
    /// Children are made.
    pub const CREATE: i32 = 4;
    /// Children are deleted.
    pub const DELETE: i32 = 8;
    /// Its access list is written.
    pub const ADMIN: i32 = 16;
    /// All of it.
    pub const ALL: i32 = 31;
}

/// Who somebody is: what a scheme has found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id<'a> {
    /// `ip`, `digest`, `super`.
    pub scheme: &'a str,
    /// An address, `user:hash`.
    pub id: &'a str,
}

/// One entry of an access list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acl<'a> {
    /// See [`perms`].
    pub perms: i32,
    /// For whom.
    pub id: Id<'a>,
}

/// Everybody may do everything.
pub(super) const OPEN: Acl<'static> = Acl { perms: perms::ALL, id: Id { scheme: "world", id: "anyone" } };

/// The list of that alone, as it is kept.
const OPEN_BYTES: &[u8] = b"\x01\x3e\x05world\x06anyone";

/// An access list as it is kept and written: a number of entries, then permissions, scheme and id of each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AclList(Arc<[u8]>);

impl AclList {
    /// A list of these.
    pub fn new(acls: &[Acl<'_>]) -> AclList {
        let mut bytes = Vec::new();
        put_u64(&mut bytes, acls.len() as u64);
        for acl in acls {
            put_i64(&mut bytes, i64::from(acl.perms));
            put_bytes(&mut bytes, acl.id.scheme.as_bytes());
            put_bytes(&mut bytes, acl.id.id.as_bytes());
        }
        AclList(bytes.into())
    }

    /// Everybody may do so much.
    pub fn world(perms: i32) -> AclList {
        AclList::new(&[Acl { perms, id: Id { scheme: "world", id: "anyone" } }])
    }

    /// Its entries.
    pub fn iter(&self) -> impl Iterator<Item = Acl<'_>> {
        let mut bytes = &self.0[..];
        let count = Decoder::new(&mut bytes).u64("entries").expect("looked through when it was made");
        (0..count).map(move |_| entry(&mut bytes).expect("looked through when it was made"))
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        let mut bytes = &self.0[..];
        Decoder::new(&mut bytes).u64("entries").expect("looked through when it was made") as usize
    }

    /// True of a list that lets everybody do everything, as ZooKeeper reads it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its bytes.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Appends it.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, &self.0);
    }

    /// Takes what [`AclList::encode`] wrote.
    pub(super) fn decode(from: &mut Decoder<'_, '_>) -> Result<AclList, DecodeError> {
        AclList::skip(from).map(|bytes| AclList(bytes.into()))
    }

    /// The same, and leaves the bytes where they are.
    pub(super) fn skip<'a>(from: &mut Decoder<'a, '_>) -> Result<&'a [u8], DecodeError> {
        let len = from.u64_max(ZNODE_ACL_BYTES_MAX as u64, "the length of an access list")?;
        let bytes = from.take(len as usize, "an access list")?;
        let mut left = bytes;
        let count = Decoder::new(&mut left).count(bytes.len(), "entries of an access list")?;
        for _ in 0..count {
            entry(&mut left)?;
        }
        from.check(left.is_empty(), "the end of an access list")?;
        Ok(bytes)
    }

    /// Fails unless one of `ids` may do what `perm` says.
    pub fn allow(&self, perm: i32, ids: &[Id<'_>]) -> Result<(), TreeError> {
        if perm & perms::ALL != 0 && *self.0 == *OPEN_BYTES {
            // Most lists.
            return Ok(());
        }
        let is_allowed = |acl: Acl<'_>| acl.perms & perm != 0 && is_one_of(acl.id, ids);
        if self.is_empty() || ids.iter().any(|id| id.scheme == "super") || self.iter().any(is_allowed) {
            return Ok(());
        }
        Err(TreeError::NoAuth)
    }
}

fn entry<'a>(bytes: &mut &'a [u8]) -> Result<Acl<'a>, DecodeError> {
    let mut from = Decoder::new(bytes);
    let perms = from.i64("permissions")?;
    let perms = i32::try_from(perms).map_err(|_| from.bad("permissions"))?;
    let scheme = from.text(ZNODE_ACL_BYTES_MAX, "a scheme")?;
    Ok(Acl { perms, id: Id { scheme, id: from.text(ZNODE_ACL_BYTES_MAX, "an id")? } })
}

fn is_one_of(wanted: Id<'_>, ids: &[Id<'_>]) -> bool {
    match wanted.scheme {
        "world" => wanted.id == "anyone",
        "digest" => ids.contains(&wanted),
        "ip" => ids.iter().any(|id| id.scheme == "ip" && is_within(id.id, wanted.id)),
        _ => false,
    }
}

/// An address, or a net: its bytes, and how many of their bits count.
fn net(text: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address = if address.contains(':') { address.parse().ok()? } else { IpAddr::V4(v4(address)?) };
    let all = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Some(all), |bits| bits.parse().ok())?;
    (bits <= all).then_some((address, bits))
}

/// Four numbers, as Java reads them: zeroes in front of one do not matter.
fn v4(text: &str) -> Option<Ipv4Addr> {
    let mut bytes = [0; 4];
    let mut parts = text.split('.');
    for byte in &mut bytes {
        *byte = u8::try_from(parts.next()?.parse::<i32>().ok()?).ok()?;
    }
    parts.next().is_none().then_some(bytes.into())
}

fn is_within(address: &str, expression: &str) -> bool {
    let (Some((wanted, bits)), Ok(address)) = (net(expression), address.parse()) else { return false };
    match (wanted, address) {
        (IpAddr::V4(wanted), IpAddr::V4(address)) => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            wanted.to_bits() & mask == address.to_bits() & mask
        }
        (IpAddr::V6(wanted), IpAddr::V6(address)) => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            wanted.to_bits() & mask == address.to_bits() & mask
        }
        _ => false,
    }
}

/// A user and a hash, as Java splits text: nothing at the end does not count.
fn is_user(id: &str) -> bool {
    let parts = id.trim_end_matches(':').split(':').count();
    parts == 2
}

/// The list that is kept when `ids` ask for `acls`: each entry once, `auth` replaced by who they have proved to be.
pub(super) fn resolve(acls: &[Acl<'_>], ids: &[Id<'_>]) -> Result<AclList, TreeError> {
    let mut out: Vec<Acl<'_>> = Vec::with_capacity(acls.len());
    let mut seen = BTreeSet::new();
    let mut bytes = 0;
    for acl in acls {
        if !seen.insert((acl.perms, acl.id)) {
            continue;
        }
        let before = out.len();
        match acl.id.scheme {
            "world" if acl.id.id == "anyone" => out.push(*acl),
            "auth" => {
                let proved = ids.iter().filter(|id| id.scheme == "digest");
                out.extend(proved.map(|id| Acl { perms: acl.perms, id: *id }));
            }
            "digest" if is_user(acl.id.id) => out.push(*acl),
            "ip" if net(acl.id.id).is_some() => out.push(*acl),
            _ => return Err(TreeError::InvalidAcl),
        }
        bytes += out[before..].iter().map(|acl| acl.id.scheme.len() + acl.id.id.len() + 16).sum::<usize>();
        if out.len() == before || bytes > ZNODE_ACL_BYTES_MAX - 16 {
            return Err(TreeError::InvalidAcl);
        }
    }
    if out.is_empty() { Err(TreeError::InvalidAcl) } else { Ok(AclList::new(&out)) }
}

/// A list of the table, by number. Numbers are not part of the state: replicas may differ in them.
#[derive(Clone, Debug)]
struct Kept {
    list: AclList,
    /// Znodes that have it; 0: the number is free.
    znodes: u32,
    hash: u64,
}

/// Every access list that a znode has.
#[derive(Clone, Debug, Default)]
pub(super) struct AclTable {
    numbers: BTreeMap<AclList, u32>,
    lists: Vec<Kept>,
    free: Vec<u32>,
    bytes: usize,
}

/// Besides the list itself: its place in both directions, and what the allocator takes.
const KEPT_BYTES: usize = size_of::<Kept>() + 2 * size_of::<(AclList, u32)>() + 48;

impl AclTable {
    /// One more znode has this list.
    pub(super) fn take(&mut self, list: &AclList) -> u32 {
        if let Some(number) = self.numbers.get(list) {
            self.lists[*number as usize].znodes += 1;
            return *number;
        }
        let kept = Kept { list: list.clone(), znodes: 1, hash: super::digest::of_acl(list.as_bytes()) };
        self.bytes += KEPT_BYTES + list.as_bytes().len();
        let number = self.free.pop().unwrap_or(self.lists.len() as u32);
        if number as usize == self.lists.len() {
            self.lists.push(kept);
        } else {
            self.lists[number as usize] = kept;
        }
        self.numbers.insert(list.clone(), number);
        number
    }

    /// One znode less has it.
    pub(super) fn give_back(&mut self, number: u32) {
        let kept = &mut self.lists[number as usize];
        kept.znodes = kept.znodes.checked_sub(1).expect("a znode had it");
        if kept.znodes == 0 {
            let list = std::mem::replace(&mut kept.list, AclList(Arc::new([])));
            self.bytes -= KEPT_BYTES + list.as_bytes().len();
            self.numbers.remove(&list);
            self.free.push(number);
        }
    }

    /// The list of that number.
    pub(super) fn get(&self, number: u32) -> &AclList {
        &self.lists[number as usize].list
    }

    /// What stands for it in digests, the same everywhere.
    pub(super) fn hash(&self, number: u32) -> u64 {
        self.lists[number as usize].hash
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Memory, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
#[path = "acl_tests.rs"]
mod tests;
