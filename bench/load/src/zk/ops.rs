//! Which requests are sent, and how often each.

use std::str::FromStr;
use torc_base::prng::Prng;

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Create,
    Set,
    Get,
    Exists,
    Delete,
    Multi,
    Sync,
}

const OPS: [(&str, Op); 7] = [
    ("create", Op::Create),
    ("set", Op::Set),
    ("get", Op::Get),
    ("exists", Op::Exists),
    ("delete", Op::Delete),
    ("multi", Op::Multi),
    ("sync", Op::Sync),
];

/// What a run does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mix {
    /// Requests with their weights, one at least.
    Requests(Vec<(Op, u64)>),
    /// One writes, the others watch.
    Watch,
    /// Sessions come and go.
    Session,
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Mix, String> {
        match text {
            "watch" => return Ok(Mix::Watch),
            "session" => return Ok(Mix::Session),
            _ => {}
        }
        let one = |part: &str| {
            let (name, weight) = part.split_once(':').unwrap_or((part, "1"));
            let found = OPS.iter().find(|(known, _)| *known == name.trim());
            let (_, op) = found.ok_or_else(|| {
                let names: Vec<&str> = OPS.iter().map(|(name, _)| *name).collect();
                format!("{name:?} is none of {}, watch, session", names.join(", "))
            })?;
            match weight.trim().parse() {
                Ok(weight @ 1..=1_000_000) => Ok((*op, weight)),
                _ => Err(format!("{weight:?} is no weight: write a whole number, such as in get:9,set:1")),
            }
        };
        text.split(',').map(one).collect::<Result<_, String>>().map(Mix::Requests)
    }
}

/// Which of them is next.
pub fn pick(ops: &[(Op, u64)], prng: &mut Prng) -> Op {
    if let [(op, _)] = ops {
        return *op;
    }
    let mut at = prng.below(ops.iter().map(|(_, weight)| weight).sum());
    for (op, weight) in ops {
        if at < *weight {
            return *op;
        }
        at -= weight;
    }
    unreachable!("the weights add up");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_is_read_and_its_weights_are_kept() {
        assert_eq!("get".parse(), Ok(Mix::Requests(vec![(Op::Get, 1)])));
        assert_eq!("watch".parse(), Ok(Mix::Watch));
        for wrong in ["", "put", "get:0", "get:x", "get,", "watch,get"] {
            assert!(wrong.parse::<Mix>().is_err(), "{wrong}");
        }
        let Ok(Mix::Requests(ops)) = "get:9,set:1".parse() else { panic!() };
        let mut prng = Prng::new(1);
        let picked = (0..10_000).filter(|_| pick(&ops, &mut prng) == Op::Set).count();
        assert!((800..1_200).contains(&picked), "{picked} of 10000 are sets");
    }
}
