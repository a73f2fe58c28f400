//! Files of other programs: X.509, the users of Apache and nginx, YAML with the place of each value.

pub(crate) mod htpasswd;
pub(crate) mod x509;
pub(crate) mod yaml;
