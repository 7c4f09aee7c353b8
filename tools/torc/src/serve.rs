//! `torc serve`.

use crate::cli::{ServeArgs, SourceArgs};
use crate::output::{Align, Format, Table, print, print_json};
use serde_json::json;
use std::error::Error;
use torc_server::config::{Config, Flag, Sources};
use torc_server::keys::{KEYS, Key};
use torc_server::samples::Build;
use torc_server::start;

/// Serves until it is told to stop.
pub fn run(args: ServeArgs) -> Result<(), Box<dyn Error>> {
    if args.keys {
        print_keys(args.format);
        return Ok(());
    }
    let config = Config::load(&sources(&args.sources))?;
    let build = Build { version: env!("CARGO_PKG_VERSION"), commit: option_env!("TORC_COMMIT") };
    start::serve(&config, build, std::io::stdout())?;
    Ok(())
}

/// The flags as configuration: each stands for a key.
pub fn sources(args: &SourceArgs) -> Sources {
    let flags = [
        ("--data-dir", "log.dirs", &args.data_dir),
        ("--node-id", "node.id", &args.node_id),
        ("--kafka", "listeners", &args.kafka),
        ("--zookeeper", "torc.zookeeper.listener", &args.zookeeper),
        ("--metrics", "torc.metrics.listen", &args.metrics),
        ("--peers", "torc.peers", &args.peers),
        ("--join", "torc.join", &args.join),
        ("--peer", "torc.peer.listener", &args.peer),
        ("--shards", "torc.shards", &args.shards),
    ];
    let given = |(name, key, value): (_, _, &Option<String>)| value.clone().map(|value| Flag { name, key, value });
    Sources { file: args.config.clone(), set: args.set.clone(), flags: flags.into_iter().filter_map(given).collect() }
}

fn print_keys(format: Format) {
    if format == Format::Json {
        let key = |key: &Key| {
            let default = Some(key.default).filter(|default| !default.is_empty());
            json!({ "key": key.name, "default": default, "type": key.kind.name(), "meaning": key.doc })
        };
        return print_json(&KEYS.iter().map(key).collect::<Vec<_>>());
    }
    let mut table = Table::new(&[("KEY", Align::Left), ("DEFAULT", Align::Left), ("MEANING", Align::Left)]);
    for key in KEYS {
        table.row([key.name.to_string(), key.default.to_string(), key.doc.to_string()]);
    }
    print(&table);
}
