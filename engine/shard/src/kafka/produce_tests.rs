use super::*;
use torc_base::ids::TopicId;
use torc_base::prng::Prng;
use torc_net::kafka::produce::Partition;

fn topic(name: &str, indexes: &[i32]) -> Topic {
    let partitions = indexes.iter().map(|index| Partition { index: *index, records: None }).collect();
    Topic { name: name.into(), id: TopicId::ZERO, partitions }
}

fn names(topics: &[Topic]) -> Vec<(&str, i32)> {
    topics.iter().flat_map(|topic| topic.partitions.iter().map(|one| (&*topic.name, one.index))).collect()
}

#[test]
fn what_rises_from_wherever_it_begins_names_nothing_twice() {
    for rising in [&[][..], &[7], &[1, 2, 9], &[5, 6, 1, 2], &[2, 1]] {
        assert!(are_in_order(&[topic("a", rising), topic("b", rising)]), "{rising:?}");
    }
    for other in [&[1, 1][..], &[5, 6, 1, 5], &[1, 3, 2], &[2, 2, 1], &[1, 2, 1, 2]] {
        assert!(!are_in_order(&[topic("a", other)]), "{other:?}");
    }
    assert!(!are_in_order(&[topic("a", &[1]), topic("a", &[2])]));
    assert!(!are_in_order(&[topic("b", &[1]), topic("a", &[2])]));
}

/// Of each partition the last one is left, where it was.
#[test]
fn of_what_is_named_twice_the_last_is_left() {
    let mut rng = Prng::new(7);
    for _ in 0..3_000 {
        let mut topics: Vec<Topic> = (0..rng.below(4))
            .map(|_| {
                let indexes: Vec<i32> = (0..rng.below(5)).map(|_| rng.below(5) as i32).collect();
                topic(["a", "b", "c"][rng.below(3) as usize], &indexes)
            })
            .collect();
        let all = names(&topics).into_iter().map(|(name, index)| (name.to_owned(), index)).collect::<Vec<_>>();
        let last = (0..all.len()).filter(|at| !all[at + 1..].contains(&all[*at])).map(|at| all[at].clone());
        let expected: Vec<(String, i32)> = last.collect();
        keep_last(&mut topics);
        let left: Vec<(String, i32)> =
            names(&topics).into_iter().map(|(name, index)| (name.to_owned(), index)).collect();
        assert_eq!(left, expected);
    }
}
