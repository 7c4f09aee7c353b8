use super::json::Place;
use super::{escape, hex, json, moment};
use torc_net::kafka::records::OwnedRecord;
use torc_server::log::timestamp;

#[test]
fn escapes_stand_for_bytes() {
    assert_eq!(escape::unescape(r"a\n\t\r\0\\\xFf").unwrap(), b"a\n\t\r\0\\\xff");
    assert_eq!(escape::unescape("ü").unwrap(), "ü".as_bytes());
    for wrong in [r"\", r"\q", r"\x", r"\x1", r"\xzz", r"\x+1", r"\xü"] {
        assert!(escape::unescape(wrong).is_err(), "{wrong}");
    }
    assert!(escape::delimiter("").is_err());
}

#[test]
fn hex_goes_both_ways() {
    let all: Vec<u8> = (0..=255).collect();
    assert_eq!(hex::parse(hex::text(&all).as_bytes()).unwrap(), all);
    assert_eq!(hex::parse(b"00fFAb").unwrap(), [0, 255, 0xab]);
    assert!(hex::parse(b"0").is_err() && hex::parse(b"0g").is_err() && hex::parse(b"+1").is_err());
}

#[test]
fn a_line_of_json_gives_the_record_back() {
    let bytes = |text: &[u8]| Some(text.to_vec());
    let fields = [None, bytes(b""), bytes("ü \"\n\0".as_bytes()), bytes(&[0xff, 0, b'a'])];
    for key in &fields {
        for value in &fields {
            let headers = vec![(b"h".to_vec(), key.clone()), (b"h".to_vec(), value.clone()), (vec![0xfe], None)];
            let (key, value) = (key.clone(), value.clone());
            let record = OwnedRecord { offset: 7, timestamp: 1_700_000_000_000, key, value, headers };
            let mut line = Vec::new();
            json::put(&mut line, &Place { topic: "t", partition: 3, timestamp_type: "CreateTime" }, &record);
            let text = String::from_utf8(line.clone()).unwrap();
            assert!(!text.contains('\n') && text.contains(r#""topic":"t","partition":3,"offset":7"#), "{text}");
            let read = json::parse(&line).unwrap();
            assert_eq!((read.key, read.value, read.headers), (record.key, record.value, record.headers), "{text}");
            assert_eq!((read.timestamp, read.partition), (Some(1_700_000_000_000), Some(3)));
        }
    }
}

#[test]
fn a_line_of_json_may_be_short_but_not_wrong() {
    let read = json::parse(br#"{"value": "v"}"#).unwrap();
    assert_eq!((read.key, read.value, read.timestamp), (None, Some(b"v".to_vec()), None));
    assert_eq!(json::parse(br#"{"key": "k", "value": null}"#).unwrap().value, None);
    for (wrong, why) in [
        ("", "JSON"),
        ("[]", "JSON"),
        ("{}", "neither value"),
        (r#"{"key": "k"}"#, "neither value"),
        (r#"{"value": {"a": 1}}"#, "JSON"),
        (r#"{"value": "v", "vlaue": 1}"#, "vlaue"),
        (r#"{"value": "v", "value_hex": "00"}"#, "value and value_hex"),
        (r#"{"value_hex": "0"}"#, "value_hex: "),
        (r#"{"value": "v", "headers": [{"value": "x"}]}"#, "no key"),
        (r#"{"value": "v"} x"#, "JSON"),
    ] {
        let error = json::parse(wrong.as_bytes()).unwrap_err();
        assert!(error.contains(why), "{wrong}: {error}");
    }
}

#[test]
fn moments_are_read_as_they_are_written() {
    let now = 1_700_000_000_000;
    let parse = |text: &str| moment::parse(text, now);
    for ms in [0, 1, 951_782_399_999, 951_782_400_000, 1_709_164_800_000, 4_102_444_800_123] {
        assert_eq!(parse(&timestamp(ms)), Some(ms as i64), "{}", timestamp(ms));
    }
    assert_eq!(parse("-1h"), Some(now - 3_600_000));
    assert_eq!(parse("-1.5s"), Some(now - 1_500));
    assert_eq!(parse("-100000d"), Some(0));
    assert_eq!(parse("@1700000000000"), Some(now));
    let noon = parse("2026-11-28T12:00:00Z");
    assert_eq!(parse("2026-11-28T14:00:00+02:00"), noon);
    assert_eq!(parse("2026-11-28T06:30-05:30"), noon);
    assert_eq!(parse("2026-11-28 12:00"), noon);
    assert_eq!(parse("2026-11-28"), noon.map(|ms| ms - 12 * 3_600_000));
    for wrong in [
        "",
        "-",
        "-1",
        "-1x",
        "--1h",
        "1h",
        "@",
        "@-1",
        "2026-13-01",
        "2026-02-29",
        "2026-1-1",
        "2026-11-28T",
        "2026-11-28T25:00",
        "2026-11-28T12",
        "2026-11-28T12:00:00.Z",
        "2026-11-28T12:00+2",
        "2026-11-28T12:00:00:00",
        "yesterday",
    ] {
        assert_eq!(parse(wrong), None, "{wrong}");
    }
    assert!(parse("2028-02-29").is_some());
}
