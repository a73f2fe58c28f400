//! Times as they are typed: `90s`, `5m`, `2h`, `1d`.

/// Each unit with its seconds, the longest first.
const UNITS: [(&str, u64); 4] = [("d", 86400), ("h", 3600), ("m", 60), ("s", 1)];

/// Seconds of a time with its unit; none if it is no time.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let factor = match unit {
        "" if digits == "0" => 1,
        unit => UNITS.iter().find(|(name, _)| *name == unit)?.1,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// The same the other way round, in the largest unit that leaves no rest.
pub(crate) fn readable(seconds: u64) -> String {
    let fits = UNITS.iter().find(|(_, factor)| seconds > 0 && seconds.is_multiple_of(*factor));
    fits.map_or_else(|| format!("{seconds}s"), |(unit, factor)| format!("{}{unit}", seconds / factor))
}

#[cfg(test)]
mod tests {
    use super::{readable, seconds};

    #[test]
    fn a_time_has_a_unit() {
        let cases = [("0", Some(0)), ("0s", Some(0)), ("90s", Some(90)), ("5m", Some(300)), ("2h", Some(7200))];
        let wrong = ["", "5", "m", "-1s", "1.5h", "5 m", "5M", "99999999999999999999s", "18446744073709551615d"];
        for (text, wanted) in cases.into_iter().chain(wrong.map(|text| (text, None))) {
            assert_eq!(seconds(text), wanted, "{text}");
        }
        for (number, text) in [(0, "0s"), (90, "90s"), (300, "5m"), (86400, "1d"), (90000, "25h"), (2_592_000, "30d")] {
            assert_eq!((readable(number).as_str(), seconds(text)), (text, Some(number)));
        }
    }
}
