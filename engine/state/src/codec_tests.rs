use super::*;

#[test]
fn numbers_come_back() {
    let mut out = Vec::new();
    let unsigned = [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX - 1, u64::MAX];
    let signed = [0, -1, 1, 63, -64, 64, i64::MAX, i64::MIN];
    unsigned.iter().for_each(|&v| put_u64(&mut out, v));
    signed.iter().for_each(|&v| put_i64(&mut out, v));
    put_bytes(&mut out, "topic".as_bytes());
    let mut bytes = &out[..];
    let mut reader = Decoder::new(&mut bytes);
    for v in unsigned {
        assert_eq!(reader.u64("v"), Ok(v));
    }
    for v in signed {
        assert_eq!(reader.i64("v"), Ok(v));
    }
    assert_eq!(reader.text(5, "text"), Ok("topic"));
    assert!(bytes.is_empty());
}

#[test]
fn only_the_shortest_form_of_a_number_is_taken() {
    let read = |mut bytes: &[u8]| Decoder::new(&mut bytes).u64("v");
    assert_eq!(read(&[0x80, 0x01]), Ok(128));
    assert_eq!(read(&[]), Err(DecodeError { what: "v", left: 0 }));
    assert!(read(&[0x80]).is_err(), "cut off");
    assert!(read(&[0x81, 0x00]).is_err(), "padded");
    assert!(read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]).is_err(), "65 bits");
    assert!(read(&[0xff; 11]).is_err(), "without end");
}

#[test]
fn lengths_are_checked_before_they_are_used() {
    let mut bytes: &[u8] = &[200, 1, b'a'];
    assert!(Decoder::new(&mut bytes).text(1000, "text").is_err());
    let mut bytes: &[u8] = &[3, b'a', b'b', b'c'];
    assert!(Decoder::new(&mut bytes).text(2, "text").is_err());
    let mut bytes: &[u8] = &[5, 1, 1];
    assert!(Decoder::new(&mut bytes).count(100, "count").is_err());
    let mut bytes: &[u8] = &[2, 0xff, 0xfe];
    assert!(Decoder::new(&mut bytes).text(2, "text").is_err(), "not UTF-8");
}
