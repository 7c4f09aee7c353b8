//! `torc wal` and `torc snapshot`: reports to standard output, what was found as the exit code.

use crate::exit;
use crate::output::complain;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use torc_inspect::{InspectError, Outcome};

/// Runs `report`, ends the process with its exit code.
pub fn run(report: impl FnOnce(&mut dyn Write) -> Result<Outcome, InspectError>) -> ExitCode {
    let mut out = BufWriter::new(io::stdout().lock());
    let result = report(&mut out);
    let flushed = out.flush();
    let failed = |why: String| {
        complain(&why);
        ExitCode::from(exit::FAILED)
    };
    match (result, flushed) {
        // A reader that has seen enough, such as `head`, ends the command quietly.
        (Err(InspectError::Io { error, .. }), _) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        (Err(error), _) => failed(error.to_string()),
        (Ok(_), Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
            failed(format!("cannot write to standard output: {error}"))
        }
        (Ok(Outcome::Corrupt), _) => ExitCode::from(exit::DAMAGED),
        (Ok(Outcome::Sound), _) => ExitCode::SUCCESS,
    }
}
