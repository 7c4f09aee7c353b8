//! The catalog's owner, on shard 0: who wants changes of the topics, and who is told of them. The topics themselves are
//! the meaning of a log group of their own (`meaning/catalog.rs`).
//!
//! A change is planned, appended, applied when it is committed, and told to all shards; whoever asked is answered
//! when it is in force on every one of them, so that a topic that was just made has leaders.
//!
//! Every node of a cluster has an owner, which tells its own shards of what it applies, whether it leads the catalog or not.
//! Only that of the controller, which does, plans: the others hand on to it what they are asked (`catalog/abroad.rs`).

mod abroad;
mod job;
mod members;
mod moves;
mod plans;

use crate::groups::{Groups, Out};
use crate::kafka::{View, code};
use crate::mail::{Admin, AdminResult, Answer, Asker, CatalogChange, Leaders, Mail, Token, wire};
use crate::refusal::Refusal;
use crate::settings::Settings;
use abroad::Abroad;
use job::Job;
use members::Members;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use torc_base::ids::{GroupId, Index, ProducerId, ShardId};
use torc_base::io::Level;
use torc_base::limits::FORWARD_ANSWER_BYTES_MAX;
use torc_base::prng::Prng;
use torc_base::time::Mono;
use torc_net::kafka::error;
use torc_state::catalog::{CatalogError, Change, Command, Topic};
use torc_state::config::Overrides;
use torc_state::coordinator::CoordinatorSettings;

/// Producer ids that are taken from the log at once, as in Kafka.
const PRODUCER_IDS: u32 = 1_000;

/// Why a command was appended.
#[derive(Clone)]
enum Cause {
    Job {
        job: u64,
        item: usize,
    },
    /// Several items in one command.
    Moves {
        job: u64,
        items: Vec<usize>,
    },
    ProducerIds,
}

/// The owner of the catalog.
pub struct CatalogOwner {
    settings: Arc<Settings>,
    /// All that the log said when this node came is applied, and the shards have been told.
    serving: bool,
    fenced: bool,
    causes: BTreeMap<Index, Cause>,
    /// What was asked, with when that was.
    requests: VecDeque<(Asker, Mono, Admin)>,
    next_job: u64,
    jobs: BTreeMap<u64, Job>,
    /// Changes that the shards have not been told yet.
    changes: Vec<(u64, CatalogChange)>,
    last_change: u64,
    /// By shard: the last change that is in force there.
    in_force: Vec<u64>,
    /// Leaders that the shards have not been told of.
    leaders: Leaders,
    told_ready: bool,
    producer_ids: (i64, i64),
    producer_askers: VecDeque<(Asker, Mono)>,
    drained: BTreeSet<ShardId>,
    prng: Prng,
    /// What the server has and allows for groups.
    coordinator: Arc<CoordinatorSettings>,
    abroad: Abroad,
    members: Members,
    moves: moves::Moves,
}

impl CatalogOwner {
    /// Knows nothing until the log has been read.
    pub fn new(settings: Arc<Settings>) -> CatalogOwner {
        CatalogOwner {
            serving: false,
            fenced: false,
            causes: BTreeMap::new(),
            requests: VecDeque::new(),
            next_job: 0,
            jobs: BTreeMap::new(),
            changes: Vec::new(),
            last_change: 0,
            in_force: vec![0; usize::from(settings.shards)],
            leaders: Leaders::new(),
            told_ready: false,
            producer_ids: (0, 0),
            producer_askers: VecDeque::new(),
            drained: BTreeSet::new(),
            prng: Prng::new(settings.seed ^ 0x0ca7_a109),
            coordinator: Arc::clone(&settings.coordinator),
            abroad: Abroad::new(&settings),
            members: Members::new(&settings),
            moves: moves::Moves::default(),
            settings,
        }
    }

    /// A request of a client; [`CatalogOwner::drive`] begins it.
    pub fn admin(&mut self, now: Mono, asker: Asker, admin: Admin) {
        self.requests.push_back((asker, now, admin));
    }

    /// Somebody needs a producer id.
    pub fn producer_id(&mut self, now: Mono, asker: Asker) {
        self.producer_askers.push_back((asker, now));
    }

    /// More of the catalog's log is committed, and that is what it did. The shards are told of topics when this node leads
    /// the catalog for the first time, or has applied what it said of itself when it came: it has all of them then that
    /// there were before.
    pub fn applied(&mut self, groups: &Groups, out: &mut Out, changes: Vec<(Index, Change)>) {
        for (index, change) in changes {
            if self.serving {
                log_change(out, &change);
            }
            self.change(index, change);
        }
        if !self.serving {
            self.serve(groups);
        }
    }

    /// The catalog is another one than before: this node lacked much, and has got it as a whole.
    pub fn replaced(&mut self, groups: &Groups) {
        if std::mem::take(&mut self.serving) {
            self.tell_all(groups);
        } else {
            self.serve(groups);
        }
    }

    fn serve(&mut self, groups: &Groups) {
        if groups.leads(GroupId::CATALOG) || self.is_registered(groups) {
            self.tell_all(groups);
        }
    }

    fn tell_all(&mut self, groups: &Groups) {
        self.serving = true;
        let catalog = groups.catalog().state();
        let nodes = catalog.nodes().cloned().collect();
        let topics = catalog.topics().cloned().collect();
        let configs = catalog.group_configs().map(|(group, config)| (Arc::clone(group), Arc::clone(config)));
        self.publish(CatalogChange::All { topics, groups: configs.collect(), nodes });
        for node in catalog.leaving().iter().copied() {
            self.publish(CatalogChange::Leaving { node, leaving: true });
        }
    }

    /// Tells all shards of a change; before the first telling there is nothing to add to.
    fn publish(&mut self, change: CatalogChange) {
        if self.serving {
            self.last_change += 1;
            self.changes.push((self.last_change, change));
        }
    }

    fn change(&mut self, index: Index, change: Change) {
        let cause = self.causes.remove(&index);
        let result = match change {
            Change::Created(topic) | Change::Configured(topic) | Change::Grown { topic, .. } => {
                self.publish(CatalogChange::Topic(Arc::clone(&topic)));
                AdminResult { error: error::NONE, message: None, topic: Some(topic) }
            }
            Change::Moving(topic) => {
                self.publish(CatalogChange::Topic(topic));
                AdminResult::code(error::NONE)
            }
            Change::Moved { topic, ended } => {
                let ended = ended.into_iter().map(|ended| (ended.partition, ended.members)).collect();
                return self.publish(CatalogChange::Moved { topic, ended });
            }
            Change::Leaving { node, leaving, topics } => {
                self.publish(CatalogChange::Leaving { node, leaving });
                topics.into_iter().for_each(|topic| self.publish(CatalogChange::Topic(topic)));
                AdminResult::code(error::NONE)
            }
            Change::Deleted(topic) => {
                self.publish(CatalogChange::Deleted(Arc::clone(&topic)));
                AdminResult { error: error::NONE, message: None, topic: Some(topic) }
            }
            Change::GroupConfigured { group, config } => {
                self.publish(CatalogChange::Group { group, config });
                AdminResult::code(error::NONE)
            }
            Change::Node(node) => return self.publish(CatalogChange::Node(node)),
            Change::Removed(node) => {
                self.publish(CatalogChange::NodeGone(node));
                AdminResult::code(error::NONE)
            }
            Change::Admitted(_) => return,
            Change::ProducerIds { first, end } => {
                if let Some(Cause::ProducerIds) = cause {
                    self.producer_ids = (first.get(), end.get());
                }
                return;
            }
            Change::Refused(error) => refused(&error),
            Change::Stale => return,
        };
        let change = self.last_change;
        match cause {
            Some(Cause::Job { job, item }) => self.job(job).item_done(item, result, (index, change)),
            Some(Cause::Moves { job, items }) => {
                items.into_iter().for_each(|item| self.job(job).item_done(item, result.clone(), (index, change)));
            }
            Some(Cause::ProducerIds) | None => {}
        }
    }

    fn job(&mut self, number: u64) -> &mut Job {
        self.jobs.get_mut(&number).expect("a job lives until it is answered")
    }

    /// Begins what can begin, answers what can be answered. `view`: who leads what.
    pub fn drive(&mut self, groups: &mut Groups, view: &View, out: &mut Out) {
        if self.settings.is_alone() {
            if self.serving || self.fenced {
                self.begin_requests(groups, out);
                self.give_producer_ids(groups, out);
            }
        } else if groups.has_catalog() {
            self.drive_abroad(groups, out);
        }
        self.answer_jobs(groups, view, out);
    }

    fn answer_jobs(&mut self, groups: &Groups, view: &View, out: &mut Out) {
        if self.jobs.is_empty() {
            return;
        }
        let in_force = self.in_force.iter().copied().min().unwrap_or(0);
        let (here, last, applied) = (self.settings.node, self.last_change, groups.catalog().state().applied());
        let is_done = |job: &mut Job| {
            let local = job.asker.place.node == here;
            job.missing == 0
                && (!local || job.is_in_force((applied, last, in_force), view) || job.until <= out.now.mono)
        };
        let done: Vec<u64> = self.jobs.iter_mut().filter_map(|(number, job)| is_done(job).then_some(*number)).collect();
        for number in done {
            let job = self.jobs.remove(&number).expect("listed above");
            let results = job.results.into_iter().map(|result| result.expect("none is missing")).collect();
            out.answers.push_back((job.asker, self.answer(job.asker, job.index, results)));
        }
    }

    /// The answer to whoever asks: the owner of another node is told what it must have applied before it goes on.
    fn answer(&self, asker: Asker, index: Index, results: Vec<AdminResult>) -> Answer {
        if asker.place.node == self.settings.node {
            Answer::Admin(results)
        } else {
            shortened(Answer::Committed { index, results })
        }
    }

    /// Answers all of a request's items with `code`.
    fn refuse(&self, out: &mut VecDeque<(Asker, Answer)>, asker: Asker, items: usize, code: i16) {
        let results = vec![AdminResult::code(code); items];
        out.push_back((asker, self.answer(asker, Index(0), results)));
    }

    fn begin_requests(&mut self, groups: &mut Groups, out: &mut Out) {
        while let Some((_, _, admin)) = self.requests.front() {
            // Changes of settings and of replicas build on the present ones, so nothing else may be under way.
            if matches!(admin, Admin::Configs { .. } | Admin::Reassign { .. })
                && !self.fenced
                && groups.catalog().has_pending()
            {
                return;
            }
            let (asker, _, admin) = self.requests.pop_front().expect("looked at above");
            self.begin(groups, out, asker, admin);
        }
    }

    fn begin(&mut self, groups: &mut Groups, out: &mut Out, asker: Asker, admin: Admin) {
        let admin = match admin {
            Admin::Reassign { topics, factor } => return self.begin_reassign(groups, out, asker, topics, factor),
            admin => admin,
        };
        let awaits_leaders = !self.settings.is_alone() && admin.makes_partitions();
        let (plans, validate_only) = self.plan(groups, out.now.wall, admin);
        let number = self.put_job(Job::new(out.now.mono, asker, plans.len(), awaits_leaders));
        for (item, plan) in plans.into_iter().enumerate() {
            let result = match plan {
                Err(result) => result,
                Ok(command) if validate_only => {
                    let topic = groups.catalog().state().preview(&command).map(Arc::new);
                    AdminResult { error: error::NONE, message: None, topic }
                }
                // Deletions and settings go on: they can make room.
                Ok(Command::CreateTopic { .. } | Command::AddPartitions { .. }) if groups.is_full() => {
                    AdminResult::refused(error::KAFKA_STORAGE_ERROR, "the log has no room".into())
                }
                Ok(command) => match self.append(groups, out, command, Cause::Job { job: number, item }) {
                    Ok(()) => continue,
                    Err(code) => AdminResult::code(code),
                },
            };
            self.job(number).item_done(item, result, (Index(0), 0));
        }
    }

    fn put_job(&mut self, job: Job) -> u64 {
        self.next_job += 1;
        self.jobs.insert(self.next_job, job);
        self.next_job
    }

    fn append(&mut self, groups: &mut Groups, out: &mut Out, command: Command, cause: Cause) -> Result<(), i16> {
        let index = groups.propose_command(out, command).map_err(|refusal| match refusal {
            Refusal::NotLeader => error::NOT_CONTROLLER,
            // What Kafka's controller says to more than it does at once.
            Refusal::TooLarge => error::POLICY_VIOLATION,
            other => code(other),
        })?;
        self.causes.insert(index, cause);
        Ok(())
    }

    fn give_producer_ids(&mut self, groups: &mut Groups, out: &mut Out) {
        while !self.producer_askers.is_empty() && self.producer_ids.0 < self.producer_ids.1 {
            let (asker, _) = self.producer_askers.pop_front().expect("not empty");
            let id = ProducerId(self.producer_ids.0);
            self.producer_ids.0 += 1;
            out.answers.push_back((asker, Answer::ProducerId(Ok(id))));
        }
        let under_way = self.causes.values().any(|cause| matches!(cause, Cause::ProducerIds));
        if self.producer_askers.is_empty() || under_way {
            return;
        }
        let result = match groups.catalog_mut().planner(&BTreeSet::new()).plan_producer_ids(PRODUCER_IDS) {
            Ok(command) => self.append(groups, out, command, Cause::ProducerIds),
            Err(error) => Err(error.code()),
        };
        if let Err(code) = result {
            for (asker, _) in self.producer_askers.drain(..) {
                out.answers.push_back((asker, Answer::ProducerId(Err(producers_code(code)))));
            }
        }
    }

    /// Changes that all shards are to be told.
    pub fn take_changes(&mut self) -> Vec<(u64, CatalogChange)> {
        std::mem::take(&mut self.changes)
    }

    /// What all shards are to be told of leaders: when the first change is in force everywhere, and whenever there are
    /// new ones after that. A shard serves clients from the first telling on.
    pub fn take_leaders(&mut self) -> Option<Leaders> {
        let ready = self.in_force.iter().all(|number| *number > 0);
        if !ready || (self.told_ready && self.leaders.is_empty()) {
            return None;
        }
        self.told_ready = true;
        Some(std::mem::take(&mut self.leaders))
    }

    /// All changes through `number` are in force on `shard`.
    pub fn in_force(&mut self, shard: ShardId, number: u64, leaders: Leaders) {
        self.leaders.extend(leaders);
        let known = &mut self.in_force[usize::from(shard.get())];
        *known = (*known).max(number);
    }

    /// The log takes nothing more: what waits for it is refused.
    pub fn fenced(&mut self, answers: &mut VecDeque<(Asker, Answer)>) {
        self.fenced = true;
        self.lost(error::KAFKA_STORAGE_ERROR, answers);
    }

    /// What waits for the log is refused with `code`: its commits are nothing that this node would learn of, or answer for.
    pub fn lost(&mut self, code: i16, answers: &mut VecDeque<(Asker, Answer)>) {
        for (_, job) in std::mem::take(&mut self.jobs) {
            let refused = || AdminResult::code(code);
            let results = job.results.into_iter().map(|result| result.unwrap_or_else(refused)).collect();
            answers.push_back((job.asker, self.answer(job.asker, job.index, results)));
        }
        self.causes.clear();
        for (asker, _) in self.producer_askers.drain(..) {
            answers.push_back((asker, Answer::ProducerId(Err(producers_code(code)))));
        }
    }

    /// Nothing waits on that shard any more.
    pub fn drained(&mut self, shard: ShardId) {
        self.drained.insert(shard);
    }

    /// True if nothing waits anywhere.
    pub fn all_drained(&self) -> bool {
        self.drained.len() == self.in_force.len()
    }
}

/// An answer to another node's owner that is not too long for the way: if it is, codes have to do.
fn shortened(answer: Answer) -> Answer {
    let mail = Mail::Answer { token: Token::forwarded(0), answer };
    let is_long = wire::encode(&mail).is_some_and(|bytes| bytes.len() > FORWARD_ANSWER_BYTES_MAX);
    let Mail::Answer { answer: Answer::Committed { index, results }, .. } = mail else {
        unreachable!("other answers are not for other nodes");
    };
    let results = match is_long {
        true => results.into_iter().map(|result| AdminResult::code(result.error)).collect(),
        false => results,
    };
    Answer::Committed { index, results }
}

/// What a producer that wants an id is told, so that it asks again: it knows no controller.
fn producers_code(code: i16) -> i16 {
    if code == error::NOT_CONTROLLER { error::COORDINATOR_LOAD_IN_PROGRESS } else { code }
}

/// A line for the log about each topic that was made, changed or deleted, and each group that was changed.
fn log_change(out: &mut Out, change: &Change) {
    let partitions = |topic: &Topic| match topic.partitions.len() {
        1 => "1 partition".to_string(),
        n => format!("{n} partitions"),
    };
    let settings = |overrides: &Overrides| {
        let each: Vec<String> = overrides.iter().map(|(key, value)| format!("{key}={value}")).collect();
        if each.is_empty() { "all settings by default".to_string() } else { each.join(", ") }
    };
    let text = match change {
        Change::Created(topic) => {
            format!("topic {} was created: {}, {}", topic.name, partitions(topic), settings(&topic.overrides))
        }
        Change::Configured(topic) => format!("topic {} was altered: {}", topic.name, settings(&topic.overrides)),
        Change::Grown { topic, .. } => format!("topic {} was altered: {}", topic.name, partitions(topic)),
        Change::Deleted(topic) => format!("topic {} was deleted, with {}", topic.name, partitions(topic)),
        Change::GroupConfigured { group, config } => format!("group {group} was altered: {}", settings(config)),
        Change::Node(node) => {
            let (host, port) = node.advertised(0).cloned().unwrap_or_default();
            let rack = node.rack.as_ref().map_or(String::new(), |rack| format!(", in rack {rack}"));
            format!("node {} is at {host}:{port}{rack}", node.id)
        }
        Change::Admitted(node) => format!("node {node} was let into the cluster"),
        Change::Removed(node) => format!("node {node} was removed from the cluster"),
        Change::Leaving { node, leaving: true, .. } => format!("node {node} is to lose its replicas"),
        Change::Leaving { node, leaving: false, .. } => format!("node {node} is to stay"),
        Change::Moving(topic) => moves::begun(topic),
        Change::Moved { ended, .. } if ended.is_empty() => return,
        Change::Moved { topic, ended } => moves::ended(topic, ended),
        Change::ProducerIds { .. } | Change::Refused(_) | Change::Stale => return,
    };
    out.log(Level::Info, text);
}

fn refused(error: &CatalogError) -> AdminResult {
    AdminResult::refused(error.code(), error.to_string())
}
