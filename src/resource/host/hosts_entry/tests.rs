use super::*;

const BLOCK: &str = "# provision: a (begin)\n127.0.0.1 r.test s.test\n# provision: a (end)\n";

/// The action for a file, and each field that differs.
fn told(names: &[&str], text: &str, recorded: bool) -> (Action, Vec<String>) {
    let spec = Spec { names: names.iter().map(|name| (*name).to_owned()).collect(), address: "127.0.0.1".to_owned() };
    let record = recorded.then(|| Record { lines: Vec::new(), unended: false, made: false });
    let block = Block::find(text.as_bytes(), "a").unwrap();
    let actual = Actual { record, block, text: text.as_bytes().to_vec(), address: "127.0.0.1".to_owned() };
    let change = difference(&spec, &actual);
    let fields = change.fields.iter().map(|field| format!("{}: {} → {}", field.name, field.old, field.new));
    (change.action, fields.chain(change.reason).collect())
}

#[test]
fn a_difference_is_told_by_field() {
    use Action::{Create, Unchanged, Update};
    let names = ["r.test", "s.test"];
    for (title, names, text, recorded, action, fields) in [
        ("nothing yet", &names[..], String::new(), false, Create, vec![]),
        ("as it should be", &names, BLOCK.to_owned(), true, Unchanged, vec![]),
        (
            "an address, a wildcard and localhost",
            &["r.test", "10.0.0.1", "*.x.test", "localhost", "s.test", "R.test"],
            BLOCK.to_owned(),
            true,
            Unchanged,
            vec![],
        ),
        ("nothing needs an entry", &["localhost", "::1"], String::new(), false, Unchanged, vec![]),
        (
            "no name needs one any more",
            &["localhost"],
            BLOCK.to_owned(),
            true,
            Update,
            vec!["address: 127.0.0.1 → (none)", "names: r.test, s.test → (none)"],
        ),
        ("a name less", &names[..1], BLOCK.to_owned(), true, Update, vec!["names: r.test, s.test → r.test"]),
        ("another address", &names, BLOCK.replace("127.0.0.1", "::1"), true, Update, vec!["address: ::1 → 127.0.0.1"]),
        (
            "another line",
            &names,
            BLOCK.replace("s.test\n", "s.test\n::1 x\n"),
            true,
            Update,
            vec!["lines: 127.0.0.1 r.test s.test; ::1 x → 127.0.0.1 r.test s.test"],
        ),
        (
            "an empty block",
            &names,
            BLOCK.replace("127.0.0.1 r.test s.test\n", ""),
            true,
            Update,
            vec!["lines: (none) → 127.0.0.1 r.test s.test"],
        ),
        (
            "the block gone",
            &names,
            "::1 x\n".to_owned(),
            true,
            Update,
            vec!["address: (none) → 127.0.0.1", "names: (none) → r.test, s.test", "the block in `/etc/hosts` is gone"],
        ),
    ] {
        let told = told(names, &text, recorded);
        assert_eq!(told, (action, fields.into_iter().map(str::to_owned).collect()), "{title}");
    }
}
