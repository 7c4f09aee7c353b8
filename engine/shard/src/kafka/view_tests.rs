use super::*;

const GROUP: GroupId = GroupId(1030);
const HERE: NodeId = NodeId(1);

fn leader(node: u32, epoch: i32) -> Option<Leader> {
    Some(Leader { node: NodeId(node), epoch: LeaderEpoch(epoch) })
}

fn by(node: u32, epoch: i32) -> Led {
    Led::by(GROUP, NodeId(node), LeaderEpoch(epoch))
}

fn present(nodes: &[u32]) -> BTreeSet<NodeId> {
    nodes.iter().copied().map(NodeId).collect()
}

/// A view that has heard this, in this order.
fn heard(news: &[Led]) -> View {
    let mut view = View::default();
    view.set_present(HERE, present(&[2, 3]));
    news.iter().for_each(|led| view.lead(&vec![led.clone()]));
    view
}

#[test]
fn the_newest_epoch_counts_in_whatever_order_nodes_tell() {
    let lost = |node| Led::lost(GROUP, NodeId(node));
    for (news, expected) in [
        (vec![by(2, 5)], leader(2, 5)),
        (vec![by(2, 5), by(3, 6)], leader(3, 6)),
        (vec![by(3, 6), by(2, 5)], leader(3, 6)),
        (vec![by(3, 6), lost(2)], leader(3, 6)),
        (vec![by(2, 5), lost(2)], None),
        (vec![by(2, 5), lost(2), by(2, 7)], leader(2, 7)),
        (vec![by(2, 5), by(3, 6), lost(2), lost(3)], None),
    ] {
        assert_eq!(heard(&news).leader(GROUP), expected, "{news:?}");
    }
}

#[test]
fn what_nodes_led_that_are_gone_has_no_leader_until_one_says_so() {
    let mut view = heard(&[by(2, 5)]);
    view.lead(&vec![Led::by(GroupId::CATALOG, NodeId(2), LeaderEpoch(1))]);
    assert_eq!(view.controller(), Some(NodeId(2)));
    view.set_present(HERE, present(&[3]));
    assert_eq!((view.leader(GROUP), view.controller()), (None, None));
    view.set_present(HERE, present(&[2, 3]));
    assert_eq!(view.leader(GROUP), None, "it may lead it no longer");
    view.lead(&vec![by(2, 5)]);
    assert_eq!(view.leader(GROUP), leader(2, 5));
    // This node is always there.
    view.lead(&vec![by(1, 6)]);
    view.set_present(HERE, present(&[]));
    assert_eq!(view.leader(GROUP), leader(1, 6));
}

#[test]
fn replicas_that_lag_are_those_that_the_leader_told_of_last() {
    let behind = |nodes: &[u32], led: Led| Led { behind: nodes.iter().copied().map(NodeId).collect(), ..led };
    let mut view = heard(&[behind(&[3], by(2, 5))]);
    assert_eq!(view.behind(GROUP), [NodeId(3)]);
    assert!(view.led_by(NodeId(2)).eq([behind(&[3], by(2, 5))]), "and so it is told to others");
    view.lead(&vec![behind(&[1], by(3, 4))]);
    assert_eq!(view.behind(GROUP), [NodeId(3)], "a leader of the past has nothing to say");
    view.lead(&vec![by(2, 5)]);
    assert_eq!(view.behind(GROUP), []);
}

#[test]
fn every_change_of_what_metadata_tells_is_noticed() {
    let mut view = View::default();
    let mut told = view.told();
    let mut is_news = |view: &View| std::mem::replace(&mut told, view.told()) != view.told();
    view.set_present(HERE, present(&[2]));
    assert!(is_news(&view));
    view.lead(&vec![by(2, 5)]);
    assert!(is_news(&view));
    view.apply(&CatalogChange::Node(Arc::new(Node {
        id: NodeId(2),
        start: 1,
        rack: None,
        listeners: vec![("there".into(), 9092)],
        shards: 1,
        lives: Vec::new(),
        entry_bytes_max: torc_base::limits::ENTRY_BYTES_MAX,
    })));
    assert!(is_news(&view));
    assert_eq!(view.nodes().count(), 1);
    view.set_present(HERE, present(&[]));
    assert!(is_news(&view) && view.nodes().next().is_none() && view.node(NodeId(2)).is_none());
}
