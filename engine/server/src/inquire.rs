//! Questions to the shards when somebody looks at the metrics.

use crate::samples::Counters;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use torc_shard::{Finding, Inquiry};

/// A shard turns within milliseconds; one that takes longer has more to do than to be looked at.
const ANSWER_TIME: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_micros(500);

/// One look at a time: there is one place for questions in each shard.
static LOOKS: Mutex<()> = Mutex::new(());

/// Held by whoever asks.
pub fn one_look() -> MutexGuard<'static, ()> {
    LOOKS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts a question to each shard that has one; the answers, by shard, of those that gave one in time.
pub fn ask(counters: &[Counters], questions: Vec<Option<Inquiry>>) -> Vec<Option<Finding>> {
    let put = |(counters, question): (&Counters, Option<Inquiry>)| {
        let number = question.map(|question| counters.shard.inquiries.ask(question));
        if number.is_some()
            && let Some(waker) = counters.waker.get()
        {
            waker.wake();
        }
        number
    };
    let numbers: Vec<Option<u64>> = counters.iter().zip(questions).map(put).collect();
    let mut findings: Vec<Option<Finding>> = counters.iter().map(|_| None).collect();
    let until = Instant::now() + ANSWER_TIME;
    loop {
        let mut open = false;
        for ((counters, number), finding) in counters.iter().zip(&numbers).zip(&mut findings) {
            if let (Some(number), None) = (number, &finding) {
                *finding = counters.shard.inquiries.take(*number);
                open |= finding.is_none();
            }
        }
        if !open || Instant::now() >= until {
            return findings;
        }
        thread::sleep(LOOK);
    }
}
