use crate::machine::{Process, cpu_seconds_of_thread, thread_id};
use crate::metrics::render;
use crate::samples::of_topics;
use torc_shard::Counts;

#[test]
fn topics_are_added_up_over_the_shards() {
    let counts = |n| Counts { records_in: n, bytes_in: 10 * n, records_out: 100 * n, bytes_out: 1_000 * n };
    let shards = [
        (vec![("b".to_string(), counts(1)), ("a".to_string(), counts(2))], Counts::default()),
        (vec![("b".to_string(), counts(3))], counts(5)),
    ];
    let text = render(&of_topics(shards.into_iter()));
    for line in [
        "torc_topic_produce_records_total{topic=\"a\"} 2",
        "torc_topic_produce_bytes_total{topic=\"b\"} 40",
        "torc_topic_fetch_records_total{topic=\"b\"} 400",
        "torc_topic_fetch_bytes_total{topic=\"(others)\"} 5000",
    ] {
        assert!(text.lines().any(|other| other == line), "no {line} in {text}");
    }
    let idle = render(&of_topics([(vec![("a".to_string(), Counts::default())], Counts::default())].into_iter()));
    assert!(idle.contains("topic=\"a\"} 0") && !idle.contains("topic=\"(others)\""), "{idle}");
}

#[test]
fn the_process_and_its_threads_are_seen() {
    let here = Process::here();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let started = here.start_seconds.unwrap();
    assert!(started > now - 7.0 * 86_400.0 && started < now + 60.0, "{started} {now}");
    assert!(here.virtual_bytes > here.resident_bytes && here.resident_bytes.unwrap() > 1e5, "{here:?}");
    assert!(here.open_files.unwrap() >= 3.0 && here.cpu_seconds.is_some(), "{here:?}");
    let id = thread_id();
    assert!(id > 0 && cpu_seconds_of_thread(id).is_some());
    let other = std::thread::spawn(thread_id).join().unwrap();
    assert_ne!(other, id);
    assert_eq!(cpu_seconds_of_thread(0), None, "a thread that does not run yet");
}
