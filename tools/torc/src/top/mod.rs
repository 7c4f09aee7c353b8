//! `torc top`: what a server does, from its `/metrics`, renewed in place on a terminal.

mod figures;
mod scrape;
pub mod terminal;
pub mod trend;
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
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;
use terminal::{Terminal, Wish};
use trend::{Glyphs, Trends};
use view::Page;

/// How long a key may wait for being looked at.
const KEYS: Duration = Duration::from_millis(100);

/// Prints once after one interval, or renews until `q`, if standard output is a terminal.
pub fn run(args: TopArgs) -> Result<(), Box<dyn Error>> {
    let before = scrape(&args.metrics)?;
    if !args.once && args.format == Format::Table && std::io::stdout().is_terminal() {
        return watch(before, &args);
    }
    thread::sleep(args.interval);
    let figures = Figures::between(&before, &scrape(&args.metrics)?);
    match args.format {
        Format::Json => print_json(&figures),
        Format::Table => print(view::page(scrape::host_of(&args.metrics), &figures)),
    }
    Ok(())
}

/// Looks at the server again and again, on a thread of its own: one that does not answer keeps no key waiting.
fn looks(address: String, interval: Duration) -> std::io::Result<Receiver<Result<Scrape, String>>> {
    let (sender, looks) = channel();
    let again = move || {
        loop {
            thread::sleep(interval);
            if sender.send(scrape(&address)).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("top".to_string()).spawn(again)?;
    Ok(looks)
}

fn watch(mut before: Scrape, args: &TopArgs) -> Result<(), Box<dyn Error>> {
    let looks = looks(args.metrics.clone(), args.interval)?;
    let (mut trends, glyphs) = (Trends::default(), Glyphs::of_locale(|name| std::env::var(name).ok()));
    let terminal = Terminal::take()?;
    let mut figures: Option<Figures> = None;
    let mut note = Some(format!("the first figures come in {:?}", args.interval));
    let (mut changed, mut shown) = (true, Page::Server);
    loop {
        while let Ok(look) = looks.try_recv() {
            changed = true;
            match look {
                Ok(after) => {
                    let new = Figures::between(&before, &after);
                    trends.push(Some(&new));
                    (before, figures, note) = (after, Some(new), None);
                }
                // It may come back.
                Err(error) => {
                    trends.push(None);
                    note = Some(format!("{error}; trying again every {:?}", args.interval));
                }
            }
        }
        if changed {
            let (size, note) = (terminal.size(), note.as_deref());
            terminal.draw(&view::screen(
                scrape::host_of(&args.metrics),
                figures.as_ref(),
                note,
                (&trends, glyphs),
                (shown, size),
            ))?;
        }
        match terminal.wait(KEYS) {
            Wish::Leave => return Ok(()),
            Wish::Page => (shown, changed) = (shown.next(), true),
            wish => changed = wish == Wish::Redraw,
        }
    }
}
