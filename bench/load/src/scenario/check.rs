//! What a scenario asks of the figures, and whether they meet it. A report, not a gate: see --strict.

use super::file::Scenario;
use super::results::{Results, Spread};
use crate::figures::{self, Figure};
use crate::limits::Limits;
use crate::units::three_digits;
use serde::{Deserialize, Serialize};

/// A check: a figure of a run against a target, or what part it is of others, is at least or at most so much.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CheckSpec {
    /// What stands in the report.
    pub what: String,
    /// The key of a figure.
    pub figure: String,
    pub run: String,
    pub target: String,
    /// What the figure is divided by; of several the lowest.
    #[serde(default)]
    pub over: Over,
    pub at_least: Option<Bound>,
    pub at_most: Option<Bound>,
}

/// What a figure is divided by.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(untagged)]
pub enum Over {
    /// Nothing: the figure itself counts.
    #[default]
    Nothing,
    /// The same figure of the same run against this target.
    Target(String),
    One(Term),
    Several(Vec<Term>),
}

/// The same figure of another run or target, or a limit of the machine; `times` so much.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Term {
    pub run: Option<String>,
    pub target: Option<String>,
    /// loopback, sequential-read or sequential-write, in MB/s.
    pub limit: Option<String>,
    #[serde(default = "one")]
    pub times: f64,
}

fn one() -> f64 {
    1.0
}

/// A number, or a time as text.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Bound {
    Number(f64),
    Text(String),
}

/// A check beside what was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Checked {
    pub what: String,
    /// Such as "p50: torc / kafka".
    pub of: String,
    pub asked: String,
    pub measured: String,
    /// The lowest and the highest of the repetitions.
    pub spread: String,
    /// `None`: it was not measured, or only looked at quickly.
    pub met: Option<bool>,
    /// Whether there is a figure.
    pub is_measured: bool,
}

impl CheckSpec {
    fn terms(&self) -> Vec<Term> {
        match &self.over {
            Over::Nothing => Vec::new(),
            Over::Target(target) => {
                vec![Term { run: None, target: Some(target.clone()), limit: None, times: 1.0 }]
            }
            Over::One(term) => vec![term.clone()],
            Over::Several(terms) => terms.clone(),
        }
    }

    fn figure(&self) -> Result<&'static Figure, String> {
        figures::find(&self.figure).ok_or_else(|| {
            let keys: Vec<&str> = figures::FIGURES.iter().map(|figure| figure.key).collect();
            format!("{:?} is none of the figures {}", self.figure, keys.join(", "))
        })
    }

    /// The bound, and whether the figure must be at least it.
    fn bound(&self) -> Result<(f64, bool), String> {
        let figure = self.figure()?;
        let number = |bound: &Bound| match bound {
            Bound::Number(number) if *number != 0.0 && figure.is_time() && matches!(self.over, Over::Nothing) => {
                Err(format!("{number}: a time is bounded by a text with a unit, such as \"5ms\""))
            }
            Bound::Number(number) => Ok(*number),
            Bound::Text(text) if matches!(self.over, Over::Nothing) => figure.parse(text),
            Bound::Text(text) => Err(format!("{text:?}: a ratio is bounded by a number")),
        };
        match (&self.at_least, &self.at_most) {
            (Some(least), None) => Ok((number(least)?, true)),
            (None, Some(most)) => Ok((number(most)?, false)),
            _ => Err("it has either at-least or at-most".to_string()),
        }
    }

    /// Whether everything that it names is in `scenario`.
    pub fn fits(&self, scenario: &Scenario) -> Result<(), String> {
        self.bound()?;
        let known = |run: &str, target: &str| match scenario.run(run)?.is_for(scenario.target(target)?) {
            true => Ok(()),
            false => Err(format!("{run:?} is not run against {target:?}")),
        };
        known(&self.run, &self.target)?;
        for term in self.terms() {
            match &term.limit {
                Some(limit) if !LIMITS.iter().any(|(name, _)| name == limit) => {
                    return Err(format!("the machine has no limit {limit:?}"));
                }
                Some(_) if !scenario.limits => return Err("the scenario does not measure limits".to_string()),
                Some(_) if term.run.is_some() || term.target.is_some() => {
                    return Err("a limit has no run or target".to_string());
                }
                Some(_) if self.figure != "bandwidth" => return Err("limits are bandwidths".to_string()),
                Some(_) => {}
                None if term.run.is_none() && term.target.is_none() => {
                    return Err("it is divided by itself".to_string());
                }
                None => known(self.run_of(&term), self.target_of(&term))?,
            }
        }
        Ok(())
    }

    fn run_of<'a>(&'a self, term: &'a Term) -> &'a str {
        term.run.as_deref().unwrap_or(&self.run)
    }

    fn target_of<'a>(&'a self, term: &'a Term) -> &'a str {
        term.target.as_deref().unwrap_or(&self.target)
    }

    /// What was measured, beside what is asked. Of a quick look nothing is graded.
    pub fn check(&self, results: &Results, quick: bool) -> Checked {
        let figure = self.figure().expect("checked when it was read");
        let (bound, least) = self.bound().expect("checked when it was read");
        let show = |value: f64| match self.over {
            Over::Nothing => (figure.show)(value),
            _ => format!("{} x", three_digits(value)),
        };
        let asked = format!("{} {}", if least { "≥" } else { "≤" }, show(bound));
        let measured = self.measure(figure, results);
        let met = measured
            .filter(|_| !quick)
            .map(|spread| if least { spread.median >= bound } else { spread.median <= bound });
        Checked {
            what: self.what.clone(),
            of: self.describe(figure),
            asked,
            measured: measured.map_or("-".to_string(), |spread| show(spread.median)),
            spread: measured.map_or("-".to_string(), |s| range(show(s.least), show(s.most))),
            met,
            is_measured: measured.is_some(),
        }
    }

    fn describe(&self, figure: &Figure) -> String {
        let term = |term: &Term| {
            let times = if term.times == 1.0 { String::new() } else { format!("{} x ", term.times) };
            let of = match (&term.limit, &term.run, &term.target) {
                (Some(limit), _, _) => limit.clone(),
                (_, Some(run), Some(target)) if *target != self.target => format!("{target} in {run:?}"),
                (_, Some(run), _) => format!("{run:?}"),
                _ => self.target_of(term).to_string(),
            };
            times + &of
        };
        let terms: Vec<String> = self.terms().iter().map(term).collect();
        match terms.len() {
            0 => format!("{}: {}", figure.name, self.target),
            1 => format!("{}: {} / {}", figure.name, self.target, terms[0]),
            _ => format!("{}: {} / lowest of {}", figure.name, self.target, terms.join(", ")),
        }
    }

    /// The medians' ratio, and the spread of the ratios of each repetition. `None` if something was not measured.
    fn measure(&self, figure: &Figure, results: &Results) -> Option<Spread> {
        let own = results.values(&self.run, &self.target, figure)?;
        let Some((below_medians, below)) = self.below(figure, results, own.len())? else {
            return Spread::of(&own.into_iter().flatten().collect::<Vec<f64>>());
        };
        // A repetition counts if both sides were measured in it.
        let ratio = |(own, below): (&Option<f64>, &Option<f64>)| Some((*own)? / (*below)?);
        let spread = Spread::of(&own.iter().zip(&below).filter_map(ratio).collect::<Vec<f64>>())?;
        let median = Spread::of(&own.into_iter().flatten().collect::<Vec<f64>>())?.median / below_medians;
        Some(Spread { median, ..spread }).filter(|spread| spread.median.is_finite())
    }

    /// What the figure is divided by: the lowest median of all terms, and the lowest of them in each repetition. The
    /// outer `None`: a term was not measured; the inner: there is no term.
    fn below(&self, figure: &Figure, results: &Results, repetitions: usize) -> Option<Option<(f64, Vec<Option<f64>>)>> {
        let (mut medians, mut below) = (f64::INFINITY, vec![Some(f64::INFINITY); repetitions]);
        let terms = self.terms();
        for term in &terms {
            let each: Vec<Option<f64>> = match &term.limit {
                Some(name) => {
                    let (_, limit) = LIMITS.iter().find(|(other, _)| other == name)?;
                    results.machine.iter().map(|limits| Some(limit(limits))).collect()
                }
                None => results.values(self.run_of(term), self.target_of(term), figure)?,
            };
            medians =
                medians.min(Spread::of(&each.iter().flatten().copied().collect::<Vec<f64>>())?.median * term.times);
            let each = each.into_iter().chain(std::iter::repeat(None));
            for (below, value) in below.iter_mut().zip(each) {
                *below = below.zip(value).map(|(below, value)| below.min(value * term.times));
            }
        }
        Some((!terms.is_empty()).then_some((medians, below)))
    }

    /// What the check asks of the figure of its run and target, in the figure's own unit, and whether at least that:
    /// where a plot of it has its limit. `None` if what it is compared with was not measured.
    pub fn limit(&self, results: &Results) -> Option<(f64, bool)> {
        let figure = self.figure().expect("checked when it was read");
        let (bound, least) = self.bound().expect("checked when it was read");
        let below = self.below(figure, results, 0)?.map_or(1.0, |(median, _)| median);
        Some((bound * below, least)).filter(|(limit, _)| limit.is_finite())
    }
}

/// From one to the other, or the one if that is all.
fn range(least: String, most: String) -> String {
    if least == most { "-".to_string() } else { format!("{least} to {most}") }
}

/// A limit of the machine, in MB/s.
type LimitOf = fn(&Limits) -> f64;

/// Limits that a figure may be divided by.
const LIMITS: &[(&str, LimitOf)] = &[
    ("loopback", |limits| limits.loopback_mb_per_s),
    ("sequential-read", |limits| limits.sequential_read_mb_per_s),
    ("sequential-write", |limits| limits.sequential_write_mb_per_s),
];
