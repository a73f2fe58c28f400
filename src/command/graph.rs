//! `provision graph`: the resources of a playbook and what needs what, for Graphviz.

use crate::error::Result;
use crate::report::line;
use crate::session::{Session, Target};

pub(crate) fn run(session: &Session, target: &Target) -> Result<()> {
    let prepared = session.prepare(target)?;
    line(&format!("digraph \"{}\" {{", prepared.run.store.name()));
    line("  rankdir = LR; node [shape = box, style = rounded, fontname = \"sans-serif\"];");
    for (id, vertex) in &prepared.graph.nodes {
        line(&format!("  \"{id}\" [label = \"{}\\n{id}\"];", vertex.kind.name));
    }
    for (id, vertex) in &prepared.graph.nodes {
        vertex.needs.iter().for_each(|need| line(&format!("  \"{need}\" -> \"{id}\";")));
    }
    line("}");
    Ok(())
}
