//! `torc znode export`: all znodes of a server as a snapshot file.

use super::Failure;
use super::args::ExportArgs;
use super::files::{Kept, Node, State, save};
use super::walk::{Hidden, Tree, walk};
use crate::output::{Format, print, print_json};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use torc_base::malformed::Malformed;
use torc_client::zookeeper::{ZooKeeper, ZooKeeperError};
use torc_net::zookeeper::{Answer, Ask, ErrorCode, OwnedAcl, Stat};

/// Znodes whose data are asked for at once.
const AT_ONCE: usize = 100;
/// What servers say instead of a password's hash to whoever may not see it.
const HIDDEN: &str = ":x";

/// Writes a data directory.
pub fn export(zookeeper: &mut ZooKeeper, args: &ExportArgs, format: Format) -> Result<(), Failure> {
    if args.dir.join("version-2").read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(format!("{} has a data directory already: choose a new one", args.dir.display()).into());
    }
    // What the leader has committed before this is in it.
    zookeeper.sync()?;
    let tree = walk(zookeeper, "/", None, Hidden::Refused)?;
    let (mut state, left_out) = gather(zookeeper, &tree)?;
    state.zxid = zookeeper.last_zxid();
    let path = save(&args.dir, &state)?;
    show(&state, &path, &left_out, format);
    Ok(())
}

/// How many znodes are not exported.
#[derive(Default)]
struct LeftOut {
    ephemeral: usize,
    /// A server shows something of its own there, such as Kafka's metadata: nobody made them.
    shown: usize,
}

/// No change has made it, and it is none of those that every ZooKeeper has from the beginning.
fn is_shown(path: &str, stat: &Stat) -> bool {
    stat.czxid == 0 && path != "/" && path != "/zookeeper" && !path.starts_with("/zookeeper/")
}

fn show(state: &State, path: &Path, left_out: &LeftOut, format: Format) {
    let LeftOut { ephemeral, shown } = *left_out;
    if format == Format::Json {
        return print_json(&json!({
            "znodes": state.nodes.len(), "zxid": state.zxid, "snapshot": path, "ephemeral_left_out": ephemeral,
            "shown_left_out": shown,
        }));
    }
    let mut text = format!("{} znodes as of zxid {:#x} in {}\n", state.nodes.len(), state.zxid, path.display());
    if ephemeral > 0 {
        text += &format!("{ephemeral} ephemeral znodes are left out: their sessions would not follow\n");
    }
    if shown > 0 {
        text += &format!("{shown} are left out that the server only shows, such as Kafka's metadata\n");
    }
    print(text);
}

/// Asks for data and access lists of all of `tree`.
fn gather(zookeeper: &mut ZooKeeper, tree: &Tree) -> Result<(State, LeftOut), Failure> {
    let mut state = State::default();
    let mut lists: BTreeSet<Arc<Vec<OwnedAcl>>> = BTreeSet::new();
    let mut left_out = LeftOut::default();
    let paths: Vec<&String> = tree.keys().collect();
    for paths in paths.chunks(AT_ONCE) {
        let on_server: Vec<String> = paths.iter().map(|path| zookeeper.on_server(path)).collect();
        let asks = on_server.iter().flat_map(|path| [Ask::GetData(path, false), Ask::GetAcl(path)]);
        let answers = zookeeper.ask_all(&asks.collect::<Vec<_>>())?;
        for (path, answers) in paths.iter().zip(answers.chunks_exact(2)) {
            let nonsense = |error: Malformed| ZooKeeperError::Protocol {
                address: zookeeper.address().to_string(),
                what: error.to_string(),
            };
            let (Some(mut data), Some(mut acl)) = (there(path, &answers[0])?, there(path, &answers[1])?) else {
                continue;
            };
            let bytes = data.data().map_err(nonsense)?.map(<[u8]>::to_vec);
            let stat = data.stat().map_err(nonsense)?;
            if is_shown(path, &stat) {
                left_out.shown += 1;
                continue;
            }
            if stat.ephemeral_owner != 0 {
                left_out.ephemeral += 1;
                continue;
            }
            let acls: Vec<OwnedAcl> = acl.acls().map_err(nonsense)?.map(OwnedAcl::from).collect();
            let hidden = |acl: &&OwnedAcl| acl.scheme == "digest" && acl.id.ends_with(HIDDEN);
            if let Some(acl) = acls.iter().find(hidden) {
                let user = acl.id.trim_end_matches(HIDDEN);
                return Err(format!(
                    "{path}: the server hides the password's hash of {user}: give --auth of who has the right a(dmin), \
                     or of the superuser"
                )
                .into());
            }
            let acls = Arc::new(acls);
            if !lists.contains(&acls) {
                lists.insert(Arc::clone(&acls));
            }
            let acls = lists.get(&acls).map_or(acls.clone(), Arc::clone);
            state.nodes.insert((*path).clone(), Node { data: bytes, acls, kept: kept(&stat) });
        }
    }
    Ok((state, left_out))
}

/// An answer about a znode; `None`: it is gone meanwhile.
fn there<'a>(path: &str, answer: &'a [u8]) -> Result<Option<Answer<'a>>, Failure> {
    let answer = Answer::open(answer).map_err(|error| error.to_string())?;
    match (answer.error, ErrorCode::of(answer.error)) {
        (0, _) => Ok(Some(answer)),
        (_, Some(ErrorCode::NoNode)) => Ok(None),
        (code, _) => Err(ZooKeeperError::Refused { what: format!("read {path}"), code }.into()),
    }
}

/// Clients are told twice the children that were ever made, less those that are there.
fn kept(stat: &Stat) -> Kept {
    let cversion = (i64::from(stat.cversion) + i64::from(stat.num_children)) / 2;
    Kept {
        czxid: stat.czxid,
        mzxid: stat.mzxid,
        ctime: stat.ctime,
        mtime: stat.mtime,
        version: stat.version,
        cversion: cversion as i32,
        aversion: stat.aversion,
        owner: stat.ephemeral_owner,
        pzxid: stat.pzxid,
    }
}
