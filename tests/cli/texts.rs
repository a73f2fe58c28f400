//! Texts as the editors of other systems write them: with a byte-order mark, with ends of lines of two characters, in UTF-16.

use crate::sandbox::Sandbox;

const PLAYBOOK: &str = "\
inputs:
  text: { type: string, default: none }
  token: { type: secret, default: \"\" }
  note: { type: file, default: \"\" }
variables:
  OLD_TEXT: { input: text }
resources:
  - secret: word
    value: \"{{ token }}\"
  - htpasswd: people
    users: { admin: \"{{ word }}\" }
    cost: 5
  - file: out
    path: ROOT/users
    content: \"{{ people.content }}\"
  - file: rendered
    path: ROOT/rendered
    template: part.txt
outputs:
  text: \"{{ text }}\"
  note: \"{{ note }}\"
";

fn marked(text: &str) -> Vec<u8> {
    format!("\u{feff}{text}").into_bytes()
}

/// As `Out-File` of Windows writes it.
fn utf16(text: &str) -> Vec<u8> {
    format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn sandbox(form: fn(&str) -> Vec<u8>) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("x.yml", form(&PLAYBOOK.replace("ROOT", &sandbox.path("").display().to_string())));
    sandbox.write("part.txt", form("of {{ text }}\n"));
    sandbox.write("inputs.yml", form("text: of the file\r\n"));
    sandbox.write("old.env", form("OLD_TEXT=of the variables\r\n"));
    sandbox.write("token", form("opensesame\r\n"));
    sandbox.write("note", form("a note"));
    sandbox.write("word", form("correct horse\r\n"));
    let hash = bcrypt::hash("old password", 4).unwrap();
    sandbox.write("users.old", form(&format!("jane doe:{hash}\r\n  # indented\r\nkate:{hash} \r\n")));
    sandbox
}

#[test]
fn a_byte_order_mark_is_left_off_wherever_text_is_read() {
    let sandbox = sandbox(marked);
    let ok = |line: &str| {
        let said = sandbox.run(line);
        assert_eq!(said.code, 0, "{}", said.text);
        said.stdout.trim_end().to_owned()
    };
    ok("apply ./x.yml --inputs inputs.yml --token @token --note note");
    assert_eq!(ok("output x text"), "of the file");
    assert_eq!(ok("output x note"), "a note");
    assert_eq!(ok("secrets x word"), "opensesame");
    assert_eq!(sandbox.read("rendered"), "of of the file\n");
    ok("apply ./x.yml --env-file old.env");
    assert_eq!(ok("output x text"), "of the variables");
    ok("users x add --import users.old");
    ok("users x add alice --password-file word");
    let users = sandbox.read("users");
    let of = |name: &str| users.lines().find_map(|line| line.strip_prefix(&format!("{name}:"))).unwrap().to_owned();
    assert!(bcrypt::verify("correct horse", &of("alice")).unwrap());
    for imported in ["jane doe", "kate"] {
        assert!(bcrypt::verify("old password", &of(imported)).unwrap());
    }
    assert!(!users.contains('\u{feff}') && !users.contains('\r') && !users.contains('#'), "{users}");
}

#[test]
fn utf16_gets_a_hint() {
    let good = sandbox(marked);
    assert_eq!(good.run("apply ./x.yml").code, 0);
    let bad = sandbox(utf16);
    for name in ["inputs.yml", "old.env", "token", "note", "word", "users.old"] {
        std::fs::copy(bad.path(name), good.path(name)).unwrap();
    }
    std::fs::copy(bad.path("x.yml"), good.path("y.yml")).unwrap();
    for line in [
        "plan ./y.yml",
        "plan ./x.yml --inputs inputs.yml",
        "plan ./x.yml --env-file old.env",
        "plan ./x.yml --token @token",
        "plan ./x.yml --note note",
        "users x add alice --password-file word",
        "users x add --import users.old",
        "backup x ./x.age --passphrase-file word",
    ] {
        let said = good.run(line);
        assert!(said.code == 1 || said.code == 2, "{}", said.text);
        assert!(
            said.stderr.contains("is text in UTF-16") && said.stderr.contains("iconv -f UTF-16 -t UTF-8"),
            "{}",
            said.text
        );
    }
}
