//! What a server that is to join a cluster, or comes back to it, asks one that runs, and what it is answered. Both are the
//! bytes of one frame about the founding ([`super::form`]); numbers little endian, texts after their length (2 bytes):
//!
//! ```text
//! version (1) | kind (1) | node (4) | start (8) of who speaks | then, by kind:
//!   5 join      cluster (16), 0 if it knows none | disk (16) | address as text
//!   6 back      the same
//!   4 refused   text
//!   7 member    count (4) | the record of the founding | count (2) | node (4), disk (16), address as text, of each
//!   8 wait      text
//! ```
//!
//! The other kinds, and the record, are those of servers that found a cluster.

use super::reader::HeadReader;
use std::net::SocketAddr;
use torc_base::ids::NodeId;
use torc_base::limits::{NODE_TEXT_BYTES_MAX, NODES_MAX, PEER_HEAD_BYTES_MAX};
use torc_base::malformed::Malformed;

/// Of the body.
const VERSION: u8 = 1;
/// Kinds of questions and answers.
mod kind {
    pub const REFUSED: u8 = 4;
    pub const JOIN: u8 = 5;
    pub const BACK: u8 = 6;
    pub const MEMBER: u8 = 7;
    pub const WAIT: u8 = 8;
}
/// Bytes in front of what a kind says.
const HEAD: usize = 14;
/// Longest text for people.
const TEXT_BYTES_MAX: usize = 8 << 10;

/// Who speaks: its number, and what it drew at this start of its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    pub node: NodeId,
    pub start: u64,
}

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub from: Caller,
    /// It wants to be let in; else it belongs to the cluster, as far as it knows, and asks whether it still does.
    pub joins: bool,
    /// The cluster that it belongs to; 0: none yet.
    pub cluster: u128,
    /// The number of its disk, never 0.
    pub disk: u128,
    /// Where other servers reach it; `None`: as they do now. An unspecified IP is that which it calls from.
    pub address: Option<SocketAddr>,
}

/// A server of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub node: NodeId,
    /// 0 if it is not known.
    pub disk: u128,
    pub address: String,
}

/// What a server of the cluster says to that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It cannot be: why, and what to do.
    Refused(String),
    /// It is one of them: how the cluster was founded, and all servers that there are now.
    Member { founding: Vec<u8>, servers: Vec<Known> },
    /// It is to ask again soon; what is waited for.
    Wait(String),
}

impl Question {
    /// The frame's body.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = head(self.from, if self.joins { kind::JOIN } else { kind::BACK });
        out.extend_from_slice(&self.cluster.to_le_bytes());
        out.extend_from_slice(&self.disk.to_le_bytes());
        put_text(&mut out, &self.address.map_or_else(String::new, |address| address.to_string()), NODE_TEXT_BYTES_MAX);
        out
    }

    /// The same, read; `None` of a body that is another kind of question.
    pub fn decode(body: &[u8]) -> Option<Result<Question, Malformed>> {
        let joins = match body.get(..2)? {
            [VERSION, kind::JOIN] => true,
            [VERSION, kind::BACK] => false,
            _ => return None,
        };
        let read = || {
            const WHAT: &str = "what a server says of itself";
            let (from, mut reader) = take_head(body)?;
            let cluster = u128::from_le_bytes(reader.array(WHAT)?);
            let disk = u128::from_le_bytes(reader.array(WHAT)?);
            let address = take_text(&mut reader, NODE_TEXT_BYTES_MAX)?;
            reader.end(WHAT)?;
            let address = match address.as_str() {
                "" => None,
                text => Some(text.parse().map_err(|_| Malformed { what: "a server's address" })?),
            };
            let sound = disk != 0 && address.is_none_or(|address: SocketAddr| address.port() != 0);
            if sound { Ok(Question { from, joins, cluster, disk, address }) } else { Err(Malformed { what: WHAT }) }
        };
        Some(read())
    }
}

impl Reply {
    /// The frame's body, as `from` says it.
    pub fn encode(&self, from: Caller) -> Vec<u8> {
        match self {
            Reply::Refused(why) => {
                let mut out = head(from, kind::REFUSED);
                put_text(&mut out, why, TEXT_BYTES_MAX);
                out
            }
            Reply::Wait(why) => {
                let mut out = head(from, kind::WAIT);
                put_text(&mut out, why, TEXT_BYTES_MAX);
                out
            }
            Reply::Member { founding, servers } => {
                let mut out = head(from, kind::MEMBER);
                out.extend_from_slice(&(founding.len() as u32).to_le_bytes());
                out.extend_from_slice(founding);
                out.extend_from_slice(&(servers.len() as u16).to_le_bytes());
                for server in servers {
                    out.extend_from_slice(&server.node.0.to_le_bytes());
                    out.extend_from_slice(&server.disk.to_le_bytes());
                    put_text(&mut out, &server.address, NODE_TEXT_BYTES_MAX);
                }
                assert!(out.len() <= PEER_HEAD_BYTES_MAX, "{} servers in one frame", servers.len());
                out
            }
        }
    }

    /// The same, read.
    pub fn decode(body: &[u8]) -> Result<(Caller, Reply), Malformed> {
        const WHAT: &str = "an answer to a server that joins";
        let (from, mut reader) = take_head(body)?;
        let reply = match body[1] {
            kind::REFUSED => Reply::Refused(take_text(&mut reader, TEXT_BYTES_MAX)?),
            kind::WAIT => Reply::Wait(take_text(&mut reader, TEXT_BYTES_MAX)?),
            kind::MEMBER => {
                let length = reader.u32(WHAT)? as usize;
                let founding = reader.bytes(length, WHAT)?.to_vec();
                let count = usize::from(reader.u16(WHAT)?);
                if count > 2 * NODES_MAX {
                    return Err(Malformed { what: WHAT });
                }
                let mut servers = Vec::new();
                for _ in 0..count {
                    let (node, disk) = (NodeId(reader.u32(WHAT)?), u128::from_le_bytes(reader.array(WHAT)?));
                    servers.push(Known { node, disk, address: take_text(&mut reader, NODE_TEXT_BYTES_MAX)? });
                }
                Reply::Member { founding, servers }
            }
            _ => return Err(Malformed { what: WHAT }),
        };
        reader.end(WHAT)?;
        Ok((from, reply))
    }
}

fn head(from: Caller, kind: u8) -> Vec<u8> {
    let mut out = vec![VERSION, kind];
    out.extend_from_slice(&from.node.0.to_le_bytes());
    out.extend_from_slice(&from.start.to_le_bytes());
    debug_assert_eq!(out.len(), HEAD);
    out
}

fn take_head(body: &[u8]) -> Result<(Caller, HeadReader<'_>), Malformed> {
    const WHAT: &str = "what servers say before they are linked";
    let mut reader = HeadReader::new(body);
    if reader.u8(WHAT)? != VERSION {
        return Err(Malformed { what: "what a server of another version says" });
    }
    reader.u8(WHAT)?;
    Ok((Caller { node: NodeId(reader.u32(WHAT)?), start: reader.u64(WHAT)? }, reader))
}

fn put_text(out: &mut Vec<u8>, text: &str, max: usize) {
    let most = text.len().min(max);
    let cut = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    out.extend_from_slice(&(cut as u16).to_le_bytes());
    out.extend_from_slice(&text.as_bytes()[..cut]);
}

fn take_text(reader: &mut HeadReader<'_>, max: usize) -> Result<String, Malformed> {
    const WHAT: &str = "a text of a server";
    let length = usize::from(reader.u16(WHAT)?);
    let text = reader.bytes(length, WHAT)?;
    if length > max {
        return Err(Malformed { what: WHAT });
    }
    String::from_utf8(text.to_vec()).map_err(|_| Malformed { what: WHAT })
}
