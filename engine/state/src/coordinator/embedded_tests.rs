//! What consumers write into subscriptions and assignments, in every version; bytes by hand from the schemas.

use super::embedded::{assigned, assignment, subscribed_topics, subscription};
use super::rig::text;
use torc_base::prng::Prng;

/// Topics "t" and "u", user data 7 8, partitions 0 and 5 of "t" held, generation 3, rack "r".
const NEWEST: &[u8] = &[
    0, 3, 0, 0, 0, 2, 0, 1, b't', 0, 1, b'u', 0, 0, 0, 2, 7, 8, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 2, 0, 0, 0, 0, 0, 0,
    0, 5, 0, 0, 0, 3, 0, 1, b'r',
];
/// Where the fields of versions 0, 1, 2 and 3 end.
const ENDS: [usize; 4] = [18, 37, 41, 44];

#[test]
fn subscriptions_of_all_versions_are_read() {
    for (version, end) in ENDS.into_iter().enumerate() {
        let mut bytes = NEWEST[..end].to_vec();
        bytes[1] = version as u8;
        let read = subscription(&bytes).expect("valid");
        assert_eq!(read.topics, ["t", "u"]);
        assert_eq!(read.owned, if version >= 1 { vec![("t", vec![0, 5])] } else { Vec::new() });
        assert_eq!(read.rack, if version >= 3 { Some("r") } else { None });
        for cut in 0..end {
            assert!(subscription(&bytes[..cut]).is_none(), "version {version} cut at {cut}");
        }
        // What a later version adds is passed over.
        bytes.extend_from_slice(&[1, 2, 3]);
        assert!(subscription(&bytes).is_some());
    }
    assert!(subscription(&[0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]).is_none(), "a negative version");
    assert_eq!(subscribed_topics(NEWEST), Some(vec!["t", "u"]));
}

#[test]
fn assignments_come_back_as_they_were_written() {
    let topics = [(text("t"), vec![0, 5]), (text("u"), vec![2])];
    let bytes = assignment(NEWEST, &topics);
    assert_eq!(&bytes[..6], [0, 3, 0, 0, 0, 2]);
    assert_eq!(assigned(&bytes), Some(vec![("t", vec![0, 5]), ("u", vec![2])]));
    assert_eq!(&assignment(&[0, 0], &[])[..], [0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    assert_eq!(assignment(&[0x7f, 0xff], &[])[..2], [0, 3], "not newer than what is known");
    assert_eq!(assigned(&[]), Some(Vec::new()));
    for cut in 1..bytes.len() - 4 {
        assert!(assigned(&bytes[..cut]).is_none(), "cut at {cut}");
    }
}

#[test]
fn bytes_of_any_kind_are_no_danger() {
    for seed in 0..5_000 {
        let mut prng = Prng::new(seed);
        let mut bytes = NEWEST.to_vec();
        for _ in 0..prng.between(1, 4) {
            let at = prng.below(bytes.len() as u64) as usize;
            bytes[at] = prng.next_u64() as u8;
        }
        let _ = (subscription(&bytes), assigned(&bytes), subscribed_topics(&bytes));
    }
    let many = [0, 1, 0x7f, 0xff, 0xff, 0xff];
    assert!(subscription(&many).is_none() && assigned(&many).is_none(), "no memory for what is not there");
}
