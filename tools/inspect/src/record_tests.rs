use super::*;
use torc_net::kafka::records::{BuildOptions, Record, build};

#[test]
fn a_record_is_found_with_its_place() {
    let values: Vec<Vec<u8>> = (0..5u8).map(|n| vec![b'a' + n; 40 * usize::from(n) + 1]).collect();
    let records: Vec<Record<'_>> = values.iter().map(|v| Record { value: Some(v), ..Record::default() }).collect();
    let bytes = build(&records, &BuildOptions::default());
    let (mut at, last) = (records::HEADER, records.len() as i64 - 1);
    for n in 0..=last {
        let found = find(&bytes, n).unwrap().expect("there is one");
        let (start, length) = found.place.expect("not compressed");
        assert_eq!(start, at, "records lie one behind the other");
        assert!(bytes[start..start + length].windows(values[n as usize].len()).any(|w| w == values[n as usize]));
        at += length;
    }
    assert_eq!(at, bytes.len());
    assert!(find(&bytes, last + 1).unwrap().is_none());
    assert_eq!(find(&bytes, 2).unwrap().unwrap().value.unwrap().len(), 64 + 3);
}

#[test]
fn varints_are_zigzag() {
    for (bytes, value) in [(&[0u8][..], 0), (&[1], -1), (&[2], 1), (&[0x80, 0x01], 64), (&[0xff, 0x01], -128)] {
        assert_eq!(varint(bytes), Some((value, bytes.len())));
    }
    assert_eq!(varint(&[0x80]), None);
}
