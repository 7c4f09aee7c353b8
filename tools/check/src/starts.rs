//! Starts in narrow places, and stops of every kind: a server starts, or says in words what is lacking and what to raise; it
//! never hangs, is never killed by its own lack, and nobody who fails to read what it says holds it up.

use crate::content::{self, Sender};
use crate::failure::{Result, wrong};
use crate::kill::{now_ms, wait_until};
use crate::process::{Launch, Server, signal};
use crate::report::Report;
use crate::wire::{ACKS_ALL, Client, Produce, STORAGE_ERROR};
use rustix::process::Signal;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;
use torc_net::kafka::records::Codec;

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub torc: PathBuf,
    /// An empty directory.
    pub dir: PathBuf,
    /// Connections that send nonsense while nobody reads the log.
    pub nonsense: u32,
    /// Connections that stall at the metrics endpoint.
    pub stalled: u32,
}

/// A start takes no longer, whatever it comes to: it includes the wait for a port.
const START_MAX: Duration = Duration::from_secs(60);
const TOPIC: &str = "starts";

/// Runs all of it.
pub fn run(plan: &Plan) -> Result<Report> {
    let mut report = Report::new("starts");
    narrow_places(plan, &mut report)?;
    file_limit(plan, &mut report)?;
    few_descriptors(plan, &mut report)?;
    nobody_reads(plan, &mut report)?;
    stalled_metrics(plan, &mut report)?;
    signals(plan, &mut report)?;
    port_in_use(plan, &mut report)?;
    in_memory(plan, &mut report)?;
    what_a_start_says(plan, &mut report)?;
    Ok(report)
}

fn launch(plan: &Plan, name: &str) -> Result<Launch> {
    let dir = plan.dir.join(name);
    fs::create_dir(&dir)?;
    // For servers of other users, too.
    fs::set_permissions(&dir, Permissions::from_mode(0o777))?;
    let mut launch = Launch::new(&plan.torc, &dir).shards(Some(1));
    launch.log = plan.dir.join(format!("{name}.log"));
    Ok(launch)
}

/// How a start ended.
#[derive(Debug)]
enum Start {
    Ready,
    /// With this exit code, having said this.
    Refused(Option<i32>, String),
    Hangs,
}

/// Starts it, sees what comes of it, and ends it.
fn attempt(launch: &Launch) -> Result<Start> {
    let mut child = launch.spawn()?;
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    let reads = std::thread::spawn(move || {
        let mut line = String::new();
        while stdout.read_line(&mut line).is_ok_and(|n| n > 0) {
            if line.starts_with("ready in ") {
                return true;
            }
            line.clear();
        }
        false
    });
    if !wait_until(START_MAX, || Ok(reads.is_finished()))? {
        child.kill()?;
        child.wait()?;
        return Ok(Start::Hangs);
    }
    if reads.join().expect("no panic") {
        end(&mut child, Signal::TERM)?;
        return Ok(Start::Ready);
    }
    let status = child.wait()?;
    Ok(Start::Refused(status.code(), fs::read_to_string(&launch.log)?))
}

/// Ends a process and returns its exit code; an error if it does not end.
fn end(child: &mut Child, by: Signal) -> Result<Option<i32>> {
    signal(child.id(), by)?;
    let mut status = None;
    let ended = wait_until(START_MAX, || {
        status = child.try_wait()?;
        Ok(status.is_some())
    })?;
    if !ended {
        child.kill()?;
        child.wait()?;
        return wrong(format!("the server did not end after {by:?}"));
    }
    Ok(status.and_then(|status| status.code()))
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_string).collect()
}

/// Each limit, from one that lets nothing start to one that lets all start.
fn narrow_places(plan: &Plan, report: &mut Report) -> Result<()> {
    let user = if rustix::process::getuid().is_root() {
        "setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all "
    } else {
        ""
    };
    // Another user may not reach where it was built.
    let torc = plan.dir.join("torc");
    fs::copy(&plan.torc, &torc)?;
    fs::set_permissions(&plan.dir, Permissions::from_mode(0o755))?;
    let plan = Plan { torc, ..plan.clone() };
    let kinds: [(&str, &[u64], &str, u16); 5] = [
        ("nofile", &[32, 300, 4096], "ulimit -n", 40),
        ("memlock", &[0, 64 << 10, 8 << 20], "ulimit -l", 2),
        // A debug build of the program itself takes 45 MiB.
        ("as", &[64 << 20, 96 << 20, 8 << 30], "ulimit -v", 4),
        ("fsize", &[1 << 20, 1 << 30], "ulimit -f", 1),
        ("nproc", &[1, 3, 6, 500], "ulimit -u", 3),
    ];
    for (limit, steps, cure, shards) in kinds {
        let mut started = 0;
        for step in steps {
            let name = format!("{limit}-{step}");
            let mut launch = launch(&plan, &name)?.shards(Some(shards));
            launch.wrapper = words(&format!("{user}prlimit --{limit}={step}:{step}"));
            let seen = attempt(&launch)?;
            let good = match &seen {
                Start::Ready => true,
                Start::Refused(code, text) => *code == Some(1) && text.contains(cure),
                Start::Hangs => false,
            };
            let left = launch.data.join("torc.properties").exists();
            let kept = matches!(&seen, Start::Refused(_, text) if text.contains("fewer shards")) && left;
            report.demand(
                format!("{limit} {step}: no directory is made that cannot start"),
                !kept,
                format!("left: {left}"),
            );
            started += u32::from(matches!(seen, Start::Ready));
            report.demand(format!("{limit} {step}: it starts, or names `{cure}`"), good, format!("{seen:?}"));
        }
        report.demand(format!("{limit}: with enough it starts"), started > 0, format!("{started} starts"));
    }
    Ok(())
}

/// A record batch of this many bytes; its error code.
fn produce(client: &mut Client, number: u32, bytes: usize) -> Result<i16> {
    let sender = Sender { producer: 1, idempotent: None };
    let batch = content::batch(sender, number, &[bytes], Codec::None, now_ms());
    Ok(client.produce(Produce { topic: TOPIC, partition: 0, acks: ACKS_ALL, batch })?.error)
}

/// At the limit of open files the log is full, as on a full disk, and heals.
fn file_limit(plan: &Plan, report: &mut Report) -> Result<()> {
    const FILES: u32 = 280;
    const BYTES: usize = 90_000;
    let mut launch = launch(plan, "file-limit")?;
    launch.wrapper = words(&format!("prlimit --nofile={FILES}:{FILES}"));
    launch.more =
        words("--set torc.wal.segment.bytes=256KiB --set message.max.bytes=100000 --set log.cleaner.enable=false");
    let mut server = launch.start()?;
    let said = fs::read_to_string(&launch.log)?;
    report.demand("the start says how far the log can grow", said.contains("can grow to"), said);
    let mut client = Client::connect(server.kafka)?;
    client.create_topic(TOPIC, 1, &[])?;
    let (mut taken, mut code) = (0, 0);
    while code == 0 && taken < 4 * FILES {
        code = produce(&mut client, taken, BYTES)?;
        taken += u32::from(code == 0);
    }
    report.demand("producers are refused as on a full disk", code == STORAGE_ERROR, format!("{code} after {taken}"));
    let read = client.fetch(TOPIC, &[(0, 0)], 1 << 20, 500)?;
    let whole = read.first().is_some_and(|part| part.error == 0 && !part.records.is_empty());
    report.demand("what was written is read", whole, format!("{} parts", read.len()));
    let said = fs::read_to_string(&launch.log)?;
    report.demand("the log says why", said.contains("limit of open files") && said.contains("ulimit -n"), said);
    server.stop()?;
    let mut server = launch.start()?;
    let mut client = Client::connect(server.kafka)?;
    client.delete_topic(TOPIC)?;
    // Until there is room a topic is refused like records.
    let mut made = || client.create_topic(TOPIC, 1, &[]).is_ok();
    let healed = wait_until(Duration::from_secs(30), || Ok(made()))? && produce(&mut client, 0, BYTES)? == 0;
    report.demand("it starts again, and heals when a topic goes", healed, "no batch was taken");
    let fenced = server.metric("torc_fenced")?;
    report.demand("no shard is fenced", fenced == 0.0, format!("{fenced} fenced"));
    server.stop()
}

/// Clients beyond what the limit of open files, or `max.connections`, has room for are closed at once, on whichever shard:
/// those who are there notice nothing, and neither does who looks at the metrics.
fn few_descriptors(plan: &Plan, report: &mut Report) -> Result<()> {
    for (name, files, asked, reason) in
        [("descriptors", 260, "", "ulimit -n"), ("asked", 4096, "20", "max.connections")]
    {
        let mut launch = launch(plan, name)?.shards(Some(2));
        launch.wrapper = words(&format!("prlimit --nofile={files}:{files}"));
        if !asked.is_empty() {
            launch.more = words(&format!("--set max.connections={asked}"));
        }
        let mut server = launch.start()?;
        let mut first = Client::connect(server.kafka)?;
        first.create_topic(TOPIC, 2, &[])?;
        let mut served = Vec::new();
        for number in 0..300 {
            let mut client = Client::connect(server.kafka)?;
            if produce(&mut client, number, 100).is_ok_and(|code| code == 0) {
                served.push(client);
            }
        }
        let some = (10..300).contains(&served.len());
        report.demand(format!("{name}: some are served, not all"), some, format!("{} of 300", served.len()));
        let refused = server.metric("torc_loop_refused_total")?;
        let told = refused as usize + served.len() == 300;
        report.demand(format!("{name}: metrics count the others"), told, format!("{refused}"));
        let code = served
            .iter_mut()
            .chain([&mut first])
            .map(|client| produce(client, 300, 100))
            .find(|code| !matches!(code, Ok(0)));
        report.demand(format!("{name}: those who are there are served on"), code.is_none(), format!("{code:?}"));
        let said = fs::read_to_string(&launch.log)?;
        let lines = said.lines().filter(|line| line.contains("closed at once")).count();
        let good = (1..=20).contains(&lines) && said.contains(reason) && !said.contains("cannot accept");
        report.demand(format!("{name}: few lines say why"), good, said);
        drop(served);
        let mut again = || Ok(produce(&mut Client::connect(server.kafka)?, 301, 100).is_ok_and(|code| code == 0));
        let healed = wait_until(Duration::from_secs(30), &mut again)?;
        report.demand(format!("{name}: when they leave others come"), healed, "nobody was served");
        server.stop()?;
    }
    Ok(())
}

/// A server whose standard error is a pipe that nobody reads. Returns it with its address.
fn unread(launch: &Launch) -> Result<(Child, SocketAddr)> {
    let mut child = launch.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    let (mut line, mut kafka) = (String::new(), None);
    while stdout.read_line(&mut line)? > 0 {
        kafka = line.strip_prefix("kafka ").and_then(|address| address.trim().parse().ok()).or(kafka);
        if line.starts_with("ready in ") {
            let kafka = kafka.map_or_else(|| wrong("it does not say where it listens"), Ok)?;
            return Ok((child, kafka));
        }
        line.clear();
    }
    wrong("the server did not start")
}

fn nobody_reads(plan: &Plan, report: &mut Report) -> Result<()> {
    let launch = launch(plan, "unread")?;
    let (mut child, kafka) = unread(&launch)?;
    let mut client = Client::connect(kafka)?;
    client.create_topic(TOPIC, 1, &[])?;
    for n in 0..plan.nonsense {
        let mut stream = TcpStream::connect(kafka)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(&[0xff; 4])?;
        // It is closed, in whatever way: an answer would be wrong, and so would silence.
        if let Err(error) = stream.read(&mut [0]).map(drop)
            && error.kind() == std::io::ErrorKind::WouldBlock
        {
            return wrong(format!("connection {n} with nonsense is neither answered nor closed"));
        }
    }
    let code = produce(&mut client, 0, 100)?;
    report.demand("a full log holds up nobody", code == 0, format!("error {code}"));
    let code = end(&mut child, Signal::TERM)?;
    report.demand("nor the end", code == Some(0), format!("exit code {code:?}"));
    Ok(())
}

fn stalled_metrics(plan: &Plan, report: &mut Report) -> Result<()> {
    let launch = launch(plan, "metrics")?;
    let mut server = launch.start()?;
    let mut stalled = Vec::new();
    for n in 0..plan.stalled {
        let mut stream = TcpStream::connect(server.metrics)?;
        if n.is_multiple_of(2) {
            // It may have been cut off already.
            let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n");
        }
        stalled.push(stream);
    }
    let connections = server.metric("torc_connections");
    report.demand("metrics are served beside those who stall", connections.is_ok(), format!("{connections:?}"));
    let mut client = Client::connect(server.kafka)?;
    client.create_topic(TOPIC, 1, &[])?;
    let code = produce(&mut client, 0, 100)?;
    report.demand("and so are clients", code == 0, format!("error {code}"));
    server.stop()
}

fn signals(plan: &Plan, report: &mut Report) -> Result<()> {
    let launch = launch(plan, "signals")?;
    for (name, sent) in [
        ("SIGHUP", &[Signal::HUP][..]),
        ("SIGINT", &[Signal::INT]),
        ("two SIGTERMs at once", &[Signal::TERM, Signal::TERM]),
        ("SIGTERM and SIGINT at once", &[Signal::TERM, Signal::INT]),
    ] {
        let mut server = launch.start()?;
        for one in sent {
            signal(server.pid(), *one)?;
        }
        let status = server.wait()?;
        report.demand(format!("{name} drains"), status.code() == Some(0), status.to_string());
    }
    let mut launch = launch;
    launch.wrapper = words("nohup");
    let mut server = launch.start()?;
    signal(server.pid(), Signal::HUP)?;
    let code = Client::connect(server.kafka)?.create_topic(TOPIC, 1, &[]);
    report.demand("under nohup SIGHUP changes nothing", code.is_ok() && server.is_alive(), format!("{code:?}"));
    server.stop()
}

fn port_in_use(plan: &Plan, report: &mut Report) -> Result<()> {
    let mut launch = launch(plan, "port")?;
    let held = TcpListener::bind("127.0.0.1:0")?;
    launch.port = held.local_addr()?.port();
    let refused = attempt(&launch)?;
    let good = matches!(&refused, Start::Refused(Some(1), text) if text.contains("waiting up to 10 s") && text.contains("--kafka"));
    report.demand("a port in use is waited for, then refused", good, format!("{refused:?}"));
    fs::write(&launch.log, "")?;
    let log = launch.log.clone();
    let frees = std::thread::spawn(move || -> Result<bool> {
        let seen = wait_until(START_MAX, || Ok(fs::read_to_string(&log)?.contains("waiting up to")))?;
        drop(held);
        Ok(seen)
    });
    let started = attempt(&launch)?;
    let told = frees.join().expect("no panic")?;
    report.demand("one that becomes free is taken", told && matches!(started, Start::Ready), format!("{started:?}"));
    Ok(())
}

fn in_memory(plan: &Plan, report: &mut Report) -> Result<()> {
    let mut launch = launch(plan, "memory")?;
    let place = tempfile::Builder::new().prefix("torc-check-").tempdir_in(Path::new("/dev/shm"))?;
    launch.data = place.path().join("data");
    let mut server = launch.start()?;
    let lines = server.lines.join("; ");
    let good = lines.contains("not durable") && !lines.contains("; durable");
    report.demand("what lies in memory is not called durable", good, lines);
    let said = fs::read_to_string(&launch.log)?;
    report.demand("and is warned of", said.contains("WARN") && said.contains("is in memory (tmpfs)"), said);
    server.stop()
}

/// What the log said since it was last looked at.
fn fresh_lines(launch: &Launch) -> Result<String> {
    let text = fs::read_to_string(&launch.log)?;
    fs::write(&launch.log, "")?;
    Ok(text)
}

fn what_a_start_says(plan: &Plan, report: &mut Report) -> Result<()> {
    let launch = launch(plan, "says")?;
    let start = |launch: &Launch| -> Result<(Server, String)> {
        let server = launch.start()?;
        let said = fresh_lines(launch)?;
        Ok((server, said))
    };
    let (mut server, _) = start(&launch)?;
    let advertised = format!("advertised {}", server.kafka);
    report.demand("it says what clients are told", server.lines.contains(&advertised), server.lines.join("; "));
    let mut client = Client::connect(server.kafka)?;
    client.create_topic(TOPIC, 1, &[])?;
    produce(&mut client, 0, 100)?;
    // Files are being made at this time, as after every first start.
    server.stop()?;
    let said = fresh_lines(&launch)?;
    report.demand("a topic that is made is in the log", said.contains("topic starts was created"), said);
    let (mut server, said) = start(&launch)?;
    let clean = !said.contains("being made") && !said.contains("recovered from");
    report.demand("after an orderly stop there is nothing to say", clean, said);
    produce(&mut Client::connect(server.kafka)?, 1, 100)?;
    server.kill()?;
    let (mut server, said) = start(&launch)?;
    report.demand("after a kill it says what was recovered", said.contains("were recovered from"), said);
    server.stop()
}
