//! A summary as Markdown, as HTML that needs no other file, and as text for a terminal.

use super::summary::{Section, Summary};
use crate::page::{marked, page, paragraphs};
use crate::plot::escape;
use crate::table::Narrow;
use crate::units::counted;

/// Lines that one table of a page has beside each other.
const COLUMNS: usize = 4;

/// The whole report; plots are files beside it.
pub fn markdown(summary: &Summary) -> String {
    let mut text = head(summary);
    if let Some(limits) = &summary.machine {
        text += &format!("The machine, just before each repetition:\n\n```\n{limits}```\n\n");
    }
    for section in &summary.sections {
        text += &format!("## {}\n\n{}\n", section.title, section.table().markdown());
        for note in &section.notes {
            text += &format!("- {note}\n");
        }
        text += &format!("- {}\n\n", commands(section).join("\n- "));
        for plot in &section.plots {
            text += &format!("![{}]({})\n", plot.picture.title(), plot.file);
        }
        text.push('\n');
    }
    text
}

/// What fits into a README: the checks, and the figures that matter most.
pub fn short_markdown(summary: &Summary) -> String {
    format!("{}{}", head(summary), summary.overview().markdown())
}

fn head(summary: &Summary) -> String {
    let mut text = format!("# {}\n\n", summary.title);
    for warning in warnings(summary).into_iter().chain(quick(summary)) {
        text += &format!("**{warning}**\n\n");
    }
    if !summary.about.is_empty() {
        text += &format!("{}\n\n", summary.about);
    }
    text += &format!("{}\n\nMeasured with {}.\n\n", repeated(summary), summary.environment);
    if !summary.checks.is_empty() {
        text += &format!("{}\n\n", score(summary));
        let table = summary.check_table();
        if !table.rows.is_empty() {
            text += &format!("{}\n", table.markdown());
        }
        text += &unmeasured(summary).map(|names| format!("{names}\n\n")).unwrap_or_default();
    }
    text
}

fn repeated(summary: &Summary) -> String {
    match summary.repeat {
        1 => "Each run was made once.".to_string(),
        n => format!("Medians of {n} interleaved repetitions; ± is half of the way from the lowest to the highest."),
    }
}

/// That runs were cut short.
fn quick(summary: &Summary) -> Option<String> {
    let cut = summary.cut.as_ref()?;
    Some(format!("A QUICK LOOK, cut short by {cut}: caches and compilers are cold, so nothing is graded."))
}

/// What a reader must know before the figures: whether they are all, and whether something went wrong.
fn warnings(summary: &Summary) -> Vec<String> {
    let partial = summary.interrupted.as_ref().map(|what| format!("PARTIAL: {what}."));
    let failed = summary.problems.iter().map(|problem| format!("FAILED: {problem}"));
    partial.into_iter().chain(failed).collect()
}

/// How many checks are met.
fn score(summary: &Summary) -> String {
    let (met, missed) = summary.score();
    let is = |n: usize| if n == 1 { "is" } else { "are" };
    let graded = match (&summary.cut, met + missed) {
        (Some(_), _) => "A quick look grades no check.".to_string(),
        (None, 0) => "No check was measured.".to_string(),
        (None, 1) if missed == 0 => "The one check that was measured is met.".to_string(),
        (None, all) if missed == 0 => format!("All {all} checks that were measured are met."),
        (None, all) => {
            format!("{met} of {} {} met, {missed} {} not.", counted(all as u64, "check"), is(met), is(missed))
        }
    };
    match summary.unmeasured().len() {
        0 => graded,
        n => format!("{graded} {} {} not measured.", counted(n as u64, "check"), if n == 1 { "was" } else { "were" }),
    }
}

/// Which checks were not measured.
fn unmeasured(summary: &Summary) -> Option<String> {
    let names: Vec<&str> = summary.unmeasured().iter().map(|check| check.what.as_str()).collect();
    (!names.is_empty()).then(|| format!("Not measured: {}.", names.join("; ")))
}

/// The command line of each line of a section.
fn commands(section: &Section) -> Vec<String> {
    let line = |line: &super::summary::Line| match line.options.is_empty() {
        true => format!("{}: ended and started again", line.label),
        false => format!("{}: `torc bench {}`", line.label, line.options),
    };
    section.lines.iter().map(line).collect()
}

/// The whole report with its plots inside.
pub fn html(summary: &Summary) -> String {
    let mut body = String::new();
    for warning in warnings(summary) {
        body += &format!("<p class=\"banner\">{}</p>\n", escape(&warning));
    }
    if let Some(cut) = quick(summary) {
        body += &format!("<p class=\"quick\">{}</p>\n", marked(&cut));
    }
    body += &paragraphs(&summary.about);
    body += &format!("<p>{}</p>\n", repeated(summary));
    if !summary.checks.is_empty() {
        body += &format!("<p>{}</p>\n", score(summary));
        let table = summary.check_table();
        if !table.rows.is_empty() {
            body += &table.html(Narrow::Cards);
        }
        let names = unmeasured(summary).map(|names| format!("<p class=\"muted\">{}</p>\n", escape(&names)));
        body += &names.unwrap_or_default();
    }
    body += &format!("<h2>All runs</h2>\n{}", summary.overview().html(Narrow::Pairs));
    summary.sections.iter().for_each(|section| body += &section_html(section));
    if let Some(limits) = &summary.machine {
        let limits = escape(&limits.to_string());
        body += &format!("<h2>The machine, just before each repetition</h2>\n<pre>{limits}</pre>\n");
    }
    body += &format!("<footer>Measured with {}.</footer>\n", escape(&summary.environment.to_string()));
    page(&summary.title, &body)
}

fn section_html(section: &Section) -> String {
    let mut body = format!("<h2>{}</h2>\n", escape(&section.title));
    section.upright(COLUMNS).iter().for_each(|table| body += &table.html(Narrow::Columns));
    body += "<div class=\"plots\">\n";
    section.plots.iter().for_each(|plot| body += &plot.picture.inside());
    body += "</div>\n<ul>\n";
    for note in section.notes.iter().chain(&commands(section)) {
        body += &format!("<li>{}</li>\n", marked(note));
    }
    body + "</ul>\n"
}

/// The checks and the figures that matter most, in columns.
pub fn text(summary: &Summary) -> String {
    let mut text = format!("\n{}\n\n{}", summary.title, summary.overview().columns());
    if !summary.checks.is_empty() {
        let table = summary.check_table();
        let table = if table.rows.is_empty() { String::new() } else { format!("\n{}", table.columns()) };
        text += &format!("{table}{}\n", score(summary));
    }
    text += &format!("{}\n", repeated(summary));
    text += &quick(summary).map(|cut| format!("{cut}\n")).unwrap_or_default();
    for warning in warnings(summary) {
        text += &format!("{warning}\n");
    }
    text + &format!("measured with {}\n", summary.environment)
}
