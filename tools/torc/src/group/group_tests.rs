use super::describe::ranges_of;
use super::plan::{parse, text_of};
use std::collections::BTreeMap;
use torc_client::TopicPartition;

#[test]
fn offsets_in_files_are_lines_of_three_fields() {
    let text = "# made by hand\norders,0,42\n\n \"orders\", 1 , 7\r\npayments,0,0\n";
    let expected = [("orders", 0, 42), ("orders", 1, 7), ("payments", 0, 0)];
    let expected: BTreeMap<_, _> = expected.iter().map(|(t, p, o)| (TopicPartition::new(t, *p), *o)).collect();
    assert_eq!(parse(text), Ok(expected.clone()));
    assert_eq!(parse(&format!("\u{feff}{text}")), Ok(expected));
    for (wrong, why) in [
        ("", "no offsets"),
        ("orders,0", "line 1"),
        ("group,orders,0,5", "TOPIC,PARTITION,OFFSET"),
        ("orders,x,5", "line 1"),
        ("orders,-1,5", "line 1"),
        ("orders,0,1\norders,0,-5", "line 2"),
        (",0,5", "line 1"),
        ("orders,0,1\norders,0,1", "already"),
        ("orders,0,99999999999999999999", "line 1"),
    ] {
        let error = parse(wrong).unwrap_err();
        assert!(error.contains(why), "{wrong:?}: {error}");
    }
}

#[test]
fn a_file_of_offsets_is_read_as_a_whole_or_not_at_all() {
    assert_eq!(text_of(&b"orders,0,42"[..], 11).unwrap(), "orders,0,42");
    let error = text_of(&b"orders,0,42"[..], 10).unwrap_err();
    assert!(error.to_string().contains("longer than 10 bytes"), "{error}");
    assert!(text_of(&b"\xff,0,42"[..], 100).is_err(), "no text");
}

#[test]
fn partitions_are_shown_as_ranges() {
    let topics = |pairs: &[(&str, &[i32])]| pairs.iter().map(|(t, p)| (t.to_string(), p.to_vec())).collect();
    assert_eq!(ranges_of(&topics(&[])), "");
    assert_eq!(ranges_of(&topics(&[("a", &[0]), ("b", &[0, 1, 2, 5, 7, 8])])), "a:0 b:0-2,5,7-8");
}
