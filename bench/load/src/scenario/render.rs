//! A summary as Markdown, as HTML that needs no other file, and as text for a terminal.

use super::summary::{Section, Summary, Table};
use crate::plot::escape;
use crate::units::counted;
use std::fmt::Write as _;

/// The whole report; plots are files beside it.
pub fn markdown(summary: &Summary) -> String {
    let mut text = head(summary);
    if let Some(limits) = &summary.machine {
        text += &format!("The machine, just before each repetition:\n\n```\n{limits}```\n\n");
    }
    for section in &summary.sections {
        text += &format!("## {}\n\n{}\n", section.title, markdown_table(&section.table()));
        for note in &section.notes {
            text += &format!("- {note}\n");
        }
        text += &format!("- {}\n\n", commands(section).join("\n- "));
        for plot in &section.plots {
            text += &format!("![{}]({})\n", plot.title, plot.file);
        }
        text.push('\n');
    }
    text
}

/// What fits into a README: the checks, and the figures that matter most.
pub fn short_markdown(summary: &Summary) -> String {
    format!("{}{}", head(summary), markdown_table(&summary.overview()))
}

fn head(summary: &Summary) -> String {
    let mut text = format!("# {}\n\n", summary.title);
    if !summary.about.is_empty() {
        text += &format!("{}\n\n", summary.about);
    }
    for warning in warnings(summary) {
        text += &format!("**{warning}**\n\n");
    }
    text += &format!("{}\n\nMeasured with {}.\n\n", repeated(summary), summary.environment);
    if !summary.checks.is_empty() {
        text += &format!("{}\n{}\n", score(summary), markdown_table(&summary.check_table()));
    }
    text
}

fn repeated(summary: &Summary) -> String {
    let mut text = match summary.repeat {
        1 => "Each run was made once.".to_string(),
        n => format!("Medians of {n} interleaved repetitions; ± is half of the way from the lowest to the highest."),
    };
    if let Some(cut) = &summary.cut {
        text += &format!(" A QUICK LOOK, cut short by {cut}: caches and compilers are cold, so nothing is graded.");
    }
    text
}

/// What a reader must know before the figures: whether they are all, and whether something went wrong.
fn warnings(summary: &Summary) -> Vec<String> {
    let partial = summary.interrupted.as_ref().map(|what| format!("PARTIAL: {what}."));
    let failed = summary.problems.iter().map(|problem| format!("FAILED: {problem}"));
    partial.into_iter().chain(failed).collect()
}

fn score(summary: &Summary) -> String {
    let (met, missed) = summary.score();
    let unmeasured = summary.unmeasured().len() as u64;
    let graded = match (&summary.cut, met + missed) {
        (Some(_), _) => "A quick look grades no check.".to_string(),
        (None, 0) => "No check was measured.".to_string(),
        (None, all) => {
            let (checks, are) = (counted(all as u64, "check"), if met == 1 { "is" } else { "are" });
            let missed_are = if missed == 1 { "is" } else { "are" };
            format!("{met} of {checks} {are} met, {missed} {missed_are} not.")
        }
    };
    match unmeasured {
        0 => format!("{graded}\n"),
        n => format!("{graded} {} {} not measured.\n", counted(n, "other check"), if n == 1 { "was" } else { "were" }),
    }
}

/// The command line of each line of a section.
fn commands(section: &Section) -> Vec<String> {
    let line = |line: &super::summary::Line| match line.options.is_empty() {
        true => format!("{}: ended and started again", line.label),
        false => format!("{}: `torc bench {}`", line.label, line.options),
    };
    section.lines.iter().map(line).collect()
}

fn markdown_table(table: &Table) -> String {
    let mut text = String::new();
    let mut row = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        writeln!(text, "| {} |", cells.join(" | ")).expect("writing to a string does not fail");
    };
    row(&table.head);
    let rule = |number: usize| if number < table.words { "---" } else { "---:" }.to_string();
    row(&(0..table.head.len()).map(rule).collect::<Vec<_>>());
    table.rows.iter().for_each(|cells| row(cells));
    text
}

const STYLE: &str = "body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em; \
color: #1a1a1a } h1 { font-size: 1.6em } h2 { font-size: 1.2em; margin-top: 2em; border-bottom: 1px solid #ddd } \
table { border-collapse: collapse; margin: 1em 0; font-size: 13px; display: block; overflow-x: auto } \
th, td { padding: .3em .7em; border-bottom: 1px solid #e4e4e4; text-align: right; white-space: nowrap } \
th { border-bottom: 2px solid #888 } .words { text-align: left; white-space: normal } \
.yes { color: #00694e; font-weight: 600 } .no { color: #fff; background: #c43c00; font-weight: 600 } \
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 1em } \
svg { width: 100%; height: auto } pre, code { font-size: 12px; background: #f5f5f5 } pre { padding: 1em; overflow-x: auto } \
ul { font-size: 13px; color: #444; padding-left: 1.2em } code { overflow-wrap: anywhere }";

/// The whole report with its plots inside.
pub fn html(summary: &Summary) -> String {
    let title = escape(&summary.title);
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n"
    );
    for paragraph in summary.about.split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
        text += &format!("<p>{}</p>\n", escape(paragraph));
    }
    for warning in warnings(summary) {
        text += &format!("<p class=\"no\">{}</p>\n", escape(&warning));
    }
    text +=
        &format!("<p>{}</p>\n<p>Measured with {}.</p>\n", repeated(summary), escape(&summary.environment.to_string()));
    if !summary.checks.is_empty() {
        text += &format!("<p>{}</p>\n{}", score(summary), html_table(&summary.check_table()));
    }
    text += &format!("<h2>All runs</h2>\n{}", html_table(&summary.overview()));
    for section in &summary.sections {
        text += &format!("<h2>{}</h2>\n{}", escape(&section.title), html_table(&section.table()));
        text += "<div class=\"plots\">\n";
        section.plots.iter().for_each(|plot| text += &plot.svg);
        text += "</div>\n<ul>\n";
        for note in section.notes.iter().chain(&commands(section)) {
            text += &format!("<li>{}</li>\n", marked(note));
        }
        text += "</ul>\n";
    }
    if let Some(limits) = &summary.machine {
        text +=
            &format!("<h2>The machine, just before each repetition</h2>\n<pre>{}</pre>\n", escape(&limits.to_string()));
    }
    text + "</body></html>\n"
}

/// Markdown's marks of code become HTML's.
fn marked(text: &str) -> String {
    let part = |(number, part): (usize, &str)| match number % 2 {
        0 => escape(part),
        _ => format!("<code>{}</code>", escape(part)),
    };
    text.split('`').enumerate().map(part).collect()
}

fn html_table(table: &Table) -> String {
    let mut text = "<table><tr>".to_string();
    let class = |number: usize, cell: &str| match cell {
        "yes" => " class=\"yes\"",
        "NO" => " class=\"no\"",
        _ if number < table.words => " class=\"words\"",
        _ => "",
    };
    for (number, cell) in table.head.iter().enumerate() {
        text += &format!("<th{}>{}</th>", class(number, cell), escape(cell));
    }
    for row in &table.rows {
        text += "</tr>\n<tr>";
        for (number, cell) in row.iter().enumerate() {
            text += &format!("<td{}>{}</td>", class(number, cell), escape(cell));
        }
    }
    text + "</tr></table>\n"
}

/// The checks and the figures that matter most, in columns.
pub fn text(summary: &Summary) -> String {
    let mut text = format!("\n{}\n\n", summary.title);
    for warning in warnings(summary) {
        text += &format!("{warning}\n");
    }
    text += &columns(&summary.overview());
    if !summary.checks.is_empty() {
        text += &format!("\n{}{}", columns(&summary.check_table()), score(summary));
    }
    text + &format!("{}\n", repeated(summary)) + &format!("measured with {}\n", summary.environment)
}

fn columns(table: &Table) -> String {
    let rows = || [&table.head].into_iter().chain(&table.rows);
    let width = |column: usize| rows().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..table.head.len()).map(width).collect();
    let mut text = String::new();
    for row in rows() {
        let mut line = String::new();
        for (number, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let padding = " ".repeat(width - cell.chars().count());
            line += &if number < table.words { format!("{cell}{padding}  ") } else { format!("{padding}{cell}  ") };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}
