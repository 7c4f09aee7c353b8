//! The scenario files of this project, and what is wrong with others.

use std::path::Path;
use torc_load::scenario::Scenario;

#[test]
fn the_shipped_scenarios_are_sound() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let mut found = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "toml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        if let Err(what) = Scenario::parse(&text) {
            panic!("{}: {what}", path.display());
        }
        found += 1;
    }
    assert!(found >= 4, "{found} scenarios");
}

const SMALL: &str = r#"
title = "T"
[[target]]
name = "a"
options = { bootstrap-server = "127.0.0.1:1" }
[[run]]
name = "r"
mode = "produce"
connections = 3
idempotence = true
topic-config = ["a=1", "b=2"]
"#;

#[test]
fn a_scenario_is_checked_before_it_runs() {
    Scenario::parse(SMALL).unwrap();
    let refused = |from: &str, to: &str| Scenario::parse(&SMALL.replace(from, to)).unwrap_err();
    assert!(refused("connections = 3", "conections = 3").contains("conections"));
    assert!(refused("connections = 3", "connections = 0").contains("connections"));
    assert!(refused("connections = 3", "connections = 1.5").contains("connections"));
    assert!(refused("\"produce\"", "\"destroy\"").contains("destroy"));
    assert!(refused("connections = 3", "targets = [\"b\"]").contains("\"b\""));
    assert!(refused("title", "titel").contains("titel"));
}
