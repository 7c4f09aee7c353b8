//! Who belongs to the cluster: servers that are let in, those that leave, and the seats of all in the catalog's group.
//!
//! The catalog's commands say who belongs to it. The members of its group follow, one change at a time: whoever is let in
//! learns the log, up to five vote. A server that is removed stays linked until the group is settled without it, or two
//! voters could not agree that one of them goes.

use super::CatalogOwner;
use super::abroad::owner_of;
use crate::groups::{Groups, Out};
use crate::mail::{Ask, Mail, Token};
use crate::peers::Roster;
use crate::settings::Settings;
use std::collections::BTreeSet;
use std::sync::Arc;
use torc_base::ids::{GroupId, Index, NodeId};
use torc_base::io::Level;
use torc_base::limits::{CATALOG_VOTERS_MAX, NODES_MAX};
use torc_base::time::Mono;
use torc_state::catalog::{Admission, Command};

/// Between two looks whether a learner could vote by now.
const SEAT_MS: u64 = 250;
/// After so long a node that does not call is taken for one that does not know this one.
const INTRODUCE_MS: u64 = 5_000;

/// What an owner knows of the members, and what is to be done about them.
pub(super) struct Members {
    roster: Arc<Roster>,
    is_news: bool,
    /// What the catalog said when the roster was made.
    seen: Seen,
    /// Servers that want to be let in, or are elsewhere by now.
    admissions: Vec<(NodeId, Admission)>,
    /// When the seats are looked at next.
    seats_at: Option<Mono>,
    /// As the controller that joined later: since when somebody does not call who should.
    uncalled: Option<Mono>,
}

/// All that a roster follows from: commands applied and waiting, members of the group, and whether this node is the controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    applied: Index,
    pending: usize,
    /// The configurations that are applied and that hold.
    members: (Index, Index),
    is_joint: bool,
    is_current: bool,
    is_controller: bool,
}

impl Members {
    pub fn new(settings: &Settings) -> Members {
        Members {
            roster: Arc::new(Roster::at_start(settings)),
            is_news: false,
            seen: Seen::default(),
            admissions: Vec::new(),
            seats_at: None,
            uncalled: None,
        }
    }
}

impl CatalogOwner {
    /// A server is to be let in, or says where it is now.
    pub fn admit(&mut self, node: NodeId, admission: Admission) {
        self.members.admissions.retain(|(other, _)| *other != node);
        if self.members.admissions.len() < NODES_MAX {
            self.members.admissions.push((node, admission));
        }
    }

    /// Who belongs to the cluster, if that is news for the shards.
    pub fn take_roster(&mut self) -> Option<Arc<Roster>> {
        std::mem::take(&mut self.members.is_news).then(|| Arc::clone(&self.members.roster))
    }

    /// Other nodes of the cluster.
    pub(super) fn others(&self) -> impl Iterator<Item = NodeId> {
        let here = self.settings.node;
        self.members.roster.servers().map(|(node, _)| node).filter(move |node| *node != here)
    }

    /// True if the catalog says something else of the members than when they were looked at.
    pub(super) fn members_are_due(&self, groups: &Groups, now: Mono) -> bool {
        self.see(groups) != self.members.seen || self.members.seats_at.is_some_and(|at| at <= now)
    }

    pub(super) fn members_deadline(&self) -> Option<Mono> {
        self.members.seats_at
    }

    fn see(&self, groups: &Groups) -> Seen {
        let catalog = groups.catalog().state();
        let (members, configuration) = groups.members(GroupId::CATALOG);
        Seen {
            applied: catalog.applied(),
            pending: catalog.pending().len(),
            members: (groups.members_since(GroupId::CATALOG), members),
            is_joint: configuration.is_joint(),
            is_current: self.serving,
            is_controller: groups.leads(GroupId::CATALOG),
        }
    }

    /// Follows what the catalog says of the members, has it say what servers ask for, and as the controller seats them.
    pub(super) fn drive_members(&mut self, groups: &mut Groups, out: &mut Out, controller: Option<NodeId>) {
        self.pass_admissions(groups, out, controller);
        let seen = self.see(groups);
        if seen != self.members.seen {
            self.members.seen = seen;
            self.members.seats_at = seen.is_controller.then_some(out.now.mono);
            let in_group = groups.all_members(GroupId::CATALOG);
            let mut roster = Roster::of(&self.settings, groups.catalog().state(), &in_group);
            (roster.is_current, roster.is_controller) = (seen.is_current, seen.is_controller);
            if roster != *self.members.roster {
                self.tell_own_end(out, &roster);
                self.members.roster = Arc::new(roster);
                self.members.is_news = true;
            }
        }
        if self.members.seats_at.is_some_and(|at| at <= out.now.mono) {
            let waits = self.seat(groups, out);
            let waits = self.have_introduced(groups, out) || waits;
            self.members.seats_at = waits.then(|| out.now.mono.plus_ms(SEAT_MS));
        }
    }

    /// Of two nodes the lower one calls, and so it has to know the other one: who was away when a node joined, and finds that node
    /// to be the controller, would never hear of it, since it is the controller who tells. Whom everybody knows, a founder, is to
    /// tell it, and gets the catalog's group for that. True: that may become necessary at any time.
    fn have_introduced(&mut self, groups: &mut Groups, out: &mut Out) -> bool {
        let (here, membership) = (self.settings.node, groups.catalog().state().membership());
        if membership.admitted(here).is_none() || !groups.leads(GroupId::CATALOG) {
            return false;
        }
        if !groups.unreached(GroupId::CATALOG).any(|node| node < here) {
            self.members.uncalled = None;
            return true;
        }
        let since = *self.members.uncalled.get_or_insert(out.now.mono);
        if since.plus_ms(INTRODUCE_MS) <= out.now.mono {
            let (_, configuration) = groups.members(GroupId::CATALOG);
            let all = configuration.members().iter().map(|member| member.id);
            let founders: Vec<NodeId> = all.filter(|node| membership.admitted(*node).is_none()).collect();
            groups.hand_to_first(out, GroupId::CATALOG, &founders);
            // If nothing comes of it.
            self.members.uncalled = Some(out.now.mono);
        }
        true
    }

    /// Whoever has been removed is told so by those that refuse it, unless it hears of it before.
    fn tell_own_end(&self, out: &mut Out, roster: &Roster) {
        let here = self.settings.node;
        if roster.gone(here).is_some() && self.members.roster.gone(here).is_none() {
            let text =
                format!("node {here} was removed from the cluster: stop it, it does not come back with this disk");
            out.log(Level::Error, text);
        }
    }

    /// What servers ask for goes to the controller. They ask again.
    fn pass_admissions(&mut self, groups: &mut Groups, out: &mut Out, controller: Option<NodeId>) {
        for (node, admission) in std::mem::take(&mut self.members.admissions) {
            if controller == Some(self.settings.node) {
                self.append_admission(groups, out, node, admission);
            } else if let Some(controller) = controller {
                let ask = Ask::Admit(node, admission);
                groups.outboxes.post(owner_of(controller), Mail::Ask { token: Token::forwarded(0), ask });
            }
        }
    }

    fn append_admission(&mut self, groups: &mut Groups, out: &mut Out, node: NodeId, admission: Admission) {
        if node == self.settings.node || !groups.leads(GroupId::CATALOG) {
            return;
        }
        let catalog = groups.catalog().state();
        let known = catalog.membership().admitted(node);
        let disk = known.map_or(self.settings.founder_disk(node), |known| known.disk);
        let is_known = known == Some(&admission);
        // A process that runs is not replaced, though the server that was asked did not see it.
        let is_taken = self.is_present(node) && disk != admission.disk;
        let command = Command::AdmitNode { node, admission };
        if !is_known && !is_taken && !catalog.pending().any(|(_, pending)| *pending == command) {
            // Refused, it is asked for again.
            let _ = groups.propose_command(out, command);
        }
    }

    /// Has the catalog's group the members that it should have, by one step. False: there is nothing more to do until the
    /// catalog says something else.
    fn seat(&mut self, groups: &mut Groups, out: &mut Out) -> bool {
        let wanted = self.members.roster.members();
        let (_, configuration) = groups.members(GroupId::CATALOG);
        if configuration.is_joint() {
            return true;
        }
        let seats = |votes: bool| {
            let all = configuration.members().iter().filter(move |member| member.seat.votes() == votes);
            all.map(|member| member.id).collect::<BTreeSet<NodeId>>()
        };
        let (before, learners_before) = (seats(true), seats(false));
        let mut voters: BTreeSet<NodeId> = before.intersection(&wanted).copied().collect();
        if voters.is_empty() {
            // Nobody is left to decide that: it is not to be.
            return false;
        }
        let mut waits = false;
        for node in wanted.iter().filter(|node| !before.contains(node)) {
            if voters.len() == CATALOG_VOTERS_MAX {
                break;
            }
            match groups.has_caught_up(GroupId::CATALOG, *node) {
                true => drop(voters.insert(*node)),
                false => waits = true,
            }
        }
        let learners: BTreeSet<NodeId> = wanted.difference(&voters).copied().collect();
        if (&voters, &learners) == (&before, &learners_before) {
            return waits;
        }
        let (voters, learners): (Vec<NodeId>, Vec<NodeId>) =
            (voters.into_iter().collect(), learners.into_iter().collect());
        match groups.reconfigure(out, GroupId::CATALOG, &voters, &learners) {
            Ok(()) => out.log(Level::Info, seats_text(&voters, &learners)),
            Err(_passing) => {}
        }
        true
    }
}

fn seats_text(voters: &[NodeId], learners: &[NodeId]) -> String {
    let list = |nodes: &[NodeId]| nodes.iter().map(NodeId::to_string).collect::<Vec<_>>().join(", ");
    match learners {
        [] => format!("nodes {} decide on the catalog", list(voters)),
        _ => format!("nodes {} decide on the catalog, {} learn it", list(voters), list(learners)),
    }
}
