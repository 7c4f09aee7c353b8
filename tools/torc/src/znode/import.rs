//! `torc znode import`: the znodes of a ZooKeeper's data directory are made on a server that runs.

use super::Failure;
use super::args::ImportArgs;
use super::files::{Loaded, Node, State, load, parent};
use super::kinds::Ends;
use super::walk::below;
use crate::admin::DRY_RUN;
use crate::output::{Format, complain, print, print_json};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use torc_client::zookeeper::{Done, ZooKeeper, ZooKeeperError};
use torc_net::zookeeper::{Acl, Answer, Ask, Change, ErrorCode, Kind, New, OwnedAcl};

/// Changes of one multi.
const AT_ONCE: usize = 200;
/// Their bytes: half of what servers take at once by default.
const BYTES_AT_ONCE: usize = 512 << 10;
/// Children that are made and deleted again for one counter at most.
const COUNTED_MAX: i32 = 100_000;
/// Between two looks whether the directory is read.
const LOOK: Duration = Duration::from_millis(20);
/// What servers keep of themselves, which is not for clients to make.
const OWN: [&str; 4] = ["/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"];
const QUOTA: &str = "/zookeeper/quota/";
/// The name of the znode that says how much is allowed.
const LIMITS: &str = "/zookeeper_limits";
/// The name of the child that moves a counter on.
const COUNTING: &str = ".torc-import";
const OPEN: &[Acl<'_>] = &[Acl { perms: 31, scheme: "world", id: "anyone" }];
/// Access lists' bits that are needed to fill a znode and to give it its list.
const FILL: i32 = 4 | 8 | 16;

/// What was done, or would be.
#[derive(Debug, Default, Serialize)]
struct Summary {
    znodes: usize,
    bytes: usize,
    replaced: usize,
    quotas: usize,
    /// Znodes whose counter of sequential names was moved on.
    counters: usize,
    /// Ephemeral ones, which are left out, and what is below none.
    ephemeral_left_out: usize,
    /// Counters that are too far ahead: the paths.
    counters_left: Vec<String>,
    dry_run: bool,
}

/// Reads a directory, and makes what it says.
pub fn import(zookeeper: &mut ZooKeeper, args: &ImportArgs, format: Format) -> Result<(), Failure> {
    let Loaded { state, snapshot, replayed, passed_over } = loaded(zookeeper, args)?;
    for why in &passed_over {
        complain(&format!("passed over, as it is not whole: {why}"));
    }
    let summary = Summary { dry_run: args.dry_run, ..Summary::default() };
    let mut import = Import { zookeeper, args, state: &state, summary, there: BTreeSet::new() };
    let plan = import.plan();
    if !args.dry_run {
        import.look(&plan)?;
        import.znodes(&plan)?;
        if !args.no_sequences {
            import.counters(&plan)?;
        }
        import.access_lists(&plan)?;
        import.quotas()?;
    }
    let summary = import.summary;
    if format == Format::Json {
        let mut value = serde_json::to_value(&summary)?;
        value["snapshot"] = snapshot.to_string_lossy().into();
        value["replayed"] = replayed.into();
        value["zxid"] = state.zxid.into();
        print_json(&value);
        return Ok(());
    }
    print(format_args!("{} and {replayed} changes of logs, up to zxid {:#x}\n", snapshot.display(), state.zxid));
    print(summary.text());
    Ok(())
}

/// Reads the directory, however long that takes: the session is kept alive.
fn loaded(zookeeper: &mut ZooKeeper, args: &ImportArgs) -> Result<Loaded, Failure> {
    std::thread::scope(|scope| {
        let loading = scope.spawn(|| load(&args.dir, args.log_dir.as_deref()));
        while !loading.is_finished() {
            zookeeper.wait(LOOK)?;
        }
        Ok(loading.join().expect("files are read without panics")?)
    })
}

impl Summary {
    fn text(&self) -> String {
        let did = |done: &'static str, would: &'static str| if self.dry_run { would } else { done };
        let mut text =
            format!("{} znodes with {} bytes {}\n", self.znodes, self.bytes, did("are there now", "would be made"));
        if self.replaced > 0 {
            text += &format!("{} of them had been there and were written\n", self.replaced);
        }
        if self.quotas > 0 {
            text += &format!("{} quotas {}\n", self.quotas, did("set", "would be set"));
        }
        if self.ephemeral_left_out > 0 {
            text += &format!("{} ephemeral znodes left out: their sessions are not here\n", self.ephemeral_left_out);
        }
        for path in &self.counters_left {
            text +=
                &format!("{path} has had so many children that its counter was left: sequential names begin lower\n");
        }
        if self.dry_run {
            text += DRY_RUN;
            text.push('\n');
        }
        text
    }
}

struct Import<'a> {
    zookeeper: &'a mut ZooKeeper,
    args: &'a ImportArgs,
    state: &'a State,
    summary: Summary,
    /// Of the plan, what the server has already.
    there: BTreeSet<&'a str>,
}

/// A znode that is to be made.
#[derive(Clone, Copy)]
struct Planned<'a> {
    node: &'a Node,
    /// How many of its children are to be made.
    children: i32,
}

/// Parents first.
type Plan<'a> = BTreeMap<&'a str, Planned<'a>>;

/// True if everybody, this client too, may fill it while it has this list.
fn lets_fill(acls: &[OwnedAcl]) -> bool {
    acls.iter().any(|acl| acl.scheme == "world" && acl.id == "anyone" && acl.perms & FILL == FILL)
}

impl Planned<'_> {
    /// The counter of sequential names is ahead of the children that will have been made. A container that has none would be
    /// removed for it.
    fn counts_more(&self) -> bool {
        let is_container = Ends::of(self.node.kept.owner) == Ends::Emptied;
        self.node.kept.cversion > self.children && !(is_container && self.children == 0)
    }

    /// It gets its access list when all is made that is below it.
    fn gets_its_list_last(&self) -> bool {
        (self.children > 0 || self.counts_more()) && !lets_fill(&self.node.acls)
    }
}

impl<'a> Import<'a> {
    /// What is to be made, but for quotas.
    fn plan(&mut self) -> Plan<'a> {
        let mut plan = Plan::new();
        for (path, node) in &self.state.nodes {
            if OWN.contains(&path.as_str()) || path.starts_with(QUOTA) {
                let is_quota = path.ends_with(LIMITS);
                self.summary.quotas += usize::from(is_quota);
                continue;
            }
            if matches!(Ends::of(node.kept.owner), Ends::WithSession(_)) {
                self.summary.ephemeral_left_out += 1;
                continue;
            }
            if let Some(above) = plan.get_mut(parent(path)) {
                above.children += 1;
            }
            self.summary.znodes += 1;
            self.summary.bytes += node.data.as_ref().map_or(0, Vec::len);
            plan.insert(path, Planned { node, children: 0 });
        }
        plan
    }

    /// Looks which znodes the server has; without --replace there may be none of them.
    fn look(&mut self, plan: &Plan<'a>) -> Result<(), Failure> {
        let paths: Vec<&'a str> = plan.keys().copied().collect();
        for paths in paths.chunks(AT_ONCE) {
            let on_server: Vec<String> = paths.iter().map(|path| self.zookeeper.on_server(path)).collect();
            let asks: Vec<Ask<'_>> = on_server.iter().map(|path| Ask::Exists(path, false)).collect();
            for (path, answer) in paths.iter().zip(self.zookeeper.ask_all(&asks)?) {
                let answer = Answer::open(&answer).map_err(|error| error.to_string())?;
                match (answer.error, ErrorCode::of(answer.error)) {
                    (0, _) => drop(self.there.insert(path)),
                    (_, Some(ErrorCode::NoNode)) => {}
                    (code, _) => return Err(refused(format!("look at {path}"), code)),
                }
            }
        }
        self.summary.replaced = self.there.len();
        match self.there.first() {
            Some(path) if !self.args.replace => {
                let others = match self.there.len() {
                    1 => String::new(),
                    many => format!(", and so are {} others", many - 1),
                };
                Err(format!("{path} is there already{others}: nothing was changed; --replace writes them").into())
            }
            _ => Ok(()),
        }
    }

    /// Makes all znodes, many at once.
    fn znodes(&mut self, plan: &Plan<'a>) -> Result<(), Failure> {
        let borrowed: Vec<Vec<Acl<'a>>> = plan
            .values()
            .map(|planned| match planned.gets_its_list_last() {
                true => OPEN.to_vec(),
                false => planned.node.acls.iter().map(OwnedAcl::borrow).collect(),
            })
            .collect();
        let mut changes = Vec::new();
        let mut bytes = 0;
        for ((path, planned), acls) in plan.iter().zip(&borrowed) {
            let change = self.change(path, planned.node, acls);
            if changes.len() == AT_ONCE || bytes + change.bytes() > BYTES_AT_ONCE && !changes.is_empty() {
                self.make(&changes)?;
                changes.clear();
                bytes = 0;
            }
            bytes += change.bytes();
            changes.push(change);
        }
        self.make(&changes)
    }

    fn change<'c>(&self, path: &'c str, node: &'c Node, acls: &'c [Acl<'c>]) -> Change<'c> {
        let data = node.data.as_deref().unwrap_or_default();
        if self.there.contains(path) {
            return Change::SetData(path, data, -1);
        }
        let (kind, ttl_ms) = match Ends::of(node.kept.owner) {
            Ends::Emptied => (Kind::Container, 0),
            Ends::After(ms) => (Kind::Ttl, ms),
            Ends::Never | Ends::WithSession(_) => (Kind::Persistent, 0),
        };
        Change::Create(New { path, data, acls, kind, sequential: false, ttl_ms, with_stat: false })
    }

    /// All of these, or none and why.
    fn make(&mut self, changes: &[Change<'_>]) -> Result<(), Failure> {
        if changes.is_empty() {
            return Ok(());
        }
        let failed = |done: &Done| match done {
            Done::Failed(code) if *code != 0 && *code != ErrorCode::RuntimeInconsistency as i32 => Some(*code),
            _ => None,
        };
        let done = self.zookeeper.multi(changes)?;
        match done.iter().enumerate().find_map(|(at, done)| Some((at, failed(done)?))) {
            None => Ok(()),
            Some((at, code)) => Err(refused(
                match changes[at] {
                    Change::Create(new) => format!("create {}", new.path),
                    Change::SetData(path, ..) => format!("write {path}"),
                    Change::Delete(path, _) | Change::Check(path, _) => format!("delete {path}"),
                },
                code,
            )),
        }
    }

    /// Moves counters of sequential names on to where they were, or names would come again that there have been.
    fn counters(&mut self, plan: &Plan<'a>) -> Result<(), Failure> {
        let root = self.state.nodes.get("/").map(|node| ("/", Planned { node, children: 0 }));
        let counting = plan.iter().map(|(path, planned)| (*path, *planned)).chain(root);
        let counting: Vec<(&str, Planned<'_>)> = counting.filter(|(_, planned)| planned.counts_more()).collect();
        for (path, planned) in counting {
            let Some(stat) = self.zookeeper.exists(path)? else { continue };
            let made = (i64::from(stat.cversion) + i64::from(stat.num_children)) / 2;
            let missing = i64::from(planned.node.kept.cversion) - made;
            if missing > COUNTED_MAX.into() {
                self.summary.counters_left.push(path.to_string());
                continue;
            }
            let child = below(path, COUNTING);
            let data = b"";
            let (kind, sequential, with_stat) = (Kind::Persistent, false, false);
            let new = New { path: &child, data, acls: OPEN, kind, sequential, ttl_ms: 0, with_stat };
            let pair = [Change::Create(new), Change::Delete(&child, -1)];
            let mut left = usize::try_from(missing).unwrap_or(0);
            self.summary.counters += usize::from(left > 0);
            while left > 0 {
                let some = left.min(AT_ONCE / 2);
                self.make(&pair.repeat(some))?;
                left -= some;
            }
        }
        Ok(())
    }

    /// Gives access lists to what could not have them before, deepest first.
    fn access_lists(&mut self, plan: &Plan<'a>) -> Result<(), Failure> {
        for (path, planned) in plan.iter().rev() {
            if planned.gets_its_list_last() || self.there.contains(path) {
                self.zookeeper.set_acl(path, &planned.node.acls, -1)?;
            }
        }
        Ok(())
    }

    /// Sets quotas, when all is made that they count.
    fn quotas(&mut self) -> Result<(), Failure> {
        let state = self.state;
        for (path, node) in state.nodes.iter().filter(|(path, _)| path.starts_with(QUOTA)) {
            let acls: Vec<Acl<'_>> = node.acls.iter().map(OwnedAcl::borrow).collect();
            let change = self.change(path, node, &acls);
            let Change::Create(new) = change else { continue };
            match self.zookeeper.create(&new) {
                Err(error) if error.code() == Some(ErrorCode::NodeExists) => {
                    if path.ends_with(LIMITS) {
                        self.zookeeper.set(path, new.data, -1)?;
                    }
                }
                created => drop(created?),
            }
        }
        Ok(())
    }
}

fn refused(what: String, code: i32) -> Failure {
    ZooKeeperError::Refused { what, code }.into()
}
