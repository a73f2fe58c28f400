//! What stands in AWS, or in a store like it: one file a kind.

pub(crate) mod access_key;
pub(crate) mod account;
pub(crate) mod bucket;
pub(crate) mod iam_user;
