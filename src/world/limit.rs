//! How much is read of anything that others write, and how long: [`Limit`].

use std::fmt;
use std::time::Duration;

/// The bytes that are taken at most, and the time until they must have come to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    pub bytes: u64,
    pub time: Duration,
}

/// Which of the two was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Breach {
    Bytes,
    Time,
}

impl Limit {
    pub const fn new(bytes: u64, seconds: u64) -> Self {
        Self { bytes, time: Duration::from_secs(seconds) }
    }

    /// The bytes as a number of things in memory.
    pub fn size(self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }

    /// What is told of something that goes beyond it.
    pub fn told(self, breach: Breach) -> String {
        match breach {
            Breach::Bytes => format!("it is larger than what is read of it ({self} at most)"),
            Breach::Time => format!("it does not come to an end in time ({self} at most)"),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mega, kilo) = (self.bytes >> 20, self.bytes >> 10);
        match (mega, kilo) {
            (0, 0) => write!(f, "{} bytes", self.bytes)?,
            (0, kilo) => write!(f, "{kilo} KiB")?,
            (mega, _) => write!(f, "{mega} MiB")?,
        }
        write!(f, " in {} s", self.time.as_secs())
    }
}
