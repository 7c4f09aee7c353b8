//! The reports of all repetitions of all runs, their medians and how far they spread.

use crate::figures::Figure;
use crate::limits::Limits;
use crate::report::{Outcome, Report};
use serde::Serialize;

/// Middle, lowest and highest of the repetitions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Spread {
    /// `None` if there are no values, or one is none (NaN).
    pub fn of(values: &[f64]) -> Option<Spread> {
        if values.is_empty() || values.iter().any(|value| value.is_nan()) {
            return None;
        }
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median =
            if values.len().is_multiple_of(2) { (values[middle - 1] + values[middle]) / 2.0 } else { values[middle] };
        Some(Spread { median, least: values[0], most: values[values.len() - 1] })
    }

    /// Half the way from the lowest to the highest, in parts of the median.
    pub fn relative(&self) -> f64 {
        if self.median == 0.0 { 0.0 } else { (self.most - self.least) / 2.0 / self.median }
    }
}

/// A load against a target, and its reports, one of each repetition.
#[derive(Clone, Debug)]
pub struct Row {
    /// Of the run, or of the load beside it.
    pub run: String,
    pub target: String,
    pub reports: Vec<Report>,
}

impl Row {
    /// A figure's median and spread over the repetitions that were measured to their end; `None` if there are none, or
    /// one of them does not have it.
    pub fn spread(&self, figure: &Figure) -> Option<Spread> {
        Spread::of(&self.values(figure).into_iter().flatten().collect::<Vec<f64>>())
    }

    /// Of each repetition; `None` of one that counts for nothing.
    fn values(&self, figure: &Figure) -> Vec<Option<f64>> {
        self.reports.iter().map(|report| counts(report).then(|| (figure.value)(report))).collect()
    }

    /// Repetitions that were measured to their end.
    pub fn measured(&self) -> usize {
        self.reports.iter().filter(|report| counts(report)).count()
    }

    /// The repetition whose `figure` is nearest to the median, and its number from 1; of equals the first.
    pub fn typical(&self, figure: &Figure) -> Option<(usize, &Report)> {
        let counting = || (1..).zip(&self.reports).filter(|(_, report)| counts(report));
        let Some(middle) = self.spread(figure).map(|spread| spread.median) else { return counting().next() };
        let distance = |report: &Report| ((figure.value)(report) - middle).abs();
        counting().min_by(|(_, a), (_, b)| distance(a).total_cmp(&distance(b)))
    }
}

/// Whether a report is of a whole repetition: one that ended early, or brought nothing, is no measure.
fn counts(report: &Report) -> bool {
    matches!(report.outcome, Outcome::Complete | Outcome::Failed)
}

/// All rows, in the order of the scenario.
#[derive(Clone, Debug, Default)]
pub struct Results {
    pub rows: Vec<Row>,
    /// The machine's limits just before each repetition, if the scenario wants them.
    pub machine: Vec<Limits>,
    /// The signal that ended them before their time.
    pub signal: Option<i32>,
    /// What went wrong, besides what the reports say.
    pub problems: Vec<String>,
}

impl Results {
    /// The row of that run or load against that target.
    pub fn row(&self, run: &str, target: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.run == run && row.target == target)
    }

    /// A figure of each repetition, `None` of one that counts for nothing; `None` if all are such, or it is missing in
    /// another.
    pub fn values(&self, run: &str, target: &str, figure: &Figure) -> Option<Vec<Option<f64>>> {
        let row = self.row(run, target)?;
        row.spread(figure).map(|_| row.values(figure))
    }

    /// Adds a repetition's report.
    pub fn add(&mut self, run: &str, target: &str, report: Report) {
        let row = self.rows.iter_mut().find(|row| row.run == run && row.target == target);
        row.expect("rows are made before the runs").reports.push(report);
    }
}
