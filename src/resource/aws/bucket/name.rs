//! The rules for the name of a bucket (S3's "Bucket naming rules" for general purpose buckets).

use crate::error::{Error, Result};

const PREFIXES: [&str; 4] = ["xn--", "sthree-", "amzn-s3-demo-", "arn:"];
const SUFFIXES: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];

/// Fails if S3 would not take the name; no call is made for that.
pub(super) fn check(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let why = if !(3..=63).contains(&name.len()) {
        format!("it has {} characters, and a name has 3 to 63", name.chars().count())
    } else if let Some(wrong) = name.chars().find(|c| !plain(*c) && *c != '-' && *c != '.') {
        format!("`{wrong}` has no place in it")
    } else if !name.starts_with(plain) || !name.ends_with(plain) {
        "it must begin and end with a letter or digit".to_owned()
    } else if name.contains("..") {
        "two dots stand side by side".to_owned()
    } else if name.parse::<std::net::Ipv4Addr>().is_ok() {
        "it looks like an IP address".to_owned()
    } else if let Some(part) = PREFIXES.iter().find(|part| name.starts_with(**part)) {
        format!("`{part}` at the beginning is reserved")
    } else if let Some(part) = SUFFIXES.iter().find(|part| name.ends_with(**part)) {
        format!("`{part}` at the end is reserved")
    } else {
        return Ok(());
    };
    Err(Error::new(format!("`{name}` cannot be the name of a bucket: {why}"))
        .hint("use 3 to 63 lower-case letters, digits and hyphens, such as `acme-docker`"))
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn s3_s_rules_hold() {
        for good in ["abc", "acme-docker", "a.b.c", "1-2", &"a".repeat(63)] {
            assert!(check(good).is_ok(), "{good}");
        }
        let bad = [
            ("ab", "2 characters"),
            (&"a".repeat(64), "64 characters"),
            ("Acme", "`A` has no place"),
            ("a_b", "`_` has no place"),
            ("bücket", "`ü` has no place"),
            ("-ab", "begin and end"),
            ("ab.", "begin and end"),
            ("a..b", "two dots"),
            ("192.168.5.4", "IP address"),
            ("xn--abc", "`xn--` at the beginning"),
            ("abc-s3alias", "`-s3alias` at the end"),
        ];
        for (name, why) in bad {
            let told = check(name).expect_err(name).to_string();
            assert!(told.contains(why), "{told}");
        }
    }
}
