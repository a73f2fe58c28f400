//! Inputs of a playbook as they are given: in a file, or one by one.

pub(crate) mod file;
pub(crate) mod set;
