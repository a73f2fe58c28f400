//! Which tags of a registry go, by rules that say what stays: [`Rules`], [`Planned`].
//!
//! What no rule names stays, and what one rule keeps stays whatever another one says. A tag that goes leaves its manifest, which
//! `untagged` takes later.

mod keep;
mod kept;
mod plan;
mod rules;
#[cfg(test)]
mod tests;

pub(crate) use kept::Kept;
pub(crate) use plan::{Gone, Planned};
pub(crate) use rules::Rules;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// What is to be planned, or carried out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retention {
    pub rules: Rules,
    /// What is held: `repository:tag`, or `repository@digest`.
    pub held: BTreeSet<String>,
    /// What a plan listed that was agreed to: if anything else would go, nothing does.
    pub agreed: Option<Vec<Gone>>,
}
