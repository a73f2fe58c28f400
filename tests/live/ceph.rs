//! `--flavor s3` on a real Ceph, the store that people run themselves. Minutes, so it is a target of its own: `make ceph`.

use crate::engine::shell;
use crate::s3::{Client, image, keys, s3, sandbox};
use crate::stores::Store;

/// All that belongs to users whose names begin with the sandbox's.
fn users(store: &Store, name: &str) -> String {
    store
        .aws(&format!("iam list-users --query \"Users[?starts_with(UserName,'{name}')].UserName\" --output text"))
        .ok()
        .out
}

#[test]
#[ignore = "minutes, and packages of their own: `make ceph`"]
fn soak_ceph_serves_a_registry_from_its_first_run_to_its_end() {
    let store = Store::ceph();
    for (test, more) in [("ceph", &[][..]), ("ceph-prefix", &["--prefix", "images"][..])] {
        let (sandbox, bucket) = sandbox(test, &store);
        let flags = [&["--bucket", &bucket], more].concat();
        s3(&sandbox, &["registry"], &store.url, &flags).ok().says("checked   s3-probe privileges");
        sandbox.command(&["plan", &sandbox.name, "--exit-code"]).ok().says("nothing to change");
        let client = Client::of(&sandbox);
        client.push(&image(&sandbox, "small", 1), "team/small:1").ok();
        let old = keys(&store, &sandbox);
        sandbox.command(&["rotate", &sandbox.name, "--what", "keys"]).ok();
        let new = keys(&store, &sandbox);
        assert!(new.len() == 1 && new != old, "{old:?} {new:?}");
        let copy = sandbox.home.path().join("copy");
        client.pull("team/small:1", &format!("dir:{}", copy.display())).ok();
        sandbox.command(&["plan", &sandbox.name, "--exit-code"]).ok();

        // One action taken away by hand is told, and put back.
        let writer = format!("{}-writer", sandbox.name);
        store.aws(&format!("iam delete-user-policy --user-name {writer} --policy-name provision")).ok();
        sandbox.command(&["plan", &sandbox.name, "--exit-code"]).fails(3).says("policy.s3:ListBucket: (none)");
        sandbox.command(&["registry", "--name", &sandbox.name]).ok();
        sandbox.command(&["plan", &sandbox.name, "--exit-code"]).ok();

        sandbox.destroy().fails(1).says("there are objects in the bucket");
        sandbox.command(&["destroy", &sandbox.name, "--yes", "--delete-data", &bucket]).ok();
        assert_eq!(users(&store, &sandbox.name).trim(), "");
        store.aws(&format!("s3api head-bucket --bucket {bucket}")).says("404");
        assert_eq!(sandbox.things(), "");
    }
    // With the owner's own key, and no call to IAM.
    let (sandbox, bucket) = sandbox("ceph-own", &store);
    let key = sandbox.write("key", &format!("{}\n{}\n", store.id, store.secret));
    s3(&sandbox, &["registry"], &store.url, &["--bucket", &bucket, "--iam", "none", "--access-key-file", &key]).ok();
    sandbox.command(&["plan", &sandbox.name, "--exit-code"]).ok();
    sandbox.command(&["destroy", &sandbox.name, "--yes", "--delete-data", &bucket]).ok();
    store.aws(&format!("s3api head-bucket --bucket {bucket}")).says("404");
    assert_eq!(shell("docker ps -aq --filter name=ceph-own").ok().out, "");
}
