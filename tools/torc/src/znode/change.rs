//! `torc znode create`, `set`, `delete`, `deleteall`, `acl`: what is to be another.

use super::acl::{open_list, show, text};
use super::args::{AclArgs, CreateArgs, DataArgs, DeleteAllArgs, DeleteArgs, SetArgs};
use super::walk::{Hidden, walk};
use super::{Failure, Place};
use crate::admin::{AdminError, boxed, note};
use crate::exit::Usage;
use crate::formats::hex;
use crate::output::{Align, Format, Table, plain, print, print_json};
use serde_json::json;
use std::io::Read;
use std::time::Duration;
use torc_client::zookeeper::{Done, ZooKeeper, ZooKeeperError};
use torc_load::interrupt;
use torc_net::zookeeper::{Change, ErrorCode, Kind, New};

/// Deletes of one multi.
const AT_ONCE: usize = 200;
/// Rounds over a tree that others fill while it is deleted.
const ROUNDS: usize = 5;
/// Between two looks whether somebody wants an end.
const LOOK: Duration = Duration::from_millis(100);

impl DataArgs {
    /// What is to be written; `None`: nothing was said.
    fn read(&self) -> Result<Option<Vec<u8>>, Failure> {
        if let Some(text) = &self.data {
            return match self.hex {
                true => hex::parse(text.as_bytes()).map(Some).map_err(|why| Usage(why.to_string()).into()),
                false => Ok(Some(text.clone().into_bytes())),
            };
        }
        let Some(file) = &self.file else { return Ok(None) };
        let mut data = Vec::new();
        let read = match file.as_os_str() == "-" {
            true => std::io::stdin().lock().read_to_end(&mut data).map(drop),
            false => std::fs::read(file).map(|read| data = read),
        };
        read.map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        Ok(Some(data))
    }
}

/// `torc znode set`.
pub fn set(zookeeper: &mut ZooKeeper, args: &SetArgs, format: Format) -> Result<(), Failure> {
    let Some(data) = args.data.read()? else {
        return Err(Usage("say what is to be written: DATA, or --file FILE".to_string()).into());
    };
    let stat = zookeeper.set(&args.path, &data, args.version.unwrap_or(-1))?;
    match format {
        Format::Json => print_json(&json!({ "path": args.path, "version": stat.version, "mzxid": stat.mzxid })),
        Format::Table => print(format_args!("{} has version {}\n", plain(&args.path), stat.version)),
    }
    Ok(())
}

/// `torc znode create`.
pub fn create(zookeeper: &mut ZooKeeper, args: &CreateArgs, format: Format, place: Place) -> Result<(), Failure> {
    let data = args.data.read()?.unwrap_or_default();
    if args.path.ends_with('/') && !args.sequential {
        return Err(Usage(format!("{} has no name, which only a sequential znode needs not", args.path)).into());
    }
    let acls = args.acl.clone().unwrap_or_else(open_list);
    let borrowed: Vec<_> = acls.iter().map(|acl| acl.borrow()).collect();
    let kind = match (args.ephemeral, args.container, args.ttl) {
        (true, ..) => Kind::Ephemeral,
        (_, true, _) => Kind::Container,
        (_, _, Some(_)) => Kind::Ttl,
        _ => Kind::Persistent,
    };
    if args.parents {
        make_parents(zookeeper, &args.path)?;
    }
    let new = New {
        path: &args.path,
        data: &data,
        acls: &borrowed,
        kind,
        sequential: args.sequential,
        ttl_ms: args.ttl.unwrap_or(0),
        with_stat: false,
    };
    let holds = kind == Kind::Ephemeral && place == Place::CommandLine;
    if holds {
        interrupt::watch()?;
    }
    let created = zookeeper.create(&new)?;
    match format {
        Format::Json => print_json(&json!({ "created": created })),
        Format::Table => print(format_args!("{}\n", plain(&created))),
    }
    while holds && interrupt::caught().is_none() {
        zookeeper.wait(LOOK)?;
    }
    Ok(())
}

/// Makes what is missing above a path, for everybody.
pub fn make_parents(zookeeper: &mut ZooKeeper, path: &str) -> Result<(), Failure> {
    let open = open_list();
    let open: Vec<_> = open.iter().map(|acl| acl.borrow()).collect();
    for (at, _) in path.match_indices('/').skip(1) {
        let path = &path[..at];
        let new = New {
            path,
            data: b"",
            acls: &open,
            kind: Kind::Persistent,
            sequential: false,
            ttl_ms: 0,
            with_stat: false,
        };
        match zookeeper.create(&new) {
            Err(error) if error.code() != Some(ErrorCode::NodeExists) => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

/// `torc znode delete`: each by itself, up to the first that cannot be.
pub fn delete(zookeeper: &mut ZooKeeper, args: &DeleteArgs, format: Format) -> Result<(), Failure> {
    let mut deleted = Vec::new();
    let mut refused = None;
    for path in &args.paths {
        match zookeeper.delete(path, args.version.unwrap_or(-1)) {
            Ok(()) => deleted.push(path.clone()),
            Err(error) => {
                let has_children = error.code() == Some(ErrorCode::NotEmpty);
                let hint = if has_children { "; torc znode deleteall deletes them too" } else { "" };
                refused = Some(format!("{error}{hint}"));
                break;
            }
        }
    }
    if format == Format::Json || !deleted.is_empty() {
        show_deleted(&deleted, false, format);
    }
    refused.map_or(Ok(()), |why| Err(why.into()))
}

fn show_deleted(deleted: &[String], dry_run: bool, format: Format) {
    match format {
        Format::Json => print_json(&json!({ "deleted": deleted, "dry_run": dry_run })),
        Format::Table => {
            let mut table = Table::new(&[(if dry_run { "ZNODE" } else { "DELETED" }, Align::Left)]);
            deleted.iter().for_each(|path| table.row([path.clone()]));
            print(format_args!("{table}{}", note(dry_run)));
        }
    }
}

/// `torc znode deleteall`, if it is meant.
pub fn delete_all(zookeeper: &mut ZooKeeper, args: &DeleteAllArgs, format: Format) -> Result<(), Failure> {
    let found: Vec<String> = walk(zookeeper, &args.path, None, Hidden::Refused)?.into_keys().collect();
    if args.consent.dry_run {
        show_deleted(&found, true, format);
        return Ok(());
    }
    let question = match found.len() {
        1 => format!("Delete {}?", plain(&args.path)),
        many => format!("Delete {} and the {} znodes below it?", plain(&args.path), many - 1),
    };
    if !args.consent.is_given("", &question) {
        return Err(boxed(AdminError::NotMeant("nothing was deleted")));
    }
    let deleted = remove(zookeeper, &args.path, found)?;
    match format {
        Format::Json => print_json(&json!({ "deleted": deleted, "dry_run": false })),
        Format::Table => print(format_args!("{deleted} znodes deleted\n")),
    }
    Ok(())
}

/// Deletes `found`, which is all below `path` and itself; returns how many there were. What others make there meanwhile goes too.
pub fn remove(zookeeper: &mut ZooKeeper, path: &str, found: Vec<String>) -> Result<usize, Failure> {
    let (mut found, mut deleted) = (found, 0);
    for _ in 0..ROUNDS {
        // Children come behind their parents in this order.
        found.reverse();
        for paths in found.chunks(AT_ONCE) {
            deleted += delete_some(zookeeper, paths)?;
        }
        if zookeeper.exists(path)?.is_none() {
            return Ok(deleted);
        }
        found = walk(zookeeper, path, None, Hidden::Refused)?.into_keys().collect();
    }
    Err(format!("others make znodes below {path} faster than they are deleted: {deleted} were").into())
}

/// All at once, or if that fails one by one.
fn delete_some(zookeeper: &mut ZooKeeper, paths: &[String]) -> Result<usize, Failure> {
    let changes: Vec<Change<'_>> = paths.iter().map(|path| Change::Delete(path, -1)).collect();
    let done = zookeeper.multi(&changes)?;
    if !done.iter().any(|done| matches!(done, Done::Failed(_))) {
        return Ok(paths.len());
    }
    let mut deleted = 0;
    for path in paths {
        match zookeeper.delete(path, -1) {
            Ok(()) => deleted += 1,
            // It is gone, or has got a child: the next round sees that.
            Err(error) if matches!(error.code(), Some(ErrorCode::NoNode | ErrorCode::NotEmpty)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(deleted)
}

/// `torc znode acl`.
pub fn acl(zookeeper: &mut ZooKeeper, args: &AclArgs, format: Format) -> Result<(), Failure> {
    let Some(acls) = &args.acl else { return show(zookeeper, &args.path, format) };
    if !args.recursive {
        let stat = zookeeper.set_acl(&args.path, acls, args.version.unwrap_or(-1))?;
        match format {
            Format::Json => {
                print_json(&json!({ "path": args.path, "text": text(acls), "aversion": stat.aversion }));
            }
            Format::Table => {
                print(format_args!("{} has access list version {}\n", plain(&args.path), stat.aversion));
            }
        }
        return Ok(());
    }
    let mut changed = 0_u64;
    // Deepest first: who takes his own rights away keeps them on what is below.
    for path in walk(zookeeper, &args.path, None, Hidden::Refused)?.into_keys().rev() {
        match zookeeper.set_acl(&path, acls, -1) {
            Ok(_) => changed += 1,
            Err(error @ ZooKeeperError::Refused { .. }) if error.code() == Some(ErrorCode::NoNode) => {}
            Err(error) => return Err(format!("{error} ({changed} others were changed)").into()),
        }
    }
    match format {
        Format::Json => print_json(&json!({ "path": args.path, "text": text(acls), "changed": changed })),
        Format::Table => print(format_args!("{changed} access lists changed\n")),
    }
    Ok(())
}
