//! Two runs at once on one deployment: the second waits, reads what the first has made, and nothing of either is lost.

use std::io::{BufRead, BufReader, Read};
use std::process::Child;

use crate::engine::{Fate, Ran, Recorder, SOCKET, Sandbox};

/// A verb, as a pair has it. Each can be the first and the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Apply,
    Renew,
    Add,
    Remove,
    Password,
    Import,
    Rotate,
    Backup,
    Restore,
    Destroy,
}

const ALL: [Verb; 10] = [
    Verb::Apply,
    Verb::Renew,
    Verb::Add,
    Verb::Remove,
    Verb::Password,
    Verb::Import,
    Verb::Rotate,
    Verb::Backup,
    Verb::Restore,
    Verb::Destroy,
];

/// What a deployment must be like afterwards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Model {
    exists: bool,
    users: Vec<String>,
}

/// A registry that pairs of verbs work on.
struct Pairs {
    sandbox: Sandbox,
    model: Model,
    count: usize,
}

impl Verb {
    /// Its command line, where `count` makes names that were not there before.
    fn line(self, sandbox: &Sandbox, count: usize, other: &str) -> Vec<String> {
        let (name, port, home) = (&sandbox.name, sandbox.port, sandbox.home.path().display());
        let line = match self {
            Self::Apply => format!("registry --name {name} --port {port} --trust no --san {other}{count}.example.com"),
            Self::Renew => format!("registry --name {name} --port {port} --trust no --renew"),
            Self::Add => format!("users {name} add add-{other}-{count} --generate"),
            Self::Remove => format!("users {name} remove leaving-{other}"),
            Self::Password => format!("users {name} password staying --generate"),
            Self::Import => format!("users {name} add --import {home}/import-{other}"),
            Self::Rotate => format!("rotate {name} --what certificates"),
            Self::Backup => format!("backup {name} {home}/{other}-{count}.age --passphrase-file {home}/word"),
            Self::Restore => format!("restore {name} {home}/first.age --passphrase-file {home}/word"),
            Self::Destroy => format!("destroy {name} --yes"),
        };
        line.split(' ').map(str::to_owned).collect()
    }

    /// What it makes of a deployment, and whether it can.
    fn model(self, before: &Model, count: usize, other: &str) -> (Model, bool) {
        let mut after = before.clone();
        if self == Self::Restore {
            let first = Model { exists: true, users: users(["admin", "leaving-a", "leaving-b", "staying"]) };
            return if before.exists { (after, false) } else { (first, true) };
        }
        if !before.exists && !matches!(self, Self::Apply | Self::Renew) {
            return (after, false);
        }
        match self {
            Self::Apply | Self::Renew if !before.exists => {
                after = Model { exists: true, users: users(["admin"]) };
            }
            Self::Add => after.users.push(format!("add-{other}-{count}")),
            Self::Import => after.users.push(format!("imported-{other}-{count}")),
            Self::Remove => {
                let leaving = format!("leaving-{other}");
                if !after.users.contains(&leaving) {
                    return (after, false);
                }
                after.users.retain(|user| *user != leaving);
            }
            Self::Password if !after.users.iter().any(|user| user == "staying") => return (after, false),
            Self::Destroy => after = Model::default(),
            _ => {}
        }
        after.users.sort();
        after.users.dedup();
        (after, true)
    }
}

fn users<const N: usize>(names: [&str; N]) -> Vec<String> {
    names.map(str::to_owned).to_vec()
}

impl Pairs {
    fn new(test: &str) -> Self {
        let sandbox = Sandbox::new(test);
        sandbox.write("word", "correct horse battery staple\n");
        sandbox.registry(&["--trust", "no"]).ok();
        for user in ["leaving-a", "leaving-b", "staying"] {
            sandbox.command(&["users", &sandbox.name, "add", user, "--generate"]).ok();
        }
        let file = sandbox.home.path().join("first.age").display().to_string();
        let word = sandbox.home.path().join("word").display().to_string();
        sandbox.command(&["backup", &sandbox.name, &file, "--passphrase-file", &word]).ok();
        let model = Model { exists: true, users: users(["admin", "leaving-a", "leaving-b", "staying"]) };
        Self { sandbox, model, count: 0 }
    }

    /// Makes it as it was at the beginning, if the first of a pair needs that.
    fn again(&mut self, first: Verb) {
        if first.model(&self.model, 0, "a").1 {
            return;
        }
        for verb in [Verb::Destroy, Verb::Restore] {
            if verb.model(&self.model, 0, "a").1 && !(verb == Verb::Restore && first == Verb::Restore) {
                self.run(verb).ok();
                self.model = verb.model(&self.model, 0, "a").0;
            }
        }
    }

    fn run(&self, verb: Verb) -> Ran {
        let line = verb.line(&self.sandbox, self.count, "a");
        self.sandbox.command(&line.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn start(&self, verb: Verb, other: &str) -> Child {
        let line = verb.line(&self.sandbox, self.count, other);
        self.sandbox.start(&line.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// The first is held at a request; the second comes, says that it waits, and ends after the first.
    fn pair(&mut self, first: Verb, second: Verb) {
        self.again(first);
        self.count += 1;
        for other in ["a", "b"] {
            let hash = "$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC";
            let user = format!("imported-{other}-{}", self.count);
            self.sandbox.write(&format!("import-{other}"), &format!("{user}:{hash}\n"));
        }
        let what = format!("{first:?} and {second:?}");
        // A backup only reads.
        let fate = if first == Verb::Backup { Fate::HeldAtAny(2) } else { Fate::Held(2) };
        let recorder = Recorder::of(SOCKET.as_ref(), fate);
        self.sandbox.socket = Some(recorder.socket.clone());
        let one = self.start(first, "a");
        recorder.wait_until_held();
        self.sandbox.socket = None;
        let mut two = self.start(second, "b");
        let told = two.stderr.take().unwrap();
        let told = says(told, "waiting for `provision ", &what);
        recorder.let_go();
        let one: Ran = one.wait_with_output().unwrap().into();
        let rest = std::thread::spawn(move || std::io::read_to_string(told).unwrap());
        let two: Ran = two.wait_with_output().unwrap().into();
        let said = rest.join().unwrap();
        assert_eq!(one.code, 0, "{what}, the first: {}", one.all());
        let (after, _) = first.model(&self.model, self.count, "a");
        let (after, can) = second.model(&after, self.count, "b");
        assert_eq!(two.code == 0, can, "{what}, the second: {said}");
        self.model = after;
        self.check(&what);
    }

    /// Whether it is as the model says, and in use like that.
    fn check(&self, what: &str) {
        let name = &self.sandbox.name;
        if !self.model.exists {
            assert_eq!(self.sandbox.things(), "", "{what}");
            return;
        }
        let listed = self.sandbox.command(&["users", name]).ok().out;
        let listed: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(listed, self.model.users, "{what}");
        let plan = self.sandbox.command(&["plan", name, "--exit-code"]);
        assert_eq!(plan.code, 0, "{what}: {}", plan.all());
    }
}

/// Reads until a program has said something, and gives what it reads from.
fn says<R: Read>(from: R, text: &str, what: &str) -> BufReader<R> {
    let mut from = BufReader::new(from);
    let mut said = String::new();
    while !said.contains(text) {
        assert_ne!(from.read_line(&mut said).unwrap(), 0, "{what}, the second did not wait: {said}");
    }
    from
}

#[test]
fn two_runs_that_share_state_lose_nothing() {
    let mut pairs = Pairs::new("pairs");
    let cases = [
        (Verb::Add, Verb::Remove),
        (Verb::Renew, Verb::Add),
        (Verb::Password, Verb::Rotate),
        (Verb::Apply, Verb::Apply),
        (Verb::Backup, Verb::Import),
        (Verb::Add, Verb::Destroy),
        (Verb::Restore, Verb::Add),
        (Verb::Destroy, Verb::Apply),
    ];
    cases.into_iter().for_each(|(first, second)| pairs.pair(first, second));
}

#[test]
#[ignore = "minutes: `make soak`"]
fn soak_all_pairs_of_verbs_lose_nothing() {
    let mut pairs = Pairs::new("allpairs");
    for first in ALL {
        for second in ALL {
            pairs.pair(first, second);
        }
    }
}
