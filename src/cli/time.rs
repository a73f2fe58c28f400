//! Times on the command line: `90s`, `5m`, `2h`, `1d`.

use crate::error::{Error, Result};

/// Seconds of a time with its unit; none if it is no time.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86400,
        "" if digits == "0" => 1,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// How long to wait, a week at most.
pub(super) fn wait(text: &str) -> Result<u64> {
    seconds(text).filter(|seconds| *seconds <= 7 * 86400).ok_or_else(|| {
        Error::usage(format!("`--wait {text}`: not a duration"))
            .hint("write `90s`, `5m` or `2h`, one week at most; `0` does not wait")
    })
}

#[cfg(test)]
mod tests {
    use super::{seconds, wait};

    #[test]
    fn a_time_has_a_unit() {
        let cases = [("0", Some(0)), ("0s", Some(0)), ("90s", Some(90)), ("5m", Some(300)), ("2h", Some(7200))];
        let wrong = ["", "5", "m", "-1s", "1.5h", "5 m", "5M", "99999999999999999999s", "18446744073709551615d"];
        for (text, wanted) in cases.into_iter().chain(wrong.map(|text| (text, None))) {
            assert_eq!(seconds(text), wanted, "{text}");
        }
        assert_eq!(wait("7d").unwrap(), 604_800);
        assert!(wait("8d").unwrap_err().is_usage());
    }
}
