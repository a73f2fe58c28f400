//! Words and numbers as others read them, without an error or a look at the world.

pub(crate) mod json;
pub(crate) mod shell;
