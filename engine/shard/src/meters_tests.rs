use super::{Counts, Meter, Places, TopicMeters};
use torc_base::ids::TopicId;
use torc_base::limits::{TOPIC_METRICS_MAX, TOPIC_NAME_MAX};

fn taken(records_in: u64, bytes_in: u64) -> Counts {
    Counts { records_in, bytes_in, ..Counts::default() }
}

#[test]
fn each_topic_is_counted_by_its_name() {
    let (meters, mut places) = (TopicMeters::default(), Places::default());
    let long = "x".repeat(TOPIC_NAME_MAX);
    let orders = places.take(&meters, TopicId(1), "orders");
    let other = places.take(&meters, TopicId(2), &long);
    assert_eq!(places.take(&meters, TopicId(1), "orders"), orders, "it keeps its place");
    meters.took(orders, 10, 1_000);
    meters.took(orders, 1, 100);
    meters.gave(other, 5, 50);
    let given = Counts { records_out: 5, bytes_out: 50, ..Counts::default() };
    let expected = (vec![("orders".to_string(), taken(11, 1_100)), (long, given)], Counts::default());
    assert_eq!(meters.read(), expected);
}

#[test]
fn topics_beyond_the_bound_are_counted_together() {
    let (meters, mut places) = (TopicMeters::default(), Places::default());
    let topic = |n: usize| (TopicId(n as u128), format!("t{n}"));
    for n in 0..TOPIC_METRICS_MAX + 5 {
        let (id, name) = topic(n);
        let meter = places.take(&meters, id, &name);
        assert_eq!(meter == Meter::OTHERS, n >= TOPIC_METRICS_MAX, "{n}");
        meters.took(meter, 1, 10);
    }
    let (named, others) = meters.read();
    assert!(named.len() == TOPIC_METRICS_MAX && named.iter().all(|(_, counts)| *counts == taken(1, 10)));
    assert_eq!(others, taken(5, 50));

    // One that goes makes room for one that comes, which begins with nothing.
    places.give_back(&meters, topic(7).0);
    places.give_back(&meters, topic(TOPIC_METRICS_MAX + 1).0);
    assert_eq!(meters.read().0.len(), TOPIC_METRICS_MAX - 1);
    let meter = places.take(&meters, TopicId(9_999), "late");
    assert_ne!(meter, Meter::OTHERS);
    let late = meters.read().0.into_iter().find(|(name, _)| name == "late");
    assert_eq!(late, Some(("late".to_string(), Counts::default())));
    assert_eq!(places.take(&meters, TopicId(10_000), "later"), Meter::OTHERS);
}

#[test]
fn shards_that_learn_the_same_give_the_same_places() {
    let places = || {
        let (meters, mut places) = (TopicMeters::default(), Places::default());
        for n in 0..300_u128 {
            places.take(&meters, TopicId(n), &format!("t{n}"));
            if n % 3 == 0 {
                places.give_back(&meters, TopicId(n / 2));
            }
        }
        places.of
    };
    assert_eq!(places(), places());
}
