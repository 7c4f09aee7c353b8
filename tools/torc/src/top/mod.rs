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
use figures::{Figures, Seen, of_nodes};
use scrape::scrape;
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
    let before = look(&args.metrics);
    if let Some((_, Err(error))) = before.first() {
        return Err(error.clone().into());
    }
    if !args.once && args.format == Format::Table && std::io::stdout().is_terminal() {
        return watch(before, &args);
    }
    thread::sleep(args.interval);
    let figures = of_nodes(&before, &look(&args.metrics))?;
    match args.format {
        Format::Json => print_json(&figures),
        Format::Table => print(view::page(first(&args.metrics), &figures)),
    }
    Ok(())
}

/// The first of several addresses, without what stands around it in a URL.
fn first(addresses: &str) -> &str {
    scrape::host_of(addresses.split(',').next().unwrap_or_default().trim())
}

/// Looks at all nodes at once: one that does not answer holds up no other.
fn look(addresses: &str) -> Vec<Seen> {
    thread::scope(|scope| {
        let asked = addresses.split(',').map(|address| {
            let address = address.trim();
            (address.to_string(), scope.spawn(move || scrape(address)))
        });
        let asked: Vec<_> = asked.collect();
        let seen = |(address, thread): (String, thread::ScopedJoinHandle<'_, _>)| {
            (address, thread.join().expect("looking does not panic"))
        };
        asked.into_iter().map(seen).collect()
    })
}

/// Looks at the server again and again, on a thread of its own: one that does not answer keeps no key waiting.
fn looks(addresses: String, interval: Duration) -> std::io::Result<Receiver<Vec<Seen>>> {
    let (sender, looks) = channel();
    let again = move || {
        loop {
            thread::sleep(interval);
            if sender.send(look(&addresses)).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("top".to_string()).spawn(again)?;
    Ok(looks)
}

fn watch(mut before: Vec<Seen>, args: &TopArgs) -> Result<(), Box<dyn Error>> {
    let looks = looks(args.metrics.clone(), args.interval)?;
    let (mut trends, glyphs) = (Trends::default(), Glyphs::of_locale(|name| std::env::var(name).ok()));
    let terminal = Terminal::take()?;
    let mut figures: Option<Figures> = None;
    let mut note = Some(format!("the first figures come in {:?}", args.interval));
    let (mut changed, mut shown) = (true, Page::Server);
    loop {
        while let Ok(mut after) = looks.try_recv() {
            changed = true;
            match of_nodes(&before, &after) {
                Ok(new) => {
                    trends.push(Some(&new));
                    (before, figures, note) = (after, Some(new), None);
                }
                // It may come back, and is then compared with what it last said.
                Err(error) => {
                    trends.push(None);
                    note = Some(format!("{error}; trying again every {:?}", args.interval));
                    after[0] = before.swap_remove(0);
                    before = after;
                }
            }
        }
        if changed {
            let (size, note) = (terminal.size(), note.as_deref());
            terminal.draw(&view::screen(
                first(&args.metrics),
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
