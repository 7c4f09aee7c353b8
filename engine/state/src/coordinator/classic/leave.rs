//! LeaveGroup.

use super::super::Step;
use super::super::request::Leaver;
use super::super::response::{LeaverResponse, Refusal};
use super::Classic;

impl Classic {
    /// Lets members go, by their own wish or an administrator's, and those that stay rebalance once.
    pub(in super::super) fn leave(&mut self, step: &mut Step<'_>, leavers: Vec<Leaver>) -> Vec<LeaverResponse> {
        let mut any = false;
        let mut responses = Vec::with_capacity(leavers.len());
        for leaver in leavers {
            let result = self.leave_one(step, &leaver);
            any |= result.is_ok();
            responses.push(LeaverResponse { member: leaver.member, instance: leaver.instance, result });
        }
        if any {
            self.settle(step);
        }
        responses
    }

    fn leave_one(&mut self, step: &mut Step<'_>, leaver: &Leaver) -> Result<(), Refusal> {
        let instance = leaver.instance.as_ref();
        let id = if leaver.member.is_empty() {
            instance.and_then(|instance| self.instances.get(instance)).cloned().ok_or(Refusal::UnknownMemberId)?
        } else {
            if !self.pending.contains_key(&leaver.member) {
                self.check_member(&leaver.member, instance)?;
            }
            leaver.member.clone()
        };
        self.remove(step, &id, Refusal::UnknownMemberId);
        Ok(())
    }
}
