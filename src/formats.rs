//! Files of other programs: X.509, the configuration of nginx, the users of Apache and nginx, dumps of databases, YAML with the place of each value.

pub(crate) mod htpasswd;
pub(crate) mod nginx;
pub(crate) mod sql;
pub(crate) mod x509;
pub(crate) mod yaml;
