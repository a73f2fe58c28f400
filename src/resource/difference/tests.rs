use serde_json::json;

use super::*;

/// The lines of a difference as a plan writes them.
fn told(old: &str, new: &str, stand_in: &str, secrets: &[&str]) -> Option<Vec<String>> {
    let secrets: BTreeSet<String> = secrets.iter().map(|secret| (*secret).to_owned()).collect();
    let veil = Veil::of(new, stand_in, &secrets)?;
    let sign = |change| match change {
        LineChange::Same => ' ',
        LineChange::Removed => '-',
        LineChange::Added => '+',
    };
    Some(lines(old, new, &veil).iter().map(|line| format!("{}{}", sign(line.change), line.text)).collect())
}

fn plain_lines(old: &str, new: &str) -> Vec<String> {
    told(old, new, new, &[]).unwrap()
}

#[test]
fn the_lines_that_change_are_shown_with_some_around_them() {
    let old: String = (1..=20).map(|number| format!("line {number}\n")).collect();
    let new = old.replace("line 10\n", "line ten\n");
    let shown = plain_lines(&old, &new);
    assert_eq!(shown, [" line 7", " line 8", " line 9", "-line 10", "+line ten", " line 11", " line 12", " line 13"]);
    assert_eq!(plain_lines("a\n", "a\nb\n"), [" a", "+b"]);
    assert_eq!(plain_lines("a\nb\n", "a\n"), [" a", "-b"]);
    assert_eq!(plain_lines("", "a\n"), ["+a"]);
    assert_eq!(plain_lines("a", "a\n"), ["-a (without a line end)", "+a"]);
    assert_eq!(plain_lines("a\r\n", "a\n"), ["-a\r", "+a"], "an end of Windows is seen");
    let none = BTreeSet::new();
    let veil = Veil::of(&new, &new, &none).unwrap();
    let numbers: Vec<_> = lines(&old, &new, &veil).iter().map(|line| (line.old, line.new)).collect();
    assert_eq!(numbers[2..5], [(Some(9), Some(9)), (Some(10), None), (None, Some(10))]);
}

#[test]
fn a_line_with_a_secret_and_what_stands_in_its_place_are_hidden() {
    let (new, stand_in) = ("user: ci\npassword: hunter2\nport: 1\n", "user: ci\npassword: ivoufs3\nport: 1\n");
    // Whatever somebody wrote in its place: by hand, with another name, in another form, or from before a rotation.
    for edited in ["password: mine", "pass: mine", "- password : \"old\"", "anything at all"] {
        let old = new.replace("password: hunter2", edited);
        assert_eq!(told(&old, new, stand_in, &[]).unwrap(), [" user: ci", "-(secret)", "+(secret)", " port: 1"]);
    }
    // A change elsewhere shows the secret's line as one around it.
    let old = new.replace("port: 1", "port: 2");
    assert_eq!(told(&old, new, stand_in, &[]).unwrap(), [" user: ci", " (secret)", "-port: 2", "+port: 1"]);
    // A line of the same name far from it, and the secret itself anywhere.
    let old = format!("{new}\npassword: older\n# it is hunter2\n# note\n");
    let shown = told(&old, new, stand_in, &["hunter2"]).unwrap();
    assert_eq!(shown[shown.len() - 3..], ["-(secret)", "-(secret)", "-# note"]);
    assert!(!shown.concat().contains("older"));
}

#[test]
fn what_is_all_secret_is_not_shown() {
    assert_eq!(told("a\n", "-----KEY\nabc\n", "-----LFZ\nbcd\n", &[]), None);
    assert_eq!(told("a", "hunter2", "ivoufs3", &[]), None);
    // Where a secret decides how many lines there are, it cannot be told which of them hold it.
    assert_eq!(told("a\n", "a\nb\n", "a\n", &[]), None);
    // A secret without a name before it: any old line may be one.
    let shown = told("[x]\nfirst\nsecond\n", "[x]\nhunter2\n[y]\n", "[x]\nivoufs3\n[y]\n", &[]).unwrap();
    assert_eq!(shown, [" [x]", "-(secret)", "-(secret)", "+(secret)", "+[y]"]);
}

#[test]
fn a_stand_in_differs_in_every_word_and_in_no_line() {
    for text in ["hunter2", "a\nb\n", "zZ9", "!!", "-----BEGIN KEY-----\nAb+/=\n"] {
        let other = other(&json!(text));
        let other = other.as_str().unwrap();
        assert!(other != text && other.lines().count() == text.lines().count(), "{other}");
        assert_eq!(other.len(), text.len());
    }
    assert_eq!(other(&json!({ "a": ["x", 1, ""] })), json!({ "a": ["y", 1, GIVEN] }));
}

#[test]
fn what_is_no_text_or_too_large_is_told_by_its_size() {
    assert_eq!(Kept::of(&[0xff, 1]).told(), "2 bytes that are no text");
    assert_eq!(Kept::of(b"a\0b").told(), "3 bytes that are no text");
    assert_eq!(Kept::of(&vec![b'a'; LARGEST + 1]).told(), "1048577 bytes");
    assert!(matches!(Kept::of(&vec![b'a'; LARGEST]), Kept::Text(_)));
}

#[test]
fn a_long_difference_ends_soon() {
    let (old, new): (String, String) =
        (0..40_000).map(|number| (format!("{number}\n"), format!("{}\n", number * 7 % 40_000))).unzip();
    let begun = std::time::Instant::now();
    assert!(!plain_lines(&old, &new).is_empty());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn a_secret_that_is_not_given_any_more_does_not_show() {
    // In a line that is always there, in one that comes with it, and in a part that does.
    let cases = [
        ("user: ci\npassword: hush\n", "user: ci\npassword: \n", "user: ci\npassword: VeiledSecret\n"),
        ("user: ci\npassword: hush\n", "user: ci\n", "user: ci\npassword: VeiledSecret\n"),
        ("user: ci\nredis:\n  password: hush\n", "user: ci\n", "user: ci\nredis:\n  password: VeiledSecret\n"),
        ("user: ci\nlogin: hush:ivax\n", "user: ci\n", "user: ci\nlogin: turned-into-another\nnote: VeiledSecret\n"),
    ];
    for (old, new, stand_in) in cases {
        let shown = told(old, new, stand_in, &[]).unwrap();
        assert!(shown.contains(&" user: ci".to_owned()) && !shown.concat().contains("hush"), "{shown:?}");
    }
    assert_eq!(told("hush", "", "VeiledSecret", &[]).unwrap(), ["-(secret) (without a line end)"]);
}
