//! `/zookeeper/config`: who the servers are. The tree's log says nothing of it, nor do clients change it: each server shows
//! the members of the tree's group as it knows them, and tells those who watch when they are others.

use super::answers::put_event;
use super::words::membership;
use super::{Around, Znodes};
use torc_state::tree::EventKind;
use torc_state::tree::path::CONFIG;

impl Znodes {
    /// Looks who the servers are now.
    pub(super) fn look_at_config(&mut self, around: &mut Around) {
        let text = self.members(around).map(|members| membership(&members));
        if around.tree().shown_config() == text.as_deref() {
            return;
        }
        around.groups.tree_mut().state_mut().show_config(text);
        self.tell_of(around, EventKind::DataChanged, CONFIG);
    }

    /// Tells those who watch a path of what stands in no log.
    pub(super) fn tell_of(&mut self, around: &mut Around, kind: EventKind, path: &str) {
        let now = around.now();
        let Znodes { watches, clients, packer, meters, .. } = self;
        watches.fire(kind, path, |conn| {
            let Some(client) = clients.get_mut(&conn) else { return };
            put_event(&mut packer.scratch, kind, path);
            let bytes = packer.take_scratch();
            meters.sent += 1;
            client.meters.sent += 1;
            around.conns.push(now, conn, bytes);
        });
    }
}
