//! Words and numbers as others read them, without an error or a look at the world.

pub(crate) mod columns;
pub(crate) mod digest;
pub(crate) mod duration;
pub(crate) mod json;
pub(crate) mod pattern;
pub(crate) mod shell;
pub(crate) mod size;
pub(crate) mod unknown;
