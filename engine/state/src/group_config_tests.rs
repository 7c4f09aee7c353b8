use super::*;

fn overrides(all: &[(&str, &str)]) -> Overrides {
    all.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

#[test]
fn settings_are_checked_against_what_the_server_allows() {
    let settings = CoordinatorSettings::default();
    let check = |all: &[(&str, &str)]| canonical(&settings, &overrides(all)).map_err(|error| error.to_string());
    assert_eq!(check(&[(SESSION, " 50000 ")]), Ok(overrides(&[(SESSION, "50000")])));
    assert_eq!(check(&[(SESSION, "60000"), (HEARTBEAT, "15000")]).map(|all| all.len()), Ok(2));
    assert_eq!(check(&[]), Ok(Overrides::new()));
    for (key, value, allowed) in [
        (SESSION, "44999", "45000 to 60000"),
        (SESSION, "60001", "45000 to 60000"),
        (SESSION, "", "45000 to 60000"),
        (SESSION, "45s", "45000 to 60000"),
        (HEARTBEAT, "4999", "5000 to 15000"),
        (HEARTBEAT, "99999999999", "5000 to 15000"),
    ] {
        let why = check(&[(key, value)]).expect_err(value);
        assert!(why.contains(allowed) && why.starts_with(key), "{why}");
    }
    for (key, word) in [
        ("consumer.assignment.interval.ms", "at once"),
        ("share.session.timeout.ms", "share groups"),
        ("streams.num.standby.replicas", "share groups"),
        ("session.timeout.ms", "no such"),
        ("", "no such"),
    ] {
        let why = check(&[(key, "1000")]).expect_err(key);
        assert!(why.contains(word), "{why}");
    }
    // Where the server allows both, they must still fit each other, and each what the server has for the other.
    let wide = CoordinatorSettings {
        consumer_session_timeouts_ms: 1..=60_000,
        consumer_heartbeat_intervals_ms: 1..=50_000,
        ..settings
    };
    let check = |all: &[(&str, &str)]| canonical(&wide, &overrides(all)).map_err(|error| error.to_string());
    assert!(check(&[(SESSION, "4000")]).is_err_and(|why| why.contains("5000")));
    assert!(check(&[(HEARTBEAT, "45000")]).is_err_and(|why| why.contains("45000")));
    assert!(check(&[(SESSION, "1000"), (HEARTBEAT, "1000")]).is_err());
    assert!(check(&[(SESSION, "1001"), (HEARTBEAT, "1000")]).is_ok());
}

#[test]
fn changes_build_on_what_is_set() {
    let before = overrides(&[(SESSION, "50000")]);
    let change = |alter: Alter| vec![(SESSION.to_string(), alter)];
    assert_eq!(alter(&before, &change(Alter::Delete)), Ok(Overrides::new()));
    assert_eq!(alter(&before, &change(Alter::Set("46000".into()))), Ok(overrides(&[(SESSION, "46000")])));
    let other = vec![(HEARTBEAT.to_string(), Alter::Set("6000".into()))];
    assert_eq!(alter(&before, &other), Ok(overrides(&[(SESSION, "50000"), (HEARTBEAT, "6000")])));
    assert!(alter(&before, &change(Alter::Append("1".into()))).is_err());
    assert!(alter(&before, &change(Alter::Subtract("1".into()))).is_err());
}

#[test]
fn what_is_set_is_in_effect() {
    let config = resolve(&overrides(&[(SESSION, "50000"), ("of.times.to.come", "x")]));
    assert_eq!(config, GroupConfig { session_timeout_ms: Some(50_000), heartbeat_interval_ms: None });
    assert_eq!(KEYS[1].default(&CoordinatorSettings::default()), "45000");
}
