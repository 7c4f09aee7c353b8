//! How a shard stops: requests in the log are answered, then a last checkpoint closes it.

use super::Shard;
use crate::groups::Phase;
use crate::mail::Mail;
use torc_base::ids::ShardId;
use torc_base::io::{Level, Op};
use torc_base::time::{Mono, Now};

/// How far a stop has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopping {
    No,
    /// Requests in the log are being answered, until then at the latest.
    Draining {
        until: Mono,
    },
    /// All shards are drained; the last checkpoint is written, and files that are half made go.
    Finishing {
        until: Mono,
    },
    Done,
}

impl Shard {
    pub(super) fn stop(&mut self, now: Now, ops: &mut Vec<Op<Mail>>) {
        if self.stopping == Stopping::No {
            self.stopping = Stopping::Draining { until: now.mono.plus_ms(self.settings.drain_ms) };
            self.with_coordinators(now, ops, |all, around| all.close(around));
            self.with_kafka(now, ops, |kafka, out| kafka.drain(out));
            self.with_groups(now, ops, |groups, out| groups.hand_over(out));
            self.conns.drain(now.mono);
        }
    }

    /// All shards are drained: one last checkpoint closes the log.
    pub(super) fn finish(&mut self, now: Now, ops: &mut Vec<Op<Mail>>) {
        self.with_groups(now, ops, |groups, out| groups.resign(out));
        self.stopping = Stopping::Finishing { until: now.mono.plus_ms(self.settings.drain_ms) };
        if self.groups.phase == Phase::Running {
            self.groups.force_checkpoint();
        }
    }

    pub(super) fn turn_stop(&mut self, now: Now, ops: &mut Vec<Op<Mail>>) {
        if let Phase::Refused(why) = &self.groups.phase
            && self.stopping != Stopping::Done
        {
            ops.push(Op::Log { level: Level::Error, text: why.clone() });
            self.stopping = Stopping::Done;
            ops.push(Op::Exit);
            return;
        }
        match self.stopping {
            Stopping::Draining { until } => {
                let late = now.mono >= until;
                let handed_over = self.groups.is_handed_over(now.mono) && self.groups.is_idle();
                let drained = late || (self.kafka.is_drained() && self.conns.is_drained() && handed_over);
                if drained && !self.told_drained {
                    self.told_drained = true;
                    match &mut self.catalog {
                        Some(owner) => owner.drained(ShardId(0)),
                        None => ops.push(Op::Mail { to: ShardId(0), mail: Mail::Drained }),
                    }
                }
                // Without the owner's word: it is gone.
                let alone = self.catalog.is_none() && now.mono >= until.plus_ms(self.settings.drain_ms);
                if alone || self.catalog.as_ref().is_some_and(|owner| late || owner.all_drained()) {
                    let others = (1..self.settings.shards).map(ShardId).filter(|_| !alone);
                    for shard in others {
                        ops.push(Op::Mail { to: shard, mail: Mail::Finish });
                    }
                    self.finish(now, ops);
                }
            }
            Stopping::No | Stopping::Finishing { .. } | Stopping::Done => {}
        }
        if let Stopping::Finishing { until } = self.stopping
            && ((!self.groups.is_checkpointing() && self.groups.is_settled()) || now.mono >= until)
        {
            self.stopping = Stopping::Done;
            ops.push(Op::Exit);
        }
    }
}
