use crate::compare::table;
use crate::drive::Finished;
use crate::plot::{self, Bar, Curve, Limit, Line};
use crate::recorder::{Recorder, Request};
use crate::report::{Outcome, Report};
use crate::run_page;

/// A report of a second with `requests` of `latency` nanoseconds.
fn report(name: &str, requests: u64, latency: u64) -> Report {
    let mut recorder = Recorder::new(false);
    recorder.begin(0);
    for n in 0..requests {
        let request = Request { due: n * 1000, records: 1, payload: 100 };
        recorder.sent(request.due, request.due, &request);
        recorder.done(request.due + latency, &request);
    }
    recorder.tick(1_000_000_000);
    recorder.end(1_000_000_000);
    Report::new(name, "produce", String::new(), &Finished::of(recorder))
}

fn line<'a>(report: &'a Report, target: usize, run: usize) -> Line<'a> {
    Line { report, name: &report.name, target, run }
}

/// Numbers of an attribute, of all elements of a kind.
fn numbers(svg: &str, element: &str, attribute: &str) -> Vec<f64> {
    let of = |line: &str| -> Option<f64> {
        let (_, value) = line.split_once(&format!(" {attribute}=\""))?;
        value.split('"').next()?.parse().ok()
    };
    svg.lines().filter(|line| line.starts_with(&format!("<{element} "))).filter_map(of).collect()
}

/// The drawing of a picture that is for pictures of this kind.
fn drawing(svg: &str, kind: &str) -> String {
    let (_, rest) = svg.split_once(&format!("<g class=\"tp-{kind}\"")).unwrap();
    rest.split("</g>").next().unwrap().to_string()
}

#[test]
fn plots_have_a_line_to_each_report_and_words_beside_them() {
    let (fast, slow) = (report("fast & furious", 5000, 100_000), report("slow", 5000, 3_000_000));
    let lines = [line(&fast, 0, 0), line(&slow, 1, 0)];
    let limits = [Limit { text: "asked: p99 ≤ 1 ms".to_string(), percentile: 99.0, ns: 1e6 }];
    let plots = [
        plot::percentiles("T <1>", &lines, &limits),
        plot::latency_over_time("T <1>", &lines),
        plot::throughput_over_time("T <1>", &lines),
    ];
    for svg in plots.map(|picture| picture.file()) {
        for (kind, width) in [("wide", 640.0), ("narrow", 400.0)] {
            let drawing = drawing(&svg, kind);
            assert_eq!(drawing.matches("<polyline").count(), 2);
            assert!(drawing.contains("fast &amp; furious") && drawing.contains("T &lt;1&gt;"), "{drawing}");
            let mut lowest: f64 = 0.0;
            for points in drawing.lines().filter(|line| line.starts_with("<polyline")) {
                let points = points.split("points=\"").nth(1).unwrap().split('"').next().unwrap();
                for point in points.split(' ') {
                    let (x, y) = point.split_once(',').unwrap();
                    let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
                    assert!((0.0..=width).contains(&x) && y >= 0.0, "{point}");
                    lowest = lowest.max(y);
                }
            }
            // The legend is below all data, whatever is drawn.
            let named = |name: &str| {
                drawing.lines().filter(|line| line.contains(name)).map(str::to_string).next_back().unwrap()
            };
            for name in ["fast &amp; furious", "slow"] {
                assert!(numbers(&named(name), "text", "y")[0] > lowest + 20.0, "{name}: {drawing}");
            }
        }
    }
}

#[test]
fn percentiles_are_marked_and_so_is_what_is_asked() {
    let report = report("a", 20_000, 100_000);
    let limits = [Limit { text: "asked of a: p99 ≤ 150 µs".to_string(), percentile: 99.0, ns: 150_000.0 }];
    let svg = plot::percentiles("T", &[line(&report, 0, 0)], &limits).file();
    let wide = drawing(&svg, "wide");
    for text in [">p50<", ">p99<", ">p99.9<", "asked of a: p99 ≤ 150 µs", "latency, logarithmic", "percent of requests"]
    {
        assert!(wide.contains(text), "{text}: {wide}");
    }
    assert!(wide.matches("tp-minor").count() >= 4, "between the named values are faint lines");
    assert_eq!(wide.matches("<circle").count(), 3, "a dot at each mark");
    assert!(wide.replace('\u{a0}', " ").contains("p50 100 µs · p99 100 µs · p99.9 100 µs · max 100 µs"), "{wide}");
}

#[test]
fn a_curve_ends_where_too_few_requests_lie_beyond() {
    let few = report("few", 105, 100_000);
    let last = few.curve.iter().rev().find(|point| point.percentile < 100.0).unwrap();
    assert!((90.0..91.0).contains(&last.percentile), "{last:?}");
    let svg = plot::percentiles("T", &[line(&few, 0, 0)], &[]).file();
    assert!(svg.replace('\u{a0}', " ").contains("p99 - · p99.9 - ·"), "{svg}");
    let all = few.to_string();
    assert!(all.contains("  p99.9       -\n") && !all.contains("p99.99 ") && all.contains("fewer than 10"), "{all}");
    let json: serde_json::Value = serde_json::to_value(&few).unwrap();
    let at = |percentile: f64| {
        let points = json["latency"]["percentiles"].as_array().unwrap();
        points.iter().find(|point| point["percentile"] == percentile).unwrap()["ns"].clone()
    };
    assert!(at(90.0).is_u64() && at(99.0).is_null() && at(99.999).is_null(), "{json}");
}

#[test]
fn a_target_keeps_its_colour_and_its_runs_differ_by_dashes() {
    let (a, b) = (report("a", 2000, 1000), report("b", 2000, 2000));
    let svg = plot::percentiles("T", &[line(&a, 2, 0), line(&b, 2, 1), line(&a, 0, 0)], &[]).file();
    let lines: Vec<String> =
        drawing(&svg, "wide").lines().filter(|line| line.starts_with("<polyline")).map(str::to_string).collect();
    assert!(lines[0].contains("tp-stroke2") && lines[1].contains("tp-stroke2") && lines[2].contains("tp-stroke0"));
    assert!(lines[0].contains("stroke-dasharray=\"\"") && !lines[1].contains("stroke-dasharray=\"\""), "{lines:?}");
}

#[test]
fn a_file_fits_dark_pages_paper_and_phones_by_itself() {
    let report = report("a", 2000, 1000);
    let picture = plot::percentiles("T", &[line(&report, 0, 0)], &[]);
    let file = picture.file();
    for rule in ["prefers-color-scheme:dark", "@media print", "max-width:480px", "xmlns=\"http://www.w3.org/2000/svg\""]
    {
        assert!(file.contains(rule), "{rule}");
    }
    // A program that knows no style shows the wide drawing in light colours.
    assert!(file.contains("class=\"tp-narrow\" display=\"none\"") && file.contains("stroke=\"#0072b2\""));
    assert!(!picture.inside().contains("<style>"), "a page has it once");
}

#[test]
fn rates_that_were_not_kept_up_with_are_hollow() {
    let open = |asked: f64, requests: u64| Report {
        asked_requests_per_s: Some(asked),
        requests_per_s: Some(requests as f64),
        ..report("x", requests, 1000 * requests)
    };
    let reports = [open(1000.0, 1000), open(2000.0, 2000), open(4000.0, 3000)];
    let curve = Curve { name: "torc", target: 1, reports: reports.iter().collect() };
    let wide = drawing(&plot::latency_by_rate("T", &[curve]).file(), "wide");
    assert!(wide.contains("requests/s achieved") && wide.contains("torc, p50") && wide.contains("torc, p99"), "{wide}");
    assert_eq!(wide.matches("tp-hole").count(), 2, "p50 and p99 of the last");
}

#[test]
fn bars_show_what_is_measured_its_range_and_what_is_asked() {
    let bar = |name: &str, value, range, asked| Bar {
        name: name.to_string(),
        colour: 0,
        value,
        text: format!("{value}"),
        range,
        asked,
    };
    let bars = [bar("torc", 10.0, Some((5.0, 15.0)), Some(12.0)), bar("kafka", 5.0, None, None)];
    let wide = drawing(&plot::bars("T", &bars, None).file(), "wide");
    let widths = numbers(&wide, "rect", "width");
    assert!((widths[0] / widths[1] - 2.0).abs() < 0.01, "bars begin at 0: {widths:?}");
    assert_eq!((wide.matches("tp-asked").count(), wide.matches("tp-axis").count()), (1, 1), "{wide}");
}

#[test]
fn nothing_measured_is_said_and_draws_no_figure() {
    let empty = report("empty", 0, 0);
    let plots =
        [plot::percentiles("T", &[line(&empty, 0, 0)], &[]), plot::throughput_over_time("T", &[line(&empty, 0, 0)])];
    for svg in plots.map(|picture| picture.file()) {
        assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
    let none = Report::none("x", "produce", "produce".to_string(), "nobody answers <here>".to_string());
    let plots = run_page::plots(&none);
    assert_eq!(plots.len(), 1);
    let (svg, html) = (plots[0].1.file(), run_page::html(&none));
    for text in [&svg, &html] {
        assert!(text.contains("NO RESULT") && text.contains("nobody answers &lt;here&gt;"), "{text}");
        assert!(!text.contains("<polyline"), "{text}");
    }
    assert!(html.contains("data-label=\"measured\">-</td>"), "{html}");
}

#[test]
fn what_is_not_complete_says_so_in_its_plots() {
    let why = || Some("interrupted by Ctrl-C after 1 of 10 s".to_string());
    let partial = Report { outcome: Outcome::Partial, why: why(), ..report("a", 2000, 1000) };
    for (name, picture) in run_page::plots(&partial) {
        let svg = picture.file();
        assert!(svg.contains("PARTIAL, interrupted by Ctrl-C") && svg.contains("<polyline"), "{name}");
    }
    assert!(run_page::html(&partial).contains("<b>PARTIAL</b>: interrupted by Ctrl-C"));
}

#[test]
fn a_comparison_shows_ratios_to_the_first() {
    let text = table(&[report("a", 1000, 100_000), report("b", 2000, 200_000)]);
    let row = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap().to_string();
    assert!(row("requests/s").contains("1000") && row("requests/s").contains("2000 (2.00x)"), "{text}");
    assert!(row("p50").contains("(2.00x)"), "{text}");
    assert!(!text.contains("server us/request"), "nobody was watched: {text}");
}

#[test]
fn a_report_survives_its_file() {
    let report = report("a", 1000, 100_000);
    let back: Report = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!(back.to_string(), report.to_string());
    let ns = |report: &Report| report.curve.iter().map(|point| point.ns).collect::<Vec<Option<u64>>>();
    assert_eq!(ns(&back), ns(&report));
    assert_eq!(back.seconds.len(), report.seconds.len());
}
