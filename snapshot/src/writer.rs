//! Writes a checkpoint beside the old one and puts it in its place with one rename.
//!
//! Order, each step after the one before is done: remove a left-over, create, write, sync, (wait until the caller
//! allows it), rename, sync the directory, remove the old one. Before the rename's directory sync the old checkpoint
//! is the one that counts.
//!
//! The file is made a piece at a time, of what its sections come in: a checkpoint may be hundreds of megabytes, and who writes
//! it has other things to do, and no memory for all of it at once ([`CheckpointWriter::has_room`]). The header, which has the
//! checksums of all that follows it, is written last.

use crate::format::{self, Line, Section};
use crate::tags::TAG;
use std::collections::VecDeque;
use torc_base::buf::Pool;
use torc_base::crc;
use torc_base::ids::{FileId, Tag};
use torc_base::io::{DiskDone, DiskError, DiskKind, DiskOp};
use torc_base::limits::PAGE;

/// What a completion led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// More to do; operations were appended.
    Working,
    /// All is on disk; waits for [`CheckpointWriter::publish`].
    Written,
    /// This checkpoint is the one that recovery will read. The old one is being removed.
    Published,
    /// Nothing is left to do; the writer may go.
    Finished,
    /// The checkpoint was given up; the old one still counts. The log goes on; the caller tries again later.
    Failed(DiskError),
    /// It was given up as [`CheckpointWriter::give_up`] asked; the old one still counts.
    GivenUp,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    RemoveLeftover,
    Create,
    Write,
    /// Nothing is under way: too little has come of what is to be written.
    Hungry,
    Sync,
    Close,
    Waiting,
    Rename,
    SyncDir,
    RemoveOld,
    /// It failed with this error while its file was open, or was given up; the file is being closed.
    Abandon(Option<DiskError>),
    Done,
}

/// How a checkpoint is to be written.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Bytes behind the header, as far as that is known when the file is made.
    pub expected: u64,
    /// Bytes that are written at once, whole pages: the log's flushes wait behind them.
    pub write_bytes: usize,
}

/// One checkpoint on its way to the disk.
pub struct CheckpointWriter {
    file: FileId,
    number: u64,
    plan: Plan,
    /// What each section is that has begun, with the checksum of what was written of it.
    lines: Vec<Line>,
    /// What has come of sections and is not written, each with its section's place, and how much of the first one is.
    waiting: VecDeque<(usize, Vec<u8>)>,
    at: usize,
    waiting_bytes: usize,
    /// All has come.
    is_whole: bool,
    is_given_up: bool,
    /// Bytes behind the header that were written.
    written: usize,
    has_header: bool,
    step: Step,
    pool: Pool,
    may_publish: bool,
}

impl CheckpointWriter {
    /// Begins checkpoint `number` (the last published one is `number - 1`). `file` is used while this writer lives.
    pub fn begin(number: u64, plan: Plan, file: FileId, ops: &mut Vec<DiskOp>) -> CheckpointWriter {
        assert!(number > 0 && plan.write_bytes > 0 && plan.write_bytes.is_multiple_of(PAGE));
        let mut writer = CheckpointWriter {
            file,
            number,
            plan,
            lines: Vec::new(),
            waiting: VecDeque::new(),
            at: 0,
            waiting_bytes: 0,
            is_whole: false,
            is_given_up: false,
            written: 0,
            has_header: false,
            step: Step::RemoveLeftover,
            pool: Pool::new(2 * plan.write_bytes, 0),
            may_publish: false,
        };
        writer.emit(ops, DiskKind::Remove { name: format::temporary(number) });
        writer
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What comes from here on belongs to this section.
    pub fn section(&mut self, section: Section) {
        assert!(!self.is_whole);
        self.lines.push(Line { section, crc: crc::crc32c(&[]), bytes: 0 });
    }

    /// More of the section at hand.
    pub fn put(&mut self, bytes: Vec<u8>, ops: &mut Vec<DiskOp>) {
        assert!(!self.is_whole);
        if bytes.is_empty() || self.is_given_up {
            return;
        }
        let line = self.lines.len().checked_sub(1).expect("a section has begun");
        self.lines[line].bytes += bytes.len() as u64;
        self.waiting_bytes += bytes.len();
        self.waiting.push_back((line, bytes));
        self.feed(ops);
    }

    /// No more is to come.
    pub fn end(&mut self, ops: &mut Vec<DiskOp>) {
        self.is_whole = true;
        self.feed(ops);
    }

    /// False while enough is waiting for two writes, or nothing is taken any more.
    pub fn has_room(&self) -> bool {
        self.waiting_bytes < 2 * self.plan.write_bytes && !self.is_whole && !self.is_given_up
    }

    /// What has come of it is not worth going on with.
    pub fn give_up(&mut self, ops: &mut Vec<DiskOp>) {
        assert!(!self.is_whole, "all of it has come");
        self.is_given_up = true;
        (self.waiting, self.waiting_bytes) = (VecDeque::new(), 0);
        if self.step == Step::Hungry {
            self.abandon(None, ops);
        }
    }

    /// All that the checkpoint says is durable in the log: it may take the old one's place.
    pub fn publish(&mut self, ops: &mut Vec<DiskOp>) {
        self.may_publish = true;
        if self.step == Step::Waiting {
            self.rename(ops);
        }
    }

    fn emit(&mut self, ops: &mut Vec<DiskOp>, kind: DiskKind) {
        ops.push(DiskOp { tag: Tag(TAG | self.number), kind });
    }

    fn rename(&mut self, ops: &mut Vec<DiskOp>) {
        self.step = Step::Rename;
        let (from, to) = (format::temporary(self.number), format::name(self.number));
        self.emit(ops, DiskKind::Rename { from, to });
    }

    fn abandon(&mut self, error: Option<DiskError>, ops: &mut Vec<DiskOp>) {
        self.step = Step::Abandon(error);
        self.emit(ops, DiskKind::Close { file: self.file });
    }

    fn feed(&mut self, ops: &mut Vec<DiskOp>) {
        if self.step == Step::Hungry {
            self.write_next(ops);
        }
    }

    /// Writes what comes next of the sections, or the header behind all of them, if so much is there.
    fn write_next(&mut self, ops: &mut Vec<DiskOp>) {
        if self.is_given_up {
            return self.abandon(None, ops);
        }
        self.step =
            if self.waiting_bytes >= self.plan.write_bytes || self.is_whole { Step::Write } else { Step::Hungry };
        if self.step == Step::Hungry {
            return;
        }
        let len = self.waiting_bytes.min(self.plan.write_bytes);
        let (at, chunk) = if len > 0 {
            let mut chunk = self.pool.take(len.next_multiple_of(PAGE)).expect("one chunk at a time");
            self.fill(&mut chunk);
            (PAGE + self.written, chunk)
        } else {
            let mut header = self.pool.take(PAGE).expect("one chunk at a time");
            header.copy_from_slice(&format::encode_header(self.number, &self.lines, self.written as u64));
            self.has_header = true;
            (0, header)
        };
        self.written += if self.has_header { 0 } else { chunk.len() };
        let at = at as u64;
        self.emit(ops, DiskKind::Write { file: self.file, at, runs: vec![chunk.freeze().pages()], durable: false });
    }

    /// Copies what comes next of the sections, and zeroes behind the last of them.
    fn fill(&mut self, chunk: &mut [u8]) {
        let mut filled = 0;
        while let Some((line, bytes)) = self.waiting.front()
            && filled < chunk.len()
        {
            let part = &bytes[self.at..];
            let part = &part[..part.len().min(chunk.len() - filled)];
            chunk[filled..filled + part.len()].copy_from_slice(part);
            let line = &mut self.lines[*line];
            line.crc = crc::extend(line.crc, part);
            filled += part.len();
            self.at += part.len();
            if self.at == bytes.len() {
                self.waiting.pop_front();
                self.at = 0;
            }
        }
        self.waiting_bytes -= filled;
        chunk[filled..].fill(0);
    }

    /// Takes the completion of this writer's one outstanding operation.
    pub fn on_disk(&mut self, done: DiskDone, ops: &mut Vec<DiskOp>) -> Progress {
        assert_eq!(done.tag, Tag(TAG | self.number), "a completion of another checkpoint");
        let file = self.file;
        match (&self.step, done.result) {
            (Step::RemoveLeftover, Ok(_) | Err(DiskError::NotFound)) => {
                if self.is_given_up {
                    self.step = Step::Done;
                    return Progress::GivenUp;
                }
                self.step = Step::Create;
                let name = format::temporary(self.number);
                let bytes = PAGE as u64 + self.plan.expected.next_multiple_of(PAGE as u64);
                self.emit(ops, DiskKind::Create { file, name, bytes });
            }
            (Step::RemoveOld, _) => {
                // A checkpoint that could not be removed is found and removed at the next start.
                self.step = Step::Done;
                return Progress::Finished;
            }
            (Step::Write | Step::Sync, Err(error)) => self.abandon(Some(error), ops),
            (Step::Abandon(error), _) => {
                let error = error.clone();
                self.step = Step::Done;
                return error.map_or(Progress::GivenUp, Progress::Failed);
            }
            (_, Err(error)) => {
                self.step = Step::Done;
                return Progress::Failed(error);
            }
            (Step::Create, Ok(_)) => self.write_next(ops),
            (Step::Write, Ok(_)) if !self.has_header => self.write_next(ops),
            (Step::Write, Ok(_)) => {
                self.step = Step::Sync;
                self.emit(ops, DiskKind::Sync { file });
            }
            (Step::Sync, Ok(_)) => {
                self.step = Step::Close;
                self.emit(ops, DiskKind::Close { file });
            }
            (Step::Close, Ok(_)) if self.may_publish => self.rename(ops),
            (Step::Close, Ok(_)) => {
                self.step = Step::Waiting;
                return Progress::Written;
            }
            (Step::Rename, Ok(_)) => {
                self.step = Step::SyncDir;
                self.emit(ops, DiskKind::SyncDir);
            }
            (Step::SyncDir, Ok(_)) => {
                self.step = Step::RemoveOld;
                self.emit(ops, DiskKind::Remove { name: format::name(self.number - 1) });
                return Progress::Published;
            }
            (Step::Hungry | Step::Waiting | Step::Done, Ok(_)) => {
                unreachable!("no operation is outstanding in {:?}", self.step)
            }
        }
        Progress::Working
    }
}
