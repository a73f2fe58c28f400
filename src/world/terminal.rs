//! The terminal that a user types at.

use std::io::{BufRead, IsTerminal};

use rustix::io::Errno;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

use crate::world::apart::apart;
use crate::world::host;

/// A control character that is switched off (`_POSIX_VDISABLE` of Linux, termios(3)).
const NONE: u8 = 0;

/// A terminal that does not show what is typed; dropped, it is as it was before.
pub(crate) struct Hidden(Termios);

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, &self.0);
    }
}

/// Whether somebody can be asked.
pub(crate) fn is_there() -> bool {
    std::io::stdin().is_terminal()
}

/// Whether it has gone away, as when its window is closed: what is read from it then has an end, and a signal comes with that.
fn is_gone() -> bool {
    tcgetattr(std::io::stdin()).is_err_and(|error| error == Errno::IO)
}

/// Whether what is printed is seen by somebody, and not read by a program.
pub(crate) fn is_shown() -> bool {
    std::io::stdout().is_terminal()
}

/// Lets nothing show that is typed. None if there is no terminal.
pub(crate) fn hide() -> Option<Hidden> {
    let before = tcgetattr(std::io::stdin()).ok()?;
    let mut hidden = before.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    // Stopped by Ctrl-Z, it would leave the terminal like this.
    hidden.special_codes[SpecialCodeIndex::VSUSP] = NONE;
    tcsetattr(std::io::stdin(), OptionalActions::Flush, &hidden).ok()?;
    Some(Hidden(before))
}

/// A terminal as it is now; dropped, it is so again, whatever a program that was ended has left.
pub(crate) struct Remembered(Termios);

impl Drop for Remembered {
    fn drop(&mut self) {
        // Setting it stops a process that is not in the foreground, so it is left alone where it is as it was.
        if tcgetattr(std::io::stdin()).is_ok_and(|now| now.local_modes == self.0.local_modes) {
            return;
        }
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// Remembers how the terminal is. None if there is none.
pub(crate) fn remember() -> Option<Remembered> {
    tcgetattr(std::io::stdin()).ok().map(Remembered)
}

/// Milliseconds that the signal of a terminal which goes away may come after the end of what is read from it.
const SIGNAL: u64 = 1000;

/// Waits for a line that is typed, without its end. None if there is none any more.
pub(crate) async fn line() -> Option<String> {
    let read = || {
        let mut line = String::new();
        let bytes = std::io::stdin().lock().read_line(&mut line).ok()?;
        (bytes > 0).then(|| line.trim_end_matches(['\n', '\r']).to_owned())
    };
    let line = apart(read).await.ok().flatten();
    if line.is_none() && is_gone() {
        // Whoever waits for both hears the signal.
        host::sleep(SIGNAL).await;
    }
    line
}
