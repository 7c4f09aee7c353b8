//! The terminal while `torc top` has it: keys come one by one and are not shown, on a screen of its own. Whatever ends that, the
//! terminal is as it was before.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH};
use signal_hook::flag;
use std::io::{self, IsTerminal, Read, Write};
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The other screen, no cursor, no line that goes on in the next one.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
/// Ctrl-C and Ctrl-D, which the terminal does not turn into signals and ends here.
const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
/// Of a terminal that does not say how large it is.
const USUAL: Size = Size { columns: 80, rows: 24 };

/// What can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub columns: usize,
    pub rows: usize,
}

/// What somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Nothing,
    /// The next page.
    Page,
    /// The size has changed.
    Redraw,
    Leave,
}

/// What came from a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    Nothing,
    /// Bytes of keys, as they came.
    Keys(Vec<u8>),
    /// The size has changed.
    Resized,
    /// A signal asks for the end, or the terminal is gone.
    Ended,
}

/// A terminal that has been taken over.
pub struct Terminal {
    /// As standard input was; `None` if that is no terminal, so that there are no keys.
    before: Option<Termios>,
    ended: Arc<AtomicBool>,
    resized: Arc<AtomicBool>,
}

impl Terminal {
    /// Takes over the terminal that standard output is.
    pub fn take() -> io::Result<Terminal> {
        let (ended, resized) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] {
            flag::register(signal, Arc::clone(&ended))?;
        }
        flag::register(SIGWINCH, Arc::clone(&resized))?;
        let stdin = io::stdin();
        let before = if stdin.is_terminal() { Some(termios::tcgetattr(&stdin)?) } else { None };
        let terminal = Terminal { before, ended, resized };
        if let Some(before) = &terminal.before {
            let mut keys = before.clone();
            keys.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
            keys.special_codes[SpecialCodeIndex::VMIN] = 0;
            keys.special_codes[SpecialCodeIndex::VTIME] = 0;
            termios::tcsetattr(&stdin, OptionalActions::Flush, &keys)?;
        }
        // The release build ends at a panic, and drops nothing.
        let (before, tell) = (terminal.before.clone(), panic::take_hook());
        panic::set_hook(Box::new(move |info| {
            give_back(before.as_ref());
            tell(info);
        }));
        put(ENTER)?;
        Ok(terminal)
    }

    /// How much can be shown now.
    pub fn size(&self) -> Size {
        match termios::tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
                Size { columns: size.ws_col.into(), rows: size.ws_row.into() }
            }
            _ => USUAL,
        }
    }

    /// Shows these lines in place of what was there.
    pub fn draw(&self, lines: &[String]) -> io::Result<()> {
        put(&frame(lines))
    }

    /// Waits up to `time` for a key or a signal.
    pub fn wait(&self, time: Duration) -> Wish {
        match self.read(time) {
            Input::Keys(keys) => wish(&keys),
            Input::Resized => Wish::Redraw,
            Input::Ended => Wish::Leave,
            Input::Nothing => Wish::Nothing,
        }
    }

    /// The same, with the keys as they are.
    pub fn read(&self, time: Duration) -> Input {
        let woken = match &self.before {
            Some(_) => {
                let stdin = io::stdin();
                let time = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() };
                poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&time)).is_ok_and(|ready| ready > 0)
            }
            None => {
                std::thread::sleep(time);
                false
            }
        };
        let mut keys = [0; 64];
        let input = match woken.then(|| io::stdin().read(&mut keys)) {
            // The terminal is gone.
            Some(Ok(0) | Err(_)) => Input::Ended,
            Some(Ok(count)) => Input::Keys(keys[..count].to_vec()),
            None => Input::Nothing,
        };
        if self.ended.load(Ordering::Relaxed) {
            return Input::Ended;
        }
        match input {
            // A change of size beside a key is told with the next look.
            Input::Nothing if self.resized.swap(false, Ordering::Relaxed) => Input::Resized,
            input => input,
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back(self.before.as_ref());
    }
}

/// What keys mean. Sequences of several bytes, such as arrows, mean nothing.
pub fn wish(keys: &[u8]) -> Wish {
    let leaves = |key: &u8| matches!(*key, b'q' | b'Q' | CTRL_C | CTRL_D);
    let turns = |key: &u8| matches!(*key, b'g' | b'G' | b'\t');
    match keys.starts_with(b"\x1b") {
        true => Wish::Nothing,
        false if keys.iter().any(leaves) => Wish::Leave,
        false if keys.iter().any(turns) => Wish::Page,
        false => Wish::Nothing,
    }
}

/// Each line over the one that was there, and nothing of the old ones behind and below. No line break at the end: in the last
/// row it would push the first one out.
pub fn frame(lines: &[String]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| format!("{line}\x1b[K")).collect();
    format!("\x1b[H{}\x1b[J", lines.join("\r\n"))
}

fn put(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush())
}

/// Errors do not matter: the terminal may be gone.
fn give_back(before: Option<&Termios>) {
    let _ = put(LEAVE);
    if let Some(before) = before {
        let _ = termios::tcsetattr(io::stdin(), OptionalActions::Now, before);
    }
}
