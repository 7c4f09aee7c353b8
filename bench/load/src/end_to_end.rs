//! End to end: from when a record was due to be sent to when a consumer had it.

use crate::cluster::{self, Edge, Layout, Missing};
use crate::connection::Loop;
use crate::consume::{self, Look, Range, Shared};
use crate::cpu::Process;
use crate::drive::{
    Connections, DRAIN, Finished, Pacer, Plan, Run, connect_all, end_all, finish, in_runtime, measure, start_all,
};
use crate::error::Error;
use crate::flamegraph::Flamegraph;
use crate::interrupt;
use crate::options::{EndToEndArgs, ProduceArgs, Protocol};
use crate::payload::{Recipe, read_stamp};
use crate::produce;
use crate::progress::Progress;
use crate::publish::Ran;
use crate::recorder::{Recorder, Request};
use crate::wire::FetchSize;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};
use torc_net::kafka::records::read;

/// The three sides of the run: its recorder counts a request when a consumer has it.
struct Sides {
    arrivals: Rc<Run>,
    producers: Rc<Run>,
    consumers: Rc<Run>,
}

/// Produces and consumes as `args` say.
pub fn run(args: &EndToEndArgs) -> Result<Ran, Error> {
    if args.target.protocol == Protocol::Bare {
        return Err(Error::Usage("nothing can be read from the bare server".into()));
    }
    let producing = ProduceArgs {
        target: args.target.clone(),
        pace: args.pace.clone(),
        rate: args.rate.clone(),
        records: args.records.clone(),
        output: args.output.clone(),
        verify: false,
    };
    let recipe = Recipe::new(&args.records, true).map_err(Error::Unfit)?;
    let (recipe, schedule) = produce::schedule(recipe, &args.pace, &producing);
    let mut layout = cluster::prepare(&args.target, Missing::Create)?;
    let server = produce::server(&args.target, &layout);
    let plan = Plan {
        pace: args.pace.clone(),
        schedule,
        guide: layout.guide(&args.target.topic).map(Rc::new),
        flamegraph: Flamegraph::prepare(args.output.flamegraph.as_deref(), server.as_ref().map(Process::pid))?,
        server,
        keep_log: args.output.keeps_log(),
        quiet: args.output.quiet,
        title: args.output.name.clone().unwrap_or_else(|| "end-to-end".to_string()),
    };
    let clock = Instant::now();
    let side = || Run::new(clock, &plan);
    let sides = Sides { arrivals: side(), producers: side(), consumers: side() };
    // It has no connections of its own that could end.
    sides.arrivals.open.set(1);
    let producers = connect_all(produce::dialogues(&producing, &mut layout, recipe, true, None)?)?;
    let consumers = connect_all(consumers(args, &mut layout, &sides.arrivals)?)?;
    let mut times = in_runtime(async {
        let reading = start_all(&sides.consumers, Loop::Closed { outstanding: usize::MAX }, consumers)?;
        let writing = start_all(&sides.producers, plan.pacing(), producers)?;
        let pacer = Pacer::start(&plan, &sides.producers, &writing)?;
        conduct(&sides, &plan, pacer.as_deref(), &reading, &writing).await
    })
    .map_err(Error::io("running the load"))?;
    times.draw(&plan.title)?;
    let mut recorder = sides.arrivals.recorder.replace(Recorder::new(false));
    // Arrivals are not waited for one by one; what stalls is the writing.
    {
        let mut written = sides.producers.recorder.borrow_mut();
        recorder.longest_stall = written.longest_stall;
        recorder.windows = std::mem::take(&mut written.windows);
        (recorder.repeated, recorder.moved) = (written.repeated, written.moved);
    }
    for side in [&sides.producers, &sides.consumers] {
        for (error, count) in &side.recorder.borrow().errors {
            *recorder.errors.entry(error.clone()).or_default() += count;
        }
    }
    let connections_lost = sides.producers.connections_lost() + sides.consumers.connections_lost();
    Ok((Finished { recorder, connections_lost, ..times }, None))
}

fn consumers(
    args: &EndToEndArgs,
    layout: &mut Layout,
    arrivals: &Rc<Run>,
) -> Result<Vec<(std::net::SocketAddr, consume::Consume)>, Error> {
    let Layout { leaders, cluster, fetch_version, .. } = layout;
    let cluster = cluster.as_mut().expect("a Kafka broker");
    let ends = cluster::offsets(cluster, leaders, &args.target.topic, Edge::Latest)?;
    let follow = |(&partition, &from): (&i32, &i64)| (partition, Range { partition, from, until: i64::MAX });
    let ranges: BTreeMap<i32, Range> = ends.iter().map(follow).collect();
    // Two consumers of one partition would count its records twice.
    let connections = (args.consumers as usize).min(ranges.len()).max(leaders.len());
    let shared = Rc::new(Shared {
        version: *fetch_version,
        topic: args.target.topic.clone(),
        size: FetchSize { wait_ms: 500, bytes_min: 1, bytes_max: args.fetch_bytes.min(i32::MAX as usize) as i32 },
        repeat: false,
        look: Some(RefCell::new(observe(Rc::clone(arrivals)))),
    });
    Ok(consume::dialogues(&shared, leaders, connections, &ranges))
}

/// Counts each batch as a request that was due when its stamp says, and is answered now.
fn observe(arrivals: Rc<Run>) -> Look {
    Box::new(move |_, batch, bytes, now| {
        let records = read(bytes).unwrap_or_default();
        let first = records.first().and_then(|record| record.value.as_deref()).unwrap_or_default();
        let payload = records.iter().map(|r| r.value.as_ref().map_or(0, Vec::len) + r.key.as_ref().map_or(0, Vec::len));
        let Ok(Some(stamp)) = read_stamp(first) else { return };
        let request = Request { due: stamp.due, records: batch.records as u32, payload: payload.sum::<usize>() as u64 };
        let mut recorder = arrivals.recorder.borrow_mut();
        recorder.sent(now, now, &request);
        recorder.done(now, &request);
        drop(recorder);
        arrivals.answered();
    })
}

async fn conduct(
    sides: &Sides,
    plan: &Plan,
    pacer: Option<&Pacer>,
    reading: &Connections,
    writing: &Connections,
) -> std::io::Result<Finished> {
    let Sides { arrivals, producers, consumers } = sides;
    let mut progress = Progress::new(&plan.title, plan.pace.warmup, plan.pace.duration, plan.quiet);
    let times = measure(arrivals, &[producers, consumers], reading, plan, &mut progress).await?;
    finish(producers, pacer, writing).await;
    // All that was acknowledged must still arrive.
    let deadline = arrivals.now() + DRAIN.as_nanos() as u64;
    let behind = || producers.recorder.borrow().answered.saturating_sub(arrivals.recorder.borrow().answered);
    let interrupted = || interrupt::caught().is_some();
    while behind() > 0 && arrivals.now() < deadline && consumers.open.get() > 0 && !interrupted() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    if behind() > 0 && !interrupted() {
        let what = "acknowledged, and not read within 10 s of the end".to_string();
        *arrivals.recorder.borrow_mut().errors.entry(what).or_default() += behind();
    }
    consumers.stop();
    progress.end();
    [reading, writing].into_iter().for_each(end_all);
    Ok(times)
}
