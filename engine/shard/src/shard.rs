//! One core's state machine: events in, operations out.
//!
//! A shard has two halves that only speak by questions and answers: [`Kafka`] knows requests, [`Groups`] owns logs. A
//! question to the own half takes the same way as one to another shard, without the mailbox. Who is always where its log is
//! works with the groups directly: [`Coordinators`] of consumer groups, and [`Znodes`], ZooKeeper's clients. Connections are
//! the shard's ([`Conns`]); what comes in on them goes to who speaks their protocol (`wire.rs`).

mod stopping;

use crate::catalog::CatalogOwner;
use crate::conns::Conns;
use crate::coordinators::{Around, Coordinators};
use crate::groups::{self, FetchRequest, Flow, GroupMarks, Groups, Notice, Phase};
use crate::inquiry::{Finding, Inquiry};
use crate::kafka::{self, Kafka};
use crate::line_limit::LineLimit;
use crate::mail::{Answer, Ask, Asker, CatalogChange, Leaders, Led, Mail, Place, Token};
use crate::meaning::LogKind;
use crate::peers::{Links, Roster};
use crate::settings::Protocol;
use crate::settings::Settings;
use crate::slow::SlowLog;
use crate::stats::Stats;
use crate::works;
use crate::znodes::{self, Znodes};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use stopping::Stopping;
use torc_base::buf::Pool;
use torc_base::ids::{ConnId, GroupId, Index, ListenerId, NodeId, Offset, ShardId, Term, Zxid};
use torc_base::io::{App, Event, Level, Op};
use torc_base::limits::FRAME_BYTES_MAX;
use torc_base::time::{Mono, Now};
use torc_base::turns::Work;
use torc_net::kafka::error;
use torc_state::catalog::Topic;
use torc_state::coordinator::Coordinator;

/// How often other shards are told that memory is short here, and how long they go by it.
const PRESS_EVERY_MS: u64 = 50;
const PRESSED_MS: u64 = 200;
/// Lines about what other nodes send that makes no sense, in so many milliseconds.
const UNSOUND_LINES: u32 = 10;
const UNSOUND_SPAN_MS: u64 = 60_000;

/// News of leaders that go to another node in one piece of mail.
const LEADERS_PER_MAIL: usize = 4_096;

/// One shard.
pub struct Shard {
    pub(super) settings: Arc<Settings>,
    pub(super) stats: Arc<Stats>,
    pub(super) conns: Conns,
    pub(super) slow: SlowLog,
    kafka: Kafka,
    pub(super) groups: Groups,
    coordinators: Coordinators,
    /// On shard 0.
    catalog: Option<CatalogOwner>,
    /// The same, if ZooKeeper's clients are served.
    znodes: Option<Znodes>,
    pub(super) asks: VecDeque<(Place, Token, Ask)>,
    pub(super) answers: VecDeque<(Asker, Answer)>,
    pub(super) notices: VecDeque<Notice>,
    /// Changes of the catalog that came before the log was read.
    early: Vec<(u64, CatalogChange)>,
    /// The last change whose groups have no leaders yet, and the last one that is in force here.
    unready: Option<u64>,
    in_force: u64,
    pub(super) links: Links,
    /// Something that is to leave for another node waits for memory; until then.
    pub(super) departs_again: Option<Mono>,
    /// About what other nodes send that makes no sense.
    pub(super) unsound_lines: LineLimit,
    /// About the tree, in which this node has no part.
    pub(super) treeless_lines: LineLimit,
    /// Connections that came before the shard was ready.
    waiting: Vec<(ConnId, ListenerId, SocketAddr)>,
    /// Until then other shards want memory back that answers of connections here hold.
    pressed_until: Mono,
    /// This one does, and tells the others again then. It is looked at then, too, what they have given back.
    next_press: Option<Mono>,
    stopping: Stopping,
    told_drained: bool,
}

impl Shard {
    /// A shard that does nothing before [`Event::Start`].
    pub fn new(settings: Settings, stats: Arc<Stats>) -> Shard {
        let settings = Arc::new(settings);
        let catalog = (settings.shard == ShardId(0)).then(|| CatalogOwner::new(Arc::clone(&settings)));
        let frame_max = settings.request_max_bytes.min(FRAME_BYTES_MAX);
        let pool = Pool::new(usize::MAX, settings.memory.frames / 8);
        let (idle_ms, move_after) = (settings.connection_idle_ms, settings.move_after);
        Shard {
            conns: Conns::new(frame_max, idle_ms, move_after, settings.memory, pool),
            slow: SlowLog::new(settings.slow_request_ms, Arc::clone(&stats)),
            kafka: Kafka::new(Arc::clone(&settings), Arc::clone(&stats)),
            groups: Groups::new(Arc::clone(&settings), Arc::clone(&stats)),
            coordinators: Coordinators::new(Arc::clone(&settings)),
            catalog,
            znodes: if settings.shard == ShardId(0) { Znodes::new(&settings, &stats) } else { None },
            links: Links::new(Arc::clone(&settings), Arc::clone(&stats)),
            settings,
            stats,
            asks: VecDeque::new(),
            answers: VecDeque::new(),
            notices: VecDeque::new(),
            early: Vec::new(),
            unready: None,
            in_force: 0,
            departs_again: None,
            unsound_lines: LineLimit::new(UNSOUND_LINES, UNSOUND_SPAN_MS),
            treeless_lines: LineLimit::hourly(),
            waiting: Vec::new(),
            pressed_until: Mono(0),
            next_press: None,
            stopping: Stopping::No,
            told_drained: false,
        }
    }

    /// Why the shard would not start, if it did not.
    pub fn refused(&self) -> Option<&str> {
        match &self.groups.phase {
            Phase::Refused(why) => Some(why),
            _ => None,
        }
    }

    /// True if the shard runs, knows which groups it has, and none of them may have forgotten a promise.
    pub fn has_no_doubts(&self) -> bool {
        self.groups.has_no_doubts()
    }

    /// Its counters.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Bytes of memory for requests that nobody is served with while others wait for memory. There are none: this is for
    /// whoever checks that.
    pub fn idle_request_memory(&self) -> usize {
        self.conns.frames_idle()
    }

    /// The coordinators of consumer groups that serve here, each with its partition and the end of that partition's log,
    /// which its state comes of.
    pub fn coordinators(&self) -> impl Iterator<Item = (u32, Offset, &Coordinator)> {
        let logs = self.kafka.view.offsets_topic().into_iter().flat_map(|topic| topic.partitions.iter());
        let of = |(partition, log): (usize, GroupId)| {
            Some((partition as u32, self.groups.end(log)?, self.coordinators.serving(log)?))
        };
        logs.enumerate().filter_map(of)
    }

    /// As if consensus had said that others lead these groups.
    #[cfg(test)]
    pub fn lose(&mut self, now: Now, which: impl Fn(GroupId) -> bool) {
        let lost: Vec<GroupId> = self.groups.ids().into_iter().filter(|id| which(*id)).collect();
        self.with_groups(now, &mut Vec::new(), |groups, out| lost.into_iter().for_each(|id| groups.step_down(out, id)));
    }

    /// When what is due, by name.
    fn dues(&self) -> impl Iterator<Item = (&'static str, Option<Mono>)> {
        let stop = match self.stopping {
            // It has told the owner and waits for its word.
            Stopping::Draining { until } if self.told_drained && self.catalog.is_none() => {
                Some(until.plus_ms(self.settings.drain_ms))
            }
            Stopping::Draining { until } | Stopping::Finishing { until } => Some(until),
            _ => None,
        };
        let own = [
            ("stop", stop),
            ("pressure", self.next_press),
            ("requests", self.kafka.deadline(&self.conns)),
            ("connections", self.conns.deadline()),
            ("coordinators", self.coordinators.deadline()),
            ("catalog", self.catalog.as_ref().and_then(CatalogOwner::deadline)),
            ("links", self.links.deadline()),
            ("departures of leaders", self.departs_again),
            ("znodes", self.znodes.as_ref().and_then(|znodes| znodes.deadline(&self.conns))),
        ];
        self.groups.dues().into_iter().chain(own)
    }

    /// Where each group stands, a line each, and what is told of leaders: for whoever wants to know why nobody serves.
    pub fn standing(&self) -> String {
        let leaders = self.kafka.view.topics().flat_map(|topic| topic.partitions.iter()).map(|log| {
            let leader = self.kafka.view.leader(log);
            leader.map_or_else(|| format!("{log}: nobody"), |led| format!("{log}: node {} in {}", led.node, led.epoch))
        });
        let dues = self.dues().filter_map(|(what, at)| Some(format!("{what} at {}", at?.0 / 1_000)));
        format!(
            "{}due (us): {}\ntold of leaders: {}\nchange {:?} is not in force, {} is; all that must have have leaders: {}\n",
            self.groups.standing(),
            dues.collect::<Vec<_>>().join(", "),
            leaders.collect::<Vec<_>>().join(", "),
            self.unready,
            self.in_force,
            self.groups.all_serving(),
        )
    }

    /// Where the consensus of each group stands.
    pub fn group_marks(&self) -> impl Iterator<Item = GroupMarks> {
        self.groups.marks()
    }

    /// See [`Groups::keeps`]. Before it serves it does not know which groups are compacted.
    pub fn keeps(&self, group: GroupId, term: Term, index: Index) -> bool {
        self.is_ready() && self.groups.keeps(group, term, index)
    }

    /// See [`Groups::voters`].
    pub fn voters(&self, group: GroupId) -> Vec<(NodeId, bool, bool)> {
        self.groups.voters(group)
    }

    /// Why a member of a group that is led here stays behind, if an entry is too long for it.
    pub fn held_back(&self) -> Option<String> {
        self.groups.any_held_back()
    }

    /// The newest change that is applied to the tree of znodes here, and what stands for the tree. `None`: it is not here, or
    /// the next change is applied in part.
    pub fn tree_digest(&self) -> Option<(Zxid, u64)> {
        let is_whole = self.groups.has_tree() && !self.groups.is_applying_tree();
        let tree = is_whole.then(|| self.groups.tree().state())?;
        Some((tree.zxid(), tree.digest()))
    }

    /// True if the catalog as it is applied here says that a server was let in with this disk. Asked of shard 0.
    pub fn has_let_in(&self, node: NodeId, disk: u128) -> bool {
        let knows =
            || self.groups.catalog().state().membership().admitted(node).is_some_and(|known| known.disk == disk);
        self.groups.has_catalog() && knows()
    }

    fn is_ready(&self) -> bool {
        self.stats.ready.load(Ordering::Relaxed)
    }

    fn on_event(&mut self, now: Now, event: Event<Mail>, ops: &mut Vec<Op<Mail>>) {
        self.stats.turns.at(works::of_event(&event));
        if self.is_peers(&event) {
            self.stats.turns.at(Work::Peers);
            self.links.on_event(now.mono, event, ops);
            return self.peers_news(now, ops);
        }
        match event {
            Event::Start => self.with_groups(now, ops, |groups, out| groups.start(out)),
            Event::Accepted { conn, listener, peer } if self.protocol_of(listener) == Protocol::Peer => {
                self.links.accepted(now.mono, conn, peer.ip(), ops);
            }
            Event::Accepted { conn, listener, peer } if !self.is_ready() => self.waiting.push((conn, listener, peer)),
            Event::Accepted { conn, listener, peer } => self.accepted(now, conn, listener, peer, ops),
            Event::Connected { .. } | Event::Unreachable { .. } => unreachable!("it is the links'"),
            Event::Received { conn, bytes } => {
                self.conns.received(now.mono, conn, bytes);
                self.pump(now, conn, ops);
            }
            Event::Filled { conn, bytes } => self.filled(now, conn, bytes, ops),
            Event::Halted { conn, bytes, at } => {
                self.conns.halted(now.mono, conn, bytes, at);
                self.pump(now, conn, ops);
            }
            Event::Starved { conn } => {
                self.conns.disarmed(conn, true);
                self.pump(now, conn, ops);
            }
            Event::Paused { conn } => {
                self.conns.disarmed(conn, false);
                self.pump(now, conn, ops);
            }
            Event::Eof { conn } => self.eof(now, conn, ops),
            Event::Sent { conn } => self.sent(now, conn, ops),
            Event::TakenBack { conn, rest, sent } => self.conns.taken_back(now.mono, conn, &rest, sent, ops),
            Event::Room { conn } => self.conns.room(now.mono, conn),
            Event::Closed { conn } => {
                self.waiting.retain(|(waiting, ..)| *waiting != conn);
                self.closed(now, conn, ops);
            }
            Event::Disk(done) => self.with_groups(now, ops, |groups, out| groups.on_disk(out, done)),
            Event::Mail { from, mail } => self.on_mail(now, from, mail, ops),
            Event::Adopted { conn, with: Mail::Calling(calling), .. } => {
                self.links.adopted(now.mono, conn, *calling, ops);
                self.peers_news(now, ops);
            }
            Event::Adopted { conn, with, .. } => {
                let Mail::Moving(moving) = with else { panic!("a connection comes with its own kind of mail") };
                assert!(self.is_ready(), "connections are drawn to shards that serve");
                self.adopted(now, conn, *moving, ops);
            }
            Event::Turn => self.turn(now, ops),
            Event::Stop => self.stop(now, ops),
        }
    }

    pub(super) fn with_kafka(
        &mut self,
        now: Now,
        ops: &mut Vec<Op<Mail>>,
        f: impl FnOnce(&mut Kafka, &mut kafka::Out),
    ) {
        f(&mut self.kafka, &mut kafka::Out { now, ops, asks: &mut self.asks, conns: &mut self.conns });
    }

    pub(super) fn with_groups(
        &mut self,
        now: Now,
        ops: &mut Vec<Op<Mail>>,
        f: impl FnOnce(&mut Groups, &mut groups::Out),
    ) {
        let (answers, notices) = (&mut self.answers, &mut self.notices);
        f(&mut self.groups, &mut groups::Out { now, ops, answers, notices });
    }

    fn with_coordinators(&mut self, now: Now, ops: &mut Vec<Op<Mail>>, f: impl FnOnce(&mut Coordinators, &mut Around)) {
        let (answers, notices) = (&mut self.answers, &mut self.notices);
        let out = &mut groups::Out { now, ops, answers, notices };
        let around = &mut Around { groups: &mut self.groups, out, cluster: &self.kafka.view };
        f(&mut self.coordinators, around);
    }

    /// True where ZooKeeper's clients are served.
    pub(super) fn serves_znodes(&self) -> bool {
        self.znodes.is_some()
    }

    /// Nothing, where they are not.
    pub(super) fn with_znodes(
        &mut self,
        now: Now,
        ops: &mut Vec<Op<Mail>>,
        f: impl FnOnce(&mut Znodes, &mut znodes::Around),
    ) {
        let Some(znodes) = &mut self.znodes else { return };
        let (answers, notices) = (&mut self.answers, &mut self.notices);
        let out = &mut groups::Out { now, ops, answers, notices };
        f(
            znodes,
            &mut znodes::Around { groups: &mut self.groups, conns: &mut self.conns, out, view: &self.kafka.view },
        );
    }

    fn on_mail(&mut self, now: Now, from: ShardId, mail: Mail, ops: &mut Vec<Op<Mail>>) {
        match mail {
            Mail::Ask { token, ask } => {
                self.serve(now, Asker { place: Place { node: self.settings.node, shard: from }, token }, ask, ops)
            }
            Mail::Answer { token, answer } => {
                self.stats.turns.at(works::of_answer(&answer));
                self.with_kafka(now, ops, |kafka, out| kafka.answer(out, token, answer));
            }
            Mail::Present(present) => self.kafka.view.set_present(self.settings.node, present),
            Mail::Roster(roster) => self.set_roster(now, roster, ops),
            Mail::Catalog { number, change } => self.catalog_changed(now, number, change, ops),
            Mail::CatalogDone { number, leaders } => {
                self.catalog.as_mut().expect("mail to the owner").in_force(from, number, leaders);
                self.drive_catalog(now, ops);
            }
            Mail::Leaders(leaders) => self.note_leaders(now, &leaders, ops),
            Mail::Begun { life } => {
                self.catalog.as_mut().expect("mail to the owner").begun(from, life);
                self.drive_catalog(now, ops);
            }
            Mail::Drained => self.catalog.as_mut().expect("mail to the owner").drained(from),
            Mail::Finish => self.finish(now, ops),
            Mail::Pressed => self.pressed_until = now.mono.plus_ms(PRESSED_MS),
            Mail::Digests(_) | Mail::Tree(_) | Mail::TreeStart(_) | Mail::Lending(_) | Mail::Room => {}
            Mail::Moving(_) | Mail::Calling(_) => panic!("a connection's mail comes with the connection"),
        }
    }

    /// Mail from a shard of another node. What is not for this shard, or not from there, is nothing.
    pub fn on_mail_from(&mut self, now: Now, from: Place, mail: Mail, ops: &mut Vec<Op<Mail>>) {
        match mail {
            Mail::Ask { token, ask: ask @ (Ask::Elect(_) | Ask::Quorums(_)) } => {
                self.serve(now, Asker { place: from, token }, ask, ops);
                return self.settle(now, ops);
            }
            Mail::Answer { token, answer: answer @ (Answer::Elected(_) | Answer::Quorums(_)) } => {
                return self.with_kafka(now, ops, |kafka, out| kafka.answer_from_leader(out, token, answer));
            }
            Mail::Digests(words) => {
                return self.with_groups(now, ops, |groups, out| groups.take_digests(out, from.node, words));
            }
            Mail::TreeStart(told) => {
                self.with_groups(now, ops, |groups, out| groups.tree_told(out, from.node, *told));
                return self.settle(now, ops);
            }
            Mail::Lending(told) => {
                self.with_groups(now, ops, |groups, out| groups.lending(out, from, *told));
                return self.settle(now, ops);
            }
            Mail::Room => return self.groups.has_room(now.mono, from),
            Mail::Tree(mail) => {
                self.with_znodes(now, ops, |znodes, around| znodes.mail(around, from.node, *mail));
                return self.settle(now, ops);
            }
            _ => {}
        }
        let Some(owner) = &mut self.catalog else { return };
        match mail {
            Mail::Ask { token, ask } if ask.is_for_owner() => {
                self.serve(now, Asker { place: from, token }, ask, ops);
            }
            Mail::Answer { token, answer } if token.is_forwarded() => {
                owner.answered(now.mono, from.node, token, answer, &mut self.answers);
                self.drive_catalog(now, ops);
            }
            Mail::Leaders(leaders) => {
                owner.heard(from.node, leaders);
                self.drive_catalog(now, ops);
            }
            _ => return,
        }
        self.settle(now, ops);
    }

    /// Everything that a step leads to inside the shard, until nothing is left.
    pub(super) fn settle(&mut self, now: Now, ops: &mut Vec<Op<Mail>>) {
        let before = self.stats.turns.now_at();
        loop {
            if let Some((owner, token, ask)) = self.asks.pop_front() {
                if owner == self.settings.here() {
                    self.serve(now, Asker { place: owner, token }, ask, ops);
                } else {
                    self.post(owner, Mail::Ask { token, ask }, ops);
                }
            } else if let Some((asker, answer)) = self.answers.pop_front() {
                self.stats.turns.at(works::of_answer(&answer));
                if asker.token.is_inside() {
                    self.with_coordinators(now, ops, |all, around| all.loaded(around, asker.token, answer));
                } else if asker.place == self.settings.here() {
                    self.with_kafka(now, ops, |kafka, out| kafka.answer(out, asker.token, answer));
                } else {
                    let abroad = asker.place.node != self.settings.node;
                    let answer = if abroad { answer.abroad() } else { answer };
                    self.post(asker.place, Mail::Answer { token: asker.token, answer }, ops);
                }
            } else if let Some(notice) = self.notices.pop_front() {
                self.on_notice(now, notice, ops);
            } else {
                self.stats.turns.at(before);
                return;
            }
        }
    }

    /// Mail for another shard, of this node or of another.
    fn post(&mut self, to: Place, mail: Mail, ops: &mut Vec<Op<Mail>>) {
        if to.node == self.settings.node {
            ops.push(Op::Mail { to: to.shard, mail });
        } else {
            self.groups.outboxes.post(to, mail);
        }
    }

    /// A question to the groups of this shard, or to the catalog.
    pub(super) fn serve(&mut self, now: Now, asker: Asker, ask: Ask, ops: &mut Vec<Op<Mail>>) {
        self.stats.turns.at(works::of_ask(&ask));
        if ask.is_for_owner() {
            let owner = self.catalog.as_mut().expect("only the owner is asked");
            match ask {
                Ask::Admin(admin) => owner.admin(now.mono, asker, admin),
                Ask::Register(node) => owner.register(asker.place.node, *node),
                Ask::Admit(node, admission) => owner.admit(node, admission),
                Ask::Arrived(arrived) => owner.arrived(arrived),
                _ => owner.producer_id(now.mono, asker),
            }
            return self.drive_catalog(now, ops);
        }
        if matches!(ask, Ask::Coordinate(_) | Ask::CancelCoordinate) {
            return self.with_coordinators(now, ops, |all, around| match ask {
                Ask::Coordinate(parts) => all.ask(around, asker, parts),
                _ => all.cancel(around, asker),
            });
        }
        self.with_groups(now, ops, |groups, out| match ask {
            Ask::Produce(parts) => groups.produce(out, asker, parts),
            Ask::Fetch { conn, parts, max_bytes, may_wait } => {
                let reader = Flow::Conn(asker.place, conn);
                groups.fetch(out, FetchRequest { asker, reader, parts, max_bytes, may_wait });
            }
            Ask::Hurry { wanted } => groups.hurry(out, asker, wanted),
            Ask::Watch { parts, need } => groups.watch(out, asker, parts, need),
            Ask::Unwatch => groups.unwatch(asker),
            Ask::Offsets(parts) => groups.offsets(out, asker, parts),
            Ask::CancelOffsets => groups.cancel_lookups(asker),
            Ask::EpochEnds(parts) => groups.epoch_ends(out, asker, parts),
            Ask::DeleteRecords(parts) => groups.delete_records(out, asker, parts),
            Ask::Sizes(parts) => groups.sizes(out, asker, parts),
            Ask::Elect(parts) => groups.elect(out, asker, parts),
            Ask::Quorums(parts) => groups.quorums(out, asker, parts),
            Ask::ProducerId | Ask::Admin(_) | Ask::Register(_) => unreachable!("the owner's"),
            Ask::Admit(..) | Ask::Arrived(_) => unreachable!("the owner's"),
            Ask::Coordinate(_) | Ask::CancelCoordinate => unreachable!("the coordinators'"),
        });
    }

    /// Who belongs to the cluster from now on.
    fn set_roster(&mut self, now: Now, roster: Arc<Roster>, ops: &mut Vec<Op<Mail>>) {
        self.links.set_roster(now.mono, roster, ops);
        self.peers_news(now, ops);
    }

    fn drive_catalog(&mut self, now: Now, ops: &mut Vec<Op<Mail>>) {
        self.drive_owner(now, ops);
        let Some(roster) = self.catalog.as_mut().and_then(CatalogOwner::take_roster) else { return };
        for shard in (1..self.settings.shards).map(ShardId) {
            ops.push(Op::Mail { to: shard, mail: Mail::Roster(Arc::clone(&roster)) });
        }
        self.set_roster(now, roster, ops);
    }

    fn drive_owner(&mut self, now: Now, ops: &mut Vec<Op<Mail>>) {
        let Some(owner) = &mut self.catalog else { return };
        if let Some(present) = owner.take_present() {
            for shard in (1..self.settings.shards).map(ShardId) {
                ops.push(Op::Mail { to: shard, mail: Mail::Present(present.clone()) });
            }
            self.kafka.view.set_present(self.settings.node, present);
        }
        self.tell_leaders(now, ops);
        let Some(owner) = &mut self.catalog else { return };
        let (answers, notices) = (&mut self.answers, &mut self.notices);
        let mut out = groups::Out { now, ops, answers, notices };
        owner.drive(&mut self.groups, &self.kafka.view, &mut out);
        for (number, change) in owner.take_changes() {
            for shard in (1..self.settings.shards).map(ShardId) {
                let change = change.clone();
                ops.push(Op::Mail { to: shard, mail: Mail::Catalog { number, change } });
            }
            self.catalog_changed(now, number, change, ops);
        }
        self.tell_leaders(now, ops);
    }

    /// Tells the shards what is new of leaders, and other nodes what of it is this one's. Before anything is answered:
    /// whoever hears that a topic was made shall find its leaders.
    fn tell_leaders(&mut self, now: Now, ops: &mut Vec<Op<Mail>>) {
        let Some(owner) = &mut self.catalog else { return };
        let Some(leaders) = owner.take_leaders() else { return };
        let others: Vec<Place> = owner.present().collect();
        if !others.is_empty() {
            let own = leaders.iter().filter(|led| led.node == self.settings.node && led.group != GroupId::CATALOG);
            let own: Leaders = own.cloned().collect();
            others.into_iter().for_each(|to| self.post_leaders(to, &own));
        }
        for shard in (1..self.settings.shards).map(ShardId) {
            ops.push(Op::Mail { to: shard, mail: Mail::Leaders(leaders.clone()) });
        }
        self.note_leaders(now, &leaders, ops);
    }

    fn post_leaders(&mut self, to: Place, leaders: &Leaders) {
        for some in leaders.chunks(LEADERS_PER_MAIL) {
            self.groups.outboxes.post(to, Mail::Leaders(some.to_vec()));
        }
    }

    /// There is a link to a shard of another node, or there is none any more. Owners of the catalog go by the links between
    /// them.
    fn note_link(&mut self, now: Now, place: Place, is_up: bool, ops: &mut Vec<Op<Mail>>) {
        self.groups.look_at_replicas(now.mono, place.node, is_up);
        if !is_up {
            self.with_znodes(now, ops, |znodes, around| znodes.peer_down(around));
        }
        let Some(owner) = self.catalog.as_mut().filter(|_| place.shard == ShardId(0)) else { return };
        if is_up {
            owner.peer_up(place.node);
            let led: Leaders = self.kafka.view.led_by(self.settings.node).collect();
            self.post_leaders(place, &led);
        } else {
            owner.peer_down(place.node, &mut self.answers);
        }
        self.drive_catalog(now, ops);
    }

    fn on_notice(&mut self, now: Now, notice: Notice, ops: &mut Vec<Op<Mail>>) {
        match notice {
            Notice::CatalogApplied(changes) => {
                let owner = self.catalog.as_mut().expect("the catalog's log is the owner's");
                let (answers, notices) = (&mut self.answers, &mut self.notices);
                owner.applied(&self.groups, &mut groups::Out { now, ops, answers, notices }, changes);
                self.drive_catalog(now, ops);
            }
            Notice::CatalogReplaced => {
                self.catalog.as_mut().expect("the catalog's log is the owner's").replaced(&self.groups);
                self.drive_catalog(now, ops);
            }
            Notice::TreeCommitted(through) if self.znodes.is_none() => {
                self.groups.apply_tree_quietly(through);
                // Nobody answers here who asks the leader for a change.
                self.with_groups(now, ops, |groups, out| groups.move_away(out, GroupId::TREE));
            }
            Notice::TreeCommitted(through) => {
                self.with_znodes(now, ops, |znodes, around| znodes.committed(around, through));
            }
            Notice::TreeReplaced => self.with_znodes(now, ops, |znodes, around| znodes.replaced(around)),
            Notice::AllServing => self.all_serving(now, ops),
            Notice::Begun { life } => match &mut self.catalog {
                Some(owner) => {
                    owner.begun(self.settings.shard, life);
                    self.drive_catalog(now, ops);
                }
                None => ops.push(Op::Mail { to: ShardId(0), mail: Mail::Begun { life } }),
            },
            // Without a controller it is said again.
            Notice::Arrived(arrived) => {
                if let Some(node) = self.kafka.view.controller() {
                    let owner = Place { node, shard: ShardId(0) };
                    self.asks.push_back((owner, Token::forwarded(0), Ask::Arrived(arrived)));
                }
            }
            Notice::Lost(GroupId::CATALOG) => {
                let owner = self.catalog.as_mut().expect("the catalog's log is the owner's");
                owner.lost(error::NOT_CONTROLLER, &mut self.answers);
                self.drive_catalog(now, ops);
            }
            Notice::Lost(GroupId::TREE) => self.with_znodes(now, ops, |znodes, around| znodes.lost(around)),
            Notice::Lost(log) => {
                self.kafka.view.lead(&vec![Led::lost(log, self.settings.node)]);
                self.with_coordinators(now, ops, |all, around| all.leave(around, log));
                self.all_serving(now, ops);
            }
            Notice::Fenced => {
                self.links.stop(now.mono, "the log of this shard takes nothing more", ops);
                // Nobody has been served yet, and nobody would ever be: what could be read then is not known everywhere.
                if !self.is_ready()
                    && let Some(why) = self.groups.fenced()
                {
                    self.groups.phase = Phase::Refused(why);
                }
                if let Some(owner) = &mut self.catalog {
                    owner.fenced(&mut self.answers);
                    // Refuses what waited for its turn.
                    self.drive_catalog(now, ops);
                }
                self.with_coordinators(now, ops, |all, around| all.close(around));
                self.with_znodes(now, ops, |znodes, around| znodes.fenced(around));
            }
            Notice::PeerUp(place) => self.note_link(now, place, true, ops),
            Notice::PeerDown(place) => self.note_link(now, place, false, ops),
        }
    }

    /// The catalog says something new: groups are made and dropped here as it says.
    fn catalog_changed(&mut self, now: Now, number: u64, change: CatalogChange, ops: &mut Vec<Op<Mail>>) {
        if self.groups.phase != Phase::Running {
            self.early.push((number, change));
            return;
        }
        let here = self.settings.here();
        let settings = Arc::clone(&self.settings);
        self.groups.know_nodes(&change);
        // What this shard has of a topic, or may have while it is moved.
        let mine = |topic: &'_ Topic| -> Vec<(GroupId, u32)> {
            let own = topic.partitions.iter().zip(0..).filter(|(id, _)| settings.owner(*id) == here);
            own.filter(|(_, partition)| settings.members(topic, *partition).contains(&here.node)).collect()
        };
        let put = |groups: &mut Groups, out: &mut groups::Out, topic: &Topic| {
            let own = mine(topic);
            for (id, partition) in &own {
                let replicas = settings.replicas(topic, *partition);
                if replicas.contains(&here.node) {
                    groups.create(out, *id, LogKind::Partition, replicas);
                } else {
                    groups.create_added(out, *id, replicas);
                }
                groups.prefer(out.now.mono, *id, replicas[0]);
                groups.set_move(*id, topic.moves.get(partition));
            }
            let ids: Vec<GroupId> = own.into_iter().map(|(id, _)| id).collect();
            groups.set_meter(topic, &ids);
            groups.set_cleanup(&topic.config, ids.into_iter());
        };
        // What it says of this node's disks comes before what it has it make.
        let here_as_known = match &change {
            CatalogChange::All { nodes, .. } => nodes.iter().find(|node| node.id == here.node),
            CatalogChange::Node(node) => Some(node).filter(|node| node.id == here.node),
            _ => None,
        };
        if let Some(node) = here_as_known {
            self.groups.lives(node.lives.get(usize::from(here.shard.get())));
        }
        let knows = here_as_known.is_some_and(|node| node.start == settings.cluster.start);
        self.with_groups(now, ops, |groups, out| match &change {
            CatalogChange::All { topics, .. } => {
                let ids = topics.iter().flat_map(|topic| mine(topic)).map(|(id, _)| id);
                let wanted: std::collections::BTreeSet<GroupId> = ids.collect();
                for id in groups.ids() {
                    if !matches!(id, GroupId::CATALOG | GroupId::TREE) && !wanted.contains(&id) {
                        groups.drop_group(out, id);
                    }
                }
                topics.iter().for_each(|topic| put(groups, out, topic));
            }
            CatalogChange::Topic(topic) => put(groups, out, topic),
            CatalogChange::Moved { topic, ended } => {
                for (partition, members) in ended {
                    let id = topic.partitions.get(*partition).expect("it has moved");
                    if settings.owner(id) == here && !settings.members(topic, *partition).contains(&here.node) {
                        groups.moved_away(out, id, *members);
                    }
                }
                put(groups, out, topic);
            }
            CatalogChange::Deleted(topic) => {
                mine(topic).into_iter().for_each(|(id, _)| groups.drop_group(out, id));
            }
            CatalogChange::Group { .. }
            | CatalogChange::Leaving { .. }
            | CatalogChange::Node(_)
            | CatalogChange::NodeGone(_) => {}
        });
        if knows {
            self.groups.start_is_known();
        }
        let deleted = self.kafka.view.deleted_by(&change);
        self.kafka.view.apply(&change);
        for topic in deleted {
            self.groups.drop_meter(&topic);
            self.with_coordinators(now, ops, |all, around| {
                topic.partitions.iter().for_each(|log| all.leave(around, log));
                all.topic_deleted(around, &topic.name);
            });
        }
        self.unready = Some(number);
        self.all_serving(now, ops);
    }

    /// Whatever has been changed is in force here, if no group waits for a leader that this node alone decides about; and
    /// what is new about leaders is told.
    fn all_serving(&mut self, now: Now, ops: &mut Vec<Op<Mail>>) {
        if self.groups.phase != Phase::Running || !self.groups.all_serving() {
            return;
        }
        if !self.early.is_empty() {
            for (number, change) in std::mem::take(&mut self.early) {
                self.catalog_changed(now, number, change, ops);
            }
            return;
        }
        let number = self.unready.take();
        if number.is_none() && (self.in_force == 0 || !self.groups.has_news_of_leaders()) {
            return;
        }
        self.in_force = number.unwrap_or(self.in_force);
        let (number, leaders) = (self.in_force, self.groups.take_leaders());
        if let Some(topic) = self.kafka.view.offsets_topic().cloned() {
            self.with_coordinators(now, ops, |all, around| {
                let led = leaders.iter().filter(|led| led.epoch.is_some()).map(|led| led.group);
                let logs = led.filter(|log| topic.partitions.contains(*log));
                logs.for_each(|log| all.lead(around, log));
            });
        }
        if let Some(owner) = &mut self.catalog {
            owner.in_force(ShardId(0), number, leaders);
            self.drive_catalog(now, ops);
        } else {
            ops.push(Op::Mail { to: ShardId(0), mail: Mail::CatalogDone { number, leaders } });
        }
    }

    /// Partitions, here or elsewhere, have new leaders. The first time it means that the node serves.
    fn note_leaders(&mut self, now: Now, leaders: &Leaders, ops: &mut Vec<Op<Mail>>) {
        self.kafka.view.lead(leaders);
        if self.is_ready() {
            return;
        }
        self.stats.ready.store(true, Ordering::Release);
        let groups = self.groups.len();
        let text = if groups == 1 { "serves 1 group".to_string() } else { format!("serves {groups} groups") };
        ops.push(Op::Log { level: Level::Info, text });
        for (conn, listener, peer) in std::mem::take(&mut self.waiting) {
            self.accepted(now, conn, listener, peer, ops);
        }
    }

    /// What another thread asks.
    fn answer_inquiry(&mut self, now: Now, ops: &mut Vec<Op<Mail>>) {
        let Some((number, inquiry)) = self.stats.inquiries.next() else { return };
        self.stats.turns.at(Work::Metrics);
        let finding = match inquiry {
            // Over turns.
            Inquiry::Groups { offsets_max } => return self.coordinators.begin_progress(number, offsets_max),
            Inquiry::Ends(logs) => return self.groups.begin_ends(number, logs),
            Inquiry::Sizes => return self.groups.begin_sizes(number),
            Inquiry::ZooKeeper { detail, reset } => {
                let mut facts = None;
                self.with_znodes(now, ops, |znodes, around| {
                    facts = Some(Box::new(znodes.facts(around, detail)));
                    reset.into_iter().for_each(|reset| znodes.reset(reset));
                });
                Finding::ZooKeeper(facts)
            }
            Inquiry::ZooKeeperList { of, place } => {
                let mut part = None;
                self.with_znodes(now, ops, |znodes, around| part = Some(znodes.some_of(around, of, place)));
                Finding::ZooKeeperList(part)
            }
        };
        self.stats.inquiries.answer(number, finding);
    }

    /// Goes on with what is looked through over turns for other threads.
    fn turn_inquiries(&mut self) {
        if !self.coordinators.is_asked() && !self.groups.is_asked() {
            return;
        }
        self.stats.turns.at(Work::Metrics);
        let view = &self.kafka.view;
        let log = |topic: &str, index: i32| {
            let log = view.log(topic, index)?;
            Some((self.settings.owner(log).shard, log))
        };
        let found = [self.coordinators.turn_progress(log), self.groups.turn_sizes(), self.groups.turn_ends()];
        for (number, finding) in found.into_iter().flatten() {
            self.stats.inquiries.answer(number, finding);
        }
    }

    /// Has slow connections give back what is wanted: those that are here, and those of other shards that read from here.
    fn press(&mut self, now: Now, ops: &mut Vec<Op<Mail>>) {
        let pressed = self.groups.is_pressed(self.conns.memory());
        self.conns.press(pressed || now.mono < self.pressed_until);
        if !pressed {
            self.next_press = None;
        } else if self.settings.shards > 1 && self.next_press.is_none_or(|at| at <= now.mono) {
            self.next_press = Some(now.mono.plus_ms(PRESS_EVERY_MS));
            let others = (0..self.settings.shards).map(ShardId).filter(|shard| *shard != self.settings.shard);
            ops.extend(others.map(|to| Op::Mail { to, mail: Mail::Pressed }));
        }
    }

    fn turn(&mut self, now: Now, ops: &mut Vec<Op<Mail>>) {
        let stats = Arc::clone(&self.stats);
        let at = |work| _ = stats.turns.at(work);
        self.answer_inquiry(now, ops);
        self.turn_inquiries();
        at(Work::Peers);
        self.turn_links(now, ops);
        self.with_kafka(now, ops, |kafka, out| kafka.turn(out));
        at(Work::Connections);
        self.retry_conns(now, ops);
        self.settle(now, ops);
        self.press(now, ops);
        self.turn_stop(now, ops);
        at(Work::Groups);
        let mut allowance = self.conns.allowance;
        self.with_coordinators(now, ops, |all, around| all.turn(around, &mut allowance));
        self.conns.allowance = allowance;
        at(Work::Znodes);
        self.with_znodes(now, ops, |znodes, around| znodes.turn(around));
        at(Work::Log);
        let mut allowance = self.conns.allowance;
        self.with_groups(now, ops, |groups, out| groups.turn(out, &mut allowance));
        self.conns.allowance = allowance;
        self.settle(now, ops);
        if self.catalog.as_ref().is_some_and(|owner| owner.is_due(&self.groups, now.mono)) {
            self.drive_catalog(now, ops);
            self.settle(now, ops);
        }
        if self.groups.wants_checkpoint() {
            at(Work::Checkpoint);
            self.with_groups(now, ops, |groups, out| groups.begin_checkpoint(out));
        }
        at(Work::Peers);
        self.depart(now, ops);
        at(Work::Answers);
        self.send(now, ops);
    }
}

impl App for Shard {
    type Mail = Mail;

    fn step(&mut self, now: Now, event: Event<Mail>, ops: &mut Vec<Op<Mail>>) {
        if self.stopping == Stopping::Done {
            return;
        }
        self.on_event(now, event, ops);
        self.settle(now, ops);
    }

    fn deadline(&self) -> Option<Mono> {
        self.dues().filter_map(|(_, at)| at).min()
    }

    fn busy(&self) -> bool {
        self.groups.flushing()
    }
}
