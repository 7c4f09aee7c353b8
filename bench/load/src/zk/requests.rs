//! Requests of one kind or several: the dialogue of a connection.

use super::ground::new;
use super::ops::{Op, pick};
use crate::connection::{Dialogue, Refused};
use crate::recorder::Request;
use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use torc_base::prng::Prng;
use torc_net::zookeeper::{Answer, Ask, Came, Change, ErrorCode, xid};

/// What the connections of a run share.
pub struct Shared {
    pub ops: Vec<(Op, u64)>,
    /// Where connections make znodes of their own.
    pub base: String,
    /// Znodes that are written and read.
    pub paths: Vec<String>,
    /// What is written; there are a few of each run.
    pub data: Vec<Vec<u8>>,
    /// Writes of a multi.
    pub changes: usize,
    pub seed: u64,
    /// The number of the next connection.
    pub numbers: Cell<u64>,
}

/// One connection's requests.
pub struct Requests {
    shared: Rc<Shared>,
    prng: Prng,
    /// The znode below which this connection makes others.
    own: String,
    /// Znodes asked for.
    created: u64,
    /// Of those that were made, which are not deleted.
    there: VecDeque<u64>,
}

/// What is remembered of a request.
#[derive(Clone, Copy, Debug)]
pub struct Note {
    op: Op,
    /// The znode: of all, or of the connection's own.
    znode: u64,
    data: usize,
}

/// The znode below which a connection makes others.
pub fn own(base: &str, number: u64) -> String {
    format!("{base}/c{number}")
}

/// An error as ZooKeeper names it.
pub fn refused(code: i32) -> Refused {
    Refused::from(ErrorCode::of(code).map_or_else(|| format!("error {code}"), |error| format!("{error:?}")))
}

impl Requests {
    /// The next connection.
    pub fn new(shared: &Rc<Shared>) -> Requests {
        let number = shared.numbers.replace(shared.numbers.get() + 1);
        Requests {
            prng: Prng::new(shared.seed.wrapping_add(number)),
            own: own(&shared.base, number),
            shared: Rc::clone(shared),
            created: 0,
            there: VecDeque::new(),
        }
    }

    fn child(&self, znode: u64) -> String {
        format!("{}/n{znode:010}", self.own)
    }

    /// What is asked next.
    fn note(&mut self) -> Note {
        let (mut op, data) = (pick(&self.shared.ops, &mut self.prng), self.prng.below(self.shared.data.len() as u64));
        // Of nothing nothing can be deleted.
        if op == Op::Delete && self.there.is_empty() {
            op = Op::Create;
        }
        let znode = match op {
            Op::Create => {
                self.created += 1;
                self.created - 1
            }
            Op::Delete => self.there.pop_front().expect("just looked at"),
            _ => self.prng.below(self.shared.paths.len() as u64),
        };
        Note { op, znode, data: data as usize }
    }

    /// The znodes of a multi, each another one.
    fn several(&self, note: Note) -> impl Iterator<Item = &str> {
        let paths = &self.shared.paths;
        let count = self.shared.changes.min(paths.len());
        (0..count).map(move |n| paths[(note.znode as usize + n) % paths.len()].as_str())
    }

    /// Changes of a request, and its bytes of data.
    fn weight(&self, note: Note) -> (u32, u64) {
        let data = self.shared.data[note.data].len() as u64;
        match note.op {
            Op::Create | Op::Set => (1, data),
            Op::Multi => {
                let changes = self.shared.changes.min(self.shared.paths.len()) as u64;
                (changes as u32, changes * data)
            }
            Op::Get | Op::Exists | Op::Delete | Op::Sync => (1, 0),
        }
    }

    fn put(&self, xid: i32, note: Note, out: &mut Vec<u8>) {
        let data = &self.shared.data[note.data];
        let path = || self.shared.paths[note.znode as usize].as_str();
        match note.op {
            Op::Create => Ask::Create(new(&self.child(note.znode), data)).encode(xid, out),
            Op::Delete => Ask::Delete(&self.child(note.znode), -1).encode(xid, out),
            Op::Set => Ask::SetData(path(), data, -1).encode(xid, out),
            Op::Get => Ask::GetData(path(), false).encode(xid, out),
            Op::Exists => Ask::Exists(path(), false).encode(xid, out),
            Op::Sync => Ask::Sync(path()).encode(xid, out),
            Op::Multi => {
                let changes: Vec<Change<'_>> = self.several(note).map(|path| Change::SetData(path, data, -1)).collect();
                Ask::Multi(&changes).encode(xid, out);
            }
        }
    }
}

/// True for what comes unasked, or for a ping.
pub fn is_aside(frame: &[u8]) -> bool {
    let head = frame.first_chunk::<4>().map(|xid| i32::from_be_bytes(*xid));
    matches!(head, Some(xid::EVENT | xid::PING))
}

/// Whether a multi was made, as a whole.
fn made(answer: &mut Answer<'_>) -> Result<(), Refused> {
    while let Some(came) = answer.came().map_err(|error| Refused::from(error.to_string()))? {
        if let Came::Failed(code) = came {
            return Err(refused(code));
        }
    }
    Ok(())
}

impl Dialogue for Requests {
    type Note = Note;

    fn ask(&mut self, correlation: i32, due: u64, out: &mut Vec<u8>) -> Option<(Request, Note)> {
        let note = self.note();
        self.put(correlation, note, out);
        let (records, payload) = self.weight(note);
        Some((Request { due, records, payload }, note))
    }

    fn repeat(&mut self, correlation: i32, _request: &Request, note: Note, out: &mut Vec<u8>) {
        self.put(correlation, note, out);
    }

    fn takes_aside(&mut self, frame: &[u8], _now: u64) -> bool {
        is_aside(frame)
    }

    fn beat(&mut self, out: &mut Vec<u8>) {
        Ask::Ping.encode(0, out);
    }

    fn answer(&mut self, request: Request, note: Note, frame: &[u8], _now: u64) -> Result<Request, Refused> {
        let mut answer = Answer::open(frame).map_err(|error| Refused::from(error.to_string()))?;
        if answer.error != 0 {
            return Err(refused(answer.error));
        }
        match note.op {
            Op::Create => self.there.push_back(note.znode),
            Op::Multi => made(&mut answer)?,
            // What is read counts.
            Op::Get => {
                let data = answer.data().map_err(|error| Refused::from(error.to_string()))?;
                return Ok(Request { payload: data.map_or(0, <[u8]>::len) as u64, ..request });
            }
            _ => {}
        }
        Ok(request)
    }

    fn partition(&self, _note: Note) -> i32 {
        0
    }

    fn partitions(&self) -> Vec<i32> {
        vec![0]
    }

    /// All that it is about is one.
    fn split(&mut self, _partitions: &[i32]) -> Requests {
        Requests::new(&self.shared)
    }
}
