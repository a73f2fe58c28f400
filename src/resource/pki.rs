//! Keys, certificates and passwords, which the deployment keeps: one file a kind.

pub(crate) mod authority;
pub(crate) mod certificate;
pub(crate) mod certificate_file;
pub(crate) mod htpasswd;
pub(crate) mod secret;
