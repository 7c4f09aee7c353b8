use super::file::{RelativeRate, Scenario};

const TWO: &str = r#"
title = "T"
repeat = 3
before = "sync"
[defaults]
warmup = "1s"
topic = "all"
[[target]]
name = "a"
options = { bootstrap-server = "127.0.0.1:1" }
[[target]]
name = "b"
serve = "serve b"
data = "{dir}/b"
options = { bootstrap-server = "127.0.0.1:2", topic-config = "flush.messages=1" }
[[run]]
name = "peak"
mode = "produce"
[[run]]
name = "half"
mode = "produce"
targets = ["b"]
rate = { part = 0.5, of = "peak", target = "a" }
space = { reserve = "1MiB" }
settle = { metrics = "127.0.0.1:3", prefix = "x_", for = "2s", timeout = "1m", at-least = { x_total = 1 } }
connections = 4
[[run.also]]
name = "slow"
rate = 10
topic-config = ["retention.ms=-1"]
[[run]]
name = "again"
mode = "restart"
targets = ["b"]
[[run]]
name = "read"
mode = "consume"
needs = ["half"]
"#;

fn refused(from: &str, to: &str) -> String {
    assert!(TWO.contains(from));
    Scenario::parse(&TWO.replacen(from, to, 1)).unwrap_err()
}

fn line(scenario: &Scenario, run: usize, also: bool, rate: f64) -> String {
    let (run, target) = (&scenario.runs[run], scenario.target("b").unwrap());
    let also = also.then(|| &run.also[0]);
    scenario.arguments(run, also, target, &|_: &RelativeRate| Ok(rate)).unwrap().join(" ")
}

#[test]
fn a_target_may_be_served_by_several_commands() {
    let serve = |what: &str| {
        let text = format!(
            "title = \"T\"\n[[target]]\nname = \"a\"\nserve = {what}\n[[run]]\nname = \"r\"\nmode = \"produce\"\n"
        );
        Scenario::parse(&text).map(|scenario| scenario.targets[0].serve.clone())
    };
    assert_eq!(serve("\"one\"").unwrap(), ["one"]);
    assert_eq!(serve("[\"one\", \"two\"]").unwrap(), ["one", "two"]);
    assert!(serve("3").unwrap_err().contains("a command, or a list of commands"));
}

#[test]
fn a_command_line_follows_from_defaults_run_and_target() {
    let scenario = Scenario::parse(TWO).unwrap();
    let peak = line(&scenario, 0, false, 0.0);
    assert_eq!(peak, "--bootstrap-server=127.0.0.1:2 --topic=all-b --topic-config=flush.messages=1 --warmup=1s");
    let half = line(&scenario, 1, false, 801.0);
    assert!(half.contains("--rate=401 ") && half.contains("--connections=4 "), "{half}");
    // Beside it: the run's options and its own, but a topic of its own.
    let slow = line(&scenario, 1, true, 801.0);
    assert!(slow.contains("--rate=10 ") && slow.contains("--connections=4 "), "{slow}");
    assert!(slow.contains("--topic=slow-b "), "{slow}");
}

#[test]
fn what_runs_refer_to_must_be_there() {
    Scenario::parse(TWO).unwrap();
    assert!(refused("of = \"peak\"", "of = \"read\"").contains("no run before it"));
    assert!(refused("target = \"a\" }", "target = \"c\" }").contains("no target \"c\""));
    assert!(refused("part = 0.5", "share = 0.5").contains("share"));
    assert!(refused("needs = [\"half\"]", "needs = [\"whole\"]").contains("\"whole\""));
    assert!(refused("data = \"{dir}/b\"\n", "").contains("where its data is"));
    assert!(refused("serve = \"serve b\"\n", "").contains("how it is started"));
    assert!(refused("serve = \"serve b\"\n", "warm = \"load\"\nfresh = \"clean\"\n").contains("warmed up once"));
    assert!(refused("name = \"read\"", "name = \"slow\"").contains("two runs"));
    assert!(refused("for = \"2s\"", "for = \"two\"").contains("\"two\""));
    assert!(refused("1MiB", "1MoB").contains("1MoB"));
    assert!(refused("mode = \"restart\"", "mode = \"restart\"\nconnections = 3").contains("no option connections"));
    assert!(refused("rate = 10", "reat = 10").contains("\"slow\""));
}

#[test]
fn runs_that_others_need_are_kept() {
    let kept = |text: &str| {
        let mut scenario = Scenario::parse(TWO).unwrap();
        scenario.retain_runs(text);
        scenario.runs.iter().map(|run| run.name.clone()).collect::<Vec<String>>()
    };
    // It reads what half writes, whose rate is part of the peak.
    assert_eq!(kept("read"), ["peak", "half", "read"]);
    assert_eq!(kept("peak"), ["peak"]);
    assert_eq!(kept("again"), ["again"]);
    assert!(kept("nothing").is_empty());
}

const GUIDE: &str = include_str!("../../../scenarios/README.md");

/// The fields that the parser names when it meets one that it does not know.
fn fields(text: &str) -> Vec<String> {
    let error = toml::from_str::<Scenario>(text).unwrap_err().to_string();
    let (_, known) = error.split_once("expected ").unwrap_or_else(|| panic!("{error}"));
    known.split('`').skip(1).step_by(2).map(str::to_string).collect()
}

#[test]
fn the_guide_names_every_key_that_the_parser_knows() {
    let target = "title = \"T\"\n[[target]]\nnonsense = 1";
    let check =
        "title = \"T\"\n[[target]]\nname = \"a\"\n[[run]]\nname = \"r\"\nmode = \"produce\"\n[[check]]\nnonsense = 1";
    let run = "title = \"T\"\n[[target]]\nname = \"a\"\n[[run]]\nname = \"r\"\nmode = \"produce\"\n";
    let mut keys = fields("nonsense = 1");
    for text in
        [target, check, &format!("{run}settle = {{ nonsense = 1 }}"), &format!("{run}space = {{ nonsense = 1 }}")]
    {
        keys.extend(fields(text));
    }
    // Of a run all other keys are options, so the parser cannot name its own.
    keys.extend(["mode", "targets", "section", "needs", "settle", "fresh-topic", "space", "also"].map(str::to_string));
    keys.extend(crate::figures::FIGURES.iter().map(|figure| figure.key.to_string()));
    keys.retain(|key| !matches!(key.as_str(), "target" | "run" | "check"));
    assert!(keys.len() > 40, "{keys:?}");
    let is_named = |key: &String| {
        GUIDE.contains(&format!("`{key}`"))
            || GUIDE.contains(&format!("{key} = "))
            || GUIDE.contains(&format!("[[{key}]]"))
    };
    let missing: Vec<&String> = keys.iter().filter(|key| !is_named(key)).collect();
    assert!(missing.is_empty(), "the guide does not name {missing:?}");
}

#[test]
fn the_example_of_the_guide_is_a_scenario() {
    let example = GUIDE.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let scenario = Scenario::parse(example).unwrap();
    assert_eq!((scenario.targets.len(), scenario.runs.len(), scenario.checks.len(), scenario.repeat), (2, 1, 1, 3));
}

/// The keys that may stand where `nonsense` stands, as the refusal lists them.
fn keys_beside_nonsense(text: &str) -> Vec<String> {
    let refusal = Scenario::parse(text).expect_err(text);
    let (_, listed) = refusal.split_once("unknown field `nonsense`, expected ").unwrap_or_else(|| panic!("{refusal}"));
    listed.split('`').skip(1).step_by(2).map(str::to_string).collect()
}

#[test]
fn the_readme_of_scenarios_names_every_key() {
    let readme = include_str!("../../../scenarios/README.md");
    let run = "title = 'T'\n[[target]]\nname = 'a'\n[[run]]\nname = 'r'\nmode = 'produce'\n";
    let mut keys = Vec::new();
    for text in [
        "nonsense = 1\n".to_string() + run,
        run.replace("name = 'a'", "name = 'a'\nnonsense = 1"),
        format!("{run}[[check]]\nnonsense = 1\n"),
        format!("{run}settle = {{ nonsense = 1 }}\n"),
        format!("{run}space = {{ nonsense = 1 }}\n"),
    ] {
        keys.extend(keys_beside_nonsense(&text));
    }
    assert!(keys.len() > 25, "{keys:?}");
    // A run takes options as well, so that its own keys are not listed by a refusal.
    keys.extend(
        ["name", "mode", "targets", "section", "needs", "before", "settle", "fresh-topic", "space", "also"]
            .map(str::to_string),
    );
    let named = |key: &str| {
        readme.contains(&format!("`{key}`"))
            || readme.contains(&format!("[[{key}]]"))
            || readme.contains(&format!("{key} = "))
    };
    let missing: Vec<&String> = keys.iter().filter(|key| !named(key)).collect();
    assert!(missing.is_empty(), "bench/scenarios/README.md does not name {missing:?}");
}
