//! The language of playbooks: inputs, expressions, templates, and the forms that fields are checked against.

pub(crate) mod escape;
pub(crate) mod form;
pub(crate) mod format;
pub(crate) mod given;
pub(crate) mod input;
pub(crate) mod playbook;
pub(crate) mod template;
pub(crate) mod variables;
