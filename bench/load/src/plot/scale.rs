//! Axes: where a value lies between their ends, and which values are named.

use crate::figures::as_rate;
use crate::units::{three_digits, time};

/// What the values of an axis are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds.
    Time,
    /// Seconds of a run.
    Seconds,
    /// Per second.
    Rate,
    /// Millions of bytes per second.
    Megabytes,
    /// Bytes.
    Gigabytes,
    /// Percent.
    Percentile,
}

impl Unit {
    /// A value as it is written beside an axis.
    pub fn show(self, value: f64) -> String {
        match self {
            Unit::Time => time(value.round() as u64).replace("us", "µs"),
            Unit::Seconds => format!("{value}"),
            Unit::Rate => as_rate(value),
            Unit::Megabytes => three_digits(value),
            Unit::Gigabytes => three_digits(value / 1e9),
            Unit::Percentile => format!("{value} %"),
        }
    }

    /// The same, with few digits: for values that axes choose.
    fn tick(self, value: f64) -> String {
        let (value, suffix) = match self {
            Unit::Time if value >= 1e9 => (value / 1e9, " s"),
            Unit::Time if value >= 1e6 => (value / 1e6, " ms"),
            Unit::Time if value >= 1e3 => (value / 1e3, " µs"),
            Unit::Time => (value, " ns"),
            Unit::Rate if value >= 1e6 => (value / 1e6, "M"),
            Unit::Rate if value >= 1e4 => (value / 1e3, "k"),
            Unit::Gigabytes => (value / 1e9, ""),
            Unit::Percentile => (value, " %"),
            _ => (value, ""),
        };
        // What is left of a step of a tenth in binary must not be shown.
        let rounded = (value * 1e6).round() / 1e6;
        format!("{rounded}{suffix}")
    }
}

/// How values are spread along an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// From the first to the second.
    Linear(f64, f64),
    /// The same, each factor of ten as long as any other.
    Log(f64, f64),
    /// Percentiles from 0 to this, each nine as long as any other.
    Nines(f64),
}

/// Percentiles that an axis may name.
const PERCENTILES: [f64; 7] = [0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999];
/// Leading digits of steps that people count in.
const STEPS: [f64; 3] = [1.0, 2.0, 5.0];
/// A logarithmic axis is at least so long: of a factor.
const LOG_LEAST: f64 = 5.0;

/// Values on an axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Ticks {
    /// With what is written there.
    pub named: Vec<(f64, String)>,
    /// Faint lines between them.
    pub minor: Vec<f64>,
}

/// How many nines: 0 of 0 %, 1 of 90 %, 2 of 99 %.
fn nines(percentile: f64) -> f64 {
    -(1.0 - percentile / 100.0).max(1e-9).log10()
}

impl Scale {
    /// A linear scale from 0 over all `values`; a step from 0 to 1 if there are none.
    pub fn from_zero(values: impl Iterator<Item = f64>) -> Scale {
        let most = values.fold(0.0, f64::max);
        Scale::Linear(0.0, if most > 0.0 { most * 1.05 } else { 1.0 })
    }

    /// A logarithmic scale around all positive `values`, which ends at round numbers.
    pub fn log_around(values: impl Iterator<Item = f64> + Clone) -> Scale {
        let positive = || values.clone().filter(|value| *value > 0.0);
        let (least, most) = (positive().fold(f64::INFINITY, f64::min), positive().fold(0.0, f64::max));
        if least > most {
            return Scale::Log(1e3, 1e6);
        }
        let middle = (least * most).sqrt();
        let (least, most) = (least.min(middle / LOG_LEAST.sqrt()), most.max(middle * LOG_LEAST.sqrt()));
        let decade = |value: f64| 10f64.powf(value.log10().floor());
        let below = STEPS.iter().rev().map(|step| step * decade(least)).find(|value| *value <= least);
        let above = STEPS.iter().chain(&[10.0]).map(|step| step * decade(most)).find(|value| *value >= most);
        Scale::Log(below.unwrap_or_else(|| decade(least)), above.unwrap_or_else(|| 10.0 * decade(most)))
    }

    /// Where `value` lies: 0 is the beginning of the axis, 1 its end.
    pub fn place(self, value: f64) -> f64 {
        match self {
            Scale::Linear(low, high) => (value - low) / (high - low),
            Scale::Log(low, high) => (value.max(low).log10() - low.log10()) / (high.log10() - low.log10()),
            Scale::Nines(high) => nines(value) / nines(high),
        }
    }

    /// Ticks, of which at most `most` are named.
    pub fn ticks(self, unit: Unit, most: usize) -> Ticks {
        match self {
            Scale::Linear(low, high) => linear(low, high, unit, most),
            Scale::Log(low, high) => logarithmic(low, high, unit, most),
            Scale::Nines(high) => {
                let inside = PERCENTILES.into_iter().filter(|percentile| *percentile <= high + 1e-9);
                Ticks { named: inside.map(|value| (value, unit.tick(value))).collect(), minor: Vec::new() }
            }
        }
    }
}

fn linear(low: f64, high: f64, unit: Unit, most: usize) -> Ticks {
    let exponent = ((high - low) / most as f64).log10().floor();
    let steps = STEPS.iter().chain(&[10.0, 20.0, 50.0]).map(|step| step * 10f64.powf(exponent));
    let fits = |step: &f64| (high / step).floor() - (low / step).ceil() < most as f64;
    let step = steps.clone().find(fits).unwrap_or(high - low);
    let all = |step: f64| ((low / step).ceil() as i64..=(high / step).floor() as i64).map(move |n| n as f64 * step);
    let minor = all(step / 5.0).filter(|value| (value / step - (value / step).round()).abs() > 1e-6);
    Ticks { named: all(step).map(|value| (value, unit.tick(value))).collect(), minor: minor.collect() }
}

fn logarithmic(low: f64, high: f64, unit: Unit, most: usize) -> Ticks {
    let exponents = || low.log10().floor() as i32..=high.log10().ceil() as i32;
    let inside = |value: &f64| (low * 0.999..=high * 1.001).contains(value);
    let of = |digits: &[f64]| -> Vec<f64> {
        let decade = |exponent: i32| digits.iter().map(move |digit| digit * 10f64.powi(exponent));
        exponents().flat_map(decade).filter(inside).collect()
    };
    let choices = [&STEPS[..], &[1.0, 5.0], &[1.0]].map(of);
    let mut named = choices.iter().find(|named| named.len() <= most).unwrap_or(&choices[2]).clone();
    // Of many decades some go without a name.
    let every = named.len().div_ceil(most.max(1)).max(1);
    named = named.into_iter().step_by(every).collect();
    let minor = of(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
    let is_named = |value: f64| named.iter().any(|named: &f64| (named / value - 1.0).abs() < 1e-9);
    let minor = minor.into_iter().filter(|value| !is_named(*value)).collect();
    Ticks { named: named.iter().map(|value| (*value, unit.tick(*value))).collect(), minor }
}
