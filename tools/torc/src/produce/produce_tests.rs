use super::input::{Input, Next, Rules, next};
use crate::formats::RecordFormat;
use std::io::{BufReader, Cursor};

/// What a source is cut into, read `buffer` bytes at a time.
fn cut(text: &[u8], delimiter: &[u8], most: usize, buffer: usize) -> (Vec<Vec<u8>>, Next) {
    let mut source = BufReader::with_capacity(buffer, Cursor::new(text));
    let mut records = Vec::new();
    loop {
        let mut record = Vec::new();
        match next(&mut source, delimiter, most, &mut record).unwrap() {
            Next::Record => records.push(record),
            end => return (records, end),
        }
    }
}

#[test]
fn records_are_cut_where_their_delimiter_is_whole() {
    for buffer in [1, 2, 3, 64] {
        let cut = |text: &str, delimiter: &str| {
            let (records, end) = cut(text.as_bytes(), delimiter.as_bytes(), 100, buffer);
            assert_eq!(end, Next::End);
            records.into_iter().map(|record| String::from_utf8(record).unwrap()).collect::<Vec<_>>().join("|")
        };
        assert_eq!(cut("a\n\nbc", "\n"), "a||bc");
        assert_eq!(cut("a\n", "\n"), "a");
        assert_eq!(cut("", "\n"), "");
        assert_eq!(cut("a--b-c-d--", "--"), "a|b-c-d");
        assert_eq!(cut("a;\nb\nc;\n", ";\n"), "a|b\nc");
        assert_eq!(cut("a\nb", ""), "a\nb");
    }
}

#[test]
fn a_long_line_is_not_read_to_its_end() {
    for buffer in [1, 7, 64] {
        let (records, end) = cut(b"12345\n123456\n1\n", b"\n", 5, buffer);
        assert_eq!((records, end), (vec![b"12345".to_vec()], Next::TooLong));
        // The source is endless as far as anybody can tell.
        let (records, end) = cut(&[b'x'; 1_000], b"\n", 5, buffer);
        assert_eq!((records.len(), end), (0, Next::TooLong));
    }
}

fn rules(format: RecordFormat) -> Rules {
    Rules {
        format,
        whole: false,
        delimiter: b"\n".to_vec(),
        key_delimiter: b"::".to_vec(),
        null: Some(b"NULL".to_vec()),
        key: None,
        headers: vec![(b"h".to_vec(), None)],
        keep_partitions: false,
        bytes_max: 5_000,
        compressed: false,
    }
}

#[test]
fn lines_become_records() {
    let record = |format, line: &str| rules(format).record(line.as_bytes());
    let bytes = |text: &str| Some(text.as_bytes().to_vec());
    let headers = vec![(b"h".to_vec(), None)];
    let of = |key, value| Ok(Input { key, value, headers: headers.clone(), ..Input::default() });
    assert_eq!(record(RecordFormat::Value, "a::b"), of(None, bytes("a::b")));
    assert_eq!(record(RecordFormat::Value, "NULL"), of(None, None));
    assert_eq!(record(RecordFormat::KeyValue, "a::b::c"), of(bytes("a"), bytes("b::c")));
    assert_eq!(record(RecordFormat::KeyValue, "NULL::"), of(None, bytes("")));
    assert_eq!(record(RecordFormat::Hex, "61\t62"), of(bytes("a"), bytes("b")));
    assert_eq!(record(RecordFormat::Hex, "\t-"), of(bytes(""), None));
    assert_eq!(record(RecordFormat::Json, r#"{"value":"x","partition":3}"#), of(None, bytes("x")));
    for (format, wrong) in [(RecordFormat::KeyValue, "a:b"), (RecordFormat::Hex, "6"), (RecordFormat::Hex, "-\t61")] {
        assert!(record(format, wrong).is_err(), "{wrong}");
    }
    let long = format!("{{\"value\":\"{}\"}}", "x".repeat(7_000));
    assert!(record(RecordFormat::Json, &long).unwrap_err().contains("longer than 5000 bytes"));
}

#[test]
fn places_are_named_as_editors_do() {
    let input = |file: Option<&str>, line| Input { file: file.map(Into::into), line, ..Input::default() }.place();
    assert_eq!(input(None, 7), "line 7");
    assert_eq!(input(Some("a.txt"), 7), "a.txt:7");
    assert_eq!(input(Some("a.txt"), 0), "a.txt");
    assert_eq!(input(None, 0), "standard input");
}
