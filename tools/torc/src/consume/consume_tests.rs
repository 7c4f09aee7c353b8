use super::reader::Aborted;
use super::template::Template;
use torc_net::kafka::records::{BuildOptions, CRC_PREFIX, Record, build, parse};

/// A batch of a transaction of `producer` with two records from `offset` on.
fn data(producer: i64, offset: i64) -> Vec<u8> {
    let record = Record { value: Some(b"v"), ..Record::default() };
    let options =
        BuildOptions { producer_id: producer, base_offset: offset, transactional: true, ..BuildOptions::default() };
    build(&[record, record], &options)
}

/// The mark that ends a transaction of `producer`; of a control batch only brokers set the bit.
fn mark(producer: i64, offset: i64, commit: bool) -> Vec<u8> {
    let key = [0, 0, 0, u8::from(commit)];
    let record = Record { key: Some(&key), value: Some(b"\0\0\0\0\0\0"), ..Record::default() };
    let options =
        BuildOptions { producer_id: producer, base_offset: offset, transactional: true, ..BuildOptions::default() };
    let mut bytes = build(&[record], &options);
    bytes[CRC_PREFIX + 1] |= 1 << 5;
    assert!(parse(&bytes).unwrap().is_control());
    bytes
}

#[test]
fn what_was_aborted_is_not_read_and_what_follows_is() {
    // Producer 1 aborts, commits, aborts; producer 2 commits meanwhile; producer 3 uses no transactions.
    let plain =
        build(&[Record::default()], &BuildOptions { base_offset: 20, producer_id: 1, ..BuildOptions::default() });
    let log = [
        (data(1, 0), true),
        (data(2, 2), false),
        (mark(1, 4, false), true),
        (data(1, 5), false),
        (mark(1, 7, true), true),
        (mark(2, 8, true), true),
        (data(1, 9), true),
        (data(1, 11), true),
        (mark(1, 13, false), true),
        (data(1, 14), false),
        (plain, false),
    ];
    let mut aborted = Aborted::new(&[(1, 9), (1, 0)]);
    for (bytes, skipped) in &log {
        let batch = parse(bytes).unwrap();
        assert_eq!(aborted.skips(&batch, bytes), *skipped, "offset {}", batch.base_offset);
    }
}

#[test]
fn templates_are_looked_at_before_anything_is_read() {
    for good in ["", "%%", "%t%p%o%k%K%v%V%s%S%h%T%d", r"\x41\n"] {
        Template::parse(good).unwrap_or_else(|why| panic!("{good}: {why}"));
    }
    for wrong in ["%", "%q", "a%", r"\", "%\u{fc}"] {
        assert!(Template::parse(wrong).is_err(), "{wrong}");
    }
}
