//! What servers that form a cluster say to each other: one question and one answer to a connection, each a frame of the peers'
//! protocol. Servers of a running cluster answer such a question, too, with the record of its founding.
//! What servers that join say is in [`torc_net::peer::Question`].
//!
//! The body of such a frame, numbers little endian, texts after their length (2 bytes):
//!
//! ```text
//! version (1) | kind (1) | node (4) | start (8) | then, by kind:
//!   who      -
//!   fresh    disk (16) | members
//!   founded  cluster (16) | members | disk (16) of each member, in their order
//!   refused  text
//! members: count (2) | node (4), host and port as text, each
//! ```

use super::{Founding, Member, Members};
use crate::endpoint::Endpoint;
use std::io::{self, Read, Write};
use torc_base::buf::Buf;
use torc_base::limits::NODES_MAX;
use torc_net::peer::{Frame, PRELUDE, Question, Reason, Refusal, Reply, decode, form as framed};

/// Of the body. A server that gets another one does not understand it.
const VERSION: u8 = 1;
/// No frame is longer while a cluster forms.
const FRAME_BYTES_MAX: usize = 256 << 10;
/// Longest text.
const TEXT_BYTES_MAX: usize = 8 << 10;

/// Who says something: the server's number, and what it drew at this start of its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speaker {
    pub node: u32,
    pub start: u64,
}

/// What it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// A question of somebody who says nothing of itself.
    Who,
    /// Its disk holds nothing, and it was started with this list.
    Fresh { disk: u128, members: Members },
    /// It is of this cluster.
    Founded(Founding),
    /// The other side cannot be of the same cluster: why, and what to do.
    Refused(String),
}

impl Form {
    /// What one frame carries.
    pub fn encode(&self, from: Speaker) -> Vec<u8> {
        let kind = match self {
            Form::Who => 1,
            Form::Fresh { .. } => 2,
            Form::Founded(_) => 3,
            Form::Refused(_) => 4,
        };
        let mut out = vec![VERSION, kind];
        out.extend_from_slice(&from.node.to_le_bytes());
        out.extend_from_slice(&from.start.to_le_bytes());
        match self {
            Form::Who => {}
            Form::Fresh { disk, members } => {
                out.extend_from_slice(&disk.to_le_bytes());
                put_members(&mut out, members);
            }
            Form::Founded(founding) => {
                out.extend_from_slice(&founding.cluster.to_le_bytes());
                put_members(&mut out, &founding.members);
                for member in founding.members.iter() {
                    out.extend_from_slice(&founding.founders[&member.node].to_le_bytes());
                }
            }
            Form::Refused(text) => put_text(&mut out, text),
        }
        out
    }

    /// The same, read; `None` if it is none of this version.
    pub fn decode(body: &[u8]) -> Option<(Speaker, Form)> {
        let mut rest = Rest(body);
        if rest.array()? != [VERSION] {
            return None;
        }
        let [kind] = rest.array()?;
        let from = Speaker { node: u32::from_le_bytes(rest.array()?), start: u64::from_le_bytes(rest.array()?) };
        let form = match kind {
            1 => Form::Who,
            2 => Form::Fresh { disk: u128::from_le_bytes(rest.array()?), members: rest.members()? },
            3 => {
                let (cluster, members) = (u128::from_le_bytes(rest.array()?), rest.members()?);
                let disk = |member: &Member| Some((member.node, u128::from_le_bytes(rest.array()?)));
                let founders = members.iter().map(disk).collect::<Option<_>>()?;
                Form::Founded(Founding { cluster, members, founders })
            }
            4 => Form::Refused(rest.text()?),
            _ => return None,
        };
        rest.0.is_empty().then_some((from, form))
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    let most = text.len().min(TEXT_BYTES_MAX);
    let cut = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    out.extend_from_slice(&(cut as u16).to_le_bytes());
    out.extend_from_slice(&text.as_bytes()[..cut]);
}

fn put_members(out: &mut Vec<u8>, members: &Members) {
    out.extend_from_slice(&(members.len() as u16).to_le_bytes());
    for member in members.iter() {
        out.extend_from_slice(&member.node.to_le_bytes());
        put_text(out, &member.address.to_string());
    }
}

/// What is left to be read; no length is believed.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::from(u16::from_le_bytes(self.array()?));
        let (text, rest) = self.0.split_at_checked(length).filter(|_| length <= TEXT_BYTES_MAX)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }

    fn members(&mut self) -> Option<Members> {
        let count = usize::from(u16::from_le_bytes(self.array()?));
        let mut members = Vec::new();
        for _ in 0..count.min(NODES_MAX + 1) {
            let node = u32::from_le_bytes(self.array()?);
            members.push(Member { node, address: Endpoint::parse_address(&self.text()?).ok()? });
        }
        Members::of(members).ok()
    }
}

/// Writes what `from` says.
pub(super) fn send(stream: &mut impl Write, from: Speaker, form: &Form) -> io::Result<()> {
    stream.write_all(&framed(&form.encode(from)))
}

/// To a server of a running cluster that wants more than a word: it is to come back.
pub(super) fn send_not_ready(stream: &mut impl Write) -> io::Result<()> {
    let text = "this server waits for others to form a cluster with".to_string();
    stream.write_all(&Refusal { reason: Reason::NotReady, text }.encode())
}

/// What a server that joins is told.
pub(super) enum Said {
    Reply(Reply),
    /// Who was asked cannot say yet.
    NotReady,
}

/// Puts a question to a server of a cluster, and reads what it says.
pub(super) fn ask(stream: &mut (impl Read + Write), question: &Question) -> io::Result<Said> {
    stream.write_all(&framed(&question.encode()))?;
    let Some(body) = body(stream)? else { return Ok(Said::NotReady) };
    if let Some((_, form)) = Form::decode(&body) {
        return Ok(match form {
            Form::Refused(why) => Said::Reply(Reply::Refused(why)),
            _ => Said::NotReady,
        });
    }
    match Reply::decode(&body) {
        Ok((_, reply)) => Ok(Said::Reply(reply)),
        Err(_) => Err(malformed("it is of another version of torc")),
    }
}

/// Reads what is said next. `Ok(None)`: a frame that is sound, and says something else.
pub(super) fn receive(stream: &mut impl Read) -> io::Result<Option<(Speaker, Form)>> {
    let Some(body) = body(stream)? else { return Ok(None) };
    if Question::decode(&body).is_some() {
        // Of a server that wants to join a cluster: it is to come back when there is one.
        return Ok(None);
    }
    Form::decode(&body).map(Some).ok_or_else(|| malformed("it is of another version of torc"))
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_string())
}

/// Reads the next frame about the founding; `None`: it is about something else.
fn body(stream: &mut impl Read) -> io::Result<Option<Buf>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if !(PRELUDE..=FRAME_BYTES_MAX).contains(&length) {
        return Err(malformed("what came is no frame of a server"));
    }
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame)?;
    match decode(&Buf::copy_of(&frame)) {
        Ok(Frame::Form(body)) => Ok(Some(body)),
        Ok(_) => Ok(None),
        Err(error) => Err(malformed(&error.to_string())),
    }
}
