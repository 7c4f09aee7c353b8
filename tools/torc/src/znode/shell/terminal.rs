//! The shell on a terminal: history, completion, and failures that do not end it.

use super::super::walk::below;
use super::{Line, Next, Shared, lock, one, show_happenings};
use crate::output::{Format, complain};
use crate::znode::Failure;
use clap::CommandFactory;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};
use std::path::PathBuf;
use torc_client::zookeeper::ZooKeeperError;

const PROMPT: &str = "znode> ";
/// Lines that are kept from one shell to the next.
const HISTORY_MAX: usize = 1_000;
/// Candidates that are offered at most.
const OFFERED_MAX: usize = 1_000;

/// Reads and does lines until `quit` or Ctrl-D.
pub fn lines(shared: &Shared, format: Format) -> Result<(), Failure> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .max_history_size(HISTORY_MAX)?
        .history_ignore_space(true)
        .build();
    let mut editor: Editor<Completion, FileHistory> = Editor::with_config(config)?;
    editor.set_helper(Some(Completion(Shared::clone(shared))));
    let history = history_file();
    if let Some(file) = &history {
        // The first shell has none.
        let _ = editor.load_history(file);
    }
    let done = read(&mut editor, shared, format);
    if let Some(file) = &history {
        let saved = file.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(ReadlineError::Io);
        if let Err(error) = saved.and_then(|()| editor.save_history(file)) {
            complain(&format!("the history is not kept in {}: {error}", file.display()));
        }
    }
    done
}

fn read(editor: &mut Editor<Completion, FileHistory>, shared: &Shared, format: Format) -> Result<(), Failure> {
    loop {
        show_happenings(shared, format)?;
        let line = match editor.readline(PROMPT) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        // Passwords are not kept.
        if !line.trim_start().starts_with("auth") {
            editor.add_history_entry(line.as_str())?;
        }
        match one(shared, &line, format) {
            Ok(Next::Line) => {}
            Ok(Next::End) => return Ok(()),
            // Nothing can be asked in it any more.
            Err(error) if matches!(error.downcast_ref(), Some(ZooKeeperError::Expired { .. })) => return Err(error),
            Err(error) => complain(&error.to_string()),
        }
    }
}

/// Where lines are kept, if there is a home.
fn history_file() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    Some(state.join("torc/znode-history"))
}

/// Knows the commands, their options, and what is on the server.
struct Completion(Shared);

impl Completion {
    fn candidates(&self, before: &str) -> (usize, Vec<String>) {
        let start = before.rfind([' ', '\t']).map_or(0, |at| at + 1);
        let word = &before[start..];
        let line = Line::command();
        let mut found: Vec<String> = if start == before.len() - before.trim_start().len() {
            line.get_subcommands().map(|command| command.get_name().to_string()).collect()
        } else if word.starts_with('-') {
            let name = before.split_whitespace().next().unwrap_or_default();
            let command = line.find_subcommand(name);
            let options = command.into_iter().flat_map(|command| command.get_arguments());
            options.filter_map(|option| option.get_long()).map(|long| format!("--{long}")).collect()
        } else if let Some((above, _)) = word.rsplit_once('/') {
            let above = if above.is_empty() { "/" } else { above };
            // Nobody is to be kept from writing by what cannot be listed.
            let names = lock(&self.0).children(above).map(|(names, _)| names).unwrap_or_default();
            names.iter().map(|name| below(above, name)).collect()
        } else {
            Vec::new()
        };
        found.retain(|candidate| candidate.starts_with(word));
        found.truncate(OFFERED_MAX);
        (start, found)
    }
}

impl Completer for Completion {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.candidates(&line[..pos]))
    }
}

impl Helper for Completion {}
impl Highlighter for Completion {}
impl Validator for Completion {}
impl Hinter for Completion {
    type Hint = String;
}

#[cfg(test)]
#[path = "../../../tests/support/zookeeper.rs"]
mod fake;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use torc_client::zookeeper::{ZooKeeper, ZooKeeperOptions};
    use torc_net::zookeeper::{Acl, Kind, New};

    #[test]
    fn commands_options_and_paths_are_completed() {
        let server = fake::Fake::start();
        let mut zookeeper = ZooKeeper::connect(&server.servers(), ZooKeeperOptions::default()).unwrap();
        let acls = &[Acl { perms: 31, scheme: "world", id: "anyone" }];
        for path in ["/app", "/apple", "/app/x"] {
            let new =
                New { path, data: b"", acls, kind: Kind::Persistent, sequential: false, ttl_ms: 0, with_stat: false };
            zookeeper.create(&new).unwrap();
        }
        let completion = Completion(Arc::new(Mutex::new(zookeeper)));
        let found = |before: &str| completion.candidates(before).1;
        assert_eq!(found("ge"), ["get"]);
        assert!(found("").len() > 10 && found("").contains(&"quit".to_string()), "{:?}", found(""));
        assert_eq!(completion.candidates("get /ap"), (4, vec!["/app".to_string(), "/apple".to_string()]));
        assert_eq!(found("get /app/"), ["/app/x"]);
        assert_eq!(found("get /none/"), [] as [&str; 0]);
        assert_eq!(found("create --eph"), ["--ephemeral"]);
        assert_eq!(found("set /app da"), [] as [&str; 0]);
    }
}
