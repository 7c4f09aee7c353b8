use super::Claim::{Anywhere, Own, Shared};
use super::{Claim, Claims};

/// Names of its own for each test.
fn prefix(test: &str) -> String {
    format!("torc-test-{}-{test}", std::process::id())
}

#[test]
fn a_server_alone_gets_the_cores_it_wishes_for() {
    let mut claims = Claims::new(&prefix("alone"));
    assert_eq!(claims.take(&[0, 3, 1], &[0, 1, 2, 3]), [Own(0), Own(3), Own(1)]);
}

#[test]
fn more_shards_than_cores_share_them() {
    let mut claims = Claims::new(&prefix("shared"));
    assert_eq!(claims.take(&[5, 7, 5, 7], &[5, 7]), [Own(5), Own(7), Shared(5), Shared(7)]);
}

#[test]
fn of_three_servers_on_one_core_the_first_is_bound_to_it() {
    let prefix = prefix("three");
    let mut servers: Vec<Claims> = (0..3).map(|_| Claims::new(&prefix)).collect();
    let taken: Vec<Claim> = servers.iter_mut().flat_map(|server| server.take(&[1], &[])).collect();
    assert_eq!(taken, [Own(1), Anywhere, Anywhere]);
    assert_eq!(taken.iter().map(|claim| claim.core()).collect::<Vec<_>>(), [Some(1), None, None]);
}

#[test]
fn a_second_server_takes_cores_that_are_free() {
    let prefix = prefix("free");
    let (mut first, mut second) = (Claims::new(&prefix), Claims::new(&prefix));
    assert_eq!(first.take(&[0, 1], &[0, 1, 2]), [Own(0), Own(1)]);
    assert_eq!(second.take(&[0, 1], &[0, 1, 2]), [Own(2), Anywhere]);
}

#[test]
fn what_a_server_had_is_free_when_it_has_ended() {
    let prefix = prefix("ended");
    let mut first = Claims::new(&prefix);
    assert_eq!(first.take(&[1], &[0, 1]), [Own(1)]);
    drop(first);
    assert_eq!(Claims::new(&prefix).take(&[1], &[0, 1]), [Own(1)]);
}
