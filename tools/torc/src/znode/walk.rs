//! A znode and all below it.

use super::Failure;
use std::collections::BTreeMap;
use torc_client::zookeeper::{ZooKeeper, ZooKeeperError};
use torc_net::zookeeper::{Answer, Ask, ErrorCode, Stat};

/// A znode that was found.
#[derive(Clone, Debug)]
pub struct Found {
    pub stat: Stat,
    /// Names, in order; empty where nobody looked further down.
    pub children: Vec<String>,
}

/// Paths, parents before their children.
pub type Tree = BTreeMap<String, Found>;

/// The path of a child.
pub fn below(parent: &str, name: &str) -> String {
    if parent == "/" { format!("/{name}") } else { format!("{parent}/{name}") }
}

/// Asks level by level, many at once. What is deleted meanwhile is not there.
///
/// # Errors
/// There is no such znode, or one whose children this client must not see.
pub fn walk(zookeeper: &mut ZooKeeper, root: &str, depth: Option<usize>) -> Result<Tree, Failure> {
    let mut tree = Tree::new();
    let mut level = vec![root.to_string()];
    let mut deep = 0;
    while !level.is_empty() {
        let on_server: Vec<String> = level.iter().map(|path| zookeeper.on_server(path)).collect();
        let asks: Vec<Ask<'_>> = on_server.iter().map(|path| Ask::GetChildren(path, false)).collect();
        let answers = zookeeper.ask_all(&asks)?;
        let mut next = Vec::new();
        for (path, answer) in level.into_iter().zip(answers) {
            let Some(mut found) = read(zookeeper, &path, &answer, path != root)? else { continue };
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
    Ok(Some(Found { stat: answer.stat().map_err(nonsense)?, children }))
}
