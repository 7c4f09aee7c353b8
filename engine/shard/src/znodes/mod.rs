//! ZooKeeper's clients: their connections, sessions, requests and watches, on the shard that has the tree.
//!
//! A request goes the way of its kind. What changes something becomes a transaction at the leader of the tree's group, here
//! ([`changes`]) or on another node ([`abroad`]), and is answered when it is applied here ([`answers`]). What only reads is
//! answered from what is applied here ([`reads`]), when everything has been answered that the session asked for before it, and
//! before anything is applied that it asked for later. So each connection has a line of requests ([`clients`]), and a client
//! sees its own writes, never goes back in time, and hears of a change that it watches before it sees it.
//!
//! What is said of sessions stands in the log; which of them are heard of only the leader knows ([`sessions`]).

mod abroad;
mod answers;
mod changes;
mod clients;
mod config;
mod connect;
mod counters;
mod counts;
mod drafts;
pub mod facts;
mod kafka;
mod letters;
mod listing;
mod lists;
mod locals;
mod long_multis;
mod long_reads;
mod many_reads;
mod meters;
mod reads;
mod resume;
mod sessions;
pub mod words;

pub use letters::{TreeAnswer, TreeAsk, TreeMail};

use crate::complaints::{Complaint, Complaints};
use crate::conns::Conns;
use crate::groups::{Groups, Out};
use crate::kafka::View;
use crate::packer::Packer;
use crate::settings::{Settings, ZooKeeperSettings};
use crate::stats::{Stats, add};
use clients::{Client, Stage, Step, What};
use long_reads::{Hold, LongReads};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use torc_base::buf::BufMut;
use torc_base::ids::{ConnId, GroupId, Index, NodeId, SessionId, Term};
use torc_base::io::{Level, Op};
use torc_base::limits::TREE_TURN_OPS;
use torc_base::prng::Prng;
use torc_base::time::Mono;
use torc_net::foreign::by_first_bytes;
use torc_state::tree::expiry::Expiry;
use torc_state::tree::watches::Watches;
use torc_state::tree::{Outcome, Tree};

/// What stands in front of a frame.
const LENGTH_BYTES: u64 = 4;
/// Connections of which nothing is told by its number.
const API: i16 = -1;
/// Watches of connections that are gone, which are taken away in one turn.
const TURN_WATCHES: usize = 4_096;
/// Between two looks at what ends by itself, at the group's members, and at who was heard of.
const LOOK_MS: u64 = 1_000;
/// How long a connection may take to say what it wants, as in ZooKeeper (`zookeeper.nio.sessionlessCnxnTimeout`).
const GREETING_MS: u64 = 10_000;

/// What there is to work with.
pub struct Around<'a, 'b> {
    pub groups: &'a mut Groups,
    pub conns: &'a mut Conns,
    pub out: &'a mut Out<'b>,
    /// The catalog, as this shard knows it.
    pub view: &'a View,
}

impl Around<'_, '_> {
    fn now(&self) -> Mono {
        self.out.now.mono
    }

    fn tree(&self) -> &Tree {
        self.groups.tree().state()
    }

    fn close(&mut self, conn: ConnId) {
        self.conns.close(conn, self.out.ops);
    }
}

/// Who decides on changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lead {
    Here,
    There(NodeId),
    Nobody,
}

/// All clients of this node.
pub struct Znodes {
    settings: Arc<Settings>,
    zookeeper: ZooKeeperSettings,
    stats: Arc<Stats>,
    /// What passwords of sessions follow from.
    secret: (u64, u64),
    clients: BTreeMap<ConnId, Client>,
    by_address: BTreeMap<IpAddr, usize>,
    /// The connection of each session that is served here.
    sessions: BTreeMap<SessionId, ConnId>,
    watches: Watches,
    /// Requests that are in the log or on their way to its leader, by number: their connections, and their bytes if they went
    /// to another node.
    asked: BTreeMap<u64, (ConnId, usize)>,
    /// Connections whose first answer waits for an entry that others made.
    behind: BTreeSet<(Index, ConnId)>,
    /// Connections with something to ask for which there is no leader or no room.
    stalled: BTreeSet<ConnId>,
    /// Connections that are gone and may have watches.
    gone: Vec<ConnId>,
    numbers: u64,
    next_session: i64,
    /// Who decides, in which term, and since when.
    lead: (Lead, Term, Mono),
    /// Sessions that only this node knows, and those of them that it began without a leader.
    locals: Expiry,
    begun_alone: BTreeSet<SessionId>,
    /// Of a leader: sessions that live.
    expiry: Option<Expiry>,
    ends: sessions::Ends,
    next_due: Mono,
    next_look: Mono,
    abroad: abroad::Abroad,
    kafka: kafka::KafkaTree,
    meters: meters::Meters,
    packer: Packer,
    outcomes: Vec<Outcome>,
    applying: answers::Applying,
    changed: many_reads::Changed,
    counted: counts::Counted,
    /// Of a leader: a long multi that becomes a transaction.
    drafting: Option<Box<drafts::Drafting>>,
    /// Connections with a long multi that is looked through, in turn.
    unread: VecDeque<ConnId>,
    complaints: Complaints,
    long_reads: LongReads,
    lists: lists::Lists,
    /// Something is left of transactions that were applied.
    tidies: bool,
    /// The log takes nothing more.
    is_fenced: bool,
}

impl Znodes {
    /// Without clients. `None`: there are to be none.
    pub fn new(settings: &Arc<Settings>, stats: &Arc<Stats>) -> Option<Znodes> {
        let zookeeper = settings.zookeeper.clone()?;
        let mut prng = Prng::new(settings.seed ^ settings.cluster.start ^ 0x0005_e551_0175);
        Some(Znodes {
            secret: connect::secret(settings),
            clients: BTreeMap::new(),
            by_address: BTreeMap::new(),
            sessions: BTreeMap::new(),
            watches: Watches::new(zookeeper.memory_max / 4),
            asked: BTreeMap::new(),
            behind: BTreeSet::new(),
            stalled: BTreeSet::new(),
            gone: Vec::new(),
            // No number comes twice, on whatever node, before or after a restart.
            numbers: u64::from(settings.node.get()) << 48 | prng.below(1 << 47),
            next_session: 0,
            lead: (Lead::Nobody, Term(0), Mono(0)),
            locals: locals::none(&zookeeper),
            begun_alone: BTreeSet::new(),
            expiry: None,
            ends: sessions::Ends::default(),
            next_due: Mono(0),
            next_look: Mono(0),
            abroad: abroad::Abroad::default(),
            kafka: kafka::KafkaTree::new(settings, zookeeper.kafka_chroot.as_deref()),
            meters: meters::Meters::default(),
            packer: Packer::new(),
            outcomes: Vec::new(),
            applying: answers::Applying::default(),
            changed: many_reads::Changed::default(),
            counted: counts::Counted::default(),
            drafting: None,
            unread: VecDeque::new(),
            complaints: Complaints::default(),
            long_reads: LongReads::default(),
            lists: lists::Lists::default(),
            tidies: false,
            is_fenced: false,
            settings: Arc::clone(settings),
            stats: Arc::clone(stats),
            zookeeper,
        })
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// Somebody has connected.
    pub fn opened(&mut self, around: &mut Around, conn: ConnId, peer: SocketAddr) {
        around.conns.set_frame_max(conn, self.zookeeper.max_buffer);
        let owner = self.number();
        self.clients.insert(conn, Client::new(around.now(), peer, owner));
        let is_left = self.is_without_leader(around.now()) && !self.reads_alone(around);
        let count = self.by_address.entry(peer.ip()).or_default();
        *count += 1;
        let max = self.zookeeper.max_connections_per_ip;
        let is_one_too_many = max > 0 && *count > max;
        self.meters.counters.rejected += u64::from(is_one_too_many);
        if is_one_too_many || self.is_fenced || is_left {
            around.close(conn);
        }
    }

    /// A connection is gone. Its session lives on.
    pub fn closed(&mut self, around: &mut Around, conn: ConnId) {
        around.conns.closed(conn, |_| 0);
        self.stalled.remove(&conn);
        let Some(client) = self.clients.remove(&conn) else { return };
        self.meters.counters.gone += 1;
        if client.reading.is_some() {
            self.changed.leave();
        }
        if let Some(counting) = &client.counting {
            self.counted.leave(counting);
        }
        let address = client.peer.ip();
        if let Some(count) = self.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
        if self.sessions.get(&client.session) == Some(&conn) {
            self.sessions.remove(&client.session);
        }
        for step in &client.line {
            if let What::Asked { number, .. } = step.what {
                self.forget_asked(number);
            }
        }
        self.gone.push(conn);
    }

    /// Nobody waits any more for what was asked under this number; who did.
    fn forget_asked(&mut self, number: u64) -> Option<ConnId> {
        let (conn, bytes) = self.asked.remove(&number)?;
        self.abroad.bytes -= bytes;
        Some(conn)
    }

    /// What came is no frame: its length says so. It may be a four-letter word.
    pub fn bad_length(&mut self, around: &mut Around, conn: ConnId, length: i32) {
        let is_new = self.clients.get(&conn).is_some_and(|client| client.stage == Stage::New);
        match words::word(length.to_be_bytes()).filter(|_| is_new) {
            Some(word) => self.answer_word(around, conn, word),
            None => match by_first_bytes(length.to_be_bytes()).filter(|_| is_new) {
                Some(foreign) => self.close_with(around, conn, Complaint::Foreign(foreign), &foreign),
                None => {
                    let why = format_args!("a frame of {length} bytes (jute.maxbuffer)");
                    self.close_with(around, conn, Complaint::Length, &why);
                }
            },
        }
    }

    /// Closes a connection for what it sent, and says why if there have not been many such lines.
    fn close_with(&mut self, around: &mut Around, conn: ConnId, complaint: Complaint, why: &dyn Display) {
        self.complain(around, conn, complaint, why);
        around.close(conn);
    }

    /// Says why a connection is closed, if there have not been many such lines.
    fn complain(&mut self, around: &mut Around, conn: ConnId, complaint: Complaint, why: &dyn Display) {
        if !matches!(complaint, Complaint::Ahead | Complaint::Identities) {
            add(&self.stats.requests_malformed_total, 1);
        }
        let why = format_args!("{why}, at ZooKeeper's port");
        if let Some(text) = self.complaints.line(around.now(), complaint, conn, &why) {
            around.out.ops.push(Op::Log { level: Level::Warn, text });
        }
    }

    /// A frame, as it came.
    pub fn frame(&mut self, around: &mut Around, conn: ConnId, frame: BufMut) {
        let now = around.now();
        let Some(client) = self.clients.get_mut(&conn) else { return around.close(conn) };
        add(&self.stats.requests_total, 1);
        self.meters.received += 1;
        self.meters.counters.received_bytes += LENGTH_BYTES + frame.len() as u64;
        client.meters.received += 1;
        client.heard = now;
        if client.stage == Stage::New && !self.greet(around, conn, &frame) {
            return;
        }
        let slot = around.conns.open_slot(now, conn, API, frame.len());
        let client = self.clients.get_mut(&conn).expect("just seen");
        if client.stage == Stage::Ending {
            return around.conns.answer(conn, slot, Vec::new(), crate::stages::Path::Other);
        }
        let session = client.session;
        client.line.push_back(Step { slot, began: now, what: What::New(frame), weight: 0 });
        if session != SessionId::NONE {
            self.heard(now, session);
        }
        self.look(around, conn);
    }

    /// Who decides on changes now.
    fn find_lead(&self, groups: &Groups) -> Lead {
        if groups.leads(GroupId::TREE) {
            return Lead::Here;
        }
        let there = groups.leader_elsewhere(GroupId::TREE);
        match there.filter(|node| groups.place_of(*node, GroupId::TREE).is_some()) {
            Some(node) => Lead::There(node),
            None => Lead::Nobody,
        }
    }

    /// The same, for requests: nobody, as long as it has not been looked at what another leader means.
    fn lead(&self, groups: &Groups) -> Lead {
        let (lead, term, _) = self.lead;
        if (self.find_lead(groups), groups.tree_term()) == (lead, term) { lead } else { Lead::Nobody }
    }

    /// Looks at who decides. With another one than before nothing is known of what was asked.
    fn look_at_lead(&mut self, around: &mut Around) -> Lead {
        let now = around.now();
        let (mut lead, term) = (self.find_lead(around.groups), around.groups.tree_term());
        let (before, before_term, _) = self.lead;
        if lead == Lead::Here && (lead, term) != (before, before_term) && !around.groups.leads_tree() {
            // It begins when all is applied that was there before.
            lead = Lead::Nobody;
        }
        let same = lead == before && (term == before_term || lead == Lead::Nobody);
        if !same {
            self.lead = (lead, term, now);
            self.forget_drafting(around);
            match before {
                Lead::Nobody => self.end_reading_alone(around),
                _ => self.lose(around),
            }
            self.expiry = None;
            self.ends = sessions::Ends::default();
            match lead {
                Lead::Here => self.begin_to_lead(around),
                Lead::There(_) => self.tell_timeouts(around),
                Lead::Nobody => self.meters.counters.leaderless += 1,
            }
        }
        lead
    }

    /// The leader is another one, or gone: whoever waits for it does not know what has become of its request.
    fn lose(&mut self, around: &mut Around) {
        self.abroad.forget();
        self.asked.clear();
        self.behind.clear();
        let waits = |step: &Step| matches!(step.what, What::Asked { .. } | What::Settled { .. });
        let lost = self.clients.iter().filter(|(_, client)| client.line.iter().any(waits));
        for conn in lost.map(|(conn, _)| *conn).collect::<Vec<_>>() {
            around.close(conn);
        }
    }

    /// True if nobody has decided on changes for so long that clients are to look elsewhere.
    fn is_without_leader(&self, now: Mono) -> bool {
        let (lead, _, since) = self.lead;
        lead == Lead::Nobody && now >= since.plus_ms(self.zookeeper.tick_ms.max(LOOK_MS))
    }

    /// Nobody waits longer than a session may be silent, whatever has become of the request: its client is to look elsewhere.
    /// And nobody stays who does not say what it wants, or is silent for longer than its session may be, which may live
    /// elsewhere by now: an address has so many connections, and watches take memory.
    fn leave_overdue(&mut self, around: &mut Around) {
        let now = around.now();
        // Where its session ends by that, this comes later.
        let silent_ms = |client: &Client| self.zookeeper.tick_ms.saturating_add(client.timeout_ms.into());
        let is_overdue = |client: &Client| {
            if client.stage == Stage::New {
                return now >= client.opened.plus_ms(GREETING_MS);
            }
            if client.stage == Stage::Open && client.line.is_empty() {
                return now >= client.heard.plus_ms(silent_ms(client));
            }
            // Whoever does not take what it is sent waits for itself.
            let since = client.line.front().filter(|_| client.hold != Hold::Client).map(|step| step.began);
            since.is_some_and(|since| now >= since.plus_ms(client.timeout_ms.into()))
        };
        let overdue = self.clients.iter().filter(|(_, client)| is_overdue(client));
        for (conn, stage) in overdue.map(|(conn, client)| (*conn, client.stage)).collect::<Vec<_>>() {
            self.meters.counters.silent += u64::from(stage == Stage::New);
            around.close(conn);
        }
    }

    /// The tree's log is led by this node no longer.
    pub fn lost(&mut self, around: &mut Around) {
        self.look_at_lead(around);
    }

    /// A link to another node broke.
    pub fn peer_down(&mut self, around: &mut Around) {
        self.look_at_lead(around);
    }

    /// The tree is another one than before: watches may have missed something.
    pub fn replaced(&mut self, around: &mut Around) {
        self.applying.forget_parts();
        for conn in self.clients.keys().copied().collect::<Vec<_>>() {
            around.close(conn);
        }
    }

    /// The log takes nothing more: clients are to look for another node.
    pub fn fenced(&mut self, around: &mut Around) {
        self.is_fenced = true;
        self.lose(around);
        self.replaced(around);
    }

    /// End of a turn.
    pub fn turn(&mut self, around: &mut Around) {
        for text in self.complaints.left_out(around.now()) {
            around.out.ops.push(Op::Log { level: Level::Warn, text });
        }
        if !around.groups.has_tree() || self.is_fenced {
            return;
        }
        let now = around.now();
        if self.meters.begin(now) {
            // Nobody leads, as far as is known, since it can be known.
            self.lead.2 = now;
        }
        self.turn_applying(around);
        let lead = self.look_at_lead(around);
        self.turn_drafting(around);
        self.turn_long_multis(around);
        if lead != Lead::Nobody && self.drafting.is_none() {
            for conn in std::mem::take(&mut self.stalled) {
                self.look(around, conn);
            }
        }
        self.turn_sessions(around);
        self.turn_locals(around);
        if now >= self.next_look {
            self.next_look = now.plus_ms(LOOK_MS);
            if self.is_without_leader(now) {
                self.leave_clients(around);
            }
            self.leave_overdue(around);
            self.look_at_config(around);
            around.groups.seat_tree(around.out);
        }
        self.turn_abroad(around, lead);
        self.turn_kafka(around);
        self.turn_reads(around);
        self.turn_lists(around);
        while let Some(conn) = self.gone.pop() {
            if !self.watches.remove_all(conn, TURN_WATCHES) {
                self.gone.push(conn);
                break;
            }
        }
    }

    /// Goes on with what is committed and not applied, and with what is left of what was.
    fn turn_applying(&mut self, around: &mut Around) {
        self.applying.left = TREE_TURN_OPS;
        if self.applying.goes_on {
            self.apply(around);
        }
        self.tidies = around.groups.tree_mut().state_mut().tidy();
    }

    /// When the next turn is due at the latest.
    pub fn deadline(&self, conns: &Conns) -> Option<Mono> {
        if self.is_fenced {
            return self.complaints.due();
        }
        let is_due = self.applying.goes_on
            || self.tidies
            || !self.gone.is_empty()
            || !self.unread.is_empty()
            || self.long_reads.is_due(conns)
            || self.lists.is_due(conns);
        let at_once = is_due.then_some(Mono(0));
        let ends = self.ends.due();
        // What was heard waits for somebody to tell it to.
        let abroad = self.abroad.deadline().filter(|_| self.lead.0 != Lead::Nobody);
        let expiry = self.expiry.as_ref().and_then(Expiry::next);
        let is_idle = self.clients.is_empty() && self.expiry.is_none();
        let look = (!is_idle).then_some(self.next_look);
        let told = self.complaints.due();
        let draft = self.drafting.as_ref().map(|drafting| drafting.due);
        [at_once, draft, ends, expiry, look, abroad, self.locals.next(), self.kafka.deadline(), told]
            .into_iter()
            .flatten()
            .min()
    }
}
