use super::*;
use torc_base::time::Mono;

const FILE: FileId = FileId(3);
const BYTES: u64 = 64 << 10;

/// A directory whose file system answers differently: what the kernel says of a step, `answer` may change.
struct Rig {
    ring: Ring,
    disk: Disk,
    said: Vec<String>,
    path: tempfile::TempDir,
}

impl Rig {
    fn new() -> Rig {
        Rig::with(true)
    }

    fn with(direct: bool) -> Rig {
        let ring = Ring::new(8, Arc::default()).expect("this kernel has rings");
        let path = tempfile::tempdir().expect("a directory");
        let disk = Disk::new(&ring, path.path(), Sync::Dsync, direct, 8, None, Arc::default());
        let disk = disk.unwrap_or_else(|(doing, _, error)| panic!("{doing}: {error}"));
        Rig { ring, disk, said: Vec::new(), path }
    }

    fn carry_out(&mut self, kind: DiskKind, mut answer: impl FnMut(Step, i32) -> i32) -> Result<DiskOk, DiskError> {
        let mut events: VecDeque<Event<()>> = VecDeque::new();
        let (ring, disk, said) = (&mut self.ring, &mut self.disk, &mut self.said);
        disk.start(ring, DiskOp { tag: Tag(1), kind }, Mono(0), &mut events).expect("the ring works");
        loop {
            if let Some(Event::Disk(done)) = events.pop_front() {
                return done.result;
            }
            ring.enter(1, None).expect("the ring works");
            while let Some(mut completion) = ring.next() {
                let step = disk.slots[completion.key.slot()].as_ref().expect("in flight").step;
                completion.result = answer(step, completion.result);
                let mut log = |_: Level, text: &str| said.push(text.to_string());
                disk.complete(ring, completion, Mono(0), &mut events, &mut log).expect("the ring works");
            }
        }
    }

    fn create(&mut self, name: &str, answer: impl FnMut(Step, i32) -> i32) -> Result<DiskOk, DiskError> {
        self.carry_out(DiskKind::Create { file: FILE, name: name.to_string(), bytes: BYTES }, answer)
    }

    fn close(&mut self) {
        self.carry_out(DiskKind::Close { file: FILE }, |_, result| result).expect("it is open");
    }

    fn len(&self, name: &str) -> Option<u64> {
        fs::metadata(self.path.path().join(name)).ok().map(|meta| meta.len())
    }
}

#[test]
fn where_nothing_can_be_allocated_ahead_a_file_has_its_length_all_the_same() {
    let mut rig = Rig::new();
    let refuses = |step, result| if step == Step::Allocate { -libc::EOPNOTSUPP } else { result };
    for name in ["one", "two"] {
        let created = rig.create(name, refuses);
        assert!(matches!(created, Ok(DiskOk::Opened { bytes: BYTES })), "{created:?}");
        assert_eq!(rig.len(name), Some(BYTES));
        rig.close();
    }
    assert_eq!(rig.said.len(), 1, "it is told once: {:?}", rig.said);
    // A page that cannot be written is a file that cannot be made.
    let full = |step, result| match step {
        Step::Allocate => -libc::EOPNOTSUPP,
        Step::Extend => -libc::ENOSPC,
        _ => result,
    };
    assert!(matches!(rig.create("three", full), Err(DiskError::NoSpace)));
    assert_eq!(rig.len("three"), None, "it is not left behind");
}

#[test]
fn an_allocation_that_is_interrupted_begins_again_and_not_for_ever() {
    let mut rig = Rig::new();
    let mut left = 3;
    let sometimes = |step, result| match step {
        Step::Allocate if left > 0 => {
            left -= 1;
            -libc::EINTR
        }
        _ => result,
    };
    assert!(matches!(rig.create("one", sometimes), Ok(DiskOk::Opened { bytes: BYTES })));
    assert_eq!(rig.len("one"), Some(BYTES));
    rig.close();
    let always = |step, result| if step == Step::Allocate { -libc::EINTR } else { result };
    assert!(matches!(rig.create("two", always), Err(DiskError::Io(libc::EINTR))));
    assert_eq!(rig.len("two"), None);
}

#[test]
fn what_is_read_through_the_page_cache_is_what_the_disk_has() {
    for answers in [None, Some(-libc::EINVAL)] {
        let mut rig = Rig::with(false);
        rig.create("one", |_, result| result).expect("there is room");
        rig.close();
        let mut steps = Vec::new();
        let open = DiskKind::Open { file: FILE, name: "one".to_string() };
        let opened = rig.carry_out(open, |step, result| {
            steps.push(step);
            answers.filter(|_| step == Step::Forget).unwrap_or(result)
        });
        assert!(matches!(opened, Ok(DiskOk::Opened { bytes: BYTES })), "{opened:?}");
        assert_eq!(steps, [Step::Open, Step::OpenStat, Step::Forget], "what a flush did not write is not believed");
    }
    let mut rig = Rig::new();
    rig.create("one", |_, result| result).expect("there is room");
    rig.close();
    if !rig.disk.direct {
        return;
    }
    let mut steps = Vec::new();
    let open = DiskKind::Open { file: FILE, name: "one".to_string() };
    rig.carry_out(open, |step, result| {
        steps.push(step);
        result
    })
    .expect("it is there");
    assert_eq!(steps, [Step::Open, Step::OpenStat], "there is nothing to be forgotten");
}
