//! `torc completions` and `torc man`: what shells and man(1) know of the command line, made from its definition.

use crate::cli::Cli;
use crate::output::print;
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use std::error::Error;
use std::path::{Path, PathBuf};

/// Prints the completions of one shell.
pub fn completions(shell: Shell) -> Result<(), Box<dyn Error>> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "torc", &mut text);
    print(String::from_utf8(text)?);
    Ok(())
}

/// Writes `torc.1` and a page for each command to `dir`, or prints `torc.1`.
pub fn man(dir: Option<PathBuf>) -> Result<(), Box<dyn Error>> {
    let Some(dir) = dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(built()).render(&mut page)?;
        print(String::from_utf8(page)?);
        return Ok(());
    };
    std::fs::create_dir_all(&dir).map_err(|error| format!("cannot make {}: {error}", dir.display()))?;
    for (name, command) in pages(built(), "torc".to_string()) {
        write_page(&dir, &name, command)?;
    }
    Ok(())
}

/// The whole definition: names of subcommands and their usage are complete only then.
fn built() -> Command {
    let mut command = Cli::command();
    command.build();
    command
}

/// A command and all below it, each with the name of its page, such as `torc-topic-create`.
fn pages(command: Command, name: String) -> Vec<(String, Command)> {
    let below: Vec<Command> = command.get_subcommands().filter(|c| c.get_name() != "help").cloned().collect();
    let below = below.into_iter().flat_map(|command| {
        let name = format!("{name}-{}", command.get_name());
        pages(command, name)
    });
    let below: Vec<_> = below.collect();
    [(name, command)].into_iter().chain(below).collect()
}

fn write_page(dir: &Path, name: &str, command: Command) -> Result<(), Box<dyn Error>> {
    let path = dir.join(format!("{name}.1"));
    let mut page = Vec::new();
    clap_mangen::Man::new(command).title(name.to_string()).render(&mut page)?;
    std::fs::write(&path, page).map_err(|error| format!("cannot write {}: {error}", path.display()).into())
}
