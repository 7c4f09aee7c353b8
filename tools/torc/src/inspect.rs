//! `torc wal` and `torc snapshot`: reports to standard output, what was found as the exit code.

use std::io::{BufWriter, Write};
use std::process::ExitCode;
use torc_inspect::{InspectError, Outcome};

/// The exit code when something that had been durable is damaged; 1 is for reports that could not be made.
const CORRUPT: u8 = 2;

/// Runs `report`, ends the process with its exit code.
pub fn run(report: impl FnOnce(&mut dyn Write) -> Result<Outcome, InspectError>) -> ExitCode {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let result = report(&mut out);
    let flushed = out.flush();
    match result {
        Ok(Outcome::Sound) if flushed.is_ok() => ExitCode::SUCCESS,
        Ok(Outcome::Corrupt) if flushed.is_ok() => ExitCode::from(CORRUPT),
        // A reader that has seen enough, such as `head`, ends the command quietly.
        Err(InspectError::Io { error, .. }) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("torc: {error}");
            ExitCode::FAILURE
        }
        Ok(_) => match flushed {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                eprintln!("torc: cannot write to standard output: {error}");
                ExitCode::FAILURE
            }
            _ => ExitCode::SUCCESS,
        },
    }
}
