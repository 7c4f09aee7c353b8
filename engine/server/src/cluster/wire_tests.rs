use super::wire::{Form, Speaker, receive, send, send_not_ready};
use super::{Founding, Members};

fn founding() -> Founding {
    let members = Members::parse("1=a:1,2=[::1]:2,7=c.example:3").unwrap();
    Founding { cluster: u128::MAX - 1, members, founders: [(1, 10), (2, 20), (7, u128::MAX)].into() }
}

const ME: Speaker = Speaker { node: 7, start: u64::MAX - 5 };

#[test]
fn what_is_said_is_understood() {
    let members = founding().members;
    for form in [
        Form::Who,
        Form::Fresh { disk: 3, members },
        Form::Founded(founding()),
        Form::Refused("because\nof this".to_string()),
    ] {
        let mut wire = Vec::new();
        send(&mut wire, ME, &form).unwrap();
        assert_eq!(receive(&mut &wire[..]).unwrap(), Some((ME, form.clone())));
        assert_eq!(Form::decode(&form.encode(ME)), Some((ME, form)));
    }
    let long = Form::Refused("ä".repeat(10_000));
    let Some((_, Form::Refused(cut))) = Form::decode(&long.encode(ME)) else { panic!("a long text is cut") };
    assert_eq!(cut, "ä".repeat(4096));
}

#[test]
fn frames_that_say_something_else_are_passed_over() {
    let mut wire = Vec::new();
    send_not_ready(&mut wire).unwrap();
    assert_eq!(receive(&mut &wire[..]).unwrap(), None);
}

#[test]
fn damage_and_other_protocols_are_errors() {
    let mut good = Vec::new();
    send(&mut good, ME, &Form::Founded(founding())).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        assert!(receive(&mut &bad[..]).is_err(), "byte {at}");
        assert!(receive(&mut &good[..at]).is_err(), "cut at {at}");
    }
    assert!(receive(&mut &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..]).is_err());
    let mut other_version = Form::Who.encode(ME);
    other_version[0] = 9;
    assert_eq!(Form::decode(&other_version), None);
}

#[test]
fn any_bytes_are_read_without_a_panic() {
    bolero::check!().for_each(|bytes: &[u8]| {
        if let Some((from, form)) = Form::decode(bytes) {
            assert_eq!(Form::decode(&form.encode(from)), Some((from, form)));
        }
        let _ = receive(&mut &bytes[..]);
    });
}
