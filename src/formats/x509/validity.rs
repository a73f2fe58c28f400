//! When a certificate counts, and when it is to be made anew: [`Phase`].

use time::{Duration, OffsetDateTime};

use super::facts::{Facts, read_all};
use crate::error::{Error, Result};

/// Where a moment lies in a certificate's life. Both ends belong to it (RFC 5280, section 4.1.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It is not valid yet: whoever made it had a clock that was ahead, or this one is behind.
    Early,
    Running,
    Over,
}

impl Facts {
    pub fn phase(&self, now: OffsetDateTime) -> Phase {
        if now < self.not_before {
            Phase::Early
        } else if now > self.not_after {
            Phase::Over
        } else {
            Phase::Running
        }
    }

    /// Why nobody accepts it now, as the end of a sentence; none if it is valid.
    pub fn fault(&self, now: OffsetDateTime) -> Option<String> {
        match self.phase(now) {
            Phase::Early => {
                Some(format!("is not valid before {}, and today is {}", self.not_before.date(), now.date()))
            }
            Phase::Over => Some(format!("ended on {}, and today is {}", self.not_after.date(), now.date())),
            Phase::Running => None,
        }
    }

    /// Whether one that ends at `next` has to take its place: it is not valid now, or less than `margin` is left of it and
    /// the next one would live longer. Near the end of an issuer nothing new lives longer, so nothing new is made.
    pub fn is_due(&self, margin: Duration, next: OffsetDateTime, now: OffsetDateTime) -> bool {
        self.phase(now) != Phase::Running || (self.not_after - now < margin && next > self.not_after)
    }

    /// How long it goes on, as a plan shows it.
    pub fn remaining(&self, now: OffsetDateTime) -> String {
        match self.phase(now) {
            Phase::Early => format!("not valid before {}", self.not_before.date()),
            Phase::Over => "has expired".to_owned(),
            Phase::Running => format!("in {} days", (self.not_after - now).whole_days()),
        }
    }
}

/// What a client cannot use of the authorities in a PEM text: the name of each, and why.
pub(crate) fn faults(pem: &str, now: OffsetDateTime) -> Result<Vec<(String, String)>> {
    let name = |facts: &Facts| facts.common_name.clone().unwrap_or_else(|| facts.fingerprint[..12].to_owned());
    Ok(read_all(pem)?.iter().filter_map(|facts| Some((name(facts), facts.fault(now)?))).collect())
}

/// Fails if no authority of a PEM text can be used now.
pub(crate) fn check_usable(pem: &str, now: OffsetDateTime) -> Result<()> {
    let faults = faults(pem, now)?;
    match faults.first() {
        Some((name, fault)) if faults.len() == read_all(pem)?.len() => {
            Err(Error::new(format!("the authority `{name}` {fault}")))
        }
        _ => Ok(()),
    }
}
