use crate::metrics::render;
use crate::sizes::of_shards;
use torc_shard::Finding;

fn finding(topics: &[(&str, u64)], others: u64) -> Option<Finding> {
    let topics = topics.iter().map(|(topic, bytes)| (topic.to_string(), *bytes)).collect();
    Some(Finding::Sizes { topics, others })
}

#[test]
fn sizes_are_added_up_over_the_shards_or_not_shown() {
    let of = |findings| of_shards(findings).map(|samples| render(&samples));
    let text =
        of(vec![finding(&[("a", 5), ("b", 1)], 0), finding(&[("b", 2), ("c", 0)], 7)]).expect("all have answered");
    for line in ["a\"} 5", "b\"} 3", "c\"} 0", "(others)\"} 7"] {
        assert!(text.contains(&format!("torc_topic_log_bytes{{topic=\"{line}\n")), "no {line} in {text}");
    }
    assert!(!of(vec![finding(&[("a", 5)], 0)]).expect("it has answered").contains("topic=\"(others)"));
    assert_eq!(of(vec![finding(&[("a", 5)], 0), None]), None, "less than there is would mislead");
    assert_eq!(of(vec![Some(Finding::Ends(vec![]))]), None);
}
