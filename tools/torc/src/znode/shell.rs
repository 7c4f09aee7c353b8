//! `torc znode shell`: commands, one a line, in one session.

mod terminal;

use super::args::ZnodeCommand;
use super::{Failure, Place, check, execute, watch};
use crate::exit::Usage;
use crate::output::{Format, print};
use clap::{Parser, Subcommand};
use std::io::{self, BufRead, IsTerminal};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use torc_client::zookeeper::ZooKeeper;

/// A line of the shell.
#[derive(Debug, Parser)]
#[command(multicall = true, disable_help_flag = true, help_template = "{subcommands}")]
struct Line {
    #[command(subcommand)]
    command: ShellCommand,
}

#[derive(Debug, Subcommand)]
enum ShellCommand {
    #[command(flatten)]
    Znode(ZnodeCommand),
    /// Prove who this is, from now on in this session: auth digest user:password.
    Auth {
        /// Such as digest.
        scheme: String,
        /// What it wants to see.
        #[arg(default_value = "")]
        proof: String,
    },
    /// Show the session and the server that serves it.
    Session,
    /// Wait until all that was committed so far is seen here.
    Sync,
    /// End the session and the shell.
    #[command(visible_alias = "exit")]
    Quit,
}

/// What is to become of the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Line,
    End,
}

/// The session, which a thread keeps alive while the shell waits for a line.
type Shared = Arc<Mutex<ZooKeeper>>;

fn lock(shared: &Shared) -> MutexGuard<'_, ZooKeeper> {
    shared.lock().expect("nobody panics with it")
}

/// Reads and does lines until the end of the input.
pub fn shell(zookeeper: ZooKeeper, format: Format) -> Result<(), Failure> {
    let beat = zookeeper.timeout() / 4;
    let shared = Arc::new(Mutex::new(zookeeper));
    let kept = Arc::downgrade(&shared);
    std::thread::spawn(move || {
        while let Some(shared) = kept.upgrade() {
            // A session that is gone is told at the next command.
            let _ = lock(&shared).beat();
            drop(shared);
            std::thread::sleep(beat.max(Duration::from_millis(10)));
        }
    });
    let done = match io::stdin().is_terminal() && io::stdout().is_terminal() {
        true => terminal::lines(&shared, format),
        false => from_pipe(&shared, format, &mut io::stdin().lock()),
    };
    // What was asked for is done: whether the session ended well is nobody's concern.
    let _ = lock(&shared).end();
    done
}

/// Without a terminal: the first failure ends it.
fn from_pipe(shared: &Shared, format: Format, input: &mut dyn BufRead) -> Result<(), Failure> {
    for (number, line) in input.lines().enumerate() {
        let line = line.map_err(|error| format!("cannot read standard input: {error}"))?;
        match one(shared, &line, format) {
            Ok(Next::Line) => {}
            Ok(Next::End) => break,
            Err(error) if error.is::<Usage>() => return Err(Usage(format!("line {}: {error}", number + 1)).into()),
            Err(error) => return Err(format!("line {}: {error}", number + 1).into()),
        }
    }
    Ok(())
}

/// Does one line.
fn one(shared: &Shared, line: &str, format: Format) -> Result<Next, Failure> {
    let words = words(line).map_err(Usage)?;
    if words.first().is_none_or(|word| word.starts_with('#')) {
        return Ok(Next::Line);
    }
    let line = match Line::try_parse_from(&words) {
        Ok(line) => line,
        Err(error) if error.use_stderr() => return Err(Usage(said(&error)).into()),
        // Help was asked for.
        Err(error) => {
            print(error);
            return Ok(Next::Line);
        }
    };
    let mut zookeeper = lock(shared);
    match line.command {
        ShellCommand::Quit => return Ok(Next::End),
        ShellCommand::Auth { scheme, proof } => zookeeper.auth(&scheme, proof.as_bytes())?,
        ShellCommand::Sync => zookeeper.sync()?,
        ShellCommand::Session => print(format_args!(
            "session {:#x}, timeout {} s, at {}, zxid {:#x}\n",
            zookeeper.session(),
            zookeeper.timeout().as_secs_f64(),
            zookeeper.address(),
            zookeeper.last_zxid()
        )),
        ShellCommand::Znode(command) => {
            check(&command)?;
            execute(&mut zookeeper, &command, format, Place::Shell)?;
        }
    }
    drop(zookeeper);
    show_happenings(shared, format)?;
    Ok(Next::Line)
}

/// Events of watches, and that another server serves the session.
fn show_happenings(shared: &Shared, format: Format) -> Result<(), Failure> {
    let mut zookeeper = lock(shared);
    while let Some(happening) = zookeeper.wait(Duration::ZERO)? {
        watch::show(&happening, format);
    }
    Ok(())
}

/// What clap says of a wrong line, in one line and without its headings.
fn said(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let said: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    said.join(" ").trim_start_matches("error: ").to_string()
}

/// The words of a line: parted by spaces, with "..." and '...' around those that have some, and \ before a character that is
/// meant as it is.
fn words(line: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match c {
            ' ' | '\t' => words.extend(word.take()),
            '\\' => {
                let next = characters.next().ok_or("behind the last \\ there is nothing")?;
                word.get_or_insert_default().push(next);
            }
            '"' | '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next().ok_or_else(|| format!("a {c} is missing"))? {
                        '\\' if c == '"' => word.push(characters.next().ok_or("a \" is missing")?),
                        end if end == c => break,
                        other => word.push(other),
                    }
                }
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_falls_into_words() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            ("  ls  /a\t-R ", &["ls", "/a", "-R"]),
            ("set /a \"two words\"", &["set", "/a", "two words"]),
            ("set /a '' x", &["set", "/a", "", "x"]),
            (r#"set /a 'a"b' "a\"b" a\ b"#, &["set", "/a", "a\"b", "a\"b", "a b"]),
            (r#"set /a '{"k": "v"}'x"#, &["set", "/a", "{\"k\": \"v\"}x"]),
        ];
        for (line, expected) in cases {
            assert_eq!(words(line).unwrap(), *expected, "{line}");
        }
        for line in ["get \"/a", "get '/a", "get /a\\", "get \"\\"] {
            assert!(words(line).is_err(), "{line}");
        }
    }

    #[test]
    fn lines_are_commands_of_the_command_line_and_some_more() {
        let parse = |line: &str| Line::try_parse_from(words(line).unwrap());
        assert!(matches!(parse("ls -l /a").unwrap().command, ShellCommand::Znode(ZnodeCommand::Ls(_))));
        assert!(matches!(parse("exit").unwrap().command, ShellCommand::Quit));
        assert!(matches!(parse("auth digest u:p").unwrap().command, ShellCommand::Auth { .. }));
        let wrong = said(&parse("create a").unwrap_err());
        assert!(wrong.contains("a path begins with /: did you mean /a?") && !wrong.contains('\n'), "{wrong}");
        assert!(said(&parse("lss /").unwrap_err()).starts_with("unrecognized subcommand 'lss'"));
    }
}
