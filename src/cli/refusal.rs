//! Why a command line was not understood: [`Refusal`].

use crate::error::Error;

/// Why a command line was not understood.
pub enum Refusal {
    /// The parser's own text: a mistake, or the help that was asked for.
    Parser(Box<clap::Error>),
    Error(Error),
}

impl From<clap::Error> for Refusal {
    fn from(error: clap::Error) -> Self {
        Self::Parser(Box::new(error))
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}
