//! What a connection receives into, as the reactor was told: one thing at a time, and what it is changes only when that has ended.

use crate::frames::{Frames, Want};
use crate::mail::Mail;
use torc_base::buf::Pool;
use torc_base::ids::ConnId;
use torc_base::io::Op;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receive {
    /// Nothing is armed.
    Idle,
    /// Into shared buffers.
    Any,
    /// Into a buffer of its own.
    Exact,
    /// Asked to stop; more may arrive before it has.
    Pausing,
}

impl Receive {
    /// An exact receive is full. One that was asked to stop is idle when it says so.
    pub fn filled(&mut self) {
        if *self == Receive::Exact {
            *self = Receive::Idle;
        }
    }

    /// It has stopped, asked for or, if `starved`, for lack of buffers. False if the two crossed: `Paused` still follows, and
    /// until then nothing may be armed.
    pub fn stopped(&mut self, starved: bool) -> bool {
        let crossed = starved && *self == Receive::Pausing;
        if !crossed {
            *self = Receive::Idle;
        }
        !crossed
    }

    /// Arms what `frames` want next, if it `may_arm`; disarms what they do not want, or what is to stop anyway. False if it
    /// stays as it is, and nothing waits for memory.
    pub fn turn(
        &mut self,
        conn: ConnId,
        frames: &mut Frames,
        pool: &Pool,
        (stops, may_arm): (bool, bool),
        ops: &mut Vec<Op<Mail>>,
    ) -> bool {
        match self {
            Receive::Any if stops || frames.wants_exact() || frames.is_starved() => self.pause(conn, ops),
            Receive::Idle if may_arm => match frames.want(pool) {
                Want::Any => {
                    *self = Receive::Any;
                    ops.push(Op::Recv { conn });
                }
                Want::Exact(bytes, from) => {
                    *self = Receive::Exact;
                    ops.push(Op::RecvExact { conn, bytes, from });
                }
                Want::Memory => {}
            },
            _ => return false,
        }
        true
    }

    /// Of a large frame nothing is heard until it is whole: asks how far it is. False if none is being received.
    pub fn look(&mut self, conn: ConnId, ops: &mut Vec<Op<Mail>>) -> bool {
        let exact = *self == Receive::Exact;
        if exact {
            self.pause(conn, ops);
        }
        exact
    }

    fn pause(&mut self, conn: ConnId, ops: &mut Vec<Op<Mail>>) {
        *self = Receive::Pausing;
        ops.push(Op::Pause { conn });
    }
}
