//! What the expressions of one evaluation may read, build and write in all: [`within`] opens an allowance, [`spend`] takes from it.
//!
//! Values that are built from each other grow like powers of two, and no count of steps bounds them. So every value is weighed
//! each time an expression names it, and every text where it is written.

use std::cell::Cell;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};

/// What is read, built and written by the expressions of one resource, in bytes.
pub(crate) const BYTES: u64 = 16 << 20;
/// How deep lists and mappings may stand in each other.
pub(crate) const DEPTH: usize = 64;
/// What an item of a list or a mapping takes beside its content.
const ITEM: u64 = 24;

thread_local! {
    /// What is left; none outside of an evaluation.
    static LEFT: Cell<Option<u64>> = const { Cell::new(None) };
    /// The byte of the text at which the part begins that is being evaluated.
    static AT: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Does something with one allowance for all that is evaluated in it. One inside of another shares it.
pub(crate) fn within<T>(work: impl FnOnce() -> T) -> T {
    /// Takes the allowance back also where the work panics.
    struct End(bool);
    impl Drop for End {
        fn drop(&mut self) {
            if self.0 {
                LEFT.set(None);
            }
        }
    }
    let first = LEFT.get().is_none();
    if first {
        LEFT.set(Some(BYTES));
    }
    let _end = End(first);
    work()
}

/// Takes so many bytes from the allowance.
///
/// # Errors
/// There are not so many left.
pub(super) fn spend(bytes: u64) -> Result<(), Error> {
    let left = LEFT.get().unwrap_or(BYTES).checked_sub(bytes);
    LEFT.set(Some(left.unwrap_or(0)));
    left.map(|_| ())
        .ok_or_else(|| refused(format!("what it reads, builds and writes is more than {} MiB", BYTES >> 20)))
}

/// Takes what a value weighs from the allowance, with all that is in it.
///
/// # Errors
/// It weighs more than is left, or nests deeper than [`DEPTH`].
pub(super) fn weigh(value: &Value) -> Result<(), Error> {
    weigh_at(value, 0)
}

fn weigh_at(value: &Value, depth: usize) -> Result<(), Error> {
    if depth > DEPTH {
        return Err(refused(format!("a value is nested deeper than {DEPTH} levels")));
    }
    match value.kind() {
        ValueKind::String => spend(1 + value.as_str().map_or(0, str::len) as u64),
        ValueKind::Bytes => spend(1 + value.len().unwrap_or_default() as u64),
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => {
            let is_map = value.kind() == ValueKind::Map;
            for item in value.try_iter()? {
                spend(ITEM)?;
                weigh_at(&item, depth + 1)?;
                if is_map {
                    weigh_at(&value.get_item(&item)?, depth + 1)?;
                }
            }
            Ok(())
        }
        _ => spend(1),
    }
}

pub(super) fn refused(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, what.into())
}

/// Notes where the part of the text begins that is evaluated next; none if it is not known.
pub(super) fn stand_at(byte: Option<usize>) {
    AT.set(byte);
}

/// Where the part of the text begins that was evaluated last.
pub(super) fn stood_at() -> Option<usize> {
    AT.get()
}
