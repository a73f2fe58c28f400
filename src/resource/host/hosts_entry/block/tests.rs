use super::*;

const OWN: &str = "# provision: a (begin)\n127.0.0.1 r.test\n# provision: a (end)\n";
const OTHER: &str = "# provision: b (begin)\n127.0.0.1 s.test\n# provision: b (end)\n";
/// Another deployment, whose name begins like that of the first.
const ALIKE: &str = "# provision: a-2 (begin)\n127.0.0.1 t.test\n# provision: a-2 (end)\n";

fn put(text: &str) -> String {
    let block = Block::find(text.as_bytes(), "a").unwrap();
    let put = Block::put(text.as_bytes(), block.as_ref(), "a", &["127.0.0.1 r.test".to_owned()]);
    String::from_utf8(put).unwrap()
}

fn take_out(text: &str, unended: bool) -> String {
    let block = Block::find(text.as_bytes(), "a").unwrap().expect("there is a block");
    String::from_utf8(block.take_out(text.as_bytes(), unended)).unwrap()
}

#[test]
fn a_block_comes_and_the_text_is_as_it_was_when_it_goes() {
    for (title, text, with) in [
        ("an empty file", "", OWN.to_owned()),
        ("a file", "::1 x\n", format!("::1 x\n{OWN}")),
        ("no final newline", "::1 x", format!("::1 x\n{OWN}")),
        ("an empty line at the end", "::1 x\n\n", format!("::1 x\n\n{OWN}")),
        ("lines that end as on Windows", "::1 x\r\n::1 y\r\n", format!("::1 x\r\n::1 y\r\n{OWN}")),
        ("no final newline, as on Windows", "::1 x\r\n::1 y", format!("::1 x\r\n::1 y\n{OWN}")),
        ("another deployment's", OTHER, format!("{OTHER}{OWN}")),
        ("one whose name begins alike", ALIKE, format!("{ALIKE}{OWN}")),
    ] {
        assert_eq!(put(text), with, "{title}");
        assert_eq!(put(&with), with, "{title}: twice");
        assert_eq!(take_out(&with, !is_whole(text.as_bytes())), text, "{title}");
    }
}

#[test]
fn only_the_block_goes() {
    for (title, with, unended, without) in [
        ("in the middle", format!("::1 x\n{OWN}::1 y"), false, "::1 x\n::1 y".to_owned()),
        ("at the start", format!("{OWN}::1 y\n"), false, "::1 y\n".to_owned()),
        ("between two others", format!("{OTHER}{OWN}{ALIKE}"), false, format!("{OTHER}{ALIKE}")),
        // The line above had no end, and now it needs one.
        ("lines that others added since", format!("::1 x\n{OWN}::1 y\n"), true, "::1 x\n::1 y\n".to_owned()),
        ("the last line lost its end", format!("::1 x\n{}", OWN.trim_end()), false, "::1 x\n".to_owned()),
        ("turned into a file of Windows", format!("::1 x\n{OWN}").replace('\n', "\r\n"), false, "::1 x\r\n".to_owned()),
    ] {
        assert_eq!(take_out(&with, unended), without, "{title}");
    }
}

#[test]
fn an_edited_block_is_put_right_where_it_stands() {
    let edited = format!("::1 x\n{}::1 y\n", OWN.replace("127.0.0.1 r.test", "10.0.0.1 r.test\n# mine"));
    let block = Block::find(edited.as_bytes(), "a").unwrap().unwrap();
    assert_eq!((block.line, block.lines.as_slice()), (2, &["10.0.0.1 r.test".to_owned(), "# mine".to_owned()][..]));
    assert_eq!(block.entry(), None);
    assert_eq!(put(&edited), format!("::1 x\n{OWN}::1 y\n"));
    // Blanks and line ends are no difference.
    let same = format!("::1 x\r\n{}", OWN.replace('\n', " \r\n"));
    let block = Block::find(same.as_bytes(), "a").unwrap().unwrap();
    assert_eq!(block.entry(), Some(("127.0.0.1", vec!["r.test"])));
}

#[test]
fn marks_that_make_no_block_are_told_with_their_line() {
    let (begin, end) = ("# provision: a (begin)\n", "# provision: a (end)\n");
    let missing = |mark: &str| Some(mark.trim_end().to_owned());
    for (title, text, line, missing) in [
        ("no end", format!("::1 x\n{begin}127.0.0.1 r.test\n::1 y\n"), 2, missing(end)),
        ("no beginning", format!("::1 x\n127.0.0.1 r.test\n{end}"), 3, missing(begin)),
        ("the wrong way round", format!("{end}{begin}"), 1, missing(begin)),
        ("the end of one that begins alike", format!("{begin}# provision: a-2 (end)\n"), 1, missing(end)),
        ("two", format!("{OWN}{OWN}"), 4, None),
        ("one in another", format!("{begin}{OWN}{end}"), 2, None),
        ("two ends", format!("{OWN}{end}"), 4, None),
    ] {
        assert_eq!(Block::find(text.as_bytes(), "a"), Err(Broken { line, missing }), "{title}");
    }
    for text in ["", "::1 x\n", OTHER, ALIKE, "# provision: a\n", "x # provision: a (begin)\n"] {
        assert_eq!(Block::find(text.as_bytes(), "a"), Ok(None), "{text}");
    }
}

#[test]
fn a_name_with_another_address_is_found_outside_of_the_block() {
    let names = ["r.test".to_owned(), "q.test".to_owned()];
    for (title, text, wanted) in [
        ("none", "::1 x\n".to_owned(), None),
        ("the same address", "127.0.0.1 r.test\n".to_owned(), None),
        ("in a comment", "# 10.0.0.1 r.test\n10.0.0.1 x # r.test\n".to_owned(), None),
        ("as the end of a name", "10.0.0.1 xr.test\n".to_owned(), None),
        ("in the block", OWN.replace("127.0.0.1", "10.0.0.1"), None),
        ("another address", format!("{OWN}10.0.0.1 x R.test\n"), Some((4, "R.test", "10.0.0.1"))),
        ("no words but tabs", "::1 x\n10.0.0.1\tq.test\n".to_owned(), Some((2, "q.test", "10.0.0.1"))),
        ("another deployment", OTHER.replace("127.0.0.1 s", "10.0.0.1 r"), Some((2, "r.test", "10.0.0.1"))),
    ] {
        let block = Block::find(text.as_bytes(), "a").unwrap();
        let found = clash(text.as_bytes(), block.as_ref(), "127.0.0.1", &names);
        let found = found.as_ref().map(|clash| (clash.line, clash.name.as_str(), clash.address.as_str()));
        assert_eq!(found, wanted, "{title}");
    }
}
