//! Texts that are to be put back if a run is killed: [`Kept`].

use serde::{Deserialize, Serialize};

/// The way back of a kind that keeps what it makes in the deployment's folder: the bytes that stood there before.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub key: String,
    pub before: Option<String>,
}

/// Where the texts stand that are to be put back if a run is killed.
pub(crate) const PENDING: &str = "pending";
