//! `--flamegraph`: where the server's CPU time goes while it is loaded, sampled by `perf` and drawn by inferno.

use crate::error::Error;
use inferno::collapse::{Collapse, perf};
use inferno::flamegraph::color::{MultiPalette, Palette};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Samples per second of CPU time of a thread; no divisor of what a server does in round intervals.
const SAMPLES_PER_SECOND: u32 = 997;
/// What is counted between two samples. Virtual machines often have no counter of cycles; the clock is always there.
const EVENTS: [Event; 2] = [Event { name: "cycles", unit: "cycles" }, Event { name: "cpu-clock", unit: "ns" }];

/// Time that perf has to write its samples when it is told to end.
const END_TIME: Duration = Duration::from_secs(60);
/// Where perf puts its samples.
const DATA: &str = "perf.data";
/// What perf says on its standard error: a file, as more than a pipe holds would wait for a reader.
const COMPLAINTS: &str = "complaints";

/// What perf counts; each sample has the weight of what was counted since the one before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
}

/// A flamegraph that was asked for and can be made: perf is here, and may sample the server.
#[derive(Clone, Debug)]
pub struct Flamegraph {
    perf: PathBuf,
    event: Event,
    pid: u32,
    svg: PathBuf,
}

impl Flamegraph {
    /// Checks that process `pid` can be sampled; `None` if no flamegraph (`svg`) was asked for.
    pub fn prepare(svg: Option<&Path>, pid: Option<u32>) -> Result<Option<Flamegraph>, Error> {
        svg.map(|svg| Flamegraph::with(Path::new("perf"), svg, pid)).transpose()
    }

    /// The same with a perf of one's own.
    pub(crate) fn with(perf: &Path, svg: &Path, pid: Option<u32>) -> Result<Flamegraph, Error> {
        let Some(pid) = pid else {
            let what = "--flamegraph samples a server on this machine, and none was found that listens at the address \
                        and that this user may see: name it with --server-pid";
            return Err(Error::Unfit(what.into()));
        };
        // Before a long run, not behind it; what is there stays until there is something better.
        File::options().append(true).create(true).open(svg).map_err(Error::io(format!("writing {}", svg.display())))?;
        let scratch = scratch()?;
        let mut refusal = String::new();
        for event in EVENTS {
            let mut flamegraph = Flamegraph { perf: perf.to_path_buf(), event, pid, svg: svg.to_path_buf() };
            let trial = flamegraph.record(scratch.path()).args(["--", "true"]).output();
            let trial = trial.map_err(|error| not_started(perf, error))?;
            if trial.status.success() {
                flamegraph.event = flamegraph.taken(scratch.path()).unwrap_or(event);
                return Ok(flamegraph);
            }
            refusal = String::from_utf8_lossy(&trial.stderr).trim().to_string();
        }
        let paranoid = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").unwrap_or_default();
        Err(Error::Unfit(format!(
            "--flamegraph: perf cannot sample process {pid} (it must run, and be this user's; the sysctl \
             kernel.perf_event_paranoid is {} and must be at most 2, for kernel frames at most 1):\n{refusal}",
            paranoid.trim()
        )))
    }

    /// Starts sampling, of which the first `delay` is left out.
    pub fn begin(&self, delay: Duration) -> Sampling {
        let scratch = scratch();
        let child = scratch.as_ref().map_err(|error| error.to_string()).and_then(|scratch| {
            let complaints = File::create(scratch.path().join(COMPLAINTS)).map_err(|error| error.to_string())?;
            let mut command = self.record(scratch.path());
            // A delay of nothing is refused.
            if delay.as_millis() > 0 {
                command.arg(format!("--delay={}", delay.as_millis()));
            }
            let spawned = command.stdout(Stdio::null()).stderr(complaints).spawn();
            spawned.map_err(|error| not_started(&self.perf, error).to_string())
        });
        Sampling { flamegraph: self.clone(), scratch: scratch.ok(), child }
    }

    /// The event that a trial has counted: some versions of perf take the clock by themselves where there are no cycles.
    fn taken(&self, scratch: &Path) -> Option<Event> {
        let list = Command::new(&self.perf).args(["evlist", "--input"]).arg(scratch.join(DATA)).output().ok()?;
        let list = String::from_utf8_lossy(&list.stdout).into_owned();
        EVENTS.into_iter().find(|event| list.starts_with(event.name))
    }

    /// The stacks of perf's file, a line each.
    fn folded(&self, scratch: &Path) -> Result<Vec<u8>, Error> {
        let doing = || "reading what perf sampled";
        let complaints = scratch.join(COMPLAINTS);
        let stderr = File::create(&complaints).map_err(Error::io(doing()))?;
        let mut command = Command::new(&self.perf);
        // Inlined frames would be looked up one by one by another program, which takes minutes.
        command.args(["script", "--no-inline", "--input"]).arg(scratch.join(DATA));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.spawn().map_err(|error| not_started(&self.perf, error))?;
        let folded = fold(BufReader::new(child.stdout.take().expect("piped")));
        let status = child.wait().map_err(Error::io(doing()))?;
        if !status.success() {
            let complaints = fs::read_to_string(complaints).unwrap_or_default();
            return Err(Error::Unfit(format!("--flamegraph: perf script failed ({status}):\n{}", complaints.trim())));
        }
        folded.map_err(Error::io(doing()))
    }

    fn record(&self, scratch: &Path) -> Command {
        let mut command = Command::new(&self.perf);
        command.args(["record", "--call-graph=fp", "--no-buildid", "--event", self.event.name]);
        command.arg(format!("--freq={SAMPLES_PER_SECOND}")).arg(format!("--pid={}", self.pid));
        command.arg("--output").arg(scratch.join(DATA)).stdin(Stdio::null());
        command
    }
}

fn scratch() -> Result<TempDir, Error> {
    TempDir::with_prefix("torc-flamegraph-").map_err(Error::io("making a directory for perf's samples"))
}

fn not_started(perf: &Path, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::Unfit(format!(
            "--flamegraph needs {}, which is not installed: it comes with Debian's package linux-perf, Ubuntu's \
             linux-tools-generic, Fedora's perf",
            perf.display()
        )),
        _ => Error::Io { doing: format!("starting {}", perf.display()), error },
    }
}

/// A perf that samples. Dropped before its end, it is killed.
pub struct Sampling {
    flamegraph: Flamegraph,
    pub(crate) scratch: Option<TempDir>,
    child: Result<Child, String>,
}

impl Sampling {
    /// Ends the sampling. perf writes its file while the caller goes on.
    pub fn end(&mut self) {
        if let Ok(child) = &self.child
            && let Some(pid) = rustix::process::Pid::from_raw(child.id() as i32)
        {
            // It may have ended with the server. Not SIGINT, which a shell's background jobs may ignore.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
    }

    /// Draws what was sampled. After [`Sampling::end`].
    pub fn draw(mut self, run: &str) -> Result<(), Error> {
        let failed = |what: &str| Error::Unfit(format!("--flamegraph: {what}"));
        let child = self.child.as_mut().map_err(|what| failed(what))?;
        let began = Instant::now();
        // Not its status: perf ends itself by the signal that it was sent.
        while child.try_wait().map_err(Error::io("waiting for perf"))?.is_none() {
            if began.elapsed() > END_TIME {
                return Err(failed(&format!("perf record did not end in {} s", END_TIME.as_secs())));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let scratch = self.scratch.as_ref().expect("perf was started with a directory");
        if !scratch.path().join(DATA).exists() {
            let complaints = fs::read_to_string(scratch.path().join(COMPLAINTS)).unwrap_or_default();
            return Err(failed(&format!("perf record left nothing behind:\n{}", complaints.trim())));
        }
        let folded = self.flamegraph.folded(scratch.path())?;
        if folded.is_empty() {
            return Err(failed(&format!("process {} used no CPU time while it was sampled", self.flamegraph.pid)));
        }
        let Flamegraph { pid, event, svg, .. } = &self.flamegraph;
        let subtitle = format!("process {pid}, {SAMPLES_PER_SECOND} samples per second of {}", event.name);
        let doing = || format!("writing {}", svg.display());
        let mut file = BufWriter::new(File::create(svg).map_err(Error::io(doing()))?);
        draw(&folded, run, &subtitle, *event, &mut file).and_then(|()| file.flush()).map_err(Error::io(doing()))
    }
}

impl Drop for Sampling {
    fn drop(&mut self) {
        if let Ok(child) = &mut self.child {
            // An error says that it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Folds the output of `perf script`: for each different stack a line `process;outermost;...;innermost weight`, sorted.
pub(crate) fn fold(script: impl BufRead) -> io::Result<Vec<u8>> {
    let mut options = perf::Options::default();
    options.annotate_kernel = true;
    let mut folded = Vec::new();
    perf::Folder::from(options).collapse(script, &mut folded)?;
    Ok(folded)
}

/// Draws folded stacks.
pub(crate) fn draw(folded: &[u8], title: &str, subtitle: &str, event: Event, svg: &mut dyn Write) -> io::Result<()> {
    let mut options = inferno::flamegraph::Options::default();
    options.title = title.to_string();
    options.subtitle = Some(subtitle.to_string());
    options.count_name = event.unit.to_string();
    options.colors = Palette::Multi(MultiPalette::Rust);
    options.deterministic = true;
    inferno::flamegraph::from_reader(&mut options, folded, svg)
}
