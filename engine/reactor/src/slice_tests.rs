use crate::slice::ShortSlices;

/// The slice of the calling thread in nanoseconds, as the kernel tells it; `None` where it does not.
fn slice_ns() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/sched").ok()?;
    let line = text.lines().find(|line| line.starts_with("se.slice"))?;
    line.split(':').nth(1)?.trim().parse().ok()
}

/// Since Linux 6.12 a thread of the ordinary policy can ask for slices.
fn takes_slices() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(12))
}

#[test]
fn a_thread_that_asks_has_short_slices_for_a_time_and_no_other_has() {
    let before = slice_ns();
    let asked = std::thread::spawn(|| {
        let first = ShortSlices::ask().expect("nothing forbids it");
        let second = ShortSlices::ask().expect("nor a second time");
        let asked = slice_ns();
        drop(second);
        assert_eq!(slice_ns(), asked, "who had them keeps them");
        drop(first);
        (asked, slice_ns())
    });
    let (asked, after) = asked.join().expect("the thread ends");
    assert_eq!(after, before);
    assert_eq!(slice_ns(), before, "each thread asks for itself");
    if let (Some(asked), true) = (asked, takes_slices()) {
        assert_eq!(asked, 100_000, "before it was {before:?}");
    }
}
