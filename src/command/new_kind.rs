//! The life of a kind that no verb knows by name: planned, applied, drifted, taken back, in the schema, backed up, destroyed
//! and restored.
#![expect(clippy::disallowed_methods, reason = "a test acts on the world")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tokio::sync::mpsc::unbounded_channel;

use super::{apply, backup, destroy, plan, restore, schema};
use crate::deployment::Store;
use crate::event::Events;
use crate::execution::plan::Plan;
use crate::language::playbook::Playbook;
use crate::resource::NAMES;
use crate::resource::change::Action;
use crate::session::{Session, Target};
use crate::world::stop::Stopper;

const FOLDER: &str = "PROVISION_HOME";
const INPUTS: &str = "inputs:\n  text: { type: string, default: first }\nresources:\n";

/// In a process of its own, since where deployments are kept stands in the environment.
#[test]
fn a_new_kind_needs_no_verb_to_know_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut inner = Command::new(std::env::current_exe().unwrap());
    inner.args(["--exact", "--ignored", "--nocapture", "command::new_kind::its_life"]);
    let output = inner.env(FOLDER, folder.path()).output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

fn session() -> Session {
    let events = Events::new(unbounded_channel().0);
    let (options, stopper) = (crate::resource::run::Options::default(), Stopper::default());
    Session { events, options, yes: true, wait: Duration::ZERO, stopper }
}

fn target(playbook: &Path, text: &str) -> Target {
    let path = playbook.display().to_string();
    Target {
        brought: None,
        playbook: Playbook::file(&path, NAMES).unwrap(),
        path: Some(path),
        given: BTreeMap::from([("text".to_owned(), text.into())]),
        environment: None,
        name: None,
        again: false,
        root: None,
        warnings: Vec::new(),
    }
}

#[tokio::test]
#[ignore = "a part of the test above, which gives it a folder"]
async fn its_life() {
    let folder = std::env::var(FOLDER).unwrap();
    let folder = Path::new(&folder).canonicalize().unwrap();
    let (session, thing, playbook) = (session(), folder.join("things/one.txt"), folder.join("life.yml"));
    let one = format!("  - specimen: one\n    path: {}\n    text: \"{{{{ text }}}}\"\n", thing.display());
    std::fs::write(&playbook, format!("{INPUTS}{one}outputs:\n  where: \"{{{{ one.path }}}}\"\n")).unwrap();
    let read = || std::fs::read_to_string(&thing).unwrap();

    assert!(plan::run(&session, target(&playbook, "first")).await.unwrap(), "it is to be made");
    assert!(!thing.exists(), "and a plan makes nothing");
    apply::run(&session, target(&playbook, "first"), "apply").await.unwrap();
    assert_eq!(read(), "first");
    assert_eq!(Store::existing("life").unwrap().1.outputs["where"], thing.display().to_string());
    assert!(!plan::run(&session, target(&playbook, "first")).await.unwrap(), "a second run has nothing to do");

    std::fs::write(&thing, "drifted").unwrap();
    let prepared = session.reopen("life").unwrap();
    let seen = Plan::make(&prepared.graph, &prepared.run, &prepared.record.kinds).await.unwrap();
    let change = &seen.changes[&"one".to_owned()];
    let field = &change.fields[0];
    assert_eq!((change.action, field.name.as_str()), (Action::Update, "text"));
    assert_eq!((field.old.as_str(), field.new.as_str()), ("drifted", "first"));
    drop(prepared);

    // A later resource that cannot be made: this one is taken back as it was.
    let beside = format!(
        "  - specimen: two\n    path: {}/one.txt/two\n    text: x\n    after: [one]\n",
        folder.join("things").display()
    );
    std::fs::write(&playbook, format!("{INPUTS}{one}{beside}")).unwrap();
    assert!(apply::run(&session, target(&playbook, "second"), "apply").await.is_err());
    assert_eq!(read(), "drifted");
    std::fs::write(&playbook, format!("{INPUTS}{one}")).unwrap();
    apply::run(&session, target(&playbook, "second"), "apply").await.unwrap();
    assert_eq!(read(), "second");

    let described = schema::schema().to_string();
    assert!(described.contains("\"specimen\"") && described.contains("a text on this host"), "{described}");

    let (passphrase, file) = (folder.join("passphrase"), folder.join("life.backup").display().to_string());
    std::fs::write(&passphrase, "correct horse battery staple\n").unwrap();
    let passphrase = Some(passphrase.display().to_string());
    let sealing = backup::Sealing { recipients: Vec::new(), passphrase_file: passphrase.clone() };
    backup::run(&session, "life", &file, sealing).await.unwrap();
    destroy::run(&session, "life", false).await.unwrap();
    assert!(!thing.exists() && !folder.join("things").exists(), "nothing of it is left");
    assert!(Store::existing("life").is_err());

    let opening = restore::Opening { identity: None, passphrase_file: passphrase };
    restore::run(&session, "life", &file, opening, &[]).await.unwrap();
    assert_eq!(read(), "second");
    destroy::run(&session, "life", false).await.unwrap();
    assert!(!thing.exists());
}
