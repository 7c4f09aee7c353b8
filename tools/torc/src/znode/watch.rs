//! `torc znode watch`: what happens, as it happens.

use super::args::WatchArgs;
use super::{Failure, Place};
use crate::formats::moment;
use crate::output::{Format, complain, plain, print};
use serde_json::json;
use std::time::Duration;
use torc_client::zookeeper::{Happening, ZooKeeper};
use torc_load::interrupt;
use torc_net::zookeeper::{AddMode, EventKind};

/// Between two looks whether somebody wants an end.
const LOOK: Duration = Duration::from_millis(100);

/// Prints events until Ctrl-C, or as many as were asked for. In the shell, where no number was asked for, they are shown between
/// the lines from now on.
pub fn watch(zookeeper: &mut ZooKeeper, args: &WatchArgs, format: Format, place: Place) -> Result<(), Failure> {
    let mode = if args.recursive { AddMode::Recursive } else { AddMode::Persistent };
    if place == Place::Shell && args.count.is_none() {
        return Ok(zookeeper.watch(&args.path, mode)?);
    }
    interrupt::watch()?;
    zookeeper.watch(&args.path, mode)?;
    let mut seen = 0;
    while interrupt::caught().is_none() && args.count.is_none_or(|count| seen < count) {
        if let Some(happening) = zookeeper.wait(LOOK)? {
            seen += u64::from(matches!(happening, Happening::Event { .. }));
            show(&happening, format);
        }
    }
    // In the shell the session goes on.
    if interrupt::caught().is_none() {
        zookeeper.unwatch(&args.path)?;
    }
    Ok(())
}

/// ZooKeeper's name of what happened.
fn name(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Created => "created",
        EventKind::Deleted => "deleted",
        EventKind::DataChanged => "changed",
        EventKind::ChildrenChanged => "children",
        EventKind::None => "session",
    }
}

/// A line.
pub fn show(happening: &Happening, format: Format) {
    let now = moment::now_ms();
    match (happening, format) {
        (Happening::Event { kind, path }, Format::Json) => {
            print(format_args!("{}\n", json!({ "at": now, "event": name(*kind), "path": path })));
        }
        (Happening::Event { kind, path }, Format::Table) => {
            print(format_args!("{}  {:<8}  {}\n", moment::text(now), name(*kind), plain(path)));
        }
        (Happening::Reconnected { address }, Format::Json) => {
            print(format_args!("{}\n", json!({ "at": now, "event": "reconnected", "address": address })));
        }
        (Happening::Reconnected { address }, Format::Table) => {
            complain(&format!("{address} serves the session now; what happened between is not shown"));
        }
    }
}
