//! What stands for a tree as a whole: replicas that have applied the same transactions have the same. It is the sum of
//! what stands for each znode, so that a change costs as much as what it changes, and no order counts.

use super::store::Slot;
use siphasher::sip::SipHasher13;
use std::hash::Hasher;

/// Fixed, since replicas compare.
const KEY: (u64, u64) = (0x746f_7263_2074_7265, 0x6520_6469_6765_7374);

/// What stands for the root's path.
pub(super) const ROOT: u64 = 0x2f;

/// What stands for the path of a child. Never the only thing that a name is known by: two paths may share it.
pub(super) fn of_path(parent: u64, name: &str) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(KEY.0 ^ parent, KEY.1);
    hasher.write(name.as_bytes());
    hasher.finish()
}

/// What stands for a path from the root on. Never the only thing that it is known by.
pub fn of_whole_path(path: &str) -> u64 {
    match path.strip_prefix('/') {
        None | Some("") => ROOT,
        Some(names) => names.split('/').fold(ROOT, of_path),
    }
}

/// The same for the parent, and for the path itself.
pub(super) fn of_parent_and_path(path: &str) -> (u64, u64) {
    match path.rsplit_once('/') {
        None | Some(("", "")) => (ROOT, ROOT),
        Some((parent, name)) => {
            let parent = of_whole_path(parent);
            (parent, of_path(parent, name))
        }
    }
}

/// What stands for an access list.
pub(super) fn of_acl(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(KEY.0, !KEY.1);
    hasher.write(bytes);
    hasher.finish()
}

/// What stands for a znode; its data count by their checksum.
pub(super) fn of_znode(slot: &Slot, acl: u64) -> u64 {
    let data =
        u64::from(slot.data_crc) << 32 | if slot.has_data() { slot.data_len() as u64 } else { u64::from(u32::MAX) };
    let versions = u64::from(slot.version as u32) << 32 | u64::from(slot.creates() as u32);
    let numbers = [slot.czxid, slot.mzxid, slot.pzxid(), slot.ctime, slot.mtime, slot.owner()].map(|n| n as u64);
    let mut hasher = SipHasher13::new_with_keys(KEY.0, KEY.1);
    for number in numbers.into_iter().chain([slot.path_hash, data, versions, slot.aversion() as u64, acl]) {
        hasher.write_u64(number);
    }
    hasher.finish()
}

/// What stands for a session.
pub(super) fn of_session(id: i64, timeout_ms: u32, is_closing: bool) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(!KEY.0, KEY.1);
    hasher.write_u64(id as u64);
    hasher.write_u64(u64::from(timeout_ms) << 1 | u64::from(is_closing));
    hasher.finish()
}
