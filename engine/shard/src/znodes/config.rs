//! `/zookeeper/config`: who the servers are. The tree's log says nothing of it, nor do clients change it: each server shows
//! the members of the tree's group as it knows them, and tells those who watch when they are others.

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
}
