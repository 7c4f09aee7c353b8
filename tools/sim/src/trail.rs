//! What happened in a run: a digest of all of it, and the last of it in words.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt::Write;
use std::rc::Rc;

/// Lines that are kept for the report of a failure.
const LINES: usize = 4000;
/// Lines of it that are shown if not all are asked for.
pub const SHOWN: usize = 60;

enum Line {
    Mark { what: &'static str, shard: usize, a: u64, b: u64 },
    Text(String),
}

#[derive(Default)]
struct Inner {
    digest: u64,
    steps: u64,
    now: u64,
    title: String,
    lines: VecDeque<(u64, Line)>,
}

/// Shared by all parts of one run.
#[derive(Clone, Default)]
pub struct Trail {
    inner: Rc<RefCell<Inner>>,
}

impl Trail {
    /// The time of what follows, in virtual nanoseconds.
    pub fn at(&self, now: u64) {
        self.inner.borrow_mut().now = now;
    }

    /// Something that happened, with two numbers that say more.
    pub fn mark(&self, what: &'static str, shard: usize, a: u64, b: u64) {
        let mut inner = self.inner.borrow_mut();
        inner.steps += 1;
        let now = inner.now;
        for word in [now, what.len() as u64, u64::from(what.as_bytes()[0]), shard as u64, a, b] {
            // FNV-1a over words instead of bytes.
            inner.digest = (inner.digest ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
        }
        inner.push(Line::Mark { what, shard, a, b });
    }

    /// What the run is: told with its failure, however much has happened since.
    pub fn title(&self, text: String) {
        self.say(text.clone());
        self.inner.borrow_mut().title = text;
    }

    /// See [`Trail::title`].
    pub fn titled(&self) -> String {
        self.inner.borrow().title.clone()
    }

    /// A line in words.
    pub fn say(&self, text: String) {
        let mut inner = self.inner.borrow_mut();
        let crc = torc_base::crc::crc32c(text.as_bytes());
        inner.digest = (inner.digest ^ u64::from(crc)).wrapping_mul(0x0000_0100_0000_01b3);
        inner.push(Line::Text(text));
    }

    /// Equal for two runs that went the same way.
    pub fn digest(&self) -> u64 {
        self.inner.borrow().digest
    }

    /// Things that happened.
    pub fn steps(&self) -> u64 {
        self.inner.borrow().steps
    }

    /// The last lines, oldest first.
    pub fn tail(&self) -> String {
        let mut out = String::new();
        for (at, line) in &self.inner.borrow().lines {
            let (ms, us) = (at / 1_000_000, at / 1_000 % 1_000);
            let _ = match line {
                Line::Mark { what, shard, a, b } => writeln!(out, "{ms:>8}.{us:03} shard {shard}: {what} {a} {b}"),
                Line::Text(text) => writeln!(out, "{ms:>8}.{us:03} {text}"),
            };
        }
        out
    }
}

impl Inner {
    fn push(&mut self, line: Line) {
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back((self.now, line));
    }
}
