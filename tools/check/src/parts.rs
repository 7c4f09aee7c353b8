//! Checks of several parts, each of which stands for itself.

use crate::failure::Result;
use crate::report::Report;
use clap::ValueEnum;
use std::path::{Path, PathBuf};

/// What runs a part by a plan, and the names of what it measures.
pub type Part<Plan> = (fn(&Plan, &mut Report) -> Result<()>, &'static [&'static str]);

/// Runs the parts that `only` names, all if it names none, each by the plan that `within` makes for a new directory below `dir`. What
/// was not measured is in the report without a number.
pub fn run<Name: ValueEnum + PartialEq, Plan>(
    check: &'static str,
    only: &[Name],
    dir: &Path,
    within: impl Fn(PathBuf) -> Plan,
    part_of: impl Fn(&Name) -> Part<Plan>,
) -> Result<Report> {
    let mut report = Report::new(check);
    for part in Name::value_variants() {
        let name = part.to_possible_value().expect("all have names").get_name().to_string();
        let (run, numbers) = part_of(part);
        if only.is_empty() || only.contains(part) {
            let dir = dir.join(&name);
            std::fs::create_dir(&dir)?;
            // The others go on: each stands for itself.
            if let Err(failure) = run(&within(dir), &mut report) {
                report.demand(name, false, failure.to_string());
            }
        }
        report.not_measured(numbers);
    }
    Ok(report)
}
