//! Times on the command line: `90s`, `5m`, `2h`, `1d`.

use crate::error::{Error, Result};
pub(super) use crate::text::duration::seconds;

/// How long to wait, a week at most.
pub(super) fn wait(text: &str) -> Result<u64> {
    seconds(text).filter(|seconds| *seconds <= 7 * 86400).ok_or_else(|| {
        Error::usage(format!("`--wait {text}`: not a duration"))
            .hint("write `90s`, `5m` or `2h`, one week at most; `0` does not wait")
    })
}

#[cfg(test)]
mod tests {
    use super::wait;

    #[test]
    fn a_week_is_the_most() {
        assert_eq!(wait("7d").unwrap(), 604_800);
        assert!(wait("8d").unwrap_err().is_usage());
    }
}
