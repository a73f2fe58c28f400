//! Whether a run does nothing but renew what comes to an end by itself.

use crate::execution::graph::Graph;
use crate::execution::plan::{Known, Plan};
use crate::resource::change::{Action, Change};

/// The kinds that come to an end, and what tells clients of them.
const ENDING: [&str; 4] = ["authority", "certificate", "certificate-file", "trust"];
/// The kinds of what shows them to clients.
const SHOWING: [&str; 2] = ["container", "service"];

impl Plan {
    /// Whether all that it changes is certificates, and the files by which servers show them.
    pub fn renews(&self, graph: &Graph) -> bool {
        let is_one = |(id, change): (&String, &Change)| {
            let kind = graph.nodes[id].kind.name;
            ENDING.contains(&kind) || (SHOWING.contains(&kind) && takes_up_files(change))
        };
        let changed = |change: &Change| change.is_change() && change.action != Action::Check;
        self.deletions.is_empty() && self.changes.iter().filter(|(_, change)| changed(change)).all(is_one)
    }

    /// Whether everything but checks has come to its end.
    pub fn is_done(&self, known: &Known) -> bool {
        self.changes.iter().all(|(id, change)| change.action == Action::Check || known.has(id))
    }
}

/// Whether a server goes on as it is, with other files that are no configuration.
fn takes_up_files(change: &Change) -> bool {
    let is_plain = |name: &str| name.starts_with("files.") && !name.contains(".conf") && !name.contains("/config");
    change.action == Action::Update && change.fields.iter().all(|field| is_plain(&field.name))
}

#[cfg(test)]
mod tests {
    use super::takes_up_files;
    use crate::resource::change::{Action, Change, Field};

    #[test]
    fn a_server_that_gets_another_certificate_is_told_from_one_that_gets_another_configuration() {
        let change = |action, name: &str| {
            let field = Field { name: name.to_owned(), old: "a".to_owned(), new: "b".to_owned() };
            takes_up_files(&Change { fields: vec![field], ..Change::new(action) })
        };
        assert!(change(Action::Update, "files./etc/provision/tls.crt.content"));
        assert!(!change(Action::Update, "files./etc/provision/nginx.conf.content"));
        assert!(!change(Action::Update, "state"));
        assert!(!change(Action::Replace, "files./etc/provision/tls.crt.content"));
    }
}
