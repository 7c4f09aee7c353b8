//! `torc topic`: topics of torc, or of any Kafka cluster, over Kafka's own protocol.

mod change;
mod delete;
mod describe;
mod pattern;
mod sizes;

#[cfg(test)]
mod topic_tests;

use crate::admin::boxed;
use crate::cli::{TopicArgs, TopicCommand};
use std::time::Duration;
use torc_client::{Cluster, Patience};

/// How long a controller or a leader is waited for that moves meanwhile.
const MOVES: Duration = Duration::from_secs(15);

fn patience() -> Patience {
    Patience::new(MOVES, || false)
}

/// What Kafka's requests may take on the servers' side, in milliseconds.
const TIMEOUT_MS: i32 = 30_000;

/// Does what the command line asks for.
pub fn run(args: TopicArgs) -> Result<(), Box<dyn std::error::Error>> {
    if let TopicCommand::Delete(delete) = &args.command {
        delete.consent.check()?;
    }
    let mut cluster = Cluster::connect(&args.bootstrap_server)?;
    let done = match &args.command {
        TopicCommand::Create(create) => change::create(&mut cluster, create, args.format),
        TopicCommand::List { names } => describe::list(&mut cluster, names, args.format),
        TopicCommand::Describe { names } => describe::describe(&mut cluster, names, args.format),
        TopicCommand::Alter(alter) => change::alter(&mut cluster, alter, args.format),
        TopicCommand::Delete(delete) => delete::delete(&mut cluster, delete, args.format),
    };
    done.map_err(boxed)
}
