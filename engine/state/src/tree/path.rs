//! Paths of znodes: which there can be (ZooKeeper's `PathUtils`), and their parts.

use super::error::TreeError;

/// Below it stand quotas.
pub const QUOTA: &str = "/zookeeper/quota";
/// Where the cluster's members are told.
pub const CONFIG: &str = "/zookeeper/config";
/// What holds both.
pub const SYSTEM: &str = "/zookeeper";

/// Fails unless there can be a znode at `path`.
pub fn check(path: &str) -> Result<(), TreeError> {
    let valid = match path.strip_prefix('/') {
        None => false,
        Some("") => true,
        Some(names) => names.split('/').all(is_name),
    };
    if valid { Ok(()) } else { Err(TreeError::BadArguments) }
}

fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~');
    !matches!(name, "" | "." | "..") && (name.bytes().all(is_plain) || name.chars().all(is_allowed))
}

/// Control characters and what has no meaning for everybody; of those beyond U+FFFF ZooKeeper sees the surrogates.
fn is_allowed(c: char) -> bool {
    !matches!(c, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..)
}

/// The path of the parent, which is empty for children of the root, and the name. `None` where a znode that is to be made
/// or deleted cannot be looked for at all. Nothing else is checked: both may be of no znode that there can be.
pub fn split(path: &str) -> Option<(&str, &str)> {
    if path.contains('\0') {
        return None;
    }
    path.rsplit_once('/')
}

/// The parent of a znode that is not the root.
pub fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((parent, _)) => parent,
    }
}

/// True of the znodes that are always there.
pub fn is_special(path: &str) -> bool {
    matches!(path, "/" | SYSTEM | QUOTA | CONFIG)
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
