//! From the files to a running log.
//!
//! Header pages say which file holds which segment. From the checkpoint's segment on, batches are read in order; each
//! must follow from the one before. The first one that does not is where the log ends, if it can be a torn write; it is
//! corruption, if anything says that it had been durable: the checkpoint, a later batch's durable mark, or a footer.
//! Where the checkpoint says that the log was closed, nothing is looked for behind its end.

mod salvage;

use crate::batch::{self, Damage, Descriptor};
use crate::checkpoint::Section;
use crate::directory::Directory;
use crate::entry::Kind;
use crate::error::WalError;
use crate::flight::corrupt;
use crate::index::extents_of;
use crate::outcome::{Outcome, Recovered};
use crate::segment::{BATCHES_START, Header, Slot, Trailer, cold_number, is_cold};
use crate::segments::{Segments, footed};
use crate::spares::{Spares, header_write};
use crate::tags::Job;
use crate::tail::item;
use salvage::Wound;
use std::collections::{BTreeMap, VecDeque};
use torc_base::buf::{Buf, BufMut, Pool};
use torc_base::ids::{BatchSeq, Index, SegmentId};
use torc_base::io::{DiskError, DiskKind, DiskOk, DiskOp, Level};
use torc_base::limits::PAGE;

/// Batches are read in pieces of this size...
const WINDOW: u64 = 1 << 20;
/// ...so many ahead.
const AHEAD: usize = 3;
/// Files that are opened at once.
const OPENS: usize = 32;
/// Stands for the segment of a file that shows none.
const NO_SEGMENT: SegmentId = SegmentId(0);

/// The parts of the log that recovery fills.
pub(crate) struct Parts<'a> {
    pub(crate) directory: &'a mut Directory,
    pub(crate) segments: &'a mut Segments,
    pub(crate) spares: &'a mut Spares,
}

/// Where recovery stands.
#[derive(Debug)]
pub(crate) enum Progress {
    /// More completions are needed.
    Going,
    /// There is no log yet.
    Fresh,
    /// The log has been read.
    Done(End),
}

/// Where the log ends.
#[derive(Debug)]
pub(crate) struct End {
    /// The first batch that is not there.
    pub(crate) next: BatchSeq,
    /// Checksum of the one before.
    pub(crate) chain: u32,
    /// Largest durable mark that was read.
    pub(crate) vouched: BatchSeq,
    /// The last batch with entries.
    pub(crate) last_filled: BatchSeq,
    /// The checkpoint says that the log was closed; it may have gone on since.
    pub(crate) closed: bool,
    pub(crate) found: Recovered,
}

#[derive(Debug)]
enum Task {
    List,
    Open(Slot),
    Head(Slot),
    Window { stream: u64, at: u64 },
    Rehead(Header),
    Sync(Slot),
    Names,
    Close(Slot),
}

/// A file as its first two pages show it.
#[derive(Debug)]
struct File {
    bytes: u64,
    header: Option<Header>,
    first: Option<(batch::Header, u32)>,
}

/// Reads one file in order, some windows ahead.
#[derive(Debug)]
struct Stream {
    number: u64,
    segment: Header,
    /// Position of the next window that is wanted, and of the next one to be asked for.
    at: u64,
    ask: u64,
    ready: BTreeMap<u64, Buf>,
}

/// A batch that lies in several windows.
#[derive(Debug)]
struct Assembly {
    header: batch::Header,
    crc: u32,
    bytes: BufMut,
    filled: usize,
}

#[derive(Debug)]
enum Mode {
    /// No file holds a segment of the log.
    Nothing,
    /// Batches follow each other.
    Chain,
    /// The batch at `position` of `segment` is not there: does anything say that it had been durable?
    Evidence { segment: Header, position: u64, what: String, pieces: u64 },
    /// The log was closed in `segment`, and ends where it did then.
    Closed { segment: Header },
    /// A batch is lost: where does the log go on?
    Search,
}

/// Recovery under way.
pub(crate) struct Recovery {
    section: Option<Section>,
    /// Damage is passed over.
    salvages: bool,
    /// The damage that is being passed over.
    wound: Option<Wound>,
    /// Batches are lost that the checkpoint contains.
    gaps: bool,
    /// All that it contains has been read.
    passed: bool,
    tasks: BTreeMap<u64, Task>,
    numbers: u64,
    todo: VecDeque<(Slot, u64)>,
    files: BTreeMap<Slot, File>,
    by_id: BTreeMap<SegmentId, Slot>,
    /// Files with the header of a cold segment. Which of them count is for the checkpoint to say.
    cold: BTreeMap<SegmentId, Slot>,
    /// Files without a header that have not been looked through. They were being made when the process ended, or have lost it.
    headless: Vec<Slot>,
    pool: Pool,
    mode: Mode,
    stream: Option<Stream>,
    assembly: Option<Assembly>,
    next: BatchSeq,
    chain: u32,
    vouched: BatchSeq,
    last_filled: BatchSeq,
    found: Recovered,
    /// Files behind the end, which get new headers one after the other.
    stale: VecDeque<Slot>,
    finishing: bool,
    /// It cannot go on, and closes what it has opened.
    abandoned: Option<WalError>,
}

impl Recovery {
    /// Starts by listing the directory. `salvages`: of damage it is told what is lost, and the rest is read.
    pub(crate) fn start(section: Option<Section>, salvages: bool, ops: &mut Vec<DiskOp>) -> Recovery {
        let mut recovery = Recovery {
            section,
            salvages,
            wound: None,
            gaps: false,
            passed: false,
            tasks: BTreeMap::new(),
            numbers: 0,
            todo: VecDeque::new(),
            files: BTreeMap::new(),
            by_id: BTreeMap::new(),
            cold: BTreeMap::new(),
            headless: Vec::new(),
            pool: Pool::new(usize::MAX, (AHEAD + 1) * WINDOW as usize),
            mode: Mode::Chain,
            stream: None,
            assembly: None,
            next: BatchSeq(1),
            chain: 0,
            vouched: BatchSeq(0),
            last_filled: BatchSeq(0),
            found: Recovered::default(),
            stale: VecDeque::new(),
            finishing: false,
            abandoned: None,
        };
        recovery.ask(Task::List, DiskKind::List, ops);
        recovery
    }

    fn ask(&mut self, task: Task, kind: DiskKind, ops: &mut Vec<DiskOp>) {
        self.numbers += 1;
        self.tasks.insert(self.numbers, task);
        ops.push(DiskOp { tag: Job::Recovery(self.numbers).tag(), kind });
    }

    /// A step has ended.
    pub(crate) fn on_disk(
        &mut self,
        number: u64,
        result: Result<DiskOk, DiskError>,
        parts: &mut Parts<'_>,
        ops: &mut Vec<DiskOp>,
        out: &mut Vec<Outcome>,
    ) -> Result<Progress, WalError> {
        let task = self.tasks.remove(&number).expect("a step of this recovery");
        if self.abandoned.is_some() {
            return self.close_up(&task, result.is_ok(), ops);
        }
        let ok = result.map_err(|error| failure(&task, error))?;
        match (task, ok) {
            (Task::List, DiskOk::Listed(names)) => {
                let slots = names.iter().filter_map(|(name, bytes)| Some((Slot::of_name(name)?, *bytes)));
                self.todo = slots.collect();
                self.todo.make_contiguous().sort_unstable();
                self.open_some(ops);
                if self.tasks.is_empty() { self.heads_read(parts, ops, out) } else { Ok(Progress::Going) }
            }
            (Task::Open(slot), DiskOk::Opened { bytes }) => {
                self.files.insert(slot, File { bytes, header: None, first: None });
                let pages = self.pool.take(2 * PAGE).expect("the pool has no limit");
                let kind = DiskKind::Read { file: slot.file(), at: 0, bytes: pages };
                self.ask(Task::Head(slot), kind, ops);
                Ok(Progress::Going)
            }
            (Task::Head(slot), DiskOk::Read { bytes }) => {
                let file = self.files.get_mut(&slot).expect("opened before");
                file.header = Header::decode(&bytes).filter(|h| h.slot == slot);
                file.first = bytes.get(PAGE..).and_then(batch::Header::decode);
                self.open_some(ops);
                if self.tasks.is_empty() { self.heads_read(parts, ops, out) } else { Ok(Progress::Going) }
            }
            (Task::Window { stream, at }, DiskOk::Read { bytes }) => {
                if let Some(wanted) = self.stream.as_mut().filter(|s| s.number == stream) {
                    wanted.ready.insert(at, bytes.freeze());
                    return self.consume(parts, ops, out);
                }
                Ok(Progress::Going)
            }
            (Task::Rehead(header), _) => {
                parts.spares.adopt(header);
                self.rehead_next(parts, ops);
                Ok(self.end_if_done())
            }
            (Task::Sync(_) | Task::Names, _) => Ok(self.end_if_done()),
            (task, ok) => panic!("{task:?} ended with {ok:?}"),
        }
    }

    fn open_some(&mut self, ops: &mut Vec<DiskOp>) {
        while self.tasks.len() < OPENS {
            let Some((slot, _)) = self.todo.pop_front() else { return };
            self.ask(Task::Open(slot), DiskKind::Open { file: slot.file(), name: slot.file_name() }, ops);
        }
    }

    /// All header pages are read: find out what is there, what is missing, what is too much.
    fn heads_read(
        &mut self,
        parts: &mut Parts<'_>,
        ops: &mut Vec<DiskOp>,
        out: &mut Vec<Outcome>,
    ) -> Result<Progress, WalError> {
        self.identify(out)?;
        let scan = self.section.as_ref().map_or(SegmentId(1), |s| s.scan);
        self.find_missing(scan)?;
        for &slot in self.files.keys() {
            parts.spares.occupy(slot);
        }
        let headless = self.files.iter().filter(|(_, file)| file.header.is_none());
        self.headless = headless.map(|(&slot, _)| slot).collect();
        let section = self.section.take();
        if let Some(section) = &section {
            self.restore(section, parts);
        }
        self.restore_cold(section.as_ref(), parts);
        self.section = section;
        let Some(&slot) = self.by_id.get(&scan) else {
            self.mode = Mode::Nothing;
            return if self.open_headless() { self.consume(parts, ops, out) } else { Ok(Progress::Fresh) };
        };
        let header = self.header(slot);
        parts.segments.activate(header, self.next, self.chain);
        self.open_stream(header, u64::from(BATCHES_START));
        self.consume(parts, ops, out)
    }

    /// Which file holds which segment.
    fn identify(&mut self, out: &mut Vec<Outcome>) -> Result<(), WalError> {
        for (&slot, file) in &self.files {
            let Some(header) = file.header else { continue };
            if header.bytes != file.bytes || file.bytes < 4 * PAGE as u64 {
                let what = format!("the file has {} bytes, its header says {}", file.bytes, header.bytes);
                return Err(corrupt(&what, &header, 0, None));
            }
            let found = if is_cold(header.segment) { &mut self.cold } else { &mut self.by_id };
            if let Some(other) = found.insert(header.segment, slot) {
                return Err(corrupt(&format!("{} holds this segment too", other.file_name()), &header, 0, None));
            }
        }
        // A file without a header may be one that was never finished. If it holds a batch of a segment that is needed
        // and nowhere else, its header was lost, which says nothing that the batch does not.
        let scan = self.section.as_ref().map_or(SegmentId(1), |s| s.scan);
        let headless = self.files.iter().filter(|(_, file)| file.header.is_none());
        let firsts: Vec<_> = headless.filter_map(|(&slot, file)| Some((slot, file.first?.0, file.bytes))).collect();
        for (slot, first, bytes) in firsts {
            let in_log = first.segment >= scan && !is_cold(first.segment);
            let needed = in_log || self.section.as_ref().is_some_and(|s| s.footers.contains_key(&first.segment));
            if !needed || self.holds(first.segment) || first.position != BATCHES_START {
                continue;
            }
            let found = if is_cold(first.segment) { &mut self.cold } else { &mut self.by_id };
            found.insert(first.segment, slot);
            let file = self.files.get_mut(&slot).expect("just seen");
            file.header = Some(Header { segment: first.segment, slot, salt: first.salt, bytes });
            let name = slot.file_name();
            let text =
                format!("{name}: its header page is damaged; by its first batch it holds segment {}", first.segment);
            out.push(Outcome::Log(Level::Warn, text));
        }
        Ok(())
    }

    fn holds(&self, id: SegmentId) -> bool {
        self.by_id.contains_key(&id) || self.cold.contains_key(&id)
    }

    /// Segments that are named by the checkpoint, or whose successors exist, must exist: headers are written in order.
    fn find_missing(&self, scan: SegmentId) -> Result<(), WalError> {
        let nowhere = |id| {
            let header = Header { segment: id, slot: Slot(0), salt: 0, bytes: 0 };
            Err(corrupt("no file holds this segment, which the log needs", &header, 0, None))
        };
        let named = self.section.iter().flat_map(|s| s.footers.keys().copied().chain([s.scan]));
        // Nothing is cleaned before a checkpoint says where the log goes on: cold segments alone are no log.
        let first = (!self.by_id.is_empty() || !self.cold.is_empty()).then_some(scan);
        if let Some(id) = named.chain(first).find(|id| !self.holds(*id)) {
            return nowhere(id);
        }
        let ids: Vec<SegmentId> = self.by_id.range(scan..).map(|(&id, _)| id).collect();
        // A spare whose header was lost holds nothing, or what it held before; any other gap is a lost file.
        let empty = self.files.values().filter(|f| f.header.is_none()).count() as u64;
        let gap = ids.windows(2).find(|pair| pair[1].get() - pair[0].get() > 1 + empty);
        gap.map_or(Ok(()), |pair| nowhere(pair[0].next()))
    }

    /// Puts in what the checkpoint says of segments before the scan; their dead neighbours become spares.
    fn restore(&mut self, section: &Section, parts: &mut Parts<'_>) {
        self.next = section.scan_first;
        self.chain = section.scan_chain;
        for (id, group) in &section.groups {
            parts.directory.restore(*id, group.clone());
        }
        for (&id, &slot) in self.by_id.range(..section.scan) {
            let header = self.header(slot);
            let Some(&bytes) = section.footers.get(&id) else {
                parts.spares.recycle(slot, header.bytes);
                continue;
            };
            let full = parts.directory.live(id).bytes;
            parts.segments.by_id.insert(id, footed(header, bytes, full));
        }
    }

    /// Cold segments that the checkpoint names count. The others were never published, or died: what they hold is
    /// where it was copied from, or nowhere.
    fn restore_cold(&mut self, section: Option<&Section>, parts: &mut Parts<'_>) {
        for (&id, &slot) in &self.cold {
            let header = self.header(slot);
            parts.spares.note_cold(slot);
            match section.and_then(|s| s.footers.get(&id)) {
                Some(&bytes) => {
                    let full = parts.directory.live(id).bytes;
                    parts.segments.cold.insert(id, footed(header, bytes, full));
                }
                None => parts.spares.recycle(slot, header.bytes),
            }
        }
    }

    /// The highest number of a cold segment that any file shows; 0 if there is none.
    pub(crate) fn last_cold(&self) -> u64 {
        self.cold.keys().next_back().and_then(|&id| cold_number(id)).unwrap_or(0)
    }

    fn header(&self, slot: Slot) -> Header {
        self.files[&slot].header.expect("identified by its header")
    }

    fn open_stream(&mut self, segment: Header, at: u64) {
        self.numbers += 1;
        self.stream = Some(Stream { number: self.numbers, segment, at, ask: at, ready: BTreeMap::new() });
        self.assembly = None;
    }

    fn read_ahead(&mut self, ops: &mut Vec<DiskOp>) {
        let Some(stream) = &mut self.stream else { return };
        let mut reads = Vec::new();
        while stream.ask < stream.segment.bytes && stream.ask < stream.at + AHEAD as u64 * WINDOW {
            let at = stream.ask;
            stream.ask = stream.segment.bytes.min(at + WINDOW);
            let bytes = self.pool.take((stream.ask - at) as usize).expect("the pool has no limit");
            let task = Task::Window { stream: stream.number, at };
            reads.push((task, DiskKind::Read { file: stream.segment.slot.file(), at, bytes }));
        }
        for (task, kind) in reads {
            self.ask(task, kind, ops);
        }
    }

    /// Goes through the windows that are there.
    fn consume(
        &mut self,
        parts: &mut Parts<'_>,
        ops: &mut Vec<DiskOp>,
        out: &mut Vec<Outcome>,
    ) -> Result<Progress, WalError> {
        loop {
            let stream = self.stream.as_mut().expect("recovery reads until it ends");
            let (segment, at) = (stream.segment, stream.at);
            if at >= segment.bytes {
                let behind = self.by_id.range(segment.segment.next()..).next().map(|(_, &slot)| slot);
                let behind = behind.filter(|_| segment.segment != NO_SEGMENT);
                let is_last = behind.is_none() && matches!(self.mode, Mode::Evidence { .. } | Mode::Nothing);
                if is_last && self.open_headless() {
                    continue;
                }
                match (&self.mode, behind) {
                    (Mode::Chain, _) => {
                        let from = u64::from(parts.segments.active().end);
                        self.chain_ends(segment, from, "the segment ends".to_string(), parts)?;
                    }
                    (Mode::Evidence { .. }, Some(slot)) => {
                        self.open_stream(self.header(slot), u64::from(BATCHES_START));
                    }
                    (Mode::Search, _) => {
                        if !self.search_in_next(segment.segment) {
                            self.end_at_damage(parts, out);
                            return Ok(self.finish(parts, ops, out));
                        }
                    }
                    (Mode::Nothing, _) => {
                        self.retire_headless(parts, out);
                        return Ok(Progress::Fresh);
                    }
                    (Mode::Evidence { .. } | Mode::Closed { .. }, _) => return Ok(self.finish(parts, ops, out)),
                }
                continue;
            }
            let Some(window) = stream.ready.remove(&at) else {
                self.read_ahead(ops);
                return Ok(Progress::Going);
            };
            stream.at = segment.bytes.min(at + WINDOW);
            if window.len() as u64 != stream.at - at {
                return Err(corrupt("the file ends early", &segment, at + window.len() as u64, None));
            }
            match self.mode {
                Mode::Chain => self.follow(segment, at, &window, parts, out)?,
                Mode::Evidence { .. } | Mode::Nothing if segment.segment == NO_SEGMENT => {
                    self.look_for_lost_header(&segment, at, &window)?;
                }
                Mode::Nothing => panic!("there is no segment"),
                Mode::Evidence { .. } => self.look_for_evidence(&segment, at, &window)?,
                Mode::Search => self.look_for_next(&segment, at, &window, parts, out),
                Mode::Closed { .. } => panic!("nothing is read of a log that was closed"),
            }
        }
    }

    /// Takes the batches of a window in.
    fn follow(
        &mut self,
        segment: Header,
        base: u64,
        window: &Buf,
        parts: &mut Parts<'_>,
        out: &mut Vec<Outcome>,
    ) -> Result<(), WalError> {
        let mut at = 0;
        if let Some(assembly) = &mut self.assembly {
            let missing = assembly.bytes.len() - assembly.filled;
            at = missing.min(window.len());
            assembly.bytes[assembly.filled..assembly.filled + at].copy_from_slice(&window[..at]);
            assembly.filled += at;
            if at < missing {
                return Ok(());
            }
            let done = self.assembly.take().expect("just seen");
            if let Err(what) = self.take_in(done.header, done.crc, &done.bytes.freeze(), parts, out) {
                return self.chain_ends(segment, u64::from(done.header.position), what, parts);
            }
        }
        while at < window.len() {
            let position = base + at as u64;
            let (header, crc) = match self.expect(&segment, position, &window[at..]) {
                Ok(found) => found,
                Err(what) => return self.chain_ends(segment, position, what, parts),
            };
            let total = header.total as usize;
            if window.len() - at < total {
                let mut bytes = self.pool.take(total).expect("the pool has no limit");
                let filled = window.len() - at;
                bytes[..filled].copy_from_slice(&window[at..]);
                self.assembly = Some(Assembly { header, crc, bytes, filled });
                return Ok(());
            }
            if let Err(what) = self.take_in(header, crc, &window.slice(at..at + total), parts, out) {
                return self.chain_ends(segment, position, what, parts);
            }
            at += total;
        }
        Ok(())
    }

    /// The header at this place, if it is the next one of the log.
    fn expect(&self, segment: &Header, position: u64, bytes: &[u8]) -> Result<(batch::Header, u32), String> {
        let (header, crc) = batch::Header::decode(bytes).ok_or("there is no intact batch header")?;
        let next = self.next;
        if header.segment != segment.segment || header.salt != segment.salt {
            return Err("the batch there belongs to an earlier use of the file".to_string());
        }
        if u64::from(header.position) != position || position + u64::from(header.total) > segment.bytes {
            return Err(format!("the batch there was written for position {}", header.position));
        }
        if header.seq != next {
            return Err(format!("batch {} is there, batch {next} should be", header.seq));
        }
        if header.chain != self.chain {
            return Err(format!("batch {next} there does not follow from the batch before"));
        }
        Ok((header, crc))
    }

    /// Takes one whole batch in, if all its bytes are what was written; what is wrong if not.
    fn take_in(
        &mut self,
        header: batch::Header,
        crc: u32,
        bytes: &Buf,
        parts: &mut Parts<'_>,
        out: &mut Vec<Outcome>,
    ) -> Result<(), String> {
        let wounded = self.is_wounded(&header);
        match batch::check(&header, bytes) {
            Ok(()) => {}
            Err(Damage::Payload { .. }) if wounded => {}
            Err(Damage::Table) => return Err(format!("the checksum of the table of batch {} is wrong", header.seq)),
            Err(Damage::Payload { group, index, position }) => {
                let seq = header.seq;
                return Err(format!(
                    "the checksum of entry {index} of group {group} is wrong (batch {seq}, {position} bytes in)"
                ));
            }
        }
        let replayed = self.section.as_ref().is_none_or(|s| header.seq >= s.next);
        if replayed {
            self.pass_checkpoint(parts, out);
        }
        let count = header.count as usize;
        let line = |number| Descriptor::decode(&header, bytes, number).expect("checked");
        for d in (0..count).map(line) {
            if replayed && d.index == Index(0) && d.kind == Kind::ANEW.0 {
                parts.directory.drop_group(d.group);
            }
            // A group that the checkpoint does not know had been dropped when it was made.
            if d.index > Index(0) && (replayed || parts.directory.group(d.group).is_some()) {
                parts.directory.note(d.group, d.index, d.first_offset, d.end_offset());
            }
            let payload = bytes.slice(d.position as usize..d.end() as usize);
            if wounded && !d.matches(&payload) {
                self.lose_entry(&d, replayed, out);
            } else if replayed {
                self.found.entries += 1;
                self.found.bytes += payload.len() as u64;
                out.push(Outcome::Recovered(item(&d, payload)));
            }
        }
        let mut extents = Vec::new();
        extents_of(&header, (0..count).map(|n| (n, line(n))), &mut extents);
        parts.segments.active().take(&header, crc, &extents, parts.directory);
        if count > 0 {
            self.found.batches += u64::from(replayed);
            self.last_filled = header.seq;
        }
        if wounded {
            self.wound = None;
        }
        self.next = header.seq.next();
        self.chain = crc;
        self.vouched = self.vouched.max(header.durable);
        Ok(())
    }

    /// The next batch is not at `position`. It may be the first of the next segment; else the log ends here, if nothing
    /// says otherwise.
    fn chain_ends(
        &mut self,
        segment: Header,
        position: u64,
        what: String,
        parts: &mut Parts<'_>,
    ) -> Result<(), WalError> {
        if self.wound.as_ref().is_some_and(|wound| wound.is_at(segment.segment, position)) {
            self.search_behind(segment, position);
            return Ok(());
        }
        if let Some(&slot) = self.by_id.get(&segment.segment.next()) {
            let header = self.header(slot);
            let goes_on = self.files[&slot].first.is_some_and(|(first, _)| {
                first.segment == header.segment
                    && first.salt == header.salt
                    && first.position == BATCHES_START
                    && first.seq == self.next
                    && first.chain == self.chain
            });
            if goes_on {
                parts.segments.activate(header, self.next, self.chain);
                self.open_stream(header, u64::from(BATCHES_START));
                return Ok(());
            }
        }
        if let Some(section) = self.section.as_ref().filter(|s| self.next < s.next) {
            let durable = BatchSeq(section.next.get() - 1);
            let what = format!("{what}; the checkpoint says that batches up to {durable} were durable");
            return self.wounded(segment, position, durable, corrupt(&what, &segment, position, None));
        }
        if self.section.as_ref().is_some_and(|s| s.closed && s.next == self.next) {
            self.open_stream(segment, segment.bytes);
            self.mode = Mode::Closed { segment };
            return Ok(());
        }
        self.open_stream(segment, position);
        self.mode = Mode::Evidence { segment, position, what, pieces: 0 };
        Ok(())
    }

    /// Looks for anything that says that the missing batch had been durable.
    fn look_for_evidence(&mut self, here: &Header, base: u64, window: &Buf) -> Result<(), WalError> {
        let next = self.next;
        let Mode::Evidence { segment, position, what, pieces } = &mut self.mode else {
            panic!("only called when the chain has ended")
        };
        for (number, page) in window.chunks(PAGE).enumerate() {
            let at = base + (number * PAGE) as u64;
            if let Some((header, _)) = batch::Header::decode(page) {
                let ours =
                    header.segment == here.segment && header.salt == here.salt && u64::from(header.position) == at;
                if ours && header.durable >= next {
                    let what = format!(
                        "{what}; but batch {} in {} at {at} was written when batches up to {} were durable",
                        header.seq,
                        here.slot.file_name(),
                        header.durable
                    );
                    let (segment, position) = (*segment, *position);
                    return self.wounded(segment, position, header.durable, corrupt(&what, &segment, position, None));
                }
                *pieces += u64::from(ours && header.seq >= next);
            }
            if at + PAGE as u64 == here.bytes
                && let Some(trailer) = Trailer::decode(page)
                && trailer.segment == here.segment
                && trailer.salt == here.salt
                && trailer.last >= next
            {
                let name = here.slot.file_name();
                let what =
                    format!("{what}; but the footer of {name} says that batches up to {} were durable", trailer.last);
                let (segment, position) = (*segment, *position);
                return self.wounded(segment, position, trailer.last, corrupt(&what, &segment, position, None));
            }
        }
        Ok(())
    }

    /// The next file without a header is looked through. False: there is none.
    fn open_headless(&mut self) -> bool {
        let Some(slot) = self.headless.pop() else {
            self.stream = None;
            return false;
        };
        let header = Header { segment: NO_SEGMENT, slot, salt: 0, bytes: self.files[&slot].bytes };
        self.open_stream(header, u64::from(BATCHES_START));
        true
    }

    /// A file that was being made holds nothing of the log. One that has lost its header, and its first batch with it, shows by later
    /// batches what it was: they say that batches had been durable of which nothing is here. (Those of a life of the file that is over say
    /// that of batches that were.)
    fn look_for_lost_header(&self, here: &Header, base: u64, window: &Buf) -> Result<(), WalError> {
        for (number, page) in window.chunks(PAGE).enumerate() {
            let at = base + (number * PAGE) as u64;
            let Some((batch, _)) = batch::Header::decode(page) else { continue };
            if u64::from(batch.position) == at && batch.durable >= self.next && !is_cold(batch.segment) {
                let header = Header { segment: batch.segment, salt: batch.salt, ..*here };
                return Err(corrupt(
                    "the header page of the segment is damaged, and so is its first batch",
                    &header,
                    0,
                    None,
                ));
            }
        }
        Ok(())
    }

    fn retire_headless(&self, parts: &mut Parts<'_>, out: &mut Vec<Outcome>) {
        for (&slot, _) in self.files.iter().filter(|(_, file)| file.header.is_none()) {
            let text = format!("{} was being made when the server ended; removing it", slot.file_name());
            out.push(Outcome::Log(Level::Info, text));
            parts.spares.retire(slot);
        }
    }

    /// The log ends here. What was read must be on stable storage before it is shown to anybody, and files behind the
    /// end must not be taken for their former segments. The checkpoint that it began with may have got its name just before
    /// the process ended: until that name is durable the one before may come back, and needs what this one has given up.
    fn finish(&mut self, parts: &mut Parts<'_>, ops: &mut Vec<DiskOp>, out: &mut Vec<Outcome>) -> Progress {
        self.pass_checkpoint(parts, out);
        let segment = match std::mem::replace(&mut self.mode, Mode::Chain) {
            Mode::Evidence { segment, position, what, pieces } => {
                let file = segment.slot.file_name();
                self.found.torn = (pieces > 0).then(|| {
                    format!(
                        "batch {} was being written when the power or the process went ({file}, position {position}: {what}; {pieces} piece(s) cut)",
                        self.next,
                    )
                });
                segment
            }
            Mode::Closed { segment } => {
                self.found.closed = true;
                segment
            }
            Mode::Nothing | Mode::Chain | Mode::Search => panic!("the end is looked at before it is believed"),
        };
        self.retire_headless(parts, out);
        self.stream = None;
        self.finishing = true;
        self.stale = self.by_id.range(segment.segment.next()..).map(|(_, &slot)| slot).collect();
        parts.spares.resume(segment.segment.next());
        let first = self.section.as_ref().map_or(SegmentId(1), |s| s.scan);
        let scanned: Vec<Slot> = self.by_id.range(first..=segment.segment).map(|(_, &slot)| slot).collect();
        for slot in scanned {
            self.ask(Task::Sync(slot), DiskKind::Sync { file: slot.file() }, ops);
        }
        self.ask(Task::Names, DiskKind::SyncDir, ops);
        self.rehead_next(parts, ops);
        Progress::Going
    }

    /// In rising order of their old segments, each file gets a number that no file after it holds.
    fn rehead_next(&mut self, parts: &mut Parts<'_>, ops: &mut Vec<DiskOp>) {
        let Some(slot) = self.stale.pop_front() else { return };
        let header = parts.spares.next_header(slot, self.files[&slot].bytes);
        self.ask(Task::Rehead(header), header_write(&header), ops);
    }

    fn end_if_done(&mut self) -> Progress {
        let waits = self.tasks.values().any(|t| matches!(t, Task::Rehead(_) | Task::Sync(_) | Task::Names));
        if !self.finishing || waits {
            return Progress::Going;
        }
        Progress::Done(End {
            next: self.next,
            chain: self.chain,
            vouched: self.vouched,
            last_filled: self.last_filled,
            closed: self.section.as_ref().is_some_and(|s| s.closed),
            found: std::mem::take(&mut self.found),
        })
    }
}

fn failure(task: &Task, error: DiskError) -> WalError {
    let (doing, file) = match task {
        Task::List => ("listing the directory", String::new()),
        Task::Open(slot) => ("opening", slot.file_name()),
        Task::Head(slot) => ("reading the header", slot.file_name()),
        Task::Window { .. } => ("reading a segment", String::new()),
        Task::Rehead(header) => ("writing the header", header.slot.file_name()),
        Task::Sync(slot) => ("flush", slot.file_name()),
        Task::Names => ("making names durable", String::new()),
        Task::Close(slot) => ("closing", slot.file_name()),
    };
    WalError::Disk { doing, file, error }
}
