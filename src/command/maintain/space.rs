//! The space that is free where the deployment's data and its folder lie.

use std::collections::BTreeMap;

use super::{Care, Task};
use crate::error::{Error, Result};
use crate::resource::fact::Fact;
use crate::world::files;

pub(super) const TASK: Task = Task { name: "space", run: |care| Box::pin(measure(care)) };

/// The percentage from which on somebody has to know.
const FULL: u64 = 90;

async fn measure(care: &Care<'_>) -> Result<Option<String>> {
    let run = &care.prepared.run;
    let mut found =
        BTreeMap::from([("the folder of the deployments".to_owned(), files::fullness(&files::state_home()?)?)]);
    for fact in &care.plan.facts {
        match fact {
            Fact::Folder(path) if files::exists(path) => {
                found.insert(format!("`{}`", path.display()), files::fullness(path)?);
            }
            Fact::Mount { container, path, volume } => {
                let counted = run.engine().await?.execute(container, &["df", "-Pk", path].map(str::to_owned)).await;
                // An image need not have the program.
                let percent =
                    counted.ok().filter(|counted| counted.code == 0).and_then(|counted| percent(&counted.output));
                found.extend(percent.map(|percent| (format!("the volume `{volume}`"), percent)));
            }
            _ => {}
        }
    }
    let full: Vec<String> = found
        .iter()
        .filter(|(_, percent)| **percent > FULL)
        .map(|(what, percent)| format!("{what} ({percent} %)"))
        .collect();
    if full.is_empty() {
        return Ok(None);
    }
    let hint =
        format!("free space, or move the data to a larger disk; `provision status {}` shows its size", care.name);
    Err(Error::new(format!("the disk is nearly full: {}", full.join(", "))).hint(hint))
}

/// The fifth column of the second line, as POSIX has it for `df -P`.
fn percent(output: &str) -> Option<u64> {
    let last = output.lines().rfind(|line| !line.trim().is_empty())?;
    last.split_whitespace().rev().nth(1)?.strip_suffix('%')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn the_percentage_of_df_is_read_whatever_the_device_is_called() {
        let head = "Filesystem           1024-blocks    Used Available Capacity Mounted on\n";
        assert_eq!(percent(&format!("{head}overlay 100 91 9 91% /var/lib/registry\n")), Some(91));
        assert_eq!(percent(&format!("{head}a b 100 5 95 5% /data\n")), Some(5));
        assert_eq!(percent(head), None);
        assert_eq!(percent(""), None);
    }
}
