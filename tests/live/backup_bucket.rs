//! Daily backups in a bucket: written, kept, thinned out and restored, by the real binary and a real store.

use crate::engine::{Ran, Sandbox, shell};
use crate::stores::Store;

/// A command as a timer runs it on a day: with a profile and no key in its environment.
fn on(sandbox: &Sandbox, store: &Store, day: u32, line: &str) -> Ran {
    let profile = sandbox.write(
        "credentials",
        &format!("[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n", store.id, store.secret),
    );
    let folder = std::path::Path::new(&profile).parent().unwrap().display().to_string();
    shell(&format!(
        "cd {folder} && export AWS_SHARED_CREDENTIALS_FILE={profile} AWS_CONFIG_FILE=/dev/null AWS_REGION={region} \
         AWS_EC2_METADATA_DISABLED=true AWS_ENDPOINT_URL_S3={url} PROVISION_HOME={folder}/home XDG_CACHE_HOME={folder}/cache \
         PROVISION_MAINTAIN=no && unset AWS_ACCESS_KEY_ID && faketime -f '+{day}d' {provision} {line}",
        region = store.region,
        url = store.url,
        provision = env!("CARGO_BIN_EXE_provision"),
    ))
}

#[test]
fn backups_go_to_a_bucket_and_come_back_from_there() {
    let store = Store::garage();
    let sandbox = Sandbox::new("bucket");
    let bucket = format!("{}-backups", sandbox.name);
    let key = on(&sandbox, &store, 0, "backup --new-key key.txt").ok().out;
    let recipient = key.trim();
    let set_up = format!(
        "certs --cn a.test --out ./tls --backup-to s3://{bucket}/hub/daily/ --backup-recipient {recipient} --keep 2"
    );
    on(&sandbox, &store, 0, &set_up).ok();
    // A bucket that is not there is told by its name, and nothing counts as a backup.
    on(&sandbox, &store, 0, "maintain certs").fails(1).says("backup failed").says(&bucket);
    store.aws(&format!("s3api create-bucket --bucket {bucket}")).ok();
    let foreign = ["hub/daily/photo.jpg", "hub/daily/certs-00000000-20200101T000000Z.backup.age", "hub/certs.txt"];
    for key in foreign {
        store.aws(&format!("s3api put-object --bucket {bucket} --key {key}")).ok();
    }
    let ours = || {
        let mut keys = store.objects(&bucket);
        keys.retain(|key| !foreign.contains(&key.as_str()));
        keys.sort();
        keys
    };
    for (day, count) in [(0, 1), (0, 1), (1, 2), (2, 2), (3, 2)] {
        on(&sandbox, &store, day, "maintain certs").ok();
        assert_eq!(ours().len(), count, "day {day}: {:?}", ours());
    }
    assert!(foreign.iter().all(|key| store.objects(&bucket).iter().any(|found| found == key)));
    let newest = format!("s3://{bucket}/{}", ours().pop().unwrap());
    on(&sandbox, &store, 3, "status certs --output json").ok().says(&newest);

    // What was kept is all that is needed.
    let before = on(&sandbox, &store, 3, "output certs certificate").ok().out;
    let certificate = std::fs::read(before.trim()).unwrap();
    on(&sandbox, &store, 3, "destroy certs --yes").ok();
    on(&sandbox, &store, 3, &format!("restore certs {newest}x --identity key.txt")).fails(1).says("there is no `s3://");
    on(&sandbox, &store, 3, &format!("restore certs s3://{bucket} --identity key.txt"))
        .fails(2)
        .says("names no object");
    on(&sandbox, &store, 3, &format!("restore certs {newest} --identity key.txt")).ok().says("verified");
    assert_eq!(std::fs::read(before.trim()).unwrap(), certificate);
    // Nothing of it stays in the cache.
    let folder = std::path::Path::new(before.trim()).ancestors().nth(2).unwrap().join("cache");
    let left = shell(&format!("find {} -type f -size +0", folder.display())).out;
    assert!(!left.contains("backup") && !left.contains("restore"), "{left}");
}

/// More than one part of an upload.
#[test]
fn a_large_backup_is_put_in_parts_and_read_back() {
    let store = Store::garage();
    let sandbox = Sandbox::new("parts");
    let bucket = format!("{}-backups", sandbox.name);
    store.aws(&format!("s3api create-bucket --bucket {bucket}")).ok();
    let recipient = on(&sandbox, &store, 0, "backup --new-key key.txt").ok().out;
    let playbook = format!(
        "resources:\n  - volume: data\n  - image: nginx\n    reference: nginx:1.30\n    build: nginx\n  - container: box\n    name: {}-box\n    image: \"{{{{ nginx.reference }}}}\"\n    entrypoint: [sleep]\n    command: [infinity]\n    user: \"0:0\"\n    volumes: {{ /data: \"{{{{ data.name }}}}\" }}\n",
        sandbox.name
    );
    sandbox.write("large.yml", &playbook);
    let name = &sandbox.name;
    on(
        &sandbox,
        &store,
        0,
        &format!("apply ./large.yml --name {name} --backup-to s3://{bucket} --backup-recipient {}", recipient.trim()),
    )
    .ok();
    shell(&format!("docker exec {name}-box sh -c 'head -c 20000000 /dev/urandom >/data/noise'")).ok();
    let sum = shell(&format!("docker exec {name}-box sha256sum /data/noise")).ok().out;
    on(&sandbox, &store, 0, &format!("maintain {name}")).ok().says("wrote `s3://");
    let keys = store.objects(&bucket);
    assert_eq!(keys.len(), 1, "{keys:?}");
    let size = store.aws(&format!("s3api head-object --bucket {bucket} --key {} --query ContentLength", keys[0]));
    assert!(size.ok().out.trim().parse::<u64>().unwrap() > 20_000_000);
    on(&sandbox, &store, 0, &format!("destroy {name} --yes")).ok();
    on(&sandbox, &store, 0, &format!("restore {name} s3://{bucket}/{} --identity key.txt", keys[0])).ok();
    assert_eq!(shell(&format!("docker exec {name}-box sha256sum /data/noise")).ok().out, sum);
    on(&sandbox, &store, 0, &format!("destroy {name} --yes")).ok();
}
