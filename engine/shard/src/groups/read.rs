//! What the owner of a partition knows without a look into the log, and what every reader asks first.

use super::{Groups, Out};
use crate::group::Group;
use crate::mail::{Answer, Asker};
use torc_base::ids::{GroupId, LeaderEpoch, Offset};
use torc_base::io::Level;
use torc_net::kafka::error;
use torc_wal::WalError;

impl Groups {
    pub(super) fn emit_disk(&mut self, out: &mut Out) {
        out.ops.extend(self.disk_ops.drain(..).map(torc_base::io::Op::Disk));
    }

    /// The group of a partition that this node leads, if the client's epoch is the present one. A group that is not
    /// here is one that the asking shard's catalog has: it is about to come (this shard still starts) or just gone,
    /// and the client shall look again.
    pub(super) fn group_for_reading(&self, id: GroupId, epoch: i32) -> Result<&Group, i16> {
        let group = self.groups.get(&id).ok_or(error::NOT_LEADER_OR_FOLLOWER)?;
        group.check_epoch(epoch)?;
        if !group.leads() {
            return Err(error::NOT_LEADER_OR_FOLLOWER);
        }
        Ok(group)
    }

    /// Where leader epochs end (KIP-320).
    pub fn epoch_ends(&mut self, out: &mut Out, asker: Asker, parts: Vec<(u32, GroupId, i32, LeaderEpoch)>) {
        let ends =
            parts.into_iter().map(|(position, id, current, requested)| match self.group_for_reading(id, current) {
                Ok(group) => {
                    let (epoch, end) = group.partition().epoch_end_offset(requested);
                    (position, error::NONE, epoch, end)
                }
                Err(refusal) => (position, refusal, LeaderEpoch(-1), Offset(-1)),
            });
        let ends = ends.collect();
        out.answers.push_back((asker, Answer::EpochEnds(ends)));
    }

    /// Bytes that groups hold in the log.
    pub fn sizes(&mut self, out: &mut Out, asker: Asker, parts: Vec<(u32, GroupId)>) {
        let sizes = parts.into_iter().map(|(position, id)| (position, self.wal.group_bytes(id))).collect();
        out.answers.push_back((asker, Answer::Sizes(sizes)));
    }
}

/// A damaged entry is reported to whoever runs the server, and never served.
pub(super) fn read_error(out: &mut Out, error: &WalError) -> i16 {
    if let WalError::Released { .. } = error {
        return error::OFFSET_OUT_OF_RANGE;
    }
    out.log(Level::Error, format!("a read of the log failed: {error}"));
    error::KAFKA_STORAGE_ERROR
}
