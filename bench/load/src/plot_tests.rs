use crate::compare::table;
use crate::drive::Finished;
use crate::plot::{over_time, percentiles};
use crate::recorder::{Recorder, Request};
use crate::report::Report;

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

#[test]
fn plots_have_a_line_to_each_report_inside_the_picture() {
    let (fast, slow) = (report("fast & furious", 5000, 100_000), report("slow", 5000, 3_000_000));
    for svg in [percentiles("T <1>", &[&fast, &slow]), over_time("T <1>", &[&fast, &slow])] {
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(svg.contains("fast &amp; furious") && svg.contains("T &lt;1&gt;"));
        for line in svg.lines().filter(|line| line.starts_with("<polyline")) {
            let points = line.split("points=\"").nth(1).unwrap().split('"').next().unwrap();
            for point in points.split(' ') {
                let (x, y) = point.split_once(',').unwrap();
                let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
                assert!((0.0..=900.0).contains(&x) && (0.0..=480.0).contains(&y), "{point}");
            }
        }
    }
}

#[test]
fn nothing_measured_is_drawn_as_nothing() {
    let empty = report("empty", 0, 0);
    let svg = percentiles("T", &[&empty]);
    assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN") && !svg.contains("inf"));
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
