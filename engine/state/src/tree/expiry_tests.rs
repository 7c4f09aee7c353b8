use super::*;
use torc_base::prng::Prng;

const fn at(ms: u64) -> Mono {
    Mono(ms * 1_000_000)
}

const A: SessionId = SessionId(1);
const B: SessionId = SessionId(2);

#[test]
fn a_session_is_over_after_its_timeout_and_less_than_an_interval_more() {
    let mut expiry = Expiry::new(1_000);
    expiry.begin(A, 4_000, at(500));
    assert_eq!((expiry.next(), expiry.deadline(A), expiry.deadline(B)), (Some(at(5_000)), Some(at(5_000)), None));
    assert!(expiry.over(at(4_999), 9).is_empty());
    assert!(expiry.touch(A, at(4_999)));
    assert!(expiry.over(at(8_999), 9).is_empty());
    assert_eq!(expiry.over(at(9_000), 9), [A]);
    assert!(!expiry.touch(A, at(9_000)) && expiry.is_empty());
    assert_eq!(expiry.next(), None);
}

#[test]
fn a_late_report_takes_no_time_away_and_a_second_beginning_changes_nothing() {
    let mut expiry = Expiry::new(100);
    expiry.begin(A, 1_000, at(5_000));
    expiry.take_over(A, Owner(7)).expect("it lives");
    assert!(expiry.touch(A, at(100)));
    expiry.begin(A, 10, at(0));
    assert!(expiry.over(at(5_999), 9).is_empty());
    assert_eq!(expiry.check(A, Owner(8)), Err(TreeError::SessionMoved));
    assert_eq!(expiry.over(at(6_100), 9), [A]);
}

#[test]
fn what_is_over_comes_in_batches_the_longest_first() {
    let mut expiry = Expiry::new(10);
    for n in 0..100 {
        expiry.begin(SessionId(n), 1_000 - n as u32, at(0));
    }
    let mut all = Vec::new();
    loop {
        let batch = expiry.over(at(2_000), 7);
        if batch.is_empty() {
            break;
        }
        assert!(batch.len() <= 7);
        all.extend(batch);
    }
    assert_eq!(all.len(), 100);
    assert!(all.iter().map(|session| (1_000 - session.get()) / 10).is_sorted());
}

#[test]
fn one_connection_serves_a_session_until_another_takes_it_over() {
    let mut expiry = Expiry::new(100);
    expiry.begin(A, 1_000, at(0));
    assert_eq!(expiry.check(A, Owner(1)), Ok(()));
    assert_eq!(expiry.check(A, Owner(2)), Err(TreeError::SessionMoved));
    expiry.take_over(A, Owner(2)).expect("it lives");
    assert_eq!((expiry.check(A, Owner(2)), expiry.check(A, Owner(1))), (Ok(()), Err(TreeError::SessionMoved)));
    assert_eq!(expiry.check(B, Owner(1)), Err(TreeError::SessionExpired));
    expiry.end(A);
    assert_eq!(expiry.take_over(A, Owner(2)), Err(TreeError::SessionExpired));
}

#[test]
fn a_session_lives_for_as_long_as_its_client_was_told_where_it_is_served() {
    let mut expiry = Expiry::new(1_000);
    expiry.begin(A, 4_000, at(0));
    expiry.lives_for(A, Owner(1), 20_000, at(1_500));
    assert_eq!(expiry.deadline(A), Some(at(22_000)));
    assert!(expiry.touch(A, at(10_500)));
    assert_eq!(expiry.deadline(A), Some(at(31_000)));
    expiry.take_over(A, Owner(2)).expect("it lives");
    expiry.lives_for(A, Owner(1), 40_000, at(11_000));
    assert_eq!(expiry.deadline(A), Some(at(31_000)), "the first connection does not serve it any more");
    expiry.lives_for(A, Owner(2), 4_000, at(11_000));
    assert_eq!(expiry.deadline(A), Some(at(16_000)), "less is also told");
    expiry.lives_for(B, Owner(2), 4_000, at(11_000));
    assert_eq!((expiry.deadline(B), expiry.len(), expiry.deadlines.len()), (None, 1, 1));
    assert_eq!(expiry.over(at(16_000), 9), [A]);
}

#[test]
fn nobody_is_over_who_was_heard_of_in_time_and_everybody_who_was_not() {
    for seed in 0..20 {
        let mut prng = Prng::new(seed);
        let mut expiry = Expiry::new(50);
        let mut heard: BTreeMap<SessionId, (u64, u64)> = BTreeMap::new();
        let mut now = 0;
        for _ in 0..500 {
            now += prng.below(40);
            let session = SessionId(prng.below(20) as i64);
            match heard.get_mut(&session) {
                None => {
                    let timeout = prng.between(50, 400);
                    expiry.begin(session, timeout as u32, at(now));
                    heard.insert(session, (now, timeout));
                }
                Some((last, _)) => {
                    assert!(expiry.touch(session, at(now)), "seed {seed}");
                    *last = now;
                }
            }
            for session in expiry.over(at(now), 3) {
                let (last, timeout) = heard.remove(&session).expect("it lived");
                assert!(now > last + timeout, "seed {seed}: {session}");
            }
            if prng.chance(1, 5) {
                while let [session, ..] = expiry.over(at(now), 1)[..] {
                    heard.remove(&session);
                }
                assert!(heard.values().all(|(last, timeout)| now <= last + timeout + 50), "seed {seed}");
            }
            assert_eq!(expiry.len(), heard.len(), "seed {seed}");
            assert_eq!(expiry.deadlines.len(), heard.len(), "seed {seed}");
        }
    }
}

#[test]
fn a_password_is_of_one_session_and_one_secret() {
    let right = password((1, 2), A);
    assert!(is_password((1, 2), A, &right));
    assert!(!is_password((1, 2), B, &right) && !is_password((1, 3), A, &right) && !is_password((2, 2), A, &right));
    assert!(!is_password((1, 2), A, &right[..15]) && !is_password((1, 2), A, &[]) && !is_password((1, 2), A, &[0; 16]));
}
