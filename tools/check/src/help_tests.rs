use crate::Cli;
use clap::{Command, CommandFactory};

fn assert_said(command: &Command) {
    assert!(command.get_about().is_some(), "{} says nothing", command.get_name());
    for arg in command.get_arguments() {
        let said = arg.get_help().or(arg.get_long_help());
        assert!(said.is_some_and(|said| !said.to_string().is_empty()), "{}: {arg} says nothing", command.get_name());
    }
    command.get_subcommands().for_each(assert_said);
}

#[test]
fn every_check_and_option_says_what_it_does() {
    let mut command = Cli::command();
    command.build();
    assert_said(&command);
}
