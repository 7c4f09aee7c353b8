//! Plays the stories in `testdata/` and compares what the members did with what is written there.
//! `UPDATE=1 cargo test -p torc-consensus` writes them anew; the diff is then the change of behaviour.
//!
//! A story is a list of commands, each with the output below `----`:
//!
//! ```text
//! node 1 voters=1,2,3 [learners=4] [term=2 vote=1] [log=1x3,2x1]   a member, with what its disk holds (term x entries)
//! campaign 1 | tick 1 [n] | propose 1 [n] | read 1    one input
//! suspect 1 2 | alive 1 2                             what 1 is told of node 2
//! members 1 voters=1,2 [learners=3]                   1 is asked to change the members
//! transfer 1 2 | resign 1                             1 is to hand over to 2, or to lead no longer
//! flush 1 [n]                                         the disk of 1 ends n writes (all)
//! deliver [1 2] | drop [1 2]                          what is under way now (from 1 to 2) arrives, or is lost
//! copy [1 2] | late                                   what is under way now (from 1 to 2) is doubled; the copies come
//! cut 1 [2] | heal                                    nothing arrives from or at 1 (from 1 at 2); all does again
//! settle                                              flush and deliver until nothing is under way
//! restart 1                                           power cut: writes under way are lost
//! wipe 1 | damage 1 n                                 its disk is replaced; its log is damaged behind n entries
//! regain 1 n                                          n entries of its log before it was damaged are found again
//! compact 1                                           1 makes a checkpoint and releases the log before it
//! snapshot 1 2 [refused]                              the state has been brought from 1 to 2, or was not taken
//! bytes n                                             the size of entries from now on
//! marks 1                                             role, term, marks and members
//! ```

mod cluster;

use cluster::disk::{Disk, Entry};
use cluster::{Cluster, Envelope, Settings};
use std::fmt::Write;
use std::path::Path;
use torc_base::ids::{NodeId, Term};
use torc_consensus::{Body, Configuration, Doubt, Input, Mark, Member, Message, Output, Run, Seat};

#[test]
fn stories_go_as_written() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut paths: Vec<_> = std::fs::read_dir(&dir).expect("testdata").map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no stories in {}", dir.display());
    // A test's own switch, not a setting of the program.
    #[expect(clippy::disallowed_methods)]
    let update = std::env::var("UPDATE").is_ok_and(|v| v == "1");
    for path in paths {
        let written = std::fs::read_to_string(&path).expect("a readable story");
        eprintln!("{}", path.display());
        let played = play(&written);
        if update {
            std::fs::write(&path, played).expect("a writable story");
        } else {
            assert_eq!(played, written, "{} goes another way (UPDATE=1 rewrites it)", path.display());
        }
    }
}

/// The story with the outputs that its commands have now.
fn play(story: &str) -> String {
    let mut cluster = Cluster { entry_bytes: 100, ..Cluster::default() };
    let (mut played, mut copies) = (String::new(), Vec::new());
    let mut in_output = false;
    for line in story.lines() {
        if in_output {
            in_output = !line.is_empty();
        }
        if in_output {
            continue;
        }
        played.push_str(line);
        played.push('\n');
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut said = String::new();
        if !double(&mut cluster, &mut copies, line) {
            command(&mut cluster, line, &mut said);
        }
        played.push_str("----\n");
        played.push_str(if said.is_empty() { "nothing\n" } else { &said });
        in_output = true;
    }
    played
}

/// Doubles what is under way, or has the copies arrive; false for any other command.
fn double(cluster: &mut Cluster, copies: &mut Vec<Envelope>, line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    let path = number_or_none(&words, 1).zip(number_or_none(&words, 2));
    let on_path = |envelope: &&Envelope| path.is_none_or(|path| path == (envelope.from.0, envelope.to.0));
    match words[0] {
        "copy" => copies.extend(cluster.network.iter().filter(on_path).cloned()),
        "late" => cluster.network.extend(copies.drain(..)),
        _ => return false,
    }
    true
}

fn command(cluster: &mut Cluster, line: &str, said: &mut String) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |at: usize| words.get(at).map(|w| w.parse::<u32>().unwrap_or_else(|_| panic!("{line}: a number")));
    let id = number_or_none(&words, 1).map(NodeId);
    let who = || id.unwrap_or_else(|| panic!("{line}: which node?"));
    let other = || NodeId(number(2).unwrap_or_else(|| panic!("{line}: which other node?")));
    match words[0] {
        "node" => add(cluster, who(), &words[2..]),
        "campaign" => step(cluster, who(), Input::Campaign, said),
        "tick" => (0..number(2).unwrap_or(1)).for_each(|_| step(cluster, who(), Input::Tick, said)),
        "propose" => step(cluster, who(), Input::Propose { entries: number(2).unwrap_or(1) }, said),
        "read" => step(cluster, who(), Input::Read, said),
        "suspect" => step(cluster, who(), Input::Suspected(other()), said),
        "alive" => step(cluster, who(), Input::Alive(other()), said),
        "transfer" => step(cluster, who(), Input::Transfer { to: other() }, said),
        "resign" => step(cluster, who(), Input::Resign, said),
        "members" => {
            let (voters, learners) = members(&words[2..]);
            step(cluster, who(), Input::Reconfigure { voters, learners }, said);
        }
        "flush" => {
            let count = number(2).map_or(usize::MAX, |n| n as usize);
            for out in cluster.flush(who(), count, false) {
                tell(who(), &out, said);
            }
        }
        "deliver" | "drop" => carry(cluster, id.map(|from| (from, other())), words[0] == "deliver", said),
        "cut" if words.len() == 2 => cluster.cut_off(who()),
        "cut" => cluster.cut.push((who(), other())),
        "heal" => cluster.cut.clear(),
        "settle" => settle(cluster, said),
        "restart" => cluster.restart(who(), 0),
        "wipe" => cluster.wipe(who()),
        "damage" => cluster.damage(who(), number(2).expect("entries") as usize),
        "regain" => {
            for out in cluster.regain(who(), number(2).expect("entries").into()) {
                tell(who(), &out, said);
            }
        }
        "compact" => cluster.compact(who()),
        "snapshot" => {
            let at =
                cluster.snapshots.iter().position(|&wanted| wanted == (who(), other())).expect("one that is wanted");
            for out in cluster.end_snapshot(at, words.get(3) != Some(&"refused")) {
                tell(who(), &out, said);
            }
        }
        "bytes" => cluster.entry_bytes = u64::from(number(1).expect("a size")),
        "marks" => marks(cluster, who(), said),
        other => panic!("no command {other}"),
    }
}

fn marks(cluster: &mut Cluster, id: NodeId, said: &mut String) {
    let raft = &cluster.member(id).raft;
    let m = raft.marks();
    let (role, term) = (raft.role(), raft.term());
    let (written, durable, committed, applied) = (m.written, m.durable, m.committed, m.applied);
    writeln!(
        said,
        "{role:?} of term {term}, written {written}, durable {durable}, committed {committed}, applied {applied}"
    )
    .unwrap();
    let (since, configuration) = raft.configuration();
    writeln!(said, "since {since}: {}", seats(configuration)).unwrap();
    if let Some(doubt) = raft.hard_state().doubt {
        writeln!(said, "{}", describe_doubt(doubt)).unwrap();
    }
    if raft.needs_ticks() {
        said.push_str("needs ticks\n");
    }
}

fn number_or_none(words: &[&str], at: usize) -> Option<u32> {
    words.get(at).and_then(|w| w.parse().ok())
}

/// Voters and learners among the settings.
fn members(settings: &[&str]) -> (Vec<NodeId>, Vec<NodeId>) {
    let list = |key: &str| {
        let value = settings.iter().find_map(|s| s.strip_prefix(key)).unwrap_or_default();
        value.split(',').filter(|v| !v.is_empty()).map(|v| NodeId(v.parse().expect("an id"))).collect()
    };
    (list("voters="), list("learners="))
}

fn add(cluster: &mut Cluster, id: NodeId, settings: &[&str]) {
    let (voters, learners) = members(settings);
    let voters = voters.into_iter().map(|id| Member { id, seat: Seat::Voter });
    let learners = learners.into_iter().map(|id| Member { id, seat: Seat::Learner });
    let configuration = Configuration::new(voters.chain(learners).collect()).expect("voters, each once");
    let mut disk = Disk::new(configuration.clone());
    for setting in settings {
        let (key, value) = setting.split_once('=').expect("key=value");
        match key {
            "voters" | "learners" => {}
            "term" => disk.hard_state.term = Term(value.parse().expect("a term")),
            "vote" => disk.hard_state.vote = Some(NodeId(value.parse().expect("an id"))),
            "log" => {
                for run in value.split(',') {
                    let (term, entries) = run.split_once('x').expect("term x entries");
                    let term = Term(term.parse().expect("a term"));
                    // Logs of a story's beginning match: the same place is the same entry.
                    let entry = Entry { term, id: u64::MAX, configuration: None };
                    disk.entries.extend(std::iter::repeat_n(entry, entries.parse().expect("a count")));
                }
            }
            _ => panic!("no setting {key}"),
        }
    }
    let settings = Settings { id, configuration, election_ticks: 10, heartbeat_ticks: 2, seed: 1 };
    cluster.add(settings, disk);
}

fn step(cluster: &mut Cluster, id: NodeId, input: Input, said: &mut String) {
    match cluster.step(id, input) {
        Ok(outs) => outs.iter().for_each(|out| tell(id, out, said)),
        Err(refused) => writeln!(said, "{id} refuses: {refused}").unwrap(),
    }
}

fn carry(cluster: &mut Cluster, path: Option<(NodeId, NodeId)>, arrives: bool, said: &mut String) {
    let mut at = 0;
    // What is sent meanwhile is not under way yet.
    for _ in 0..cluster.network.len() {
        let (from, to) = (cluster.network[at].from, cluster.network[at].to);
        if path.is_some_and(|path| path != (from, to)) {
            at += 1;
        } else if arrives && !cluster.cut.contains(&(from, to)) {
            let (envelope, outs) = cluster.deliver(at);
            writeln!(said, "{from} -> {to}: {}", describe(&envelope.message)).unwrap();
            outs.iter().for_each(|out| tell(to, out, said));
        } else {
            let envelope = cluster.network.remove(at).expect("under way");
            writeln!(said, "{from} -> {to} lost: {}", describe(&envelope.message)).unwrap();
        }
    }
}

fn settle(cluster: &mut Cluster, said: &mut String) {
    for _ in 0..100 {
        let ids: Vec<_> = cluster.members.keys().copied().collect();
        for &id in &ids {
            for out in cluster.flush(id, usize::MAX, false) {
                tell(id, &out, said);
            }
        }
        if cluster.network.is_empty() && ids.iter().all(|&id| cluster.writes(id) == 0) {
            return;
        }
        carry(cluster, None, true, said);
    }
    panic!("the group does not settle");
}

fn tell(id: NodeId, out: &Output, said: &mut String) {
    if let Some(role) = out.role {
        writeln!(said, "  {id} becomes {role:?}").unwrap();
    }
    if let Some(hard_state) = out.hard_state {
        let vote = hard_state.vote.map_or("nobody".into(), |v| v.to_string());
        let doubt = hard_state.doubt.map_or(String::new(), |doubt| format!("; {}", describe_doubt(doubt)));
        writeln!(said, "  {id} writes term {}, vote for {vote}{doubt}", hard_state.term).unwrap();
    }
    if let Some(cut) = out.cut {
        writeln!(said, "  {id} takes back what is behind {cut}").unwrap();
    }
    if let Some(restore) = &out.restore {
        let Mark { term, index } = restore.mark;
        writeln!(said, "  {id} restores the snapshot at {term}/{index} after cut {}", restore.cut).unwrap();
    }
    if let Some(a) = out.append {
        let noop = if a.noop { ", which opens the term" } else { "" };
        let cut = if a.cut > 0 { format!(" after cut {}", a.cut) } else { String::new() };
        writeln!(said, "  {id} writes entries {}..={} of term {}{noop}{cut}", a.first, a.last, a.term).unwrap();
    }
    if let Some(configuration) = &out.configuration {
        writeln!(said, "  {id} makes it the members {}", seats(configuration)).unwrap();
    } else if out.reconfigured {
        writeln!(said, "  {id} has other members now").unwrap();
    }
    for (to, message) in &out.send_now {
        writeln!(said, "  {id} sends {to}: {}", describe(message)).unwrap();
    }
    for (to, message) in &out.send_when_durable {
        writeln!(said, "  {id} sends {to} when durable: {}", describe(message)).unwrap();
    }
    for to in &out.snapshots {
        writeln!(said, "  {id} wants a snapshot brought to {to}").unwrap();
    }
    if let Some(committed) = out.committed {
        writeln!(said, "  {id} commits {committed}").unwrap();
    }
    if let Some(ticket) = out.read {
        writeln!(said, "  {id} gives the read ticket {ticket}").unwrap();
    }
    if let Some(ready) = out.reads {
        writeln!(said, "  {id} serves reads up to ticket {} at {}", ready.ticket, ready.index).unwrap();
    }
}

fn seats(configuration: &Configuration) -> String {
    let seat = |member: &Member| match member.seat {
        Seat::Voter => format!("{}", member.id),
        seat => format!("{} ({seat:?})", member.id),
    };
    configuration.members().iter().map(seat).collect::<Vec<_>>().join(", ")
}

fn describe_doubt(doubt: Doubt) -> String {
    match doubt {
        Doubt::Tail(mark) => format!("may have lost entries to {}/{}", mark.term, mark.index),
        Doubt::All { incarnation } => format!("may have forgotten all, in life {incarnation}"),
    }
}

fn describe_runs(runs: &[Run]) -> String {
    let runs: Vec<_> = runs.iter().map(|run| format!("{} of term {}", run.entries, run.term)).collect();
    if runs.is_empty() { "nothing".into() } else { runs.join(", ") }
}

fn describe(message: &Message) -> String {
    let but = |incarnation: u64| if incarnation == 0 { "" } else { ", but do not count on me" };
    let what = match &message.body {
        Body::PreVote { last } => format!("would you vote? my log ends at {}/{}", last.term, last.index),
        Body::PreVoteReply { granted: true } => "I would".into(),
        Body::PreVoteReply { granted: false } => "I would not".into(),
        Body::RequestVote { last } => format!("vote for me; my log ends at {}/{}", last.term, last.index),
        Body::VoteReply { granted: true } => "you have my vote".into(),
        Body::VoteReply { granted: false } => "no vote".into(),
        Body::Abstained { pre: true } => "I may have forgotten whom I would vote for".into(),
        Body::Abstained { pre: false } => "I may have forgotten my vote".into(),
        Body::Append { prev, runs, configurations, committed } => {
            let among = if configurations.is_empty() { "" } else { " with members" };
            let runs = describe_runs(runs);
            format!("after {}/{}: {runs}{among}; committed {committed}", prev.term, prev.index)
        }
        Body::Accepted { through, incarnation } => format!("I have all to {through}{}", but(*incarnation)),
        Body::Rejected { prev, hint, incarnation, damaged } => {
            let lost = if *damaged { ", and have lost some" } else { "" };
            format!("I have not {prev}; at most {}/{}{lost}{}", hint.term, hint.index, but(*incarnation))
        }
        Body::Commit { through } => format!("committed {through}"),
        Body::Heartbeat { committed, round: 0 } => format!("heartbeat; committed {committed}"),
        Body::Heartbeat { committed, round } => format!("do I still lead? ({round}); committed {committed}"),
        Body::HeartbeatReply { round: 0, incarnation } => format!("heard{}", but(*incarnation)),
        Body::HeartbeatReply { round, incarnation } => format!("you do ({round}){}", but(*incarnation)),
        Body::TimeoutNow => "stand for election".into(),
        Body::Resigned => "I lead no longer".into(),
        Body::Snapshot { mark, configuration } => {
            format!("you have the state at {}/{} with members {}", mark.term, mark.index, seats(configuration))
        }
        Body::Readmitted { through, .. } => format!("you have all to {through}; your word counts again"),
    };
    format!("[term {}] {what}", message.term)
}

#[test]
fn a_group_of_one_is_small() {
    // Ten thousand of them share a shard.
    let bytes = size_of::<torc_consensus::Raft>() + size_of::<torc_consensus::progress::Peer>();
    let bytes = bytes + size_of::<(u64, Configuration)>() + size_of::<Member>() + size_of::<torc_consensus::TermRun>();
    assert!(bytes < 600, "{bytes} bytes");
}
