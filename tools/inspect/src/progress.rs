//! How far a long look has come, when somebody watches.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

/// Less than this is read before a bar would be seen.
const SHORT: u64 = 64 << 20;

/// A bar over `bytes` that are about to be read; hidden when nobody sees it or it would be gone at once.
pub fn bar(what: &'static str, bytes: u64) -> ProgressBar {
    if bytes < SHORT || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = "{msg} {bar:40} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
    let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(bytes).with_style(style).with_message(what)
}
