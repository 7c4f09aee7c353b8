//! How far the members of a group are, as its leader knows, and leadership that somebody wants elsewhere.

use super::{Groups, Out};
use crate::group::Group;
use crate::mail::{Answer, Asker, HandOver, Member, Quorum};
use torc_base::ids::{GroupId, Index, NodeId, Offset};
use torc_base::time::{Mono, Wall};
use torc_consensus::Peer;

impl Groups {
    /// Hands groups that are led here over to these nodes, or says why not. Whether they come to lead them is
    /// told by them.
    pub fn elect(&mut self, out: &mut Out, asker: Asker, parts: Vec<(u32, GroupId, NodeId)>) {
        let results = parts.into_iter().map(|(position, id, to)| {
            let what = match self.groups.get(&id) {
                Some(group) if group.leads() && to == self.settings.node => HandOver::NotNeeded,
                Some(group) if group.leads() => match self.hand_to(out, id, to) {
                    true => HandOver::Begun,
                    false => HandOver::NotAvailable,
                },
                _ => HandOver::NotLeader,
            };
            (position, what)
        });
        let results = results.collect();
        out.answers.push_back((asker, Answer::Elected(results)));
    }

    /// Tells how far the members of groups are that are led here.
    pub fn quorums(&self, out: &mut Out, asker: Asker, parts: Vec<(u32, GroupId)>) {
        let quorums = parts.into_iter().map(|(position, id)| {
            let group = self.groups.get(&id).filter(|group| group.leads());
            (position, group.map(|group| self.quorum(out, id, group)))
        });
        let quorums = quorums.collect();
        out.answers.push_back((asker, Answer::Quorums(quorums)));
    }

    fn quorum(&self, out: &Out, id: GroupId, group: &Group) -> Quorum {
        let marks = group.raft.marks();
        let (now, own) = (out.now, self.settings.node);
        let member = |peer: &Peer| {
            let (held, caught_up) = match peer.id == own {
                true => (marks.durable, Some(now.mono)),
                false => (peer.held, group.in_sync.as_ref().and_then(|in_sync| in_sync.had_all(peer.id))),
            };
            let (end, behind_bytes) = self.extent_through(id, group, held);
            let ago = |at: Mono| now.mono.since(at) / 1_000_000;
            let caught_up = caught_up.map_or(Wall(-1), |at| Wall(now.wall.0 - i64::try_from(ago(at)).unwrap_or(0)));
            Member { node: peer.id, votes: peer.seat.votes(), end, behind_bytes, caught_up }
        };
        let high_watermark = match group.meaning.partition() {
            Some(partition) => partition.state().high_watermark(),
            None => Offset(marks.committed.get() as i64),
        };
        let members = group.raft.peers().iter().map(member).collect();
        let hold = self.hold_of(id).map(|hold| hold.to_string());
        let hold = self.held_back(id, group).or(hold);
        Quorum { leader: own, epoch: group.epoch(), high_watermark, members, hold }
    }

    /// The end of what a group's log has through an entry, at most, and about how many bytes stand behind it. The offsets of
    /// the catalog's log are its indexes.
    fn extent_through(&self, id: GroupId, group: &Group, held: Index) -> (Offset, u64) {
        let marks = group.raft.marks();
        let runs = self.wal.runs(id);
        let behind = runs.iter().filter(|run| run.last_index > held).map(|run| {
            let all = run.last_index.get() - run.first_index.get() + 1;
            let lacks = run.last_index.get() - held.get().max(run.first_index.get() - 1);
            (u128::from(run.bytes) * u128::from(lacks) / u128::from(all)) as u64
        });
        let behind = behind.sum();
        let end = match group.meaning.partition() {
            None => Offset(held.get() as i64),
            Some(_) if held >= marks.applied => group.meaning.end_at(held.min(marks.written)),
            Some(partition) => {
                let before = runs.iter().rev().find(|run| run.first_index <= held);
                let end = before.map(|run| match run.last_index <= held {
                    true => run.end_offset,
                    false => run.first_offset,
                });
                end.unwrap_or(Offset(0)).min(partition.state().high_watermark())
            }
        };
        (end, behind)
    }
}
