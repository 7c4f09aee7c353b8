//! Folding and drawing what perf prints, and what is said when there is no perf to be had.

use crate::flamegraph::{Event, Flamegraph, draw, fold};
use std::path::{Path, PathBuf};
use std::time::Duration;

const SCRIPT: &str = include_str!("testdata/script.txt");

fn perf() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/testdata/perf")
}

fn refusal(perf: &Path, pid: Option<u32>) -> String {
    let directory = tempfile::tempdir().unwrap();
    Flamegraph::with(perf, &directory.path().join("out.svg"), pid).unwrap_err().to_string()
}

#[test]
fn equal_stacks_become_one_line_with_the_outermost_frame_first() {
    let folded = String::from_utf8(fold(SCRIPT.as_bytes()).unwrap()).unwrap();
    assert_eq!(
        folded,
        "torc-shard-0;start_thread;torc_reactor::reactor::run;<torc_shard::shard::Shard as torc_base::io::App>::step 2006018\n\
         torc-shard-0;start_thread;torc_reactor::reactor::run;io_uring::submit::Submitter::enter;io_submit_sqes_[k] 1003009\n"
    );
    assert_eq!(fold(&b""[..]).unwrap(), b"");
}

#[test]
fn a_drawing_names_the_run_and_all_functions() {
    let (mut svg, event) = (Vec::new(), Event { name: "cpu-clock", unit: "ns" });
    draw(&fold(SCRIPT.as_bytes()).unwrap(), "64 connections", "process 812", event, &mut svg).unwrap();
    let svg = String::from_utf8(svg).unwrap();
    for text in ["<svg ", "64 connections", "process 812", "torc_reactor::reactor::run (3,009,027 ns, 100.00%)"] {
        assert!(svg.contains(text), "no {text:?}");
    }
    // The kernel's functions are told by their colour, not by a mark behind their names: yellow is red and green.
    assert!(svg.contains("<title>io_submit_sqes (") && !svg.contains("_[k]"), "{svg}");
    let colour = |name: &str| {
        let frame = svg.split("<title>").find(|frame| frame.starts_with(name)).unwrap();
        let rgb = frame.split_once("fill=\"rgb(").unwrap().1.split_once(')').unwrap().0;
        rgb.split(',').map(|part| part.parse::<u8>().unwrap()).collect::<Vec<_>>()
    };
    let (kernel, torc) = (colour("io_submit_sqes "), colour("torc_reactor::reactor::run "));
    assert!(kernel[0] > kernel[2] && kernel[1] > kernel[2], "yellow: {kernel:?}");
    assert!(torc[1] > torc[0] && torc[2] > torc[0], "blue-green: {torc:?}");
}

#[test]
fn a_process_is_sampled_from_begin_to_end_and_drawn() {
    let directory = tempfile::tempdir().unwrap();
    let svg = directory.path().join("out.svg");
    let flamegraph = Flamegraph::with(&perf(), &svg, Some(1)).unwrap();
    [0, 5].into_iter().for_each(|delay_ms| sampled_and_drawn(&flamegraph, delay_ms, &svg));
    let mut sampling = flamegraph.begin(Duration::from_secs(86_400));
    sampling.end();
    let error = sampling.draw("the run").unwrap_err().to_string();
    assert!(error.contains("perf record left nothing behind"), "{error}");
}

fn sampled_and_drawn(flamegraph: &Flamegraph, delay_ms: u64, svg: &Path) {
    let mut sampling = flamegraph.begin(Duration::from_millis(delay_ms));
    // It begins its file when it has got as far as to know what to do at its end.
    let data = sampling.scratch.as_ref().unwrap().path().join("perf.data");
    while !data.exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    sampling.end();
    sampling.draw("the run").unwrap();
    let svg = std::fs::read_to_string(svg).unwrap();
    assert!(svg.contains("the run") && svg.contains("samples per second of cpu-clock") && svg.contains("Shard"));
}

#[test]
fn what_is_missing_is_said() {
    assert!(refusal(Path::new("no-such-perf"), Some(1)).contains("no-such-perf, which is not installed"));
    assert!(refusal(&perf(), None).contains("--server-pid"));
    let refused = refusal(&perf(), Some(2));
    assert!(refused.contains("cannot sample process 2") && refused.contains("No such process"), "{refused}");
    let nowhere = Flamegraph::with(&perf(), Path::new("no-such-directory/out.svg"), Some(1)).unwrap_err();
    assert!(nowhere.to_string().contains("no-such-directory/out.svg"));
    assert!(Flamegraph::prepare(None, None).unwrap().is_none(), "nothing was asked for, nothing is needed");
}
