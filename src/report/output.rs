//! Standard output and standard error, written to by the thread that prints.

use std::io::{ErrorKind, Write};
use std::sync::{Mutex, PoisonError};

use crate::error::Error;

/// Why standard output could not be written, if it could not. One that was closed, as behind `head`, is the reader's choice.
static LOST: Mutex<Option<String>> = Mutex::new(None);

/// Prints a clean line of what was asked for.
pub(super) fn out(text: &str) {
    write_out(format!("{text}\n").as_bytes());
}

pub(super) fn write_out(bytes: &[u8]) {
    let mut output = std::io::stdout();
    if let Err(error) = output.write_all(bytes).and_then(|()| output.flush())
        && error.kind() != ErrorKind::BrokenPipe
    {
        LOST.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.to_string());
    }
}

/// Prints a clean text to standard error; nobody may be there to read it.
pub(super) fn aside(text: &str) {
    write_aside(text.as_bytes());
}

pub(super) fn write_aside(bytes: &[u8]) {
    drop(std::io::stderr().write_all(bytes));
}

/// Fails if something that was asked for could not be printed.
pub(super) fn check() -> Result<(), Error> {
    match LOST.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
        None => Ok(()),
        Some(reason) => {
            let reason = reason.split(" (os error").next().unwrap_or(reason).to_lowercase();
            Err(Error::new(format!("cannot write to standard output: {reason}"))
                .hint("run the command again with its output elsewhere"))
        }
    }
}
