//! What a collection of garbage costs: time and memory for stores of many manifests and blobs.

use std::fs;
use std::path::Path;
use std::time::Instant;

use crate::sandbox::Sandbox;
use crate::scale::{cost, linear};

fn digest(content: &str) -> String {
    openssl::sha::sha256(content.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write(store: &Path, path: &str, content: &str) {
    let path = store.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Writes a blob, and gives its digest.
fn blob(store: &Path, content: &str) -> String {
    let hex = digest(content);
    write(store, &format!("blobs/sha256/{}/{hex}/data", &hex[..2]), content);
    hex
}

/// Writes the store of a registry with so many tagged manifests, each with a configuration and layers of its own.
fn store(root: &Path, manifests: usize, layers: usize) {
    let store = root.join("docker/registry/v2");
    for number in 0..manifests {
        let repository = format!("repositories/team/app{}", number / 100);
        let link = |kind: &str, hex: &str| {
            write(&store, &format!("{repository}/{kind}/sha256/{hex}/link"), &format!("sha256:{hex}"));
        };
        let content: Vec<String> = (0..=layers).map(|layer| blob(&store, &format!("{number} {layer}"))).collect();
        content.iter().for_each(|hex| link("_layers", hex));
        let described: Vec<String> =
            content.iter().map(|hex| format!("{{\"size\":3,\"digest\":\"sha256:{hex}\"}}")).collect();
        let text =
            format!("{{\"schemaVersion\":2,\"config\":{},\"layers\":[{}]}}", described[0], described[1..].join(","));
        let hex = blob(&store, &text);
        link("_manifests/revisions", &hex);
        link(&format!("_manifests/tags/v{number}/index"), &hex);
        write(&store, &format!("{repository}/_manifests/tags/v{number}/current/link"), &format!("sha256:{hex}"));
    }
    blob(&store, "garbage");
}

/// A collection that only lists, where the store is.
fn collect(sandbox: &Sandbox, root: &Path) -> (f64, f64) {
    fs::create_dir_all(root.join("watch")).unwrap();
    let job = format!(
        "{{\"root\":\"{0}\",\"task\":{{\"collect\":{{\"folder\":\"{0}/watch\",\"nginx\":1,\"grace\":1,\"untagged\":0,\"dry_run\":true,\"program\":[]}}}}}}",
        root.display()
    );
    sandbox.write("job.json", &job);
    let (cost, said) = cost(sandbox, &["agent", "./job.json"]);
    assert!(said.contains("\"blobs_waiting\":1,"), "{said}");
    (cost.seconds, cost.megabytes)
}

/// A folder in memory, where there is one: it has thousands of small files.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

#[test]
fn a_collection_costs_in_proportion_to_the_store() {
    let sandbox = Sandbox::new();
    let mut stores = std::collections::BTreeMap::new();
    linear(400, |size| {
        let folder = stores.entry(size).or_insert_with(|| {
            let folder = folder();
            store(folder.path(), size, 2);
            folder
        });
        collect(&sandbox, folder.path()).0
    });
}

/// 10,000 manifests on the local disk, and the memory for many blobs.
#[test]
#[ignore = "minutes: `make soak`"]
fn soak_a_collection_of_many_manifests_and_blobs() {
    let sandbox = Sandbox::new();
    let root = sandbox.path("registry");
    store(&root, 10_000, 1);
    let begun = Instant::now();
    let (seconds, megabytes) = collect(&sandbox, &root);
    let elapsed = begun.elapsed().as_secs_f64();
    eprintln!("10,000 manifests: {elapsed:.1} s, of which {seconds:.1} s of the processor; {megabytes:.0} MB");
    assert!(elapsed < 20.0, "{elapsed}");
    let mut memory = Vec::new();
    for manifests in [500, 2000] {
        let folder = folder();
        store(folder.path(), manifests, 99);
        let (seconds, megabytes) = collect(&sandbox, folder.path());
        eprintln!("{} blobs: {seconds:.1} s of the processor, {megabytes:.1} MB", manifests * 100);
        memory.push(megabytes);
    }
    let million = memory[1] + (memory[1] - memory[0]) / 150_000.0 * 800_000.0;
    eprintln!("a million blobs by this slope: {million:.0} MB");
    assert!(million < 100.0, "{million}");
}
