//! What the Rust clients share to make the calls of harness/calls.py.

use std::collections::HashMap;
use std::fmt::Display;
use std::time::{Duration, Instant};

/// Of one call.
pub const TIMEOUT: Duration = Duration::from_secs(15);
/// How long a change may take to show.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);

/// An error as the plan tells it.
pub enum Told {
    /// Kafka's code.
    Code(i32),
    /// The client found by itself that the server lacks the API.
    #[allow(dead_code, reason = "not every client has such calls")]
    Refused,
    Other(String),
}

pub type Answer = Result<String, Told>;

#[allow(dead_code, reason = "not every client has calls that need all of it")]
pub struct Day {
    pub bootstrap: String,
    pub node: i32,
    /// An hour ago, in ms.
    pub base: i64,
    prefix: String,
    wanted: HashMap<String, String>,
}

impl Day {
    pub fn load(bootstrap: &str, path: &str) -> Day {
        let text = std::fs::read_to_string(path).expect("the file is readable");
        let wanted: HashMap<String, String> = text
            .lines()
            .map(|line| line.split_once('\t').expect("name<tab>value"))
            .map(|(n, v)| (n.into(), v.into()))
            .collect();
        Day {
            bootstrap: bootstrap.into(),
            node: wanted["node"].parse().expect("a node"),
            base: wanted["base"].parse().expect("a time"),
            prefix: wanted["prefix"].clone(),
            wanted,
        }
    }

    pub fn topic(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    /// Those of the topics that the client made, by their short names.
    pub fn mine<'a>(&self, topics: impl Iterator<Item = &'a str>) -> String {
        let mut mine: Vec<&str> = topics
            .filter_map(|t| t.strip_prefix(&self.prefix)?.strip_prefix('.'))
            .filter(|name| *name != "r")
            .collect();
        mine.sort_unstable();
        join(mine)
    }

    /// Timestamps of v0 to v9.
    pub fn times(&self) -> Vec<i64> {
        (0..10).map(|i| self.base + if i == 7 { 99_000 } else { 1000 * i }).collect()
    }

    /// Makes one call, again and again if what it reads may lag behind, and prints its answer.
    pub async fn call(&self, name: &str, make: impl AsyncFn() -> Answer) {
        let wanted = self.wanted.get(&format!("want.{}", name.split('/').next().expect("a name")));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = match tokio::time::timeout(2 * TIMEOUT, make()).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(Told::Code(code))) => format!("error {code}"),
                Ok(Err(Told::Refused)) => "refused".into(),
                Ok(Err(Told::Other(text))) => {
                    format!("failed with {}", text.split_whitespace().collect::<Vec<_>>().join(" "))
                }
                Err(late) => format!("failed with {late}"),
            };
            if wanted.is_none_or(|wanted| *wanted == answer) || Instant::now() > deadline {
                println!("{name}\t{answer}");
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

pub fn join<T: Display>(values: impl IntoIterator<Item = T>) -> String {
    values.into_iter().map(|value| value.to_string()).collect::<Vec<_>>().join(" ")
}
