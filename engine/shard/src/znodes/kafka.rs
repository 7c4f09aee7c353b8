//! Kafka's metadata below their chroot (`torc.zookeeper.kafka.chroot`), which no log of the tree's has: reads are answered from
//! what this shard knows of the catalog, watches fire when that has changed, and nothing can be written. Who deletes
//! `controller` moves it to another node. A znode that somebody has made at the chroot comes first: then it is an ordinary path.

use super::answers::{code, stat};
use super::clients::{Looked, Want, What};
use super::{Around, TreeAsk, TreeMail, Znodes};
use crate::kafka::View;
use crate::mail::{Mail, Place};
use crate::settings::{Protocol, Settings};
use std::collections::BTreeMap;
use std::sync::Arc;
use torc_base::buf::Buf;
use torc_base::ids::{ConnId, GroupId, NodeId, ShardId, Term, Zxid};
use torc_base::time::Mono;
use torc_net::zookeeper::{self as wire, ErrorCode, Head, Outcome, Reply, Request, failure};
use torc_state::catalog::Node;
use torc_state::kafka_znodes::{self, CONTROLLER, Metadata, Shown};
use torc_state::tree::watches::Watch;
use torc_state::tree::{Id, Refused, Tree, TreeError, perms};

/// Between two looks at what those who watch are to be told: each takes as long as there are partitions.
const NEWS_MS: u64 = 50;

/// What is known of it.
pub(super) struct KafkaTree {
    chroot: Option<Box<str>>,
    /// This node as a broker; none without a listener for Kafka's clients.
    me: Option<Arc<Node>>,
    /// The brokers that are there, of the moment `told` of the view and the term of the catalog.
    brokers: BTreeMap<NodeId, Arc<Node>>,
    told: Option<(u64, Term)>,
    /// The tree's last change then.
    zxid: Zxid,
    /// What those who watch have been told of; none while nobody watches.
    shown: Option<Shown>,
    /// When it is looked at again, if it waits for that.
    next_news: Mono,
    waits: bool,
}

impl KafkaTree {
    pub(super) fn new(settings: &Settings, chroot: Option<&str>) -> KafkaTree {
        let kafkas = settings.listeners.iter().filter(|listener| listener.protocol == Protocol::Kafka);
        let me = Node {
            id: settings.node,
            start: settings.cluster.start,
            rack: settings.cluster.rack.clone(),
            listeners: kafkas.map(|listener| listener.advertised.clone()).collect(),
            shards: settings.shards,
            lives: Vec::new(),
            entry_bytes_max: settings.wal.entry_bytes_max(),
        };
        KafkaTree {
            chroot: chroot.map(Into::into),
            me: (!me.listeners.is_empty()).then(|| Arc::new(me)),
            brokers: BTreeMap::new(),
            told: None,
            zxid: Zxid(0),
            shown: None,
            next_news: Mono(0),
            waits: false,
        }
    }

    /// When there is something to look at.
    pub(super) fn deadline(&self) -> Option<Mono> {
        self.waits.then_some(self.next_news)
    }

    /// The chroot, unless somebody has made that znode.
    fn chroot(&self, tree: &Tree) -> Option<&str> {
        self.chroot.as_deref().filter(|chroot| tree.exists(chroot, &[]) == Err(TreeError::NoNode))
    }

    /// The path below the chroot.
    pub(super) fn below<'a>(&self, tree: &Tree, path: &'a str) -> Option<&'a str> {
        // Nearly all paths are elsewhere, which the first comparison says.
        let inner = kafka_znodes::below(self.chroot.as_deref()?, path)?;
        self.chroot(tree).map(|_| inner)
    }

    /// What stands beside the children of a znode of the tree: the chroot, if it is below that.
    pub(super) fn child_of<'a>(&'a self, tree: &Tree, path: &str) -> Option<&'a str> {
        let name = kafka_znodes::child_of_parent(self.chroot.as_deref()?, path)?;
        self.chroot(tree).map(|_| name)
    }

    fn with<T>(&self, around: &Around, settings: &Settings, look: impl FnOnce(&Metadata<'_>) -> T) -> T {
        let view = around.view;
        let groups = || {
            let names = view.configured_groups();
            names.filter_map(|name| Some((Arc::clone(name), Arc::clone(view.group(name)?)))).collect()
        };
        look(&Metadata {
            cluster_id: &settings.cluster_id,
            topics: view.topics_by_name(),
            groups: &groups,
            brokers: &self.brokers,
            here: settings.node,
            leader: &|group| view.leader(group).map(|leader| (leader.node, leader.epoch)),
            is_behind: &|group, node| view.behind(group).contains(&node),
            controller: if settings.is_alone() { Some(settings.node) } else { view.controller() },
            controller_epoch: around.groups.catalog_term().get(),
            zxid: self.zxid,
        })
    }

    /// True if something has changed since the last look.
    fn notice(&mut self, around: &Around, settings: &Settings) -> bool {
        let told = (around.view.told(), around.groups.catalog_term());
        if self.told == Some(told) {
            return false;
        }
        self.told = Some(told);
        self.zxid = around.tree().zxid();
        self.brokers = brokers(around.view, settings, self.me.as_ref());
        true
    }
}

fn brokers(view: &View, settings: &Settings, me: Option<&Arc<Node>>) -> BTreeMap<NodeId, Arc<Node>> {
    let others = view.nodes().filter(|node| node.id != settings.node && !node.listeners.is_empty());
    others.chain(me).map(|node| (node.id, Arc::clone(node))).collect()
}

impl Znodes {
    /// Tells those who watch what has changed since they were told, but not too often.
    pub(super) fn turn_kafka(&mut self, around: &mut Around) {
        let told = (around.view.told(), around.groups.catalog_term());
        if self.kafka.shown.is_none() || self.kafka.told == Some(told) {
            self.kafka.waits = false;
        } else if around.now() < self.kafka.next_news {
            self.kafka.waits = true;
        } else {
            self.kafka.waits = false;
            self.kafka.next_news = around.now().plus_ms(NEWS_MS);
            self.tell_news(around);
        }
    }

    /// Tells those who watch what has changed, at once: whoever reads now hears of it before.
    fn tell_news(&mut self, around: &mut Around) {
        if !self.kafka.notice(around, &self.settings) {
            return;
        }
        let Some(chroot) = self.kafka.chroot.clone() else { return };
        let Some(before) = self.kafka.shown.take() else { return };
        if !self.watches.is_watched_below(&chroot) {
            return;
        }
        let next = self.kafka.with(around, &self.settings, Shown::of);
        let news = before.news(&next);
        self.kafka.shown = Some(next);
        for (kind, path) in news {
            self.tell_of(around, kind, &kafka_znodes::above(&chroot, &path));
        }
    }

    /// Somebody is about to watch a path: from now on it is known what has changed.
    pub(super) fn watch_kafka(&mut self, around: &mut Around, path: &str) {
        let Some(chroot) = self.kafka.chroot.as_deref() else { return };
        if kafka_znodes::below(chroot, path).is_none() && kafka_znodes::child_of_parent(chroot, path).is_none() {
            return;
        }
        self.tell_news(around);
        if self.kafka.shown.is_none() {
            self.kafka.shown = Some(self.kafka.with(around, &self.settings, Shown::of));
        }
    }

    /// The answer to a request that reads below the chroot; `None`: it reads elsewhere.
    pub(super) fn read_kafka(
        &mut self,
        around: &mut Around,
        conn: ConnId,
        head: Head,
        request: &Request<'_>,
    ) -> Option<Buf> {
        let (path, watch) = match request {
            Request::Exists(path, is_watched) | Request::GetData(path, is_watched) => {
                (*path, is_watched.then_some(Watch::Data))
            }
            Request::GetChildren(path, is_watched, _) => (*path, is_watched.then_some(Watch::Children)),
            Request::GetAcl(path) | Request::GetAllChildrenNumber(path) => (*path, None),
            Request::MultiRead(ops) => {
                (ops.clone().map(|op| path_of(&op)).find(|path| self.is_kafkas(around, path))?, None)
            }
            _ => return None,
        };
        let inner = self.kafka.below(around.tree(), path)?;
        self.tell_news(around);
        if watch.is_some() {
            self.watch_kafka(around, path);
        }
        let mut scratch = std::mem::take(&mut self.packer.scratch);
        let zxid = around.tree().zxid().get();
        let result = self.put_kafka(around, conn, head, inner, request, &mut scratch);
        // As in the tree: whoever asks whether it is there may watch what is not.
        let is_asked = matches!((request, &result), (Request::Exists(..), Err(ErrorCode::NoNode)));
        let watched =
            watch.filter(|_| result.is_ok() || is_asked).map(|watch| self.watches.add(conn, path, watch).map_err(code));
        if let Err(error) = watched.unwrap_or(Ok(())).and(result) {
            scratch.clear();
            failure(&mut scratch, head.xid, zxid, error);
        }
        self.packer.scratch = scratch;
        Some(self.packer.take_scratch())
    }

    /// Whether there is a znode that somebody is about to watch; `None`: it is not below the chroot.
    pub(super) fn is_in_kafka(&mut self, around: &mut Around, path: &str) -> Option<bool> {
        self.watch_kafka(around, path);
        let inner = self.kafka.below(around.tree(), path)?;
        Some(self.kafka.with(around, &self.settings, |metadata| metadata.find(inner)).is_some())
    }

    pub(super) fn is_kafkas(&self, around: &Around, path: &str) -> bool {
        self.kafka.below(around.tree(), path).is_some()
    }

    fn put_kafka(
        &self,
        around: &Around,
        conn: ConnId,
        head: Head,
        inner: &str,
        request: &Request<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), ErrorCode> {
        let zxid = around.tree().zxid().get();
        let found = self.kafka.with(around, &self.settings, |metadata| metadata.find(inner));
        let children = || self.kafka.with(around, &self.settings, |metadata| metadata.children(inner));
        let mut reply = Reply::new(out, head.xid, zxid);
        match request {
            Request::Exists(..) => reply.stat(&stat(&found.ok_or(ErrorCode::NoNode)?.1)),
            Request::GetData(..) => {
                let (data, found) = found.ok_or(ErrorCode::NoNode)?;
                reply.data(data.as_deref());
                reply.stat(&stat(&found));
            }
            Request::GetChildren(_, _, with_stat) => {
                let (names, found) = children().ok_or(ErrorCode::NoNode)?;
                reply.names(names.iter().map(String::as_str));
                if *with_stat {
                    reply.stat(&stat(&found));
                }
            }
            Request::GetAcl(_) => {
                let found = found.ok_or(ErrorCode::NoNode)?.1;
                reply.acls([wire::Acl { perms: perms::READ, scheme: "world", id: "anyone" }].into_iter());
                reply.stat(&stat(&found));
            }
            Request::GetAllChildrenNumber(_) => {
                let count = self.kafka.with(around, &self.settings, |metadata| metadata.count_below(inner));
                reply.count(i32::try_from(count.ok_or(ErrorCode::NoNode)?).unwrap_or(i32::MAX));
            }
            Request::MultiRead(ops) => {
                let client = self.clients.get(&conn).ok_or(ErrorCode::SessionExpired)?;
                let ids = client.as_ids();
                let put = |op: &wire::Op<'_>, reply: &mut Reply<'_>| self.put_one(around, &ids, op, reply);
                super::reads::put_reads(ops.clone(), &mut reply, put);
            }
            _ => unreachable!("the caller has looked"),
        }
        reply.end();
        Ok(())
    }

    /// The result of one of many reads, here or in the tree.
    fn put_one(&self, around: &Around, ids: &[Id<'_>], op: &wire::Op<'_>, reply: &mut Reply<'_>) {
        let Some(inner) = self.kafka.below(around.tree(), path_of(op)) else {
            return super::reads::put_read_of_many((around.tree(), &self.kafka, ids), op, reply);
        };
        match op {
            wire::Op::GetChildren(_) => {
                match self.kafka.with(around, &self.settings, |metadata| metadata.children(inner)) {
                    Some((names, _)) => reply.outcome_names(names.iter().map(String::as_str)),
                    None => reply.outcome(&Outcome::Error(Some(ErrorCode::NoNode))),
                }
            }
            _ => match self.kafka.with(around, &self.settings, |metadata| metadata.find(inner)) {
                Some((data, found)) => reply.outcome(&Outcome::GetData(data.as_deref(), stat(&found))),
                None => reply.outcome(&Outcome::Error(Some(ErrorCode::NoNode))),
            },
        }
    }

    /// What becomes of a request that would change something below the chroot, or asks for a version there; `None`: it does so elsewhere,
    /// or is a multi, whose operations the tree's leader judges in their order ([`Znodes::judge_kafkas`]).
    pub(super) fn change_kafka(
        &mut self,
        around: &mut Around,
        head: Head,
        want: &Want,
        request: &Request<'_>,
    ) -> Option<Looked> {
        let (path, wish) = match request {
            Request::Create(create) => (create.path, Wish::Make),
            Request::Delete(path, _) | Request::SetData(path, ..) | Request::SetAcl(path, ..) => (*path, Wish::Change),
            Request::Check(path, version) => (*path, Wish::Check(*version)),
            Request::Multi(ops) => {
                if ops.clone().any(|op| self.is_kafkas(around, path_of(&op))) {
                    self.tell_news(around);
                }
                return None;
            }
            _ => return None,
        };
        let inner = self.kafka.below(around.tree(), path)?;
        self.tell_news(around);
        let found = self.kafka_version(around, inner);
        let judged = match (found, request) {
            (Some(_), Request::Delete(_, wanted)) if inner == CONTROLLER => Wish::Check(*wanted).judge(found),
            _ => wish.judge(found),
        };
        if judged.is_ok() && matches!(request, Request::Delete(..)) {
            self.move_controller(around);
        }
        let refused = judged.err().map(|error| Refused { error, at: 0 });
        let after = around.tree().applied();
        Some(Looked::Taken(What::Settled { xid: head.xid, want: want.clone(), refused, after }))
    }

    /// Of an operation of a multi: whether it may be, if it is below the chroot. Nothing can be changed there, but for a version it may
    /// ask.
    pub(super) fn judge_kafkas(&mut self, around: &mut Around, op: &wire::Op<'_>) -> Option<Result<(), TreeError>> {
        let inner = self.kafka.below(around.tree(), path_of(op))?;
        self.tell_news(around);
        let wish = match op {
            wire::Op::Create(_) => Wish::Make,
            wire::Op::Check(_, version) => Wish::Check(*version),
            _ => Wish::Change,
        };
        Some(wish.judge(self.kafka_version(around, inner)))
    }

    /// The version of a znode below the chroot, if it is there.
    fn kafka_version(&self, around: &Around, inner: &str) -> Option<i32> {
        self.kafka.with(around, &self.settings, |metadata| metadata.find(inner)).map(|(_, stat)| stat.version)
    }

    /// Another node is to lead the catalog, if one can.
    pub(super) fn move_controller(&mut self, around: &mut Around) {
        if around.groups.leads(GroupId::CATALOG) {
            around.groups.move_away(around.out, GroupId::CATALOG);
        } else if let Some(node) = around.view.controller().filter(|node| *node != self.settings.node) {
            let mail = TreeMail { asks: vec![TreeAsk::MoveController], ..TreeMail::default() };
            around.groups.outboxes.post(Place { node, shard: ShardId(0) }, Mail::Tree(Box::new(mail)));
        }
    }
}

/// What is wanted of a znode below the chroot.
#[derive(Clone, Copy)]
enum Wish {
    /// It is made.
    Make,
    /// It has this version; -1: any.
    Check(i32),
    /// It becomes another, or goes.
    Change,
}

impl Wish {
    /// Whether that is so. `found`: the version of the znode, if it is there.
    fn judge(self, found: Option<i32>) -> Result<(), TreeError> {
        match (self, found) {
            (Wish::Make, Some(_)) => Err(TreeError::NodeExists),
            (Wish::Check(_) | Wish::Change, None) => Err(TreeError::NoNode),
            (Wish::Check(wanted), Some(version)) if wanted == -1 || wanted == version => Ok(()),
            (Wish::Check(_), Some(_)) => Err(TreeError::BadVersion),
            (Wish::Make, None) | (Wish::Change, Some(_)) => Err(TreeError::NoAuth),
        }
    }
}

/// The znode of an operation of a multi.
pub(super) fn path_of<'a>(op: &wire::Op<'a>) -> &'a str {
    match op {
        wire::Op::Create(create) => create.path,
        wire::Op::Delete(path, _)
        | wire::Op::SetData(path, ..)
        | wire::Op::Check(path, _)
        | wire::Op::GetData(path)
        | wire::Op::GetChildren(path) => path,
    }
}
