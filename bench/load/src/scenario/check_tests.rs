use super::check::{CheckSpec, Checked};
use super::file::Scenario;
use super::results::{Results, Spread};
use super::testdata::{machine, results};
use crate::limits::Limits;

const RUNS: &str = r#"
title = "T"
limits = true
[[target]]
name = "torc"
[[target]]
name = "kafka"
[[run]]
name = "one"
mode = "produce"
[[run]]
name = "two"
mode = "produce"
targets = ["torc"]
"#;

fn parse(check: &str) -> Result<CheckSpec, String> {
    let scenario = Scenario::parse(&format!("{RUNS}\n[[check]]\nwhat = \"W\"\nrun = \"one\"\n{check}"))?;
    Ok(scenario.checks[0].clone())
}

fn measured() -> Results {
    results(&[
        ("one", "torc", &[(100, 2_000), (300, 3_000), (200, 1_000)]),
        ("one", "kafka", &[(100, 4_000), (100, 4_000), (50, 4_000)]),
        ("two", "torc", &[(800, 1_000), (800, 1_000), (800, 1_000)]),
    ])
}

fn check(check: &str) -> Checked {
    parse(check).unwrap().check(&measured(), false)
}

#[test]
fn a_ratio_is_of_medians_and_its_spread_of_repetitions() {
    let rate = check("figure = \"rate\"\ntarget = \"torc\"\nover = \"kafka\"\nat-least = 1.15");
    // 200 / 100; 100 / 100, 300 / 100, 200 / 50.
    assert_eq!((rate.asked.as_str(), rate.measured.as_str(), rate.met), ("≥ 1.15 x", "2.00 x", Some(true)));
    assert_eq!((rate.spread.as_str(), rate.of.as_str()), ("1.00 x to 4.00 x", "requests/s: torc / kafka"));
    let p50 = check("figure = \"p50\"\ntarget = \"torc\"\nover = \"kafka\"\nat-most = 0.4");
    assert_eq!((p50.measured.as_str(), p50.met), ("0.500 x", Some(false)));
}

#[test]
fn the_figure_itself_can_be_bounded() {
    let most = |bound: &str| check(&format!("figure = \"p50\"\ntarget = \"torc\"\nat-most = {bound}"));
    assert_eq!((most("\"2us\"").measured.as_str(), most("\"2us\"").met), ("2.00 us", Some(true)));
    assert_eq!((most("\"1us\"").asked.as_str(), most("\"1us\"").met), ("≤ 1.00 us", Some(false)));
    let plain = parse("figure = \"p50\"\ntarget = \"torc\"\nat-most = 0.02").unwrap_err();
    assert!(plain.contains("a time is bounded by a text with a unit"), "{plain}");
    let errors = check("figure = \"errors\"\ntarget = \"torc\"\nat-most = 0");
    assert_eq!((errors.measured.as_str(), errors.spread.as_str(), errors.met), ("0", "-", Some(true)));
}

#[test]
fn of_several_the_lowest_counts() {
    let against = |read: f64, other: f64| {
        check(&format!(
            "figure = \"bandwidth\"\ntarget = \"torc\"\nat-least = 1.0\n\
             over = [{{ limit = \"sequential-read\", times = {read} }}, {{ run = \"two\", times = {other} }}]"
        ))
    };
    // 0.2 MB/s beside a disk of 1 MB/s and another run's 0.8 MB/s.
    assert_eq!(against(0.4, 0.25).measured, "1.00 x");
    assert_eq!(against(0.4, 0.25).met, Some(true));
    assert_eq!(against(0.1, 0.25).measured, "2.00 x");
    assert_eq!(against(0.4, 0.9).measured, "0.500 x");
    assert_eq!(against(0.4, 0.9).of, "MB/s: torc / lowest of 0.4 x sequential-read, 0.9 x \"two\"");
}

#[test]
fn a_limit_is_that_of_the_same_repetition() {
    let of = |read| Limits { sequential_read_mb_per_s: read, ..machine() };
    let results = Results { machine: vec![of(0.1), of(0.2), of(0.8)], ..measured() };
    let spec = parse("figure = \"bandwidth\"\ntarget = \"torc\"\nat-least = 1\nover = { limit = \"sequential-read\" }");
    let checked = spec.unwrap().check(&results, false);
    // 0.1, 0.3 and 0.2 MB/s.
    assert_eq!((checked.measured.as_str(), checked.spread.as_str()), ("1.00 x", "0.250 x to 1.50 x"));
}

#[test]
fn what_was_not_measured_is_not_met() {
    let spec = parse("figure = \"rate\"\ntarget = \"torc\"\nover = \"kafka\"\nat-least = 0.1").unwrap();
    let without = results(&[("one", "torc", &[(1, 1)]), ("one", "kafka", &[])]);
    assert_eq!(spec.check(&without, false).met, None);
    let of_limit = parse("figure = \"bandwidth\"\ntarget = \"torc\"\nover = { limit = \"loopback\" }\nat-least = 0.1");
    let no_machine = Results { machine: Vec::new(), ..measured() };
    assert_eq!(of_limit.unwrap().check(&no_machine, false).met, None);
    let no_server = check("figure = \"server-cpu\"\ntarget = \"torc\"\nat-most = 13");
    assert_eq!((no_server.met, no_server.measured.as_str()), (None, "-"));
}

#[test]
fn checks_are_checked_before_anything_runs() {
    let refused = |text: &str| parse(text).unwrap_err();
    assert!(refused("figure = \"speed\"\ntarget = \"torc\"\nat-most = 1").contains("server-cpu"), "all are named");
    assert!(refused("figure = \"rate\"\ntarget = \"x\"\nat-most = 1").contains("\"x\""));
    assert!(refused("figure = \"rate\"\ntarget = \"torc\"").contains("at-least or at-most"));
    assert!(refused("figure = \"rate\"\ntarget = \"torc\"\nat-least = 1\nat-most = 1").contains("either"));
    assert!(refused("figure = \"rate\"\ntarget = \"torc\"\nat-least = \"2s\"").contains("no number"));
    assert!(refused("figure = \"p50\"\ntarget = \"torc\"\nover = \"kafka\"\nat-least = \"2s\"").contains("a ratio"));
    let over =
        |over: &str| refused(&format!("figure = \"bandwidth\"\ntarget = \"kafka\"\nat-least = 1\nover = {over}"));
    assert!(over("{ limit = \"light\" }").contains("\"light\""));
    assert!(over("{ times = 2.0 }").contains("itself"));
    assert!(over("{ run = \"two\" }").contains("is not run against"), "of the same target");
    let rate = "figure = \"rate\"\ntarget = \"torc\"\nat-least = 1\nover = { limit = \"loopback\" }";
    assert!(refused(rate).contains("bandwidths"));
}

#[test]
fn a_spread_has_a_middle_and_two_ends() {
    let of = |values: &[f64]| Spread::of(values).map(|spread| (spread.median, spread.least, spread.most));
    assert_eq!(of(&[3.0, 1.0, 2.0]), Some((2.0, 1.0, 3.0)));
    assert_eq!(of(&[4.0, 1.0, 2.0, 3.0]), Some((2.5, 1.0, 4.0)));
    assert_eq!(of(&[]), None);
    assert_eq!(of(&[1.0, f64::NAN]), None);
    assert_eq!(Spread::of(&[8.0, 10.0, 14.0]).unwrap().relative(), 0.3);
}
