//! `provision users`, on a password file that a playbook writes to this host.

use crate::sandbox::Sandbox;
use crate::snapshot;

const PLAYBOOK: &str = "\
about: A password file
inputs:
  key: { type: secret, default: \"\", about: the password of the operator }
resources:
  - secret: password
    value: \"{{ key }}\"
  - htpasswd: people
    users: { admin: \"{{ password }}\" }
    cost: 5
  - file: out
    path: ROOT/htpasswd
    content: \"{{ people.content }}\"
";

/// A deployment called `site`.
pub fn site() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("site.yml", PLAYBOOK.replace("ROOT", &sandbox.path("").display().to_string()));
    assert_eq!(sandbox.run("apply ./site.yml").code, 0);
    sandbox
}

/// The user of each line.
pub fn users(sandbox: &Sandbox) -> Vec<String> {
    sandbox.read("htpasswd").lines().map(|line| line.split(':').next().unwrap().to_owned()).collect()
}

fn hash(sandbox: &Sandbox, user: &str) -> String {
    let file = sandbox.read("htpasswd");
    let line = file.lines().find(|line| line.starts_with(&format!("{user}:"))).unwrap_or_else(|| panic!("no {user}"));
    line.split_once(':').unwrap().1.to_owned()
}

#[test]
fn users_come_and_go() {
    let sandbox = site();
    sandbox.write("word", "correct horse\n");
    let mut text = String::new();
    for line in [
        "users site",
        "users site add alice --password-file word",
        "users site add bob --generate",
        "users site list",
        "users site add alice --generate",
        "users site password carol --generate",
        "users site remove admin",
        "users site remove alicia",
    ] {
        text.push_str(&sandbox.run(line).text);
        text.push('\n');
    }
    assert_eq!(users(&sandbox), ["admin", "alice", "bob"]);
    assert!(bcrypt::verify("correct horse", &hash(&sandbox, "alice")).unwrap());
    let password = sandbox.run("secrets site people.bob").stdout;
    assert!(bcrypt::verify(password.trim(), &hash(&sandbox, "bob")).unwrap());
    assert_eq!(sandbox.run("plan site --exit-code").code, 0, "they are no drift");

    let before = hash(&sandbox, "bob");
    text.push_str(&sandbox.run("users site password bob --password-file word").text);
    assert_ne!(hash(&sandbox, "bob"), before);
    text.push_str(&sandbox.run("secrets site people.bob").text);
    text.push_str(&sandbox.run("users site remove alice").text);
    assert_eq!(users(&sandbox), ["admin", "bob"]);
    snapshot!("users_verbs", text);
    // A line that nobody added is drift still.
    std::fs::write(sandbox.path("htpasswd"), format!("{}eve:x\n", sandbox.read("htpasswd"))).unwrap();
    assert_eq!(sandbox.run("plan site --exit-code").code, 3);
    let listed = sandbox.run("users site --output json").stdout;
    assert!(listed.contains(r#"{"hash":"bcrypt, cost 5","of":"playbook","user":"admin"}"#), "{listed}");
}

#[test]
fn the_playbook_s_own_user_gets_a_new_password() {
    let sandbox = site();
    let old = sandbox.run("secrets site password").stdout;
    assert_eq!(sandbox.run("users site password admin --generate").code, 0);
    let new = sandbox.run("secrets site password").stdout;
    assert_ne!(old, new);
    assert!(bcrypt::verify(new.trim(), &hash(&sandbox, "admin")).unwrap());
    // Not where it would be taken back by the next run.
    assert_eq!(sandbox.run("apply ./site.yml --key given-by-hand").code, 0);
    let refused = sandbox.run("users site password admin --generate");
    assert_eq!(refused.code, 1);
    assert!(refused.text.contains("`--set key=@FILE`"), "{}", refused.text);
    assert_eq!(sandbox.run("secrets site password").stdout.trim(), "given-by-hand");
}

#[test]
fn a_password_file_is_taken_over() {
    let sandbox = site();
    let good = bcrypt::hash("old password", 4).unwrap();
    let others = "\
dave:$apr1$Rs7Yv8Hq$9hNVoPRQ9qYSwGxoVhE1G1
erin:rqXexS6ZhobKA
# a comment

frank:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=
grace:$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/
";
    sandbox.write("mixed", format!("carol:{good}\n{others}"));
    let mut text = sandbox.run("users site add --import mixed").text;
    assert_eq!(users(&sandbox), ["admin", "carol"]);
    assert_eq!(hash(&sandbox, "carol"), good, "the password stays as it was");
    sandbox.write("others", others);
    sandbox.write("cut", format!("henry:{}\n", &good[..40]));
    sandbox.write("line", "henry\n");
    sandbox.write("twice", format!("henry:{good}\nhenry:{good}\n"));
    let another = bcrypt::hash("another", 4).unwrap();
    sandbox.write("clash", format!("henry:{good}\ncarol:{another}\n"));
    for file in ["others", "cut", "line", "twice", "clash", "none"] {
        text.push('\n');
        let refused = sandbox.run(&format!("users site add --import {file}"));
        assert_ne!(refused.code, 0, "{file}");
        text.push_str(&refused.text);
    }
    assert_eq!(users(&sandbox), ["admin", "carol"], "nothing was taken of those");
    assert!(!text.contains(&good[..20]) && !text.contains("$apr1$"), "no hash shows: {text}");
    snapshot!("users_import", text);
}

#[test]
fn what_cannot_be_a_user_is_refused() {
    let sandbox = site();
    sandbox.write("long", "x".repeat(73));
    sandbox.write("empty", "\n");
    let mut text = String::new();
    for line in [
        "users site add a:b --generate",
        "users site add #a --generate",
        "users site add alice",
        "users site add alice --password-file long",
        "users site add alice --password-file empty",
        "users site add alice --password-file word",
        "users site add",
        "users site add alice --generate --password-file word",
        "users nobody list",
    ] {
        let refused = sandbox.run(line);
        assert_ne!(refused.code, 0, "{line}");
        text.push_str(&refused.text);
        text.push('\n');
    }
    assert_eq!(sandbox.run("certs --cn localhost --out ./tls").code, 0);
    text.push_str(&sandbox.run("users certs list").text);
    assert_eq!(users(&sandbox), ["admin"]);
    snapshot!("users_refused", text);
}

#[test]
fn a_change_that_cannot_be_carried_out_is_taken_back() {
    let sandbox = site();
    // What stands in the way of the file.
    std::fs::remove_file(sandbox.path("htpasswd")).unwrap();
    std::fs::create_dir(sandbox.path("htpasswd")).unwrap();
    assert_eq!(sandbox.run("users site add alice --generate").code, 1);
    std::fs::remove_dir(sandbox.path("htpasswd")).unwrap();
    assert_eq!(sandbox.run("apply ./site.yml").code, 0);
    assert_eq!(users(&sandbox), ["admin"]);
    assert!(!sandbox.run("secrets site").stdout.contains("alice"));
}

/// The hash of a cost that an earlier version gave to passwords that a person chose.
fn costly() -> String {
    bcrypt::hash("of a costly hash", 10).unwrap()
}

#[test]
fn passwords_are_cheap_to_check_or_refused() {
    let sandbox = site();
    sandbox.write("short", "nine char\n");
    sandbox.write("word", "ten chars!\n");
    sandbox.write("costly", format!("gina:{}\nhugo:{}\niris:{}\n", costly(), costly(), hash(&sandbox, "admin")));
    let rounds = "$6$rounds=999999999$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/";
    sandbox.write("rounds", format!("gina:{rounds}\n"));
    let mut text = String::new();
    for line in [
        "users site add gina --password-file short",
        "users site password admin --password-file short",
        "users site add --import costly",
        "users site add --import rounds",
        "apply ./site.yml --key nine_char",
    ] {
        let refused = sandbox.run(line);
        assert_ne!(refused.code, 0, "{line}");
        text.push_str(&refused.text);
        text.push('\n');
    }
    snapshot!("users_costly", text);
    assert_eq!(users(&sandbox), ["admin"], "nothing was taken of those");
    assert_eq!(sandbox.run("users site add gina --password-file word").code, 0);
    assert_eq!(sandbox.run("users site add hugo --generate").code, 0);
    assert_eq!([&hash(&sandbox, "gina")[..7], &hash(&sandbox, "hugo")[..7]], ["$2b$08$", "$2b$05$"]);
}

/// What earlier versions took goes on, and is told of until it is mended.
#[test]
fn costly_hashes_of_earlier_versions_go_on_and_are_told_of() {
    let sandbox = site();
    let kept = |file: &str| sandbox.home(&format!("deployments/site/htpasswd/people/{file}"));
    let old = costly();
    assert_eq!(sandbox.run("users site add bob --generate").code, 0);
    let before = hash(&sandbox, "bob");
    for file in ["added", "htpasswd"] {
        let text = std::fs::read_to_string(kept(file)).unwrap();
        std::fs::write(kept(file), text.replace(&before, &old)).unwrap();
    }
    let told = "hashed at a cost above 8, so that nginx lets everybody wait while it checks a password: `bob`; `provision users site password bob --generate` gives a new one";
    for line in ["plan site", "apply site", "users site add alice --generate"] {
        let ran = sandbox.run(line);
        assert_eq!(
            (ran.code, ran.stderr.matches(told).count() + ran.stdout.matches(told).count()),
            (0, 1),
            "{}",
            ran.text
        );
    }
    assert_eq!(hash(&sandbox, "bob"), old, "who could log in can log in still");
    // The file that it came from may be given again.
    sandbox.write("before", format!("bob:{old}\n"));
    assert_eq!(sandbox.run("users site add --import before").code, 0);
    assert_eq!(sandbox.run("users site password bob --generate").code, 0);
    let quiet = sandbox.run("plan site");
    assert!(!quiet.text.contains("hashed at a cost"), "{}", quiet.text);

    // A playbook that asks for more, and a password in use that is shorter than one may be today.
    sandbox.write("site.yml", sandbox.read("site.yml").replace("cost: 5", "cost: 10"));
    let ran = sandbox.run("apply ./site.yml");
    assert!(ran.code == 0 && ran.text.contains("`people`: `cost: 10` counts as 8"), "{}", ran.text);
    assert_eq!(&hash(&sandbox, "admin")[..7], "$2b$08$");
    assert_eq!(sandbox.run("plan site --exit-code").code, 0);
}
