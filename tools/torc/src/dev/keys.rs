//! What keys mean.

/// What somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `kill -9` of a node.
    Kill(u32),
    /// To stop a node where it stands, or to let it go on.
    Pause(u32),
    /// To start a node that does not run, or to end it in order and start it again.
    Restart(u32),
    /// The end of all.
    Leave,
}

/// Ctrl-C and Ctrl-D, where the terminal does not make signals of them.
const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
const ESCAPE: u8 = 0x1b;

/// Keys one after the other: a letter says what, the digit behind it to whom.
#[derive(Debug, Default)]
pub struct Keys {
    letter: Option<u8>,
}

impl Keys {
    /// The letter that waits for its digit.
    pub fn pending(&self) -> Option<char> {
        self.letter.map(char::from)
    }

    /// Takes keys; returns what they ask of one of `nodes` nodes.
    pub fn take(&mut self, keys: &[u8], nodes: u32) -> Vec<Command> {
        // A sequence of several bytes, such as an arrow.
        if keys.first() == Some(&ESCAPE) {
            self.letter = None;
            return Vec::new();
        }
        keys.iter().filter_map(|key| self.key(*key, nodes)).collect()
    }

    fn key(&mut self, key: u8, nodes: u32) -> Option<Command> {
        let letter = self.letter.take();
        match key.to_ascii_lowercase() {
            b'q' | CTRL_C | CTRL_D => Some(Command::Leave),
            letter @ (b'k' | b'p' | b'r') => {
                self.letter = Some(letter);
                // Of a single node it is clear which.
                (nodes == 1).then(|| self.of(letter, 1)).flatten()
            }
            digit @ b'1'..=b'9' => {
                let node = u32::from(digit - b'0');
                letter.filter(|_| node <= nodes).and_then(|letter| self.of(letter, node))
            }
            _ => None,
        }
    }

    fn of(&mut self, letter: u8, node: u32) -> Option<Command> {
        self.letter = None;
        match letter {
            b'k' => Some(Command::Kill(node)),
            b'p' => Some(Command::Pause(node)),
            _ => Some(Command::Restart(node)),
        }
    }
}
