//! One client's connection, and the line of its requests.

use super::changes::only_reads;
use super::counts::Counting;
use super::listing::Listing;
use super::long_multis::{LONG_FRAME, LongMulti};
use super::long_reads::Hold;
use super::many_reads::Reading;
use super::meters::ClientMeters;
use super::resume::Resuming;
use super::{Around, Znodes};
use crate::outbox::{Piece, SlotId};
use crate::stages::Path;
use std::collections::VecDeque;
use std::net::SocketAddr;
use torc_base::buf::{Buf, BufMut};
use torc_base::ids::{ConnId, Index, SessionId};
use torc_base::limits::{CLIENT_IDENTITIES_BYTES_MAX, CLIENT_IDENTITIES_MAX, REPLY_BYTES_MAX};
use torc_base::time::Mono;
use torc_net::zookeeper::{Connect, ErrorCode, Undecodable, decode, failure};
use torc_state::tree::expiry::Owner;
use torc_state::tree::{Id, Identity, Refused};

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing has come yet.
    New,
    /// Its client has asked for a session.
    Greeting,
    /// Its client is served.
    Open,
    /// It ends when everything has been sent.
    Ending,
}

/// What is answered when a change is applied, or refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// A path, and the stat if that is wanted.
    Create(bool),
    /// Nothing.
    Empty,
    /// The stat.
    Stat,
    /// A result for each operation; of those that create something: the stat is wanted.
    Multi(Vec<bool>),
    /// The session has ended.
    Close,
    /// The path that stood in the request.
    Sync(Box<str>),
    /// A session.
    NewSession,
    /// The session that there was.
    TakeUp,
}

/// Where a request stands.
#[derive(Debug)]
pub(super) enum What {
    /// It has not been looked at.
    New(BufMut),
    /// It is answered from what is applied, when it is the first.
    Read(BufMut),
    /// It is in the log, or on its way there.
    Asked { number: u64, xid: i32, want: Want },
    /// It is refused, or done (`None`), as will be seen when entry `after` is applied.
    Settled { xid: i32, want: Want, refused: Option<Refused>, after: Index },
    /// It cannot be read, or nobody knows such a request.
    Failed { xid: i32, error: ErrorCode },
    /// This is the answer.
    Ready(Buf),
    /// The same, in parts.
    ReadyParts(Vec<Buf>),
    /// This is the answer, and the last one.
    Last(Buf),
    /// The connection is of no use any more.
    Gone,
}

/// One request.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) slot: SlotId,
    pub(super) began: Mono,
    pub(super) what: What,
    /// Bytes that its answer may take, if it is a read that does not stand alone.
    pub(super) weight: usize,
}

/// A client.
pub(super) struct Client {
    pub(super) opened: Mono,
    /// When something last came from it.
    pub(super) heard: Mono,
    pub(super) peer: SocketAddr,
    /// The number by which the leader knows which connection serves the session.
    pub(super) owner: Owner,
    /// What is known of the client.
    pub(super) ids: Vec<Identity>,
    pub(super) stage: Stage,
    /// What it said first.
    pub(super) connect: Option<Connect>,
    /// [`SessionId::NONE`] before it has one.
    pub(super) session: SessionId,
    pub(super) timeout_ms: u32,
    /// Its session is known to this node alone.
    pub(super) is_local: bool,
    /// It is served without a leader, and only reads.
    pub(super) reads_alone: bool,
    /// Requests that are not answered, in order. Those that have not been looked at are the last ones.
    pub(super) line: VecDeque<Step>,
    pub(super) looked: usize,
    /// The weight of all of these.
    weight: usize,
    /// The first of those that have not been looked at is to see to it that the reads before it see nothing of it.
    waits: bool,
    pub(super) hold: Hold,
    /// How far the first of them has come, if it takes up watches in several turns.
    pub(super) resuming: Option<Resuming>,
    /// The same, if it asks for a long list.
    pub(super) listing: Option<Box<Listing>>,
    /// The same, if it is a long list of reads.
    pub(super) reading: Option<Box<Reading>>,
    /// The same, if it has much counted.
    pub(super) counting: Option<Box<Counting>>,
    /// How far the first of those that have not been looked at has come, if it is a long multi.
    pub(super) multi: Option<Box<LongMulti>>,
    pub(super) meters: ClientMeters,
}

impl Client {
    pub(super) fn new(opened: Mono, peer: SocketAddr, owner: u64) -> Client {
        Client {
            opened,
            heard: opened,
            peer,
            owner: Owner(owner),
            ids: vec![Identity::of_address(&peer.ip().to_string())],
            stage: Stage::New,
            connect: None,
            session: SessionId::NONE,
            timeout_ms: 0,
            is_local: false,
            reads_alone: false,
            line: VecDeque::new(),
            looked: 0,
            weight: 0,
            waits: false,
            hold: Hold::Free,
            resuming: None,
            listing: None,
            reading: None,
            counting: None,
            multi: None,
            meters: ClientMeters::default(),
        }
    }

    /// As access lists name it.
    pub(super) fn as_ids(&self) -> Vec<Id<'_>> {
        self.ids.iter().map(Identity::as_id).collect()
    }

    /// These are known of it besides. False: that would be too much, and nothing has changed.
    pub(super) fn prove(&mut self, known: Vec<Identity>) -> bool {
        let bytes = |ids: &[Identity]| ids.iter().map(|id| id.scheme.len() + id.id.len()).sum::<usize>();
        let new: Vec<Identity> = known.into_iter().filter(|identity| !self.ids.contains(identity)).collect();
        let fits = self.ids.len() + new.len() <= CLIENT_IDENTITIES_MAX
            && bytes(&self.ids) + bytes(&new) <= CLIENT_IDENTITIES_BYTES_MAX;
        if fits {
            self.ids.extend(new);
        }
        fits
    }

    /// True if reads stand in the line.
    pub(super) fn has_reads(&self) -> bool {
        self.line.iter().take(self.looked).any(|step| matches!(step.what, What::Read(_)))
    }

    /// True if reads may wait that stand in the line: what is asked for behind them is not to happen before.
    fn has_reads_that_wait(&self) -> bool {
        self.hold != Hold::Free || self.weight > REPLY_BYTES_MAX
    }

    /// True if something that has been looked at is in the log, or on its way there.
    pub(super) fn has_asked(&self) -> bool {
        self.line.iter().take(self.looked).any(|step| matches!(step.what, What::Asked { .. }))
    }

    /// The request that waits under that number.
    pub(super) fn asked(&mut self, number: u64) -> Option<&mut Step> {
        self.line.iter_mut().find(|step| matches!(step.what, What::Asked { number: of, .. } if of == number))
    }
}

/// What became of a look at a request.
pub(super) enum Looked {
    /// It has its place.
    Taken(What),
    /// There is no leader, or no room: it is looked at again.
    Stalled,
    /// It is looked at again when the reads before it have been answered.
    Behind,
    /// It is long, and looked at further in later turns.
    Later,
}

impl Znodes {
    /// Looks at the requests of a connection that have not been looked at, then answers what can be answered.
    pub(super) fn look(&mut self, around: &mut Around, conn: ConnId) {
        self.take_all(around, conn);
        self.advance(around, conn);
    }

    /// Looks at the requests of a connection that have not been looked at.
    fn take_all(&mut self, around: &mut Around, conn: ConnId) {
        loop {
            let Some(client) = self.clients.get_mut(&conn) else { return };
            let is_greeting = client.stage == Stage::Greeting;
            if is_greeting && client.looked > 0 {
                return;
            }
            let (at, waits) = (client.looked, client.has_reads_that_wait());
            let Some(step) = client.line.get_mut(at) else { return };
            let What::New(frame) = std::mem::replace(&mut step.what, What::Gone) else {
                unreachable!("what has been looked at stands before")
            };
            let is_alone = client.line.len() == 1;
            let looked =
                if is_greeting { self.ask_session(around, conn) } else { self.take(around, conn, &frame, waits) };
            let weighs = looked.is_none() && !is_alone;
            let weight = if weighs { self.weight(around, conn, &frame) } else { 0 };
            let Some(client) = self.clients.get_mut(&conn) else { return };
            let step = &mut client.line[at];
            match looked {
                Some(Looked::Taken(what)) => step.what = what,
                None => {
                    // It only reads.
                    (step.what, step.weight) = (What::Read(frame), weight);
                    client.weight += weight;
                }
                Some(Looked::Stalled) => {
                    step.what = What::New(frame);
                    self.stalled.insert(conn);
                    return;
                }
                Some(Looked::Behind) => {
                    step.what = What::New(frame);
                    client.waits = true;
                    return;
                }
                Some(Looked::Later) => return step.what = What::New(frame),
            }
            client.looked += 1;
        }
    }

    /// Takes a request up that is not a session's first; `None`: it only reads.
    /// `waits`: if it does anything else, it waits for the reads before it.
    fn take(&mut self, around: &mut Around, conn: ConnId, frame: &[u8], waits: bool) -> Option<Looked> {
        if frame.len() >= LONG_FRAME
            && let Some(looked) = self.take_long_multi(around, conn, frame, waits)
        {
            return Some(looked);
        }
        match decode(frame) {
            Ok((_, request)) if waits && !only_reads(&request) => Some(Looked::Behind),
            Ok((head, request)) => {
                self.clients.get_mut(&conn).expect("the caller has it").meters.note(head.xid, head.op);
                self.take_request(around, conn, head, (&request, frame), None)
            }
            Err(Undecodable::Head(_) | Undecodable::Proof(_)) => Some(Looked::Taken(What::Gone)),
            Err(Undecodable::Body(head, error, _)) => Some(Looked::Taken(What::Failed { xid: head.xid, error })),
        }
    }

    /// Answers the first requests of a connection, as far as all is there for that.
    pub(super) fn advance(&mut self, around: &mut Around, conn: ConnId) {
        self.advance_as(around, conn, false);
        self.look_behind(around, conn);
    }

    /// The same of one whose turn has come: its first read is made now.
    pub(super) fn advance_in_turn(&mut self, around: &mut Around, conn: ConnId) {
        self.advance_as(around, conn, true);
        self.look_behind(around, conn);
    }

    /// Goes on behind reads that have been answered, if something waits for that.
    fn look_behind(&mut self, around: &mut Around, conn: ConnId) {
        let is_free = |client: &Client| client.waits && client.looked == 0;
        while let Some(client) = self.clients.get_mut(&conn).filter(|client| is_free(client)) {
            client.waits = false;
            self.take_all(around, conn);
            self.advance_as(around, conn, false);
        }
    }

    fn advance_as(&mut self, around: &mut Around, conn: ConnId, mut has_turn: bool) {
        loop {
            let Some(client) = self.clients.get_mut(&conn).filter(|client| client.looked > 0) else { return };
            match &client.line.front().expect("it has been looked at").what {
                What::Asked { .. } => return,
                What::Settled { after, .. } if around.tree().applied() < *after => {
                    self.behind.insert((*after, conn));
                    return;
                }
                _ => {}
            }
            let Step { slot, began, what, weight } = client.line.pop_front().expect("just seen");
            client.looked -= 1;
            client.weight -= weight;
            let hold = client.hold;
            let one = |bytes: Buf| Some(vec![Piece::Bytes(bytes)]);
            let (pieces, is_last) = match what {
                What::Read(frame) if self.is_held(around, conn, &frame, hold, has_turn) => {
                    return self.put_back(conn, Step { slot, began, what: What::Read(frame), weight });
                }
                What::Ready(bytes) => (one(bytes), false),
                What::ReadyParts(parts) => (Some(parts.into_iter().map(Piece::Bytes).collect()), false),
                What::Last(bytes) => (one(bytes), true),
                What::Read(frame) => {
                    has_turn = false;
                    let Some(pieces) = self.read(around, conn, &frame) else {
                        return self.go_on_later(conn, Step { slot, began, what: What::Read(frame), weight });
                    };
                    if let [piece] = &pieces[..] {
                        self.long_reads.charge(piece.bytes());
                    }
                    (Some(pieces), false)
                }
                What::Failed { xid, error } => {
                    // The newest change that is seen now: answers before this one may tell of later ones than there were when it came.
                    failure(&mut self.packer.scratch, xid, around.tree().zxid().get(), error);
                    // As ZooKeeper has it: whoever asks for what there is not is left.
                    (one(self.packer.take_scratch()), error == ErrorCode::Unimplemented)
                }
                What::Settled { xid, want, refused, .. } => {
                    let (bytes, is_last) = self.settled(around, conn, xid, &want, refused);
                    (bytes.and_then(one), is_last)
                }
                What::Gone => (None, true),
                What::New(_) | What::Asked { .. } => unreachable!("looked at, and seen above"),
            };
            let Some(pieces) = pieces else { return around.close(conn) };
            self.answer(around, conn, slot, began, pieces);
            if is_last {
                return self.end(around, conn);
            }
        }
    }

    /// The first request of a connection is looked at again.
    pub(super) fn put_back(&mut self, conn: ConnId, step: Step) {
        let client = self.clients.get_mut(&conn).expect("the caller has it");
        client.looked += 1;
        client.weight += step.weight;
        client.line.push_front(step);
    }

    fn answer(&mut self, around: &mut Around, conn: ConnId, slot: SlotId, began: Mono, pieces: Vec<Piece>) {
        let ms = around.now().since(began) / 1_000_000;
        self.meters.answered(ms, pieces.iter().map(Piece::bytes).sum());
        if let Some(client) = self.clients.get_mut(&conn) {
            client.meters.answered(around.out.now, ms, around.groups.tree().state().zxid());
        }
        around.conns.answer(conn, slot, pieces, Path::Other);
    }

    /// Nothing more is answered on a connection: it ends when all has been sent.
    pub(super) fn end(&mut self, around: &mut Around, conn: ConnId) {
        let Some(client) = self.clients.get_mut(&conn) else { return };
        client.stage = Stage::Ending;
        (client.looked, client.weight, client.waits, client.multi) = (0, 0, false, None);
        for step in std::mem::take(&mut client.line) {
            if let What::Asked { number, .. } = step.what {
                self.forget_asked(number);
            }
            around.conns.answer(conn, step.slot, Vec::new(), Path::Other);
        }
        around.conns.end(conn);
    }
}
