//! All servers of a cluster, as each of them is told at its start.

use crate::endpoint::Endpoint;
use std::fmt;
use torc_base::limits::NODES_MAX;

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its `node.id`.
    pub node: u32,
    /// Where other servers reach it.
    pub address: Endpoint,
}

/// All of them, by rising number: two or more, none twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members(Vec<Member>);

impl fmt::Display for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&listed(&self.0))
    }
}

impl Member {
    /// Reads `NODE=HOST:PORT`. The error says what is wrong, in words that follow "cannot be".
    pub fn parse(text: &str) -> Result<Member, String> {
        member(text)
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.node, self.address)
    }
}

/// A list as files have it.
pub fn listed(members: &[Member]) -> String {
    members.iter().map(Member::to_string).collect::<Vec<_>>().join(",")
}

impl Members {
    /// Reads `1=host:port,2=host:port`, in any order. The error says what is wrong, in words that follow "cannot be".
    pub fn parse(text: &str) -> Result<Members, String> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        Members::of(items.map(member).collect::<Result<_, _>>()?)
    }

    /// These servers, in any order. The error is as in [`Members::parse`].
    pub fn of(mut members: Vec<Member>) -> Result<Members, String> {
        members.sort_by_key(|member| member.node);
        if !(2..=NODES_MAX).contains(&members.len()) {
            return Err(format!(
                "it must name all servers of a cluster, 2 to {NODES_MAX}: 1=HOST:PORT,2=HOST:PORT,3=HOST:PORT; \
                 a single server needs no list"
            ));
        }
        for (at, member) in members.iter().enumerate() {
            let Some(other) = members[..at].iter().find(|o| o.node == member.node || o.address == member.address)
            else {
                continue;
            };
            return Err(match other.node == member.node {
                true => format!("server {} stands twice", member.node),
                false => format!("servers {} and {} have the same address", other.node, member.node),
            });
        }
        Ok(Members(members))
    }

    /// How many there are.
    #[expect(clippy::len_without_is_empty, reason = "there are always some")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// By rising number.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        self.0.iter()
    }

    /// All but this one.
    pub fn others(&self, node: u32) -> impl Iterator<Item = &Member> {
        self.0.iter().filter(move |member| member.node != node)
    }

    /// Where a server is reached, if it is one of them.
    pub fn address(&self, node: u32) -> Option<&Endpoint> {
        self.0.iter().find(|member| member.node == node).map(|member| &member.address)
    }

    /// The lowest number: whose server founds the cluster.
    pub fn founder(&self) -> u32 {
        self.0[0].node
    }
}

fn member(text: &str) -> Result<Member, String> {
    let (node, address) = text.split_once('=').ok_or_else(|| format!("`{text}` is not of the form NODE=HOST:PORT"))?;
    let node = node.trim();
    let node = node.parse().ok().filter(|node| *node <= i32::MAX as u32);
    let node = node.ok_or_else(|| format!("`{text}` does not begin with a node.id, 0 to {}", i32::MAX))?;
    let address = Endpoint::parse_address(address.trim()).map_err(|why| format!("`{text}` has no address: {why}"))?;
    if address.port == 0 || address.host.is_empty() || address.is_wildcard() {
        return Err(format!("`{text}` has no address that others can connect to"));
    }
    Ok(Member { node, address })
}
