//! What one run's report looks like: its plots, and a page with all of it.

use crate::figures::FIGURES;
use crate::page::{marked, page};
use crate::plot::{self, Line, Picture, escape};
use crate::report::{Outcome, Report};
use crate::table::{Narrow, Table};

/// The plots of a run, with what their files are called. Of nothing there is one that says so.
pub fn plots(report: &Report) -> Vec<(&'static str, Picture)> {
    if !report.is_measured() {
        let why = report.why.as_deref().unwrap_or("nothing was measured");
        return vec![("percentiles", plot::message(&format!("{}: NO RESULT", report.name), why))];
    }
    let lines = [Line { report, name: &report.name, target: 0, run: 0 }];
    let why = report.why.as_deref().unwrap_or("-");
    let title = match report.outcome {
        Outcome::Complete | Outcome::None => report.name.clone(),
        Outcome::Partial => format!("PARTIAL, {why}: {}", report.name),
        Outcome::Failed => format!("FAILED, {why}: {}", report.name),
    };
    vec![
        ("percentiles", plot::percentiles(&format!("{title}: latency"), &lines, &[])),
        ("latency", plot::latency_over_time(&title, &lines)),
        ("throughput", plot::throughput_over_time(&title, &lines)),
    ]
}

/// What must be known of a report before its figures are read, as HTML.
pub fn banner(report: &Report) -> String {
    let why = escape(report.why.as_deref().unwrap_or("-"));
    match report.outcome {
        Outcome::Complete => String::new(),
        Outcome::Partial => format!("<p class=\"banner\"><b>PARTIAL</b>: {why}</p>\n"),
        Outcome::Failed => format!("<p class=\"banner\"><b>FAILED</b>: {why}</p>\n"),
        Outcome::None => format!("<p class=\"banner\"><b>NO RESULT</b>: {why}</p>\n"),
    }
}

/// The figures that a report has, one below the other.
fn figures(report: &Report) -> Table {
    let shown = |value: f64, show: fn(f64) -> String| if value.is_nan() { "-".to_string() } else { show(value) };
    // A run that brought nothing shows that it brought none of the figures of a load.
    let keys = ["rate", "bandwidth", "p50", "p99", "p99.9", "max"];
    let has = |figure: &&crate::figures::Figure| keys.contains(&figure.key) || !(figure.value)(report).is_nan();
    let row =
        |figure: &crate::figures::Figure| vec![figure.name.to_string(), shown((figure.value)(report), figure.show)];
    Table {
        words: 1,
        head: vec!["figure".into(), "measured".into()],
        rows: FIGURES.iter().filter(has).map(row).collect(),
    }
}

/// A page with all that a report says.
pub fn html(report: &Report) -> String {
    let mut body = banner(report);
    if let Some(pacing) = report.pacing() {
        body += &format!("<p>{}</p>\n", escape(&(pacing[..1].to_uppercase() + &pacing[1..] + ".")));
    }
    body += &figures(report).html(Narrow::Columns);
    body += "<div class=\"plots\">\n";
    plots(report).iter().for_each(|(_, picture)| body += &picture.inside());
    body += "</div>\n<ul>\n";
    body += &format!("<li>{}</li>\n", marked(&format!("`torc bench {}`", report.options.trim())));
    for (error, count) in &report.errors {
        body += &format!("<li>{count} × {}</li>\n", escape(error));
    }
    if let Some(verdict) = &report.verdict {
        body += &format!("<li>verified: {}</li>\n", escape(&verdict.to_string()));
    }
    body += "</ul>\n";
    if let Some(environment) = &report.environment {
        body += &format!("<footer>Measured with {}.</footer>\n", escape(&environment.to_string()));
    }
    page(&report.name, &body)
}
