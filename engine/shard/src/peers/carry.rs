//! Between the shard's links and those who speak over them: parcels become frames at the end of each turn, and frames go to
//! groups and handlers as they arrive.

use super::{News, known};
use crate::groups::{self, Link, Notice, Phase, Sent, Untaken};
use crate::mail::{Ask, Mail, Token, wire as mail_wire};
use crate::shard::Shard;
use torc_base::buf::Buf;
use torc_base::ids::{GroupId, Index, Place, ShardId, Term};
use torc_base::io::{Event, Level, Op};
use torc_base::limits::LARGE_FRAME;
use torc_base::malformed::Malformed;
use torc_base::time::{Mono, Now};
use torc_consensus::{Body, Message, Run, wire};
use torc_net::peer::{self, Frame, GroupMessages, GroupsWriter, MailWriter, Mails, Said};
use torc_wal::{Item, Kind};

type Ops = Vec<Op<Mail>>;

/// Terms are Kafka's leader epochs: no group has had so many elections.
const TERM_MAX: Term = Term(i32::MAX as u64 - 1);
/// What could not leave for lack of memory is tried again after so long.
const LATER_MS: u64 = 1;

impl Shard {
    /// True if the event is of a peer's connection, or of a call to one.
    pub(crate) fn is_peers(&self, event: &Event<Mail>) -> bool {
        match event {
            Event::Connected { .. } | Event::Unreachable { .. } => true,
            Event::Received { conn, .. }
            | Event::Filled { conn, .. }
            | Event::Halted { conn, .. }
            | Event::Starved { conn }
            | Event::Paused { conn }
            | Event::Eof { conn }
            | Event::Sent { conn }
            | Event::TakenBack { conn, .. }
            | Event::Room { conn }
            | Event::Closed { conn } => self.links.owns(*conn),
            _ => false,
        }
    }

    /// Links are looked at, as soon as the log has been read.
    pub(crate) fn turn_links(&mut self, now: Now, ops: &mut Ops) {
        if self.groups.phase == Phase::Running && !self.settings.is_alone() && self.groups.fenced().is_none() {
            self.links.start(now.mono);
        }
        self.links.turn(now.mono, ops);
        self.peers_news(now, ops);
    }

    /// What happened to links, and what they brought.
    pub(crate) fn peers_news(&mut self, now: Now, ops: &mut Ops) {
        for news in self.links.take_news() {
            match news {
                News::Up(place, shards, version) => {
                    let lends = version >= known::WITH_LENDING;
                    self.with_groups(now, ops, |groups, out| groups.peer_up(out, place, shards, lends));
                    self.notices.push_back(Notice::PeerUp(place));
                }
                News::Down(place) => {
                    self.with_groups(now, ops, |groups, out| groups.peer_down(out, place));
                    self.notices.push_back(Notice::PeerDown(place));
                }
                News::Frame(from, frame) => self.peers_frame(now, from, frame, ops),
                News::Admit(node, admission) => {
                    let owner = Place { node: self.settings.node, shard: ShardId(0) };
                    self.asks.push_back((owner, Token::forwarded(0), Ask::Admit(node, admission)));
                }
            }
            self.settle(now, ops);
        }
    }

    fn peers_frame(&mut self, now: Now, from: Place, frame: Frame, ops: &mut Ops) {
        // It came before the link was lost, and is of no use now: what followed is lost.
        let Some(version) = self.links.version(from) else { return };
        let read = match frame {
            frame if known::of_frame(&frame) > version => {
                Err(Malformed { what: "a frame that its version does not know" })
            }
            Frame::Groups(messages) => self.messages(now, (from, version), messages, ops),
            Frame::Untaken(untaken) => {
                self.groups.untaken(now.mono, from.node, untaken.groups());
                Ok(())
            }
            Frame::Mail(mails) => self.mails(now, (from, version), mails, ops),
            _ => Ok(()),
        };
        if let Err(malformed) = read {
            self.links.break_link(now.mono, from, &malformed.to_string(), ops);
        }
    }

    fn messages(
        &mut self,
        now: Now,
        (from, version): (Place, u16),
        mut messages: GroupMessages,
        ops: &mut Ops,
    ) -> Result<(), Malformed> {
        while let Some(said) = messages.next() {
            let said = said?;
            let group = said.group;
            let message = wire::decode(&said.message)?;
            if message.term > TERM_MAX {
                return Err(Malformed { what: "a message's term" });
            }
            if known::of_message(&message) > version {
                return Err(Malformed { what: "a message that its version does not know" });
            }
            let sent = entries(said, &message)?;
            if group == GroupId::TREE && self.settings.zookeeper.is_none() {
                self.tell_treeless(now.mono, from, ops);
            }
            let (answers, notices) = (&mut self.answers, &mut self.notices);
            let mut out = groups::Out { now, ops, answers, notices };
            let Err(untaken) = self.groups.receive(&mut out, group, from.node, message, sent) else { continue };
            if let Untaken::Unsound(what) = untaken {
                self.unsound(now.mono, from, group, &what, ops);
            }
            if let Some(queue) = self.links.queue(from) {
                queue.untaken(group);
            }
        }
        self.settle(now, ops);
        Ok(())
    }

    /// Another node keeps the tree of znodes, and counts on this one.
    fn tell_treeless(&mut self, now: Mono, from: Place, ops: &mut Ops) {
        if self.treeless_lines.admit(now).is_some() {
            let text = format!(
                "node {} serves ZooKeeper's clients and this node does not: for them it counts as a node that is lost; set \
                 torc.zookeeper.listener or clientPort on all nodes, or on none",
                from.node
            );
            ops.push(Op::Log { level: Level::Warn, text });
        }
    }

    fn unsound(&mut self, now: Mono, from: Place, group: GroupId, what: &str, ops: &mut Ops) {
        let text = format!("what node {} sent of group {group} was not taken in: {what}", from.node);
        if let Some(left_out) = self.unsound_lines.admit(now) {
            let more = if left_out == 0 { String::new() } else { format!(" ({left_out} such lines were left out)") };
            ops.push(Op::Log { level: Level::Error, text: text + &more });
        }
    }

    fn mails(
        &mut self,
        now: Now,
        (from, version): (Place, u16),
        mut mails: Mails,
        ops: &mut Ops,
    ) -> Result<(), Malformed> {
        while let Some(mail) = mails.next() {
            let (to, bytes) = mail?;
            if to != self.settings.shard {
                return Err(Malformed { what: "mail for another shard" });
            }
            let defaults = &self.settings.topic_defaults;
            let mail = mail_wire::decode(&bytes, defaults).map_err(|error| Malformed { what: error.what })?;
            if known::since(&mail).is_none_or(|since| since > version) {
                return Err(Malformed { what: "mail that its version does not know" });
            }
            self.on_mail_from(now, from, mail, ops);
        }
        Ok(())
    }

    /// The end of a turn: what was said in it leaves, one send for each link that is free.
    pub(crate) fn depart(&mut self, now: Now, ops: &mut Ops) {
        self.post_parcels();
        for (link, landed) in self.groups.take_landed() {
            if let Some(queue) = self.links.queue_of(link.place, link.number) {
                queue.reading -= 1;
                queue.land(landed);
            }
        }
        self.departs_again = None;
        for (place, number) in self.links.ready() {
            self.depart_to(now, Link { place, number }, ops);
        }
        // Consensus may have offered more, or it was said what is to be tried again.
        self.post_parcels();
    }

    fn depart_to(&mut self, now: Now, link: Link, ops: &mut Ops) {
        let Some(queue) = self.links.queue(link.place) else { return };
        if queue.has_overflowed() {
            return self.links.break_link(now.mono, link.place, "more waits for it than memory allows", ops);
        }
        let mut queue = std::mem::take(queue);
        let mut writer = GroupsWriter::default();
        let mut later = false;
        self.with_groups(now, ops, |groups, out| later = groups.fill(out, link, &mut queue, &mut writer));
        if later {
            self.departs_again = Some(now.mono.plus_ms(LATER_MS));
        }
        let mut parts: Vec<Buf> = Vec::new();
        if !writer.is_empty() {
            parts = writer.finish(self.links.pool());
        }
        let untaken = queue.take_untaken(peer::UNTAKEN_MAX);
        if !untaken.is_empty() {
            parts.push(peer::untaken(&untaken));
        }
        let mut mail = MailWriter::default();
        while let Some(bytes) = queue.next_mail(|bytes| mail.admits(bytes)) {
            mail.put(link.place.shard, &bytes);
        }
        if !mail.is_empty() {
            parts.push(mail.finish());
        }
        *self.links.queue(link.place).expect("nothing has ended it") = queue;
        if !parts.is_empty() {
            self.links.send(now.mono, link.place, parts, ops);
        }
        self.settle(now, ops);
    }

    /// Puts what was said into the queues of the links; without a link it is lost, as consensus knows.
    fn post_parcels(&mut self) {
        if self.settings.is_alone() {
            return drop(self.groups.outboxes.take());
        }
        for (node, parcel) in self.groups.outboxes.take() {
            for (group, message) in parcel.messages {
                if let Some(place) = self.groups.place_of(node, group)
                    && let Some(version) = self.links.version(place)
                    && let Some(queue) = self.links.queue(place)
                {
                    queue.message(group, known::fitting_message(message, version));
                }
            }
            for (shard, mail) in parcel.mail {
                let place = Place { node, shard };
                if let Some(version) = self.links.version(place)
                    && let Some(mail) = known::fitting(mail, version)
                    && let Some(bytes) = mail_wire::encode(&mail)
                    && let Some(queue) = self.links.queue(place)
                {
                    queue.mail(bytes);
                }
            }
        }
    }
}

/// The entries that came with a message, as the log keeps them. Large ones are written from where they landed.
fn entries(said: Said, message: &Message) -> Result<Vec<Sent>, Malformed> {
    let Said { group, mut entries, .. } = said;
    let of_state;
    let (before, runs) = match &message.body {
        Body::Append { prev, runs, .. } => (prev.index.get(), &runs[..]),
        // The state at its mark.
        Body::Snapshot { mark, .. } if mark.index > Index(0) => {
            of_state = [Run { term: mark.term, entries: 1 }];
            (mark.index.get() - 1, &of_state[..])
        }
        _ if entries.is_empty() => return Ok(Vec::new()),
        _ => return Err(Malformed { what: "entries with a message" }),
    };
    let mut sent = Vec::with_capacity(entries.len());
    let mut terms = runs.iter().flat_map(|run| std::iter::repeat_n(run.term, run.entries as usize));
    let mut index = Index(before);
    while let Some(entry) = entries.next() {
        let (head, bytes) = entry?;
        index = Index(index.get().checked_add(1).ok_or(Malformed { what: "an entry's place" })?);
        let term: Term = terms.next().ok_or(Malformed { what: "entries (more than were named)" })?;
        let gather = bytes.len() >= LARGE_FRAME;
        let item = Item {
            group,
            kind: Kind(head.kind),
            term,
            index,
            first_offset: head.first_offset,
            records: head.records,
            max_timestamp: head.max_timestamp,
            prefix_len: head.prefix_len,
            body_crc: head.body_crc,
            bytes,
        };
        sent.push(Sent { item, gather });
    }
    Ok(sent)
}
