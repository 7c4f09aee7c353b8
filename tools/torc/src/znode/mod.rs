//! `torc znode`: the tree of torc, or of any ZooKeeper, over ZooKeeper's own protocol.

mod acl;
pub mod args;
mod change;
mod export;
mod files;
mod import;
mod kinds;
mod look;
mod shell;
mod walk;
mod watch;

use crate::exit::Usage;
use crate::output::Format;
use args::{ZnodeArgs, ZnodeCommand};
use std::error::Error;
use torc_client::zookeeper::{ZooKeeper, ZooKeeperOptions};

/// Why a command did not do all that it was asked for.
pub type Failure = Box<dyn Error>;

/// Where a command is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the command line: its session ends with it.
    CommandLine,
    /// In the shell, whose session goes on.
    Shell,
}

/// Does what the command line asks for.
pub fn run(args: ZnodeArgs) -> Result<(), Failure> {
    check(&args.command)?;
    let mut zookeeper = ZooKeeper::connect(&args.server, options(&args))?;
    if matches!(args.command, ZnodeCommand::Shell) {
        return shell::shell(zookeeper, args.format);
    }
    let done = execute(&mut zookeeper, &args.command, args.format, Place::CommandLine);
    // What was asked for is done: whether the session ended well is nobody's concern.
    let _ = zookeeper.close();
    done
}

fn options(args: &ZnodeArgs) -> ZooKeeperOptions {
    let auths = args.auth.iter().map(|(scheme, proof)| (scheme.clone(), proof.clone().into_bytes()));
    ZooKeeperOptions { timeout: args.timeout, auths: auths.collect() }
}

/// What is wrong is said before anything is asked.
fn check(command: &ZnodeCommand) -> Result<(), Usage> {
    match command {
        ZnodeCommand::Deleteall(delete) => delete.consent.check(),
        _ => Ok(()),
    }
}

/// Does one command in a session.
fn execute(zookeeper: &mut ZooKeeper, command: &ZnodeCommand, format: Format, place: Place) -> Result<(), Failure> {
    match command {
        ZnodeCommand::Ls(args) => look::ls(zookeeper, args, format),
        ZnodeCommand::Tree(args) => look::tree(zookeeper, args, format),
        ZnodeCommand::Get(args) => look::get(zookeeper, args, format, place),
        ZnodeCommand::Stat { path } => look::stat(zookeeper, path, format),
        ZnodeCommand::Set(args) => change::set(zookeeper, args, format),
        ZnodeCommand::Create(args) => change::create(zookeeper, args, format, place),
        ZnodeCommand::Delete(args) => change::delete(zookeeper, args, format),
        ZnodeCommand::Deleteall(args) => change::delete_all(zookeeper, args, format),
        ZnodeCommand::Acl(args) => change::acl(zookeeper, args, format),
        ZnodeCommand::Watch(args) => watch::watch(zookeeper, args, format, place),
        ZnodeCommand::Import(args) => import::import(zookeeper, args, format),
        ZnodeCommand::Export(args) => export::export(zookeeper, args, format),
        ZnodeCommand::Shell => Err(Usage("this is the shell".to_string()).into()),
    }
}
