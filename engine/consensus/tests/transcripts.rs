//! Plays the stories in `testdata/` and compares what the members did with what is written there.
//! `UPDATE=1 cargo test -p torc-consensus` writes them anew; the diff is then the change of behaviour.
//!
//! A story is a list of commands, each with the output below `----`:
//!
//! ```text
//! node 1 voters=1,2,3 [term=2 vote=1] [log=1x3,2x1]   a member, with what its disk holds (term x entries)
//! campaign 1 | tick 1 [n] | propose 1 [n]             one input
//! flush 1 [n]                                         the disk of 1 ends n writes (all)
//! deliver [1 2] | drop [1 2]                          what is under way now (from 1 to 2) arrives, or is lost
//! settle                                              flush and deliver until nothing is under way
//! restart 1                                           power cut: writes under way are lost
//! marks 1                                             role, term and marks
//! ```

mod cluster;

use cluster::Cluster;
use std::fmt::Write;
use std::path::Path;
use torc_base::ids::{NodeId, Term};
use torc_consensus::{Body, Config, HardState, Input, Message, Output};

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
    let mut cluster = Cluster::default();
    let mut played = String::new();
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
        command(&mut cluster, line, &mut said);
        played.push_str("----\n");
        played.push_str(if said.is_empty() { "nothing\n" } else { &said });
        in_output = true;
    }
    played
}

fn command(cluster: &mut Cluster, line: &str, said: &mut String) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |at: usize| words.get(at).map(|w| w.parse::<u32>().unwrap_or_else(|_| panic!("{line}: a number")));
    let id = number_or_none(&words, 1).map(NodeId);
    let who = || id.unwrap_or_else(|| panic!("{line}: which node?"));
    match words[0] {
        "node" => add(cluster, who(), &words[2..]),
        "campaign" => step(cluster, who(), Input::Campaign, said),
        "tick" => (0..number(2).unwrap_or(1)).for_each(|_| step(cluster, who(), Input::Tick, said)),
        "propose" => step(cluster, who(), Input::Propose { entries: number(2).unwrap_or(1) }, said),
        "flush" => {
            let count = number(2).map_or(usize::MAX, |n| n as usize);
            for out in cluster.flush(who(), count, false) {
                tell(who(), &out, said);
            }
        }
        "deliver" | "drop" => {
            let path = id.map(|from| (from, NodeId(number(2).expect("from and to"))));
            carry(cluster, path, words[0] == "deliver", said);
        }
        "settle" => settle(cluster, said),
        "restart" => cluster.restart(who(), 0),
        "marks" => {
            let raft = &cluster.member(who()).raft;
            let m = raft.marks();
            let (role, term) = (raft.role(), raft.term());
            writeln!(
                said,
                "{role:?} of term {term}, written {}, durable {}, committed {}, applied {}",
                m.written, m.durable, m.committed, m.applied
            )
            .unwrap();
        }
        other => panic!("no command {other}"),
    }
}

fn number_or_none(words: &[&str], at: usize) -> Option<u32> {
    words.get(at).and_then(|w| w.parse().ok())
}

fn add(cluster: &mut Cluster, id: NodeId, settings: &[&str]) {
    let mut voters = Vec::new();
    let mut hard_state = HardState::default();
    let mut log = Vec::new();
    for setting in settings {
        let (key, value) = setting.split_once('=').expect("key=value");
        match key {
            "voters" => voters = value.split(',').map(|v| NodeId(v.parse().expect("an id"))).collect(),
            "term" => hard_state.term = Term(value.parse().expect("a term")),
            "vote" => hard_state.vote = Some(NodeId(value.parse().expect("an id"))),
            "log" => {
                for run in value.split(',') {
                    let (term, entries) = run.split_once('x').expect("term x entries");
                    let term = Term(term.parse().expect("a term"));
                    log.extend(std::iter::repeat_n(term, entries.parse().expect("a count")));
                }
            }
            _ => panic!("no setting {key}"),
        }
    }
    cluster.add(Config { id, voters, election_ticks: 10, heartbeat_ticks: 2, seed: 1 }, hard_state, log);
}

fn step(cluster: &mut Cluster, id: NodeId, input: Input, said: &mut String) {
    match cluster.step(id, input) {
        Ok(out) => tell(id, &out, said),
        Err(refused) => writeln!(said, "{id} refuses: {refused}").unwrap(),
    }
}

fn carry(cluster: &mut Cluster, path: Option<(NodeId, NodeId)>, arrives: bool, said: &mut String) {
    let mut at = 0;
    // What is sent meanwhile is not under way yet.
    for _ in 0..cluster.network.len() {
        let (from, to, _) = cluster.network[at];
        if path.is_some_and(|path| path != (from, to)) {
            at += 1;
        } else if arrives {
            let (from, to, message, out) = cluster.deliver(at);
            writeln!(said, "{from} -> {to}: {}", describe(&message)).unwrap();
            tell(to, &out, said);
        } else {
            let (from, to, message) = cluster.network.remove(at).expect("under way");
            writeln!(said, "{from} -> {to} lost: {}", describe(&message)).unwrap();
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
        writeln!(said, "  {id} writes term {}, vote for {vote}", hard_state.term).unwrap();
    }
    if let Some(a) = out.append {
        let noop = if a.noop { ", which opens the term" } else { "" };
        let cut = if a.cut > 0 { format!(" after cut {}", a.cut) } else { String::new() };
        writeln!(said, "  {id} writes entries {}..={} of term {}{noop}{cut}", a.first, a.last, a.term).unwrap();
    }
    for (to, message) in &out.send_now {
        writeln!(said, "  {id} sends {to}: {}", describe(message)).unwrap();
    }
    for (to, message) in &out.send_when_durable {
        writeln!(said, "  {id} sends {to} when durable: {}", describe(message)).unwrap();
    }
    if let Some(committed) = out.committed {
        writeln!(said, "  {id} commits {committed}").unwrap();
    }
}

fn describe(message: &Message) -> String {
    let what = match &message.body {
        Body::PreVote { last } => format!("would you vote? my log ends at {}/{}", last.term, last.index),
        Body::PreVoteReply { granted: true } => "I would".into(),
        Body::PreVoteReply { granted: false } => "I would not".into(),
        Body::RequestVote { last } => format!("vote for me; my log ends at {}/{}", last.term, last.index),
        Body::VoteReply { granted: true } => "you have my vote".into(),
        Body::VoteReply { granted: false } => "no vote".into(),
        Body::Append { prev, runs, committed } => {
            let runs: Vec<_> = runs.iter().map(|run| format!("{} of term {}", run.entries, run.term)).collect();
            let runs = if runs.is_empty() { "nothing".into() } else { runs.join(", ") };
            format!("after {}/{}: {runs}; committed {committed}", prev.term, prev.index)
        }
        Body::Accepted { through } => format!("I have all to {through}"),
        Body::Rejected { prev, hint } => format!("I have not {prev}; at most {}/{}", hint.term, hint.index),
        Body::Heartbeat { committed } => format!("heartbeat; committed {committed}"),
        Body::HeartbeatReply => "heard".into(),
    };
    format!("[term {}] {what}", message.term)
}

#[test]
fn a_group_of_one_is_small() {
    // Ten thousand of them share a shard.
    let bytes = size_of::<torc_consensus::Raft>() + size_of::<torc_consensus::progress::Peer>();
    assert!(bytes + size_of::<torc_consensus::TermRun>() < 300, "{bytes} bytes");
}
