//! Whether a change that cannot be taken back is meant.

use crate::exit::Usage;
use clap::Args;
use std::fmt::Display;
use std::io::{self, BufRead, IsTerminal, Write};

#[derive(Debug, Args)]
pub struct Consent {
    /// Do not ask. Without a terminal nothing is done unless this is given.
    #[arg(long, short)]
    pub yes: bool,
    /// Show what would be done, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
}

impl Consent {
    /// Refuses where nobody can be asked, and nobody said that it need not be.
    pub fn check(&self) -> Result<(), Usage> {
        if !self.yes && !self.dry_run && !io::stdin().is_terminal() {
            let why = "there is no terminal to ask whether that is meant: say --yes to do it, --dry-run to see what would be done";
            return Err(Usage(why.to_string()));
        }
        Ok(())
    }

    /// True if it was said on the command line, or is said on the terminal, under the plan.
    pub fn is_given(&self, plan: impl Display, question: &str) -> bool {
        self.yes || is_meant(plan, question, &mut io::stdin().lock(), &mut io::stderr())
    }
}

/// Asks. Anything but yes, the end of the input too, is no.
pub fn is_meant(plan: impl Display, question: &str, answers: &mut dyn BufRead, to: &mut dyn Write) -> bool {
    let mut answer = String::new();
    let asked = write!(to, "{plan}{question} [y/N] ").and_then(|()| to.flush());
    asked.and_then(|()| answers.read_line(&mut answer)).is_ok()
        && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}
