//! One thing that is not as it should be: [`Finding`].

use crate::event::Event;

/// How much harm a finding can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Danger {
    /// Somebody can get in, or clients cannot.
    High,
    /// It will do harm one day, or to some.
    Low,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    pub danger: Danger,
    /// Where it is: a path, or a port.
    pub place: String,
    /// What it is.
    pub what: String,
    /// What comes of it.
    pub consequence: &'static str,
    /// What `provision` does about it: a sentence without its subject.
    pub remedy: String,
}

impl Danger {
    fn word(self) -> &'static str {
        match self {
            Self::High => "danger",
            Self::Low => "warning",
        }
    }
}

impl Finding {
    pub fn high(place: impl Into<String>, what: impl Into<String>, consequence: &'static str) -> Self {
        Self::new(Danger::High, place.into(), what.into(), consequence)
    }

    pub fn low(place: impl Into<String>, what: impl Into<String>, consequence: &'static str) -> Self {
        Self::new(Danger::Low, place.into(), what.into(), consequence)
    }

    fn new(danger: Danger, place: String, what: String, consequence: &'static str) -> Self {
        Self { danger, place, what, consequence, remedy: String::new() }
    }

    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }
}

impl From<Finding> for Event {
    fn from(finding: Finding) -> Self {
        Self::Finding {
            danger: finding.danger.word(),
            place: finding.place,
            what: finding.what,
            consequence: finding.consequence,
            remedy: format!("provision {}", finding.remedy),
        }
    }
}
