//! `torc group`: groups of consumers of torc, or of any Kafka cluster, over Kafka's own protocol.

pub mod args;
mod delete;
mod describe;
mod list;
mod plan;
mod reset;

pub use describe::ranges_of;

#[cfg(test)]
mod group_tests;

use crate::admin::boxed;
use crate::exit::Usage;
use args::{GroupArgs, GroupCommand};
use torc_client::{Cluster, GroupClient, Patience};

/// Does what the command line asks for.
pub fn run(args: GroupArgs) -> Result<(), Box<dyn std::error::Error>> {
    check(&args.command)?;
    let format = args.format;
    // Ctrl-C ends it: nothing stands half done.
    let patience = Patience::new(args.timeout, || false);
    let mut groups = GroupClient::new(Cluster::connect(&args.bootstrap_server)?, patience);
    let done = match &args.command {
        GroupCommand::List(list) => list::list(&mut groups, list, format),
        GroupCommand::Describe(what) => describe::describe(&mut groups, what, format),
        GroupCommand::ResetOffsets(reset) => reset::reset(&mut groups, reset, format),
        GroupCommand::Delete(delete) => delete::groups(&mut groups, delete, format),
        GroupCommand::DeleteOffsets(delete) => delete::offsets(&mut groups, delete, format),
    };
    done.map_err(boxed)
}

/// What is wrong is said before anything is asked.
fn check(command: &GroupCommand) -> Result<(), Usage> {
    match command {
        GroupCommand::List(_) | GroupCommand::Describe(_) => Ok(()),
        GroupCommand::ResetOffsets(reset) => {
            let input = reset.from_file.as_deref().is_some_and(|path| path.as_os_str() == "-");
            match input && !reset.consent.yes && !reset.consent.dry_run {
                true => Err(Usage("standard input has the offsets, nobody can be asked there: say --yes".to_string())),
                false => reset.consent.check(),
            }
        }
        GroupCommand::Delete(delete) => delete.consent.check(),
        GroupCommand::DeleteOffsets(delete) => delete.consent.check(),
    }
}
