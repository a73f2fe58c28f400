//! For how long nobody answers while containers are replaced: told once for all of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::execution::graph::{Graph, Id};
use crate::resource::change::{Change, Gap};

/// Tells it in the reason of the first that is replaced.
pub(super) fn tell(changes: &mut BTreeMap<Id, Change>, graph: &Graph) {
    let gaps: Vec<(&Id, Gap)> = graph.order.iter().filter_map(|id| Some((id, changes.get(id)?.gap?))).collect();
    let Some((first, _)) = gaps.first() else { return };
    let others: Vec<&Id> = gaps.iter().skip(1).map(|(id, _)| *id).collect();
    let length = length(&gaps, &graph.order, |id| &graph.nodes[id].needs);
    let Some(change) = changes.get_mut(*first) else { return };
    let told = words(length, &others);
    change.reason = Some(change.reason.take().map_or_else(|| told.clone(), |reason| format!("{reason}; {told}")));
}

/// Milliseconds from the first stop to the last start; none if one was never measured. What does not wait for another is replaced
/// at the same time.
fn length<'g>(gaps: &[(&Id, Gap)], order: &'g [Id], needs: impl Fn(&Id) -> &'g BTreeSet<Id>) -> Option<u64> {
    let mut ends: BTreeMap<&Id, u64> = BTreeMap::new();
    for id in order {
        let begins = needs(id).iter().filter_map(|need| ends.get(need)).max().copied().unwrap_or_default();
        let own = match gaps.iter().find(|(of, _)| *of == id) {
            Some((_, Gap::Milliseconds(own))) => *own,
            Some((_, Gap::Unknown)) => return None,
            None => 0,
        };
        ends.insert(id, begins + own);
    }
    ends.into_values().max()
}

fn words(length: Option<u64>, others: &[&Id]) -> String {
    let names: Vec<String> = others.iter().map(|id| format!("`{id}`")).collect();
    let (which, starts) = if names.is_empty() {
        ("meanwhile".to_owned(), "its last start")
    } else {
        (format!("while it and {} are replaced", names.join(", ")), "their last starts")
    };
    match length {
        Some(milliseconds) => {
            let tenths = milliseconds.div_ceil(100).max(1);
            format!("nobody answers for about {}.{} s {which}, as long as {starts} took", tenths / 10, tenths % 10)
        }
        None if names.is_empty() => format!("nobody answers {which}, until the new one is ready"),
        None => format!("nobody answers {which}, until the new ones are ready"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::{Gap, length, words};

    #[test]
    fn the_gap_is_told_in_tenths_of_a_second() {
        assert!(words(Some(430), &[]).contains("about 0.5 s meanwhile"), "{}", words(Some(430), &[]));
        let other = "proxy".to_owned();
        assert!(words(Some(2001), &[&other]).contains("about 2.1 s while it and `proxy` are replaced"));
        assert!(words(None, &[]).contains("until the new one is ready"));
    }

    #[test]
    fn what_is_replaced_at_the_same_time_is_one_gap() {
        let order: Vec<String> = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        let needs = |pairs: &[(&str, &str)]| {
            let mut needs: BTreeMap<String, BTreeSet<String>> =
                order.iter().map(|id| (id.clone(), BTreeSet::new())).collect();
            for (id, need) in pairs {
                needs.get_mut(*id).unwrap().insert((*need).to_owned());
            }
            needs
        };
        let gaps = [(&order[0], Gap::Milliseconds(300)), (&order[2], Gap::Milliseconds(500))];
        let beside = needs(&[]);
        assert_eq!(length(&gaps, &order, |id| &beside[id]), Some(500));
        // One after the other, with something between them.
        let after = needs(&[("b", "a"), ("c", "b")]);
        assert_eq!(length(&gaps, &order, |id| &after[id]), Some(800));
        assert_eq!(length(&[(&order[0], Gap::Unknown)], &order, |id| &after[id]), None);
    }
}
