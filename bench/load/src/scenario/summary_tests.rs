use super::RunArgs;
use super::file::Scenario;
use super::render;
use super::summary::Summary;
use super::testdata::results;
use crate::environment::Build;
use clap::{Args, Command, FromArgMatches};
use std::time::Duration;

const BUILD: Build = Build { version: "1.2.3", commit: Some("abcdef0") };

const SCENARIO: &str = r#"
title = "A & B"
about = "Under it."
limits = true
[[target]]
name = "torc"
[[target]]
name = "kafka"
[[run]]
name = "one"
mode = "produce"
[[run]]
name = "before"
section = "Both"
mode = "produce"
targets = ["torc"]
[[run]]
name = "after"
section = "Both"
mode = "produce"
targets = ["torc"]
[[check]]
what = "Rate"
figure = "rate"
run = "one"
target = "torc"
over = "kafka"
at-least = 1.5
[[check]]
what = "Latency"
figure = "p50"
run = "one"
target = "torc"
at-most = "1us"
"#;

fn run_args(more: &[&str]) -> RunArgs {
    let command = RunArgs::augment_args(Command::new("run").no_binary_name(true));
    RunArgs::from_arg_matches(&command.get_matches_from([&["file"], more].concat())).unwrap()
}

fn summary() -> Summary {
    let results = results(&[
        ("one", "torc", &[(100, 2_000), (200, 2_000)]),
        ("one", "kafka", &[(100, 3_000), (100, 3_000)]),
        ("before", "torc", &[(10, 1_000), (10, 1_000)]),
        ("after", "torc", &[(20, 1_000), (20, 1_000)]),
    ]);
    Summary::new(&Scenario::parse(SCENARIO).unwrap(), &run_args(&["--repeat=2"]), BUILD, &results)
}

#[test]
fn runs_of_a_section_share_a_table_and_plots() {
    let summary = summary();
    let titles: Vec<&str> = summary.sections.iter().map(|section| section.title.as_str()).collect();
    assert_eq!(titles, ["one", "Both"]);
    let both = &summary.sections[1];
    let labels: Vec<&str> = both.lines.iter().map(|line| line.label.as_str()).collect();
    assert_eq!(labels, ["before", "after"], "the target is the same for both");
    let svg = both.plots[0].picture.file();
    assert!(svg.contains("before") && svg.contains("after") && svg.contains("repetition 1 of 2"), "{svg}");
    assert_eq!(both.plots[0].file, "2-percentiles.svg");
    let row = &both.table().rows[1];
    assert!(row.contains(&"20.0 (2.00x)".to_string()), "beside the first line: {row:?}");
}

#[test]
fn medians_come_with_their_spread() {
    let summary = summary();
    let row = &summary.sections[0].table().rows[0];
    assert_eq!((row[0].as_str(), row[1].as_str()), ("torc", "150 ±33%"));
    let overview = summary.overview();
    assert_eq!(overview.head[..3], ["run", "target", "requests/s"]);
    assert_eq!(overview.rows[0][..3], ["one", "torc", "150"]);
    assert!(!overview.head.contains(&"ready in".to_string()), "nobody was restarted: {:?}", overview.head);
}

#[test]
fn a_line_is_measured_by_the_first_of_its_run() {
    let scenario = SCENARIO.replace("targets = [\"torc\"]", "").replace("name = \"after\"", "name = \"late\"");
    let results = results(&[
        ("before", "torc", &[(10, 1_000)]),
        ("before", "kafka", &[(30, 1_000)]),
        ("late", "torc", &[(20, 1_000)]),
        ("late", "kafka", &[(80, 1_000)]),
    ]);
    let summary = Summary::new(&Scenario::parse(&scenario).unwrap(), &run_args(&[]), BUILD, &results);
    let both = summary.sections.iter().find(|section| section.title == "Both").unwrap().table();
    let cells: Vec<&str> = both.rows.iter().map(|row| row[1].as_str()).collect();
    assert_eq!(cells, ["10.0", "30.0 (3.00x)", "20.0", "80.0 (4.00x)"]);
    let errors = both.head.iter().position(|name| name == "errors").unwrap();
    assert!(both.rows.iter().all(|row| row[errors] == "0"), "counts have no parts");
}

#[test]
fn where_all_is_met_nothing_is_said_of_others() {
    let mut summary = summary();
    summary.checks.iter_mut().for_each(|check| check.met = Some(true));
    assert!(render::short_markdown(&summary).contains("All 2 checks that were measured are met."));
    summary.checks.truncate(1);
    assert!(render::short_markdown(&summary).contains("The one check that was measured is met."));
}

#[test]
fn every_form_says_what_is_met() {
    let summary = summary();
    assert_eq!(summary.score(), (1, 1));
    let markdown = render::markdown(&summary);
    assert!(markdown.contains("| Rate | requests/s: torc / kafka | ≥ 1.50 x | 1.50 x |"), "{markdown}");
    assert!(markdown.contains("| Latency | p50: torc | ≤ 1.00 us | 2.00 us | - | NO |"), "{markdown}");
    assert!(markdown.contains("![one: latency](1-percentiles.svg)"));
    assert!(markdown.contains("`torc bench produce --connections=1`"));
    let short = render::short_markdown(&summary);
    assert!(short.contains("1 of 2 checks is met, 1 is not.") && !short.contains(".svg"), "{short}");
    let html = render::html(&summary);
    assert!(html.contains("<h1>A &amp; B</h1>") && html.contains("class=\"no\" data-label=\"met\">NO"), "{html}");
    let plots: usize = summary.sections.iter().map(|section| section.plots.len()).sum();
    assert_eq!(html.matches("<svg").count(), plots, "all plots are inside");
    assert!(
        !html.contains('`') && html.contains("<code>torc bench produce <span>--connections=1</span></code>"),
        "{html}"
    );
    assert!(html.contains("commit abcdef0") && markdown.contains("commit abcdef0"));
    assert_eq!(html.matches("<td").count(), html.matches("</td>").count());
    let text = render::text(&summary);
    assert!(text.lines().any(|line| line.starts_with("Rate ") && line.ends_with(" yes")), "{text}");
    let json: serde_json::Value = serde_json::to_value(&summary).unwrap();
    assert_eq!(json["sections"][0]["lines"][0]["figures"]["rate"]["most"], 200.0);
    assert_eq!(json["checks"][1]["met"], false);
}

#[test]
fn a_restart_has_no_figures_of_a_load() {
    let mut results = results(&[("one", "torc", &[]), ("one", "kafka", &[])]);
    results.add("one", "torc", crate::report::Report::restarted("torc", Duration::from_millis(90), None));
    let scenario = Scenario::parse(SCENARIO).unwrap();
    let summary = Summary::new(&scenario, &run_args(&["--duration=1s"]), BUILD, &results);
    let figures: Vec<&str> = summary.sections[0].lines[0].figures.keys().copied().collect();
    assert_eq!(figures, ["ready"]);
    assert!(summary.sections[0].plots.is_empty());
    assert_eq!((summary.score(), summary.unmeasured().len()), ((0, 0), 2));
    assert!(render::short_markdown(&summary).contains("A QUICK LOOK, cut short by --duration 1s:"));
    // What is kept as a file can be read again.
    let report = &results.rows[0].reports[0];
    let json = serde_json::to_string(report).unwrap();
    assert_eq!(serde_json::from_str::<crate::report::Report>(&json).unwrap().ready_ns, Some(90_000_000));
}

#[test]
fn a_quick_look_grades_nothing_and_shows_no_rows_of_what_was_not_measured() {
    let results = results(&[("one", "torc", &[(200, 2_000)]), ("one", "kafka", &[(100, 3_000)])]);
    let scenario = Scenario::parse(&SCENARIO.replacen("limits = true", "limits = true\nrepeat = 5", 1)).unwrap();
    for cut in ["--repeat=1", "--duration=1s", "--warmup=0s"] {
        let summary = Summary::new(&scenario, &run_args(&[cut]), BUILD, &results);
        assert_eq!(summary.score(), (0, 0), "{cut}");
        assert!(summary.checks.iter().all(|check| check.met.is_none() && check.is_measured), "{cut}");
        let (html, text) = (render::html(&summary), render::text(&summary));
        assert!(
            !html.contains("class=\"yes\"") && html.contains("class=\"quick\">A QUICK LOOK, cut short by"),
            "{cut}"
        );
        assert!(text.contains("not graded") && text.contains("A quick look grades no check"), "{text}");
        assert_eq!(summary.sections.len(), 1, "the other section was not run");
    }
    // As long as the scenario asks, it is no quick look.
    assert_eq!(Summary::new(&scenario, &run_args(&["--repeat=5"]), BUILD, &results).score(), (1, 1));
    let half = super::testdata::results(&[("one", "torc", &[(100, 2_000)]), ("one", "kafka", &[])]);
    let summary = Summary::new(&scenario, &run_args(&["--repeat=5"]), BUILD, &half);
    assert_eq!(summary.check_table().rows.len(), 1, "the ratio has no row");
    assert!(render::text(&summary).contains("1 check was not measured."), "{}", render::text(&summary));
}

#[test]
fn what_was_broken_off_is_no_measure_and_is_said() {
    let mut results = results(&[("one", "torc", &[(100, 2_000), (100, 2_000)]), ("one", "kafka", &[(100, 3_000)])]);
    let why = Some("interrupted by Ctrl-C after 1 of 10 s".to_string());
    let broken = super::testdata::report(7, 9);
    results.add("one", "torc", crate::report::Report { outcome: crate::report::Outcome::Partial, why, ..broken });
    results.signal = Some(2);
    let summary = Summary::new(&Scenario::parse(SCENARIO).unwrap(), &run_args(&["--repeat=3"]), BUILD, &results);
    let rate = summary.sections[0].lines[0].figures["rate"];
    assert_eq!((rate.median, rate.least, summary.sections[0].lines[0].repetitions), (100.0, 100.0, 2));
    for form in [render::text(&summary), render::html(&summary), render::markdown(&summary)] {
        assert!(form.contains("PARTIAL: interrupted by Ctrl-C after 3 of 6 runs"), "{form}");
    }
    assert!(render::markdown(&summary).contains("PARTIAL, not counted"));
}

#[test]
fn a_limit_is_drawn_where_it_lies_in_the_figures_own_unit() {
    let scenario = SCENARIO.replace("figure = \"rate\"", "figure = \"p50\"");
    let summary = {
        let results = results(&[("one", "torc", &[(100, 2_000)]), ("one", "kafka", &[(100, 4_000)])]);
        Summary::new(&Scenario::parse(&scenario).unwrap(), &run_args(&[]), BUILD, &results)
    };
    // One and a half times Kafka's, and the time itself.
    let svg = summary.sections[0].plots[0].picture.file();
    assert!(svg.contains("asked of torc: p50 ≥ 6.00 µs") && svg.contains("asked of torc: p50 ≤ 1.00 µs"), "{svg}");
}

#[test]
fn long_tables_are_cut_so_that_they_fit_a_page() {
    let summary = summary();
    let tables = summary.sections[0].upright(1);
    assert_eq!((tables.len(), tables[0].head.as_slice()), (2, &[String::new(), "torc".to_string()][..]));
    assert_eq!(tables[0].rows[0], ["requests/s", "150 ±33%"]);
    let whole = summary.sections[0].upright(4);
    assert_eq!((whole.len(), whole[0].head.len()), (1, 3));
}
