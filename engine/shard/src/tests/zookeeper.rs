//! What tests say to a server as ZooKeeper's clients, and how they read what they are told.

use crate::{Listener, Protocol, Settings, ZooKeeperSettings};
use torc_net::zookeeper::{Acl, Answer, Ask, Connect, Connected, Kind, New, Session, xid};

/// Everybody may do everything.
pub const OPEN: &[Acl<'static>] = &[Acl { perms: 31, scheme: "world", id: "anyone" }];

/// The same settings with ZooKeeper's clients served at a listener of their own, the last one.
pub fn serving(settings: &Settings) -> Settings {
    let mut listeners = settings.listeners.clone();
    listeners.push(Listener { protocol: Protocol::ZooKeeper, advertised: ("torc.example".into(), 2181) });
    let zookeeper = ZooKeeperSettings { four_letter_words: vec!["srvr".into(), "ruok".into()], ..Default::default() };
    Settings { listeners, zookeeper: Some(zookeeper), ..settings.clone() }
}

/// What a client says first.
pub fn hello(session: Option<Session>, timeout_ms: i32, last_zxid: i64) -> Vec<u8> {
    let mut out = Vec::new();
    Connect { last_zxid, timeout_ms, session, read_only: false, knows_read_only: true }.encode(&mut out);
    out
}

/// The same of a client that is content with reading.
pub fn hello_reading(session: Option<Session>, timeout_ms: i32, last_zxid: i64) -> Vec<u8> {
    let mut out = Vec::new();
    Connect { last_zxid, timeout_ms, session, read_only: true, knows_read_only: true }.encode(&mut out);
    out
}

/// A request.
pub fn request(xid: i32, ask: &Ask<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    ask.encode(xid, &mut out);
    out
}

pub fn new<'a>(path: &'a str, data: &'a [u8], kind: Kind, sequential: bool) -> Ask<'a> {
    Ask::Create(New { path, data, acls: OPEN, kind, sequential, ttl_ms: 0, with_stat: false })
}

pub fn create<'a>(path: &'a str, data: &'a [u8]) -> Ask<'a> {
    new(path, data, Kind::Persistent, false)
}

pub fn ephemeral(path: &str) -> Ask<'_> {
    new(path, b"", Kind::Ephemeral, false)
}

/// Something that a client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The number of its kind, and the znode.
    Event(i32, String),
    /// The request, an error or 0, and the whole answer.
    Answer(i32, i32, Vec<u8>),
}

impl Told {
    pub fn of(frame: &[u8]) -> Told {
        let mut answer = Answer::open(frame).expect("an answer's head");
        if answer.xid == xid::EVENT {
            let event = answer.event().expect("an event");
            return Told::Event(event.kind, event.path.to_string());
        }
        Told::Answer(answer.xid, answer.error, frame.to_vec())
    }

    /// The error of an answer.
    pub fn error(&self) -> i32 {
        match self {
            Told::Answer(_, error, _) => *error,
            Told::Event(..) => panic!("an event: {self:?}"),
        }
    }

    /// The answer, to read on.
    pub fn answer(&self) -> Answer<'_> {
        match self {
            Told::Answer(_, 0, frame) => Answer::open(frame).expect("an answer's head"),
            _ => panic!("no good answer: {self:?}"),
        }
    }

    /// Data and version that were read.
    pub fn data(&self) -> (Vec<u8>, i32) {
        let mut answer = self.answer();
        let data = answer.data().expect("data").unwrap_or_default().to_vec();
        (data, answer.stat().expect("a stat").version)
    }

    /// Names that were read, in order.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.answer().names().expect("names").map(String::from).collect();
        names.sort();
        names
    }
}

/// Takes the next frame off bytes that a client has received.
pub fn take_frame(received: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = i32::from_be_bytes(*received.first_chunk()?) as usize;
    let frame = received.get(4..4 + length)?.to_vec();
    received.drain(..4 + length);
    Some(frame)
}

/// The answer to a hello.
pub fn greeted(frame: &[u8]) -> Connected {
    Connected::decode(frame).expect("the answer to a hello")
}
