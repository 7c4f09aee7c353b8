//! How long records are: one size, a range, or several with weights.

use crate::units::parse_size;
use std::str::FromStr;
use torc_base::prng::Prng;

/// `100`, `50..150` (each as likely), or `100:9,10KiB..20KiB:1` (nine of ten times 100 bytes).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    choices: Vec<Choice>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Choice {
    low: usize,
    high: usize,
    weight: u64,
}

/// A record longer than this is a slip of the keyboard.
const RECORD_BYTES_MAX: usize = 16 << 20;

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Sizes, String> {
        let choices = text.split(',').map(choice).collect::<Result<Vec<Choice>, String>>()?;
        Ok(Sizes { choices })
    }
}

fn choice(text: &str) -> Result<Choice, String> {
    let (sizes, weight) = text.split_once(':').unwrap_or((text, "1"));
    let (low, high) = sizes.split_once("..").unwrap_or((sizes, sizes));
    let (low, high) = (parse_size(low)?, parse_size(high)?);
    let weight = weight.trim().parse().map_err(|_| format!("{weight:?} is no weight: write a whole number"))?;
    if low > high || high > RECORD_BYTES_MAX || weight == 0 {
        return Err(format!("{text:?}: sizes go up to 16 MiB, the smaller first, and a weight is at least 1"));
    }
    Ok(Choice { low, high, weight })
}

impl Sizes {
    /// Bytes of one record.
    pub fn pick(&self, prng: &mut Prng) -> usize {
        let mut at = prng.below(self.choices.iter().map(|choice| choice.weight).sum());
        for choice in &self.choices {
            if at < choice.weight {
                return prng.between(choice.low as u64, choice.high as u64) as usize;
            }
            at -= choice.weight;
        }
        unreachable!("the weights add up");
    }

    /// Bytes of the shortest record.
    pub fn least(&self) -> usize {
        self.choices.iter().map(|choice| choice.low).min().expect("one choice at least")
    }
}
