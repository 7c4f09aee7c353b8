use crate::cpu::{Process, Stat, Watch, parse_stat, resident_in};
use std::process::Command;

#[test]
fn a_line_of_proc_is_understood_whatever_the_name() {
    let line = "77 (a) b (c) S 12 77 77 0 -1 4194560 100 0 0 0 250 50 9 9 20 0 33 0 1234 5678 90";
    assert_eq!(parse_stat(line, 100), Some(Stat { parent: 12, cpu_ns: 3_000_000_000, threads: 33 }));
    assert_eq!(parse_stat("77 (a) S 12", 100), None);
    assert_eq!(resident_in("Name:\tx\nVmRSS:\t   512 kB\nRssAnon:\t 1 kB\n"), Some(512 << 10));
    assert_eq!(resident_in("Name:\tkthreadd\n"), None);
}

#[test]
fn a_process_counts_with_what_it_has_started() {
    // The shell stays, as the parent of two that sleep; it says when both are there.
    let mut shell = Command::new("sh")
        .args(["-c", "sleep 60 & a=$!; sleep 60 & b=$!; echo there; read over; kill $a $b; wait"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(shell.stdout.take().unwrap()), &mut line).unwrap();
    let process = Process::find(shell.id()).unwrap();
    assert_eq!(process.pid(), shell.id());
    assert_eq!(process.threads(), 3);
    assert!(process.resident_before > 0);
    let peak = Watch::start(process.clone()).end();
    assert!(peak.resident_bytes >= process.resident_before / 2 && peak.threads == 3, "{peak:?}");
    drop(shell.stdin.take());
    shell.wait().unwrap();
    assert_eq!(process.cpu_ns(), None, "nobody is left to ask");
    assert_eq!(Process::find(shell.id()), None);
}
