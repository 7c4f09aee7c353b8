//! A znode and all below it.

use super::Failure;
use std::collections::BTreeMap;
use torc_client::zookeeper::{ZooKeeper, ZooKeeperError};
use torc_net::zookeeper::{Answer, Ask, ErrorCode, Stat};

/// A znode that was found.
#[derive(Clone, Debug)]
pub struct Found {
    pub stat: Stat,
    /// This client must not see its children.
    pub hidden: bool,
    /// Names, in order; empty where nobody looked further down.
    pub children: Vec<String>,
}

/// Paths, parents before their children.
pub type Tree = BTreeMap<String, Found>;

/// The path of a child.
pub fn below(parent: &str, name: &str) -> String {
    if parent == "/" { format!("/{name}") } else { format!("{parent}/{name}") }
}

/// What becomes of a znode whose children this client must not see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hidden {
    /// All is wanted or nothing.
    Refused,
    /// It is shown as such.
    Shown,
}

/// Asks level by level, many at once. What is deleted meanwhile is not there.
///
/// # Errors
/// There is no such znode, or one that is refused for what is hidden.
pub fn walk(zookeeper: &mut ZooKeeper, root: &str, depth: Option<usize>, hidden: Hidden) -> Result<Tree, Failure> {
    let mut tree = Tree::new();
    let mut level = vec![root.to_string()];
    let mut deep = 0;
    while !level.is_empty() {
        let on_server: Vec<String> = level.iter().map(|path| zookeeper.on_server(path)).collect();
        let asks: Vec<Ask<'_>> = on_server.iter().map(|path| Ask::GetChildren(path, false)).collect();
        let answers = zookeeper.ask_all(&asks)?;
        let mut next = Vec::new();
        for (path, answer) in level.into_iter().zip(answers) {
            let found = match hidden {
                Hidden::Shown if is_hidden(&answer) => {
                    zookeeper.exists(&path)?.map(|stat| Found { stat, hidden: true, children: Vec::new() })
                }
                _ => read(zookeeper, &path, &answer, path != root)?,
            };
            let Some(mut found) = found else { continue };
            if depth.is_some_and(|depth| deep >= depth) {
                found.children.clear();
            }
            next.extend(found.children.iter().map(|name| below(&path, name)));
            tree.insert(path, found);
        }
        (level, deep) = (next, deep + 1);
    }
    // A child that is gone is none of its parent's.
    let paths: std::collections::BTreeSet<String> = tree.keys().cloned().collect();
    for (path, found) in &mut tree {
        found.children.retain(|name| paths.contains(&below(path, name)));
    }
    Ok(tree)
}

fn is_hidden(answer: &[u8]) -> bool {
    Answer::open(answer).is_ok_and(|answer| ErrorCode::of(answer.error) == Some(ErrorCode::NoAuth))
}

/// What an answer says of a znode; `None`: it is gone, which it `may_be`.
fn read(zookeeper: &ZooKeeper, path: &str, answer: &[u8], may_be: bool) -> Result<Option<Found>, Failure> {
    let nonsense = |error: torc_base::malformed::Malformed| ZooKeeperError::Protocol {
        address: zookeeper.address().to_string(),
        what: error.to_string(),
    };
    let mut answer = Answer::open(answer).map_err(nonsense)?;
    match answer.error {
        0 => {}
        code if may_be && ErrorCode::of(code) == Some(ErrorCode::NoNode) => return Ok(None),
        code => return Err(ZooKeeperError::Refused { what: format!("list {path}"), code }.into()),
    }
    let mut children: Vec<String> = answer.names().map_err(nonsense)?.map(str::to_string).collect();
    children.sort_unstable();
    Ok(Some(Found { stat: answer.stat().map_err(nonsense)?, hidden: false, children }))
}
