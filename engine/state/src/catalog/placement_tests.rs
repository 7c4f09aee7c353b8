use super::*;
use std::collections::BTreeSet;
use torc_base::prng::Prng;

fn candidates<'a>(racks: &[Option<&'a str>]) -> Vec<Candidate<'a>> {
    let one = |(id, rack): (u32, &Option<&'a str>)| Candidate {
        id: NodeId(id),
        rack: *rack,
        absent: false,
        load: Load::default(),
    };
    (1..).zip(racks).map(one).collect()
}

fn new(candidates: &[Candidate<'_>], partitions: u32, copies: usize) -> Replicas {
    place(candidates, partitions, copies, &Replicas::default())
}

fn spread(counts: impl Iterator<Item = u64> + Clone) -> u64 {
    counts.clone().max().unwrap_or(0) - counts.min().unwrap_or(0)
}

fn loads(replicas: &Replicas) -> Loads {
    let mut loads = Loads::default();
    loads.add(replicas);
    loads
}

#[test]
fn replicas_and_first_replicas_are_even_over_nodes_whatever_their_number() {
    for nodes in 1..=7 {
        for copies in 1..=nodes.min(5) {
            for partitions in [1, 2, nodes as u32, 10, 101] {
                let candidates = candidates(&vec![None; nodes]);
                let placed = new(&candidates, partitions, copies);
                let case = format!("{nodes} nodes, {copies} copies, {partitions} partitions");
                assert_eq!(placed.len(), partitions, "{case}");
                for row in placed.iter() {
                    assert_eq!(row.iter().collect::<BTreeSet<_>>().len(), copies, "{case}: {row:?}");
                }
                let loads = loads(&placed);
                let of = |one: fn(Load) -> u64| candidates.iter().map(move |c| c.id).map(|id| loads.of(id)).map(one);
                assert!(spread(of(|load| load.first)) <= 1, "{case}");
                assert!(spread(of(|load| load.all)) <= 1, "{case}");
            }
        }
    }
}

impl Loads {
    fn spread(&self, of: fn(Load) -> u64) -> u64 {
        spread(self.0.values().copied().map(of))
    }
}

#[test]
fn a_partition_is_in_as_many_racks_as_it_has_replicas_if_there_are_so_many() {
    for seed in 0..300 {
        let mut prng = Prng::new(seed);
        let names = ["a", "b", "c", "d"];
        let racks: Vec<Option<&str>> = (0..prng.between(1, 9)).map(|_| Some(names[prng.below(4) as usize])).collect();
        let different = racks.iter().collect::<BTreeSet<_>>().len();
        let copies = prng.between(1, racks.len() as u64 + 1).min(racks.len() as u64) as usize;
        let candidates = candidates(&racks);
        for row in new(&candidates, 50, copies).iter() {
            let mut used: BTreeMap<&str, u64> = BTreeMap::new();
            row.iter().for_each(|node| *used.entry(racks[node.0 as usize - 1].expect("named")).or_default() += 1);
            assert_eq!(used.len(), copies.min(different), "seed {seed}: {row:?} of {racks:?}");
        }
    }
}

#[test]
fn nodes_that_are_not_there_get_replicas_only_if_the_others_do_not_suffice() {
    let mut candidates = candidates(&[Some("a"), Some("b"), Some("c"), Some("a")]);
    candidates[1].absent = true;
    let absent = NodeId(2);
    assert!(new(&candidates, 20, 3).iter().all(|row| !row.contains(&absent)));
    let all = new(&candidates, 20, 4);
    assert!(all.iter().all(|row| row.contains(&absent) && row[0] != absent), "and then they come last");
}

#[test]
fn many_topics_of_one_partition_are_as_even_as_one_of_many() {
    let mut all = Loads::default();
    for _ in 0..90 {
        let mut candidates = candidates(&[None; 4]);
        candidates.iter_mut().for_each(|candidate| candidate.load = all.of(candidate.id));
        all.add(&new(&candidates, 1, 3));
    }
    assert!(all.spread(|load| load.first) <= 1 && all.spread(|load| load.all) <= 1, "{all:?}");
    all.remove(&new(&candidates(&[None; 4]), 1, 3));
    assert_eq!(all.0.values().map(|load| load.all).sum::<u64>(), 89 * 3);
}

#[test]
fn a_node_that_is_new_gets_no_more_than_its_part_of_a_topic() {
    let mut candidates = candidates(&[None; 3]);
    for candidate in &mut candidates[..2] {
        candidate.load = Load { first: 1_000, all: 2_000 };
    }
    let loads = loads(&new(&candidates, 9, 1));
    assert_eq!([1, 2, 3].map(|id| loads.of(NodeId(id)).first), [3, 3, 3]);
    let placed = new(&candidates, 1, 1);
    assert_eq!(placed.get(0), [NodeId(3)], "where all else is the same it comes first");
}

#[test]
fn partitions_that_are_added_go_where_the_topic_has_fewest() {
    let candidates = candidates(&[None; 5]);
    let first = new(&candidates, 7, 2);
    let mut loads = loads(&first);
    loads.add(&place(&candidates, 13, 2, &first));
    assert!(loads.spread(|load| load.first) == 0 && loads.spread(|load| load.all) == 0, "{loads:?}");
}
