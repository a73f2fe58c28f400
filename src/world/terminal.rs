//! The terminal that a user types at.

use std::io::{BufRead, IsTerminal};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

/// What Ctrl-C sends.
const INTERRUPT: u8 = 3;

/// The terminal as it was before, put back when this is dropped.
struct Before(Termios);

impl Drop for Before {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, &self.0);
    }
}

/// Whether somebody can be asked.
pub(crate) fn is_there() -> bool {
    std::io::stdin().is_terminal()
}

/// Reads a line that is not shown while it is typed; `ask` puts the question. None if the answer was Ctrl-C.
pub(crate) fn read_hidden(ask: impl FnOnce()) -> Option<String> {
    let before = Before(tcgetattr(std::io::stdin()).ok()?);
    let mut hidden = before.0.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    // Ctrl-C ends the line and not the process, which would leave the terminal without its echo.
    hidden.local_modes.remove(LocalModes::ISIG);
    hidden.special_codes[SpecialCodeIndex::VEOL] = INTERRUPT;
    tcsetattr(std::io::stdin(), OptionalActions::Flush, &hidden).ok()?;
    // Only now, so that nothing of the answer shows however soon it comes.
    ask();
    let mut line = Vec::new();
    let mut input = std::io::stdin().lock();
    loop {
        let found = input.fill_buf().ok()?;
        let end = found.iter().position(|byte| matches!(*byte, b'\n' | INTERRUPT));
        let taken = end.map_or(found.len(), |end| end + 1);
        line.extend_from_slice(&found[..taken]);
        let ended = end.is_some() || found.is_empty();
        input.consume(taken);
        if ended {
            break;
        }
    }
    if line.contains(&INTERRUPT) {
        return None;
    }
    let line = String::from_utf8(line).ok()?;
    Some(line.trim_end_matches(['\n', '\r']).to_owned())
}
