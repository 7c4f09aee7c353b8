//! `torc top`: what a server does, from its `/metrics`, renewed in place on a terminal.

mod figures;
mod scrape;
mod view;

#[cfg(test)]
#[path = "top_tests.rs"]
mod tests;

use crate::cli::TopArgs;
use crate::output::{Format, print, print_json};
use figures::Figures;
use scrape::{Scrape, scrape};
use std::error::Error;
use std::io::IsTerminal;
use std::thread;

/// Prints once after one interval, or renews until it is interrupted, if standard output is a terminal.
pub fn run(args: TopArgs) -> Result<(), Box<dyn Error>> {
    let mut before = scrape(&args.metrics)?;
    if args.once || args.format == Format::Json || !std::io::stdout().is_terminal() {
        thread::sleep(args.interval);
        let figures = Figures::between(&before, &scrape(&args.metrics)?);
        match args.format {
            Format::Json => print_json(&figures),
            Format::Table => print(view::page(&args.metrics, &figures)),
        }
        return Ok(());
    }
    print(view::frame(&format!("torc at {}: the first figures come in {:?}\n", args.metrics, args.interval), true));
    loop {
        thread::sleep(args.interval);
        let page = next(&mut before, &args);
        print(view::frame(&page, false));
    }
}

/// The next page. A server that does not answer may come back.
fn next(before: &mut Scrape, args: &TopArgs) -> String {
    match scrape(&args.metrics) {
        Ok(after) => {
            let figures = Figures::between(before, &after);
            *before = after;
            view::page(&args.metrics, &figures)
        }
        Err(error) => format!("{error}; trying again every {:?}\n", args.interval),
    }
}
