//! What the owner of a partition knows without a look into the log, and what every reader asks first.

use super::{Groups, Out};
use crate::group::Group;
use crate::mail::{Answer, Asker};
use crate::refusal::Refusal;
use torc_base::ids::{GroupId, LeaderEpoch};
use torc_base::io::Level;
use torc_wal::WalError;

impl Groups {
    pub(super) fn emit_disk(&mut self, out: &mut Out) {
        out.ops.extend(self.disk_ops.drain(..).map(torc_base::io::Op::Disk));
    }

    /// The group of a partition that this node leads, if the client's epoch is the present one. A group that is not
    /// here is one that the asking shard's catalog has: it is about to come (this shard still starts) or just gone,
    /// and the client shall look again.
    pub(super) fn group_for_reading(&self, id: GroupId, epoch: i32) -> Result<&Group, Refusal> {
        let group = self.groups.get(&id).ok_or(Refusal::NotLeader)?;
        group.check_epoch(epoch)?;
        if !group.leads() {
            return Err(Refusal::NotLeader);
        }
        Ok(group)
    }

    /// A group that any replica may be read of, as far as it is known here what is committed (KIP-392). While this node is about
    /// to lead it, it cannot tell yet.
    pub(super) fn replica_for_reading(&self, id: GroupId, epoch: i32) -> Result<&Group, Refusal> {
        let group = self.groups.get(&id).ok_or(Refusal::NotLeader)?;
        group.check_epoch(epoch)?;
        if !group.leads() && group.raft.is_leader() {
            return Err(Refusal::NotLeader);
        }
        Ok(group)
    }

    /// Where leader epochs end (KIP-320).
    pub fn epoch_ends(&mut self, out: &mut Out, asker: Asker, parts: Vec<(u32, GroupId, i32, LeaderEpoch)>) {
        let ends = parts.into_iter().map(|(position, id, current, requested)| {
            let group = self.group_for_reading(id, current);
            (position, group.map(|group| group.partition().epoch_end_offset(requested)))
        });
        let ends = ends.collect();
        out.answers.push_back((asker, Answer::EpochEnds(ends)));
    }

    /// Bytes that groups hold in the log, and how often they were found to differ from their leaders'.
    pub fn sizes(&mut self, out: &mut Out, asker: Asker, parts: Vec<(u32, GroupId)>) {
        let of = |(position, id): (u32, GroupId)| {
            let differences = self.groups.get(&id).map_or(0, |group| group.digests.differences());
            (position, self.wal.group_bytes(id), differences)
        };
        out.answers.push_back((asker, Answer::Sizes(parts.into_iter().map(of).collect())));
    }

    /// A damaged entry is reported to whoever runs the server, and never served.
    pub(super) fn read_error(&mut self, out: &mut Out, error: &WalError) -> Refusal {
        if let WalError::Released { .. } = error {
            return Refusal::OffsetOutOfRange;
        }
        self.report_damage(out, Level::Error, &format_args!("a read of the log failed: {error}"));
        Refusal::Storage
    }

    /// A line about what cannot be read. Clients try it again and again: few of these lines are written.
    pub(super) fn report_damage(&mut self, out: &mut Out, level: Level, what: &dyn std::fmt::Display) {
        let Some(left_out) = self.damage_lines.admit(out.now.mono) else { return };
        let more = if left_out > 0 { format!(" ({left_out} more such lines were left out)") } else { String::new() };
        out.log(level, format!("{what}{more}"));
    }
}
