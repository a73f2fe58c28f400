//! When a claim holds.

use super::{Claim, Standing};
use crate::world::process::{Place, Process, Seen};

fn place(host: &str, machine: &str, boot: &str, namespace: &str) -> Place {
    let text = str::to_owned;
    Place { host: text(host), machine: text(machine), boot: text(boot), namespace: text(namespace) }
}

fn claim(process: bool) -> Claim {
    Claim {
        user: "ada".to_owned(),
        place: place("h", "m", "b", "n"),
        container: None,
        process: process.then_some(Process { id: 7, started: 100 }),
        created: 1000,
        expires: 2000,
    }
}

/// Whether it has a process, where it is looked at from, what is seen of the process, when, and what follows.
type Case<'a> = (&'static str, bool, &'a Place, fn(u32) -> Seen, i64, Standing);

#[test]
fn a_claim_holds_as_long_as_its_process_where_that_can_be_seen_and_else_until_it_expires() {
    use Standing::{Expired, Holds, Orphaned};
    let here = place("h", "m", "b", "n");
    let elsewhere = place("g", "k", "c", "n");
    let contained = place("job", "m", "b", "o");
    let rebooted = place("h", "m", "c", "n");
    let copied = place("g", "m", "c", "n");
    let running = |_| Seen::Running(100);
    let cases: [Case<'_>; 14] = [
        ("its process runs", true, &here, running, 1500, Holds),
        ("its process runs, though it has expired", true, &here, running, 2500, Holds),
        ("its process has ended", true, &here, |_| Seen::Gone, 1500, Orphaned),
        ("another process has its id", true, &here, |_| Seen::Running(101), 1500, Orphaned),
        ("processes of others are hidden", true, &here, |_| Seen::Hidden, 1500, Holds),
        ("they are hidden, and it has expired", true, &here, |_| Seen::Hidden, 2000, Expired),
        ("on another machine", true, &elsewhere, |_| Seen::Gone, 1500, Holds),
        ("on another machine, expired", true, &elsewhere, running, 2500, Expired),
        ("in another process namespace", true, &contained, |_| Seen::Gone, 1500, Holds),
        ("in another process namespace, expired", true, &contained, running, 2500, Expired),
        ("before this machine was started anew", true, &rebooted, running, 1500, Orphaned),
        ("on a copy of this machine", true, &copied, |_| Seen::Gone, 1500, Holds),
        ("of no process", false, &here, |_| Seen::Gone, 1500, Holds),
        ("of no process, expired", false, &here, |_| Seen::Gone, 2000, Expired),
    ];
    for (title, process, here, see, now, expected) in cases {
        assert_eq!(claim(process).standing(here, see, |_| false, now), expected, "{title}");
    }
}

#[test]
fn a_claim_from_a_container_ends_with_it_and_else_as_any_other() {
    let contained = |process| Claim { container: Some("c".to_owned()), ..claim(process) };
    let elsewhere = place("g", "k", "c", "n");
    let standing =
        |claim: &Claim, runs: bool, now| claim.standing(&elsewhere, |_| Seen::Gone, |id| runs && id == "c", now);
    assert_eq!(standing(&contained(true), false, 1500), Standing::Orphaned, "the container is gone");
    assert_eq!(standing(&contained(true), true, 1500), Standing::Holds);
    assert_eq!(standing(&contained(true), true, 2000), Standing::Expired);
    assert_eq!(standing(&contained(false), false, 1500), Standing::Orphaned);
}

#[test]
fn labels_tell_the_whole_claim() {
    for claim in [claim(true), claim(false), Claim { container: Some("c".to_owned()), ..claim(true) }] {
        let labels = claim.labels();
        assert_eq!(Claim::read(|name| labels.get(name).map(String::as_str)), Some(claim));
    }
    assert_eq!(Claim::read(|_| None), None, "without an end it is none");
}
