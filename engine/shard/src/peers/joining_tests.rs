use super::*;
use crate::tests::cluster::rig::{CLUSTER, address, settings_of};
use std::collections::BTreeSet;
use torc_base::ids::Index;
use torc_state::catalog::{Catalog, Command, Defaults};

/// Where questions come from.
const FROM: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 99));
/// Disks of the founders are ten times their numbers.
const FOUNDERS: [(NodeId, u128); 3] = [(NodeId(1), 10), (NodeId(2), 20), (NodeId(3), 30)];

/// Node 1 of three founders, and what its catalog says.
struct Office {
    settings: Settings,
    catalog: Catalog,
    members: BTreeSet<NodeId>,
    is_current: bool,
    is_controller: bool,
    runs: Runs,
}

impl Office {
    fn new() -> Office {
        let mut settings = settings_of(NodeId(1), 3);
        settings.cluster.founders = FOUNDERS.to_vec();
        settings.cluster.disk = 10;
        let members = FOUNDERS.iter().map(|(node, _)| *node).collect();
        let catalog = Catalog::new(Defaults::default());
        Office { settings, catalog, members, is_current: true, is_controller: true, runs: Runs::No }
    }

    fn apply(&mut self, command: Command) {
        let index = Index(self.catalog.applied().get() + 1);
        self.catalog.apply(index, &command);
    }

    fn admit(&mut self, node: u32, disk: u128) {
        let admission = Admission { disk, address: address(NodeId(node)).to_string() };
        self.apply(Command::AdmitNode { node: NodeId(node), admission });
    }

    fn ask(&self, question: Question) -> Answered {
        let mut roster = Roster::of(&self.settings, &self.catalog, &self.members);
        (roster.is_current, roster.is_controller) = (self.is_current, self.is_controller);
        let desk = Desk { settings: &self.settings, roster: &roster, runs: self.runs, from: FROM };
        desk.answer(&question)
    }

    fn refusal(&self, question: Question) -> String {
        match self.ask(question.clone()) {
            (Reply::Refused(why), None) => why,
            other => panic!("{question:?}: {other:?}"),
        }
    }
}

fn joins(node: u32, disk: u128) -> Question {
    let from = Caller { node: NodeId(node), start: 77 };
    Question { from, joins: true, cluster: 0, disk, address: Some(address(NodeId(node))) }
}

fn back(node: u32, disk: u128) -> Question {
    Question { joins: false, cluster: CLUSTER, address: None, ..joins(node, disk) }
}

fn let_in(node: u32, disk: u128) -> Option<(NodeId, Admission)> {
    Some((NodeId(node), Admission { disk, address: address(NodeId(node)).to_string() }))
}

#[test]
fn a_new_server_waits_until_the_catalog_has_it_and_is_then_told_all_servers() {
    let mut office = Office::new();
    let (Reply::Wait(_), admission) = office.ask(joins(4, 40)) else { panic!("it is not in yet") };
    assert_eq!(admission, let_in(4, 40));
    // What is not committed is none.
    let (_, admission) = admission.map(|(_, admission)| ((), admission)).unwrap();
    office.catalog.append(Index(1), Command::AdmitNode { node: NodeId(4), admission });
    assert!(matches!(office.ask(joins(4, 40)).0, Reply::Wait(_)));
    office.catalog.commit(Index(1));
    let (Reply::Member { servers, .. }, None) = office.ask(joins(4, 40)) else { panic!("it is in") };
    let told: Vec<(u32, u128, String)> = servers.into_iter().map(|s| (s.node.get(), s.disk, s.address)).collect();
    let at = |node| address(NodeId(node)).to_string();
    assert_eq!(told, [(1, 10, String::new()), (2, 20, at(2)), (3, 30, at(3)), (4, 40, at(4))]);
}

#[test]
fn an_address_without_an_ip_is_the_one_that_is_called_from() {
    let anywhere = |port| Some(SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), port));
    let question = Question { address: anywhere(9200), ..joins(4, 40) };
    let (_, admission) = Office::new().ask(question);
    assert_eq!(admission.map(|(_, admission)| admission.address).as_deref(), Some("10.0.0.99:9200"));
}

#[test]
fn a_number_that_is_taken_is_refused_while_its_server_runs_and_given_to_another_disk_when_it_does_not() {
    let mut office = Office::new();
    office.admit(4, 40);
    for (node, disk) in [(4, 41), (3, 31)] {
        office.runs = Runs::Perhaps;
        assert!(matches!(office.ask(joins(node, disk)), (Reply::Wait(_), None)));
        office.runs = Runs::Yes;
        let why = office.refusal(joins(node, disk));
        assert!(why.contains(&format!("node.id {node} is taken")) && why.contains("--node-id"), "{why}");
        office.runs = Runs::No;
        assert_eq!(office.ask(joins(node, disk)).1, let_in(node, disk));
    }
    let why = office.refusal(joins(1, 99));
    assert!(why.contains("node.id 1 is taken by the server that answers"), "{why}");
    // The disk that was replaced is told so, by whoever knows for certain that it was.
    office.admit(4, 41);
    let why = office.refusal(back(4, 40));
    assert!(why.contains("node 4 has another disk by now"), "{why}");
    office.is_controller = false;
    assert!(matches!(office.ask(back(4, 40)), (Reply::Wait(_), None)));
    assert!(matches!(office.ask(back(4, 41)), (Reply::Member { .. }, None)));
}

#[test]
fn a_server_that_was_removed_does_not_come_back_but_with_another_disk() {
    let mut office = Office::new();
    office.admit(4, 40);
    for (node, disk) in [(4, 40), (2, 20)] {
        office.apply(Command::RemoveNode(NodeId(node)));
        office.is_controller = false;
        for question in [joins(node, disk), back(node, disk)] {
            let why = office.refusal(question);
            assert!(why.contains("was removed from the cluster") && why.contains("--join"), "{why}");
        }
        // One with an empty disk that does not say that it is to join.
        assert!(matches!(office.ask(back(node, disk + 1)), (Reply::Wait(_), None)));
        office.is_controller = true;
        assert!(office.refusal(back(node, disk + 1)).contains("--join"));
        assert_eq!(office.ask(joins(node, disk + 1)).1, let_in(node, disk + 1));
    }
}

#[test]
fn founders_come_back_by_their_list_with_any_disk_and_servers_that_nobody_knows_yet_wait() {
    let mut office = Office::new();
    for disk in [20, 99] {
        assert!(matches!(office.ask(back(2, disk)), (Reply::Member { .. }, None)));
    }
    assert!(matches!(office.ask(back(9, 90)), (Reply::Wait(_), None)));
    // Who has just started does not know what became of others meanwhile.
    office.is_current = false;
    assert!(matches!(office.ask(back(2, 20)), (Reply::Wait(_), None)));
}

#[test]
fn a_server_that_is_elsewhere_says_so() {
    let mut office = Office::new();
    office.admit(4, 40);
    let elsewhere = Some(address(NodeId(44)));
    let (Reply::Wait(_), Some((node, admission))) = office.ask(Question { address: elsewhere, ..back(4, 40) }) else {
        panic!("it is to be known first")
    };
    assert_eq!((node, admission.address), (NodeId(4), address(NodeId(44)).to_string()));
    assert!(office.refusal(Question { address: Some(address(NodeId(3))), ..joins(5, 50) }).contains("node 3"));
    assert!(office.refusal(Question { address: None, ..joins(5, 50) }).contains("--peer"));
}

#[test]
fn other_clusters_are_told_apart() {
    let why = Office::new().refusal(Question { cluster: 0x99, ..back(2, 20) });
    assert!(why.contains("00000000000000000000000000000099"), "{why}");
}

#[test]
fn a_server_that_leaves_is_known_as_long_as_the_catalogs_group_has_it() {
    let mut office = Office::new();
    office.apply(Command::RemoveNode(NodeId(3)));
    let roster = |office: &Office| Roster::of(&office.settings, &office.catalog, &office.members);
    let leaves = |server: &Server| server.leaves;
    assert!(roster(&office).server(NodeId(3)).is_some_and(leaves));
    assert!(!roster(&office).members().contains(&NodeId(3)));
    office.members.remove(&NodeId(3));
    assert!(roster(&office).server(NodeId(3)).is_none());
}

#[test]
fn a_server_runs_if_its_link_outlives_two_silences_after_another_disk_asked() {
    let (node, mut claims) = (NodeId(4), Claims::default());
    let mut runs = |ms, is_linked| claims.runs(Mono(0).plus_ms(ms), node, is_linked, 500);
    // It was killed a moment ago: the kernel ends the link soon, and its silence in the end.
    assert_eq!([runs(0, true), runs(1_000, true), runs(1_050, false)], [Runs::Perhaps, Runs::Perhaps, Runs::No]);
    // Another one lives.
    assert_eq!([runs(2_000, true), runs(3_001, true)], [Runs::Perhaps, Runs::Yes]);
    // What one was told says nothing about the next, nor what one heard who gave up.
    assert_eq!([runs(3_002, true), runs(13_003, true), runs(14_004, true)], [Runs::Perhaps, Runs::Perhaps, Runs::Yes]);
}
