//! A deployment whose store changes: clients go on, and what is no longer used stays until it is told to go.

use crate::engine::{Sandbox, shell, wait_until};
use crate::machine::{BARE, Host, PROGRAMS};
use crate::s3::{Client, image, sandbox};
use crate::stores::Store;

/// Asks a registry again and again; gives the answers that were not 200 once the work is done.
fn asked_meanwhile(sandbox: &Sandbox, work: impl FnOnce()) -> String {
    let (home, ca, password, port) =
        (sandbox.home.path().display(), sandbox.output("ca"), sandbox.password(), sandbox.port);
    let script = format!(
        "cd {home}; : >reads; touch go; while [ -e go ]; do curl -s -o /dev/null -w '%{{http_code}}\\n' --noproxy '*' --cacert {ca} -u admin:{password} https://localhost:{port}/v2/ >>reads; done"
    );
    let asking = std::thread::spawn(move || shell(&script));
    let reads = || std::fs::read_to_string(sandbox.home.path().join("reads")).unwrap_or_default();
    let more = |count: usize| {
        let wanted = reads().lines().count() + count;
        wait_until(|| reads().lines().count() >= wanted);
    };
    more(5);
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    if done.is_ok() {
        more(5);
    }
    drop(std::fs::remove_file(sandbox.home.path().join("go")));
    asking.join().unwrap();
    if let Err(panic) = done {
        std::panic::resume_unwind(panic);
    }
    reads().lines().filter(|answer| *answer != "200").collect::<Vec<_>>().join(" ")
}

#[test]
fn a_running_registry_changes_its_store_and_goes_back() {
    let store = Store::garage();
    let (sandbox, bucket) = sandbox("changes", &store);
    let name = &sandbox.name;
    let key = sandbox.write("key", &format!("{}\n{}\n", store.id, store.secret));
    sandbox.registry(&["--trust", "no"]).ok();
    let client = Client::of(&sandbox);
    let (one, two) = (image(&sandbox, "one", 1), image(&sandbox, "two", 1));
    let copy = |to: &str| format!("dir:{}", sandbox.home.path().join(to).display());
    client.push(&one, "team/one:1").ok();
    let volumes = || shell(&format!("docker volume ls -q --filter name={name}-data")).ok().out;
    let same = || {
        let plan = sandbox.command(&["plan", name, "--exit-code"]).ok();
        assert!(plan.out.contains(&format!("{name}: nothing to change")), "{}", plan.all());
        plan
    };

    // To a bucket: the volume stays, and is told of.
    let to_s3 =
        ["--flavor", "s3", "--endpoint", &store.url, "--bucket", &bucket, "--iam", "none", "--access-key-file", &key];
    let failed = asked_meanwhile(&sandbox, || {
        sandbox
            .registry(&to_s3)
            .ok()
            .says(&format!("the volume `{name}-data` is no longer used: it stays"))
            .says(&format!("`provision destroy {name} --unused`"));
    });
    assert_eq!(failed, "", "answers while the store changed");
    assert_eq!(volumes().trim(), format!("{name}-data"));
    same().says(&format!("the volume `{name}-data` is no longer used"));
    sandbox.command(&["status", name]).ok().says(&format!("the volume `{name}-data` is no longer used"));
    client.push(&two, "team/two:1").ok();
    client.pull("team/two:1", &copy("two-copy")).ok();
    client.pull("team/one:1", &copy("none")).fails(1);

    // What an earlier run was given of the bucket has no meaning without one, and is not dropped without a word.
    sandbox.registry(&["--flavor", "local"]).fails(2).says("take back what an earlier run was given");
    let empty = ["--bucket", "", "--region", "", "--endpoint", "", "--access-key-file", ""];
    let back = [&["--flavor", "local", "--iam", "auto"], &empty[..]].concat();

    // Back: the images of the volume are there again, and the bucket with its objects stays.
    let failed = asked_meanwhile(&sandbox, || {
        sandbox.registry(&back).ok().says(&format!("the bucket `{bucket}` is no longer used: it stays"));
    });
    assert_eq!(failed, "", "answers while the store changed back");
    same();
    client.pull("team/one:1", &copy("one-copy")).ok();
    let objects = store.objects(&bucket).len();
    assert!(objects > 5, "{objects} objects");

    // It goes when it is told to, and only then.
    sandbox.command(&["destroy", name, "--unused", "--yes"]).fails(1).says("there are objects in the bucket");
    assert_eq!(store.objects(&bucket).len(), objects);
    sandbox.command(&["destroy", name, "--unused", "--yes", "--delete-data", &bucket]).ok().says("deleted   bucket");
    assert!(!store.aws("s3api list-buckets").ok().out.contains(&bucket));
    same();
    client.pull("team/one:1", &copy("one-again")).ok();

    // To memory, and the volume goes on purpose.
    let failed = asked_meanwhile(&sandbox, || {
        sandbox.registry(&["--flavor", "inmemory", "--yes"]).ok();
    });
    assert_eq!(failed, "", "answers while the store changed to memory");
    assert_eq!(volumes().trim(), format!("{name}-data"), "`--yes` deletes no data that is only no longer used");
    sandbox.command(&["destroy", name, "--unused"]).fails(1).says("deletes data").says("--yes");
    sandbox.command(&["destroy", name, "--unused", "--yes"]).ok().says(&format!("deleted   volume {name}-data"));
    assert_eq!(volumes(), "");
    same();
    sandbox.destroy().ok();
    assert_eq!(sandbox.things(), "");
}

/// A bucket for another bucket: the first is not forgotten.
#[test]
fn a_registry_that_turns_to_another_bucket_leaves_the_first_one() {
    let store = Store::garage();
    let (sandbox, first) = sandbox("buckets", &store);
    let second = format!("{first}-2");
    let key = sandbox.write("key", &format!("{}\n{}\n", store.id, store.secret));
    let registry = |bucket: &str| {
        let flags =
            ["--flavor", "s3", "--endpoint", &store.url, "--iam", "none", "--access-key-file", &key, "--trust", "no"];
        sandbox.registry(&[&flags, ["--bucket", bucket].as_slice()].concat())
    };
    registry(&first).ok();
    let client = Client::of(&sandbox);
    client.push(&image(&sandbox, "one", 1), "team/one:1").ok();
    registry(&second).ok().says(&format!("the bucket `{first}` is no longer used: it stays"));
    sandbox.command(&["plan", &sandbox.name, "--exit-code"]).ok();
    registry(&first).ok().says(&format!("the bucket `{second}` is no longer used: it stays"));
    sandbox.command(&["plan", &sandbox.name, "--exit-code"]).ok();
    client.pull("team/one:1", &format!("dir:{}", sandbox.home.path().join("copy").display())).ok();
    sandbox
        .command(&["destroy", &sandbox.name, "--unused", "--yes", "--delete-data", &second])
        .ok()
        .says(&format!("deleted   bucket {second}"));
    let buckets = store.aws("s3api list-buckets").ok().out;
    assert!(!buckets.contains(&second) && buckets.contains(&first), "{buckets}");
    sandbox.command(&["destroy", &sandbox.name, "--yes", "--delete-data", &first]).ok();
}

/// The same for a playbook of a user's own, whose scratch volume goes with the container that had it.
#[test]
fn a_volume_that_a_playbook_no_longer_names_stays_with_its_data() {
    let sandbox = Sandbox::new("unnamed");
    let book = |data: &str, volumes: &str| {
        sandbox.write(
            "own.yml",
            &format!("resources:\n{data}  - image: it\n    reference: registry:3.1.1\n    build: registry\n  - container: web\n    image: \"{{{{ it.reference }}}}\"\n    volumes: {volumes}\n"),
        )
    };
    let apply = |path: &str| sandbox.command(&["apply", path, "--name", &sandbox.name]);
    let volumes = "  - volume: data\n  - volume: scratch\n    data: false\n";
    apply(&book(volumes, "{ /var/lib/registry: \"{{ data.name }}\", /scratch: \"{{ scratch.name }}\" }")).ok();
    let told = apply(&book("", "{}")).ok();
    let (data, scratch) = (format!("{}-data", sandbox.name), format!("{}-scratch", sandbox.name));
    assert!(told.all().contains(&format!("deleted   volume {scratch}")), "{}", told.all());
    assert!(told.all().contains(&format!("the volume `{data}` is no longer used: it stays")), "{}", told.all());
    let left = shell(&format!("docker volume ls -q --filter name={}", sandbox.name)).ok().out;
    assert!(left.contains(&data) && !left.contains(&scratch), "{left}");
    sandbox.destroy().ok().says(&data);
    assert_eq!(sandbox.things(), "");
}

#[test]
fn a_registry_on_a_host_turns_to_another_folder_and_back() {
    let host = Host::start("folders", &format!("{BARE} {PROGRAMS}"));
    host.bring_provision();
    let provision = |arguments: &str| host.run(&format!("PROVISION_HOME=/root/home provision {arguments}"));
    let registry = |folder: &str| provision(&format!("registry --on host --port 5443 --data-folder {folder}"));
    let same = || provision("plan registry --exit-code").ok();
    registry("/srv/one").ok();
    host.run("install -o docker-registry -g docker-registry -m 600 /dev/null /srv/one/image").ok();
    registry("/srv/two").ok().says("the folder `/srv/one` is no longer used: it stays");
    same().says("the folder `/srv/one` is no longer used");
    host.run("test -e /srv/one/image && test -d /srv/two").ok();
    registry("/srv/one").ok().says("the folder `/srv/two` is no longer used: it stays");
    same();
    provision("destroy registry --unused --yes").ok().says("deleted   folder /srv/two");
    host.run("test -e /srv/one/image && ! test -e /srv/two").ok();
    same();
    provision("destroy registry --yes").ok();
    host.run("test -e /srv/one").fails(1);
}

#[test]
fn a_service_does_not_fill_the_mount_point_of_a_missing_disk() {
    let host = Host::start("disks", &format!("{BARE} {PROGRAMS}"));
    host.bring_provision();
    let provision = |arguments: &str| host.run(&format!("PROVISION_HOME=/root/home provision {arguments}"));
    // Somebody else's folder keeps its owner and its mode.
    host.run("mkdir -m 755 /srv/shared && echo hello >/srv/shared/index.html").ok();
    provision("registry --on host --port 5443 --data-folder /srv/shared")
        .fails(1)
        .says("`/srv/shared` is there already with something in it")
        .says("such as /srv/shared/docker-registry");
    host.run("test \"$(stat -c '%U %a' /srv/shared)\" = 'root 755'").ok();

    // On purpose, it is taken over with what somebody else has left in it, and given back.
    let owners = || host.run("stat -c '%U %a %n' /srv/shared /srv/shared/index.html").ok().out;
    let before = owners();
    provision("registry --on host --port 5443 --data-folder /srv/shared --adopt").ok();
    assert!(owners().contains("docker-registry 644 /srv/shared/index.html"), "{}", owners());
    provision("plan registry --exit-code").ok();
    host.run("mkdir -p /srv/shared/docker/x && chown -R root:root /srv/shared/docker").ok();
    provision("plan registry --exit-code")
        .fails(3)
        .says("owner of what is in it: root:root (")
        .says("looked at, such as /srv/shared/docker)");
    provision("apply registry").ok();
    provision("plan registry --exit-code").ok();
    provision("destroy registry --yes").ok();
    assert_eq!(owners(), before);

    provision("registry --on host --port 5443 --data-folder '/srv/a disk'").ok();
    provision("plan registry --exit-code").ok();
    host.run("systemctl show -p RequiresMountsFor docker-registry").ok().says("/srv/a disk");
    // As a disk is that was not mounted: the folder is there and empty.
    host.run("systemctl stop docker-registry; mv '/srv/a disk' /srv/away; mkdir '/srv/a disk'").ok();
    host.run("systemctl start docker-registry").fails(1);
    host.run("tail -3 /var/log/docker-registry/registry.log").ok().says("/srv/a disk/.provision is missing");
    for verb in ["plan registry", "apply registry"] {
        provision(verb).fails(1).says("`/srv/a disk` is not the folder that was filled").says("mount its disk");
    }
    host.run("test -z \"$(ls -A '/srv/a disk')\"").ok();
    host.run("rmdir '/srv/a disk'; mv /srv/away '/srv/a disk'; systemctl reset-failed docker-registry").ok();
    provision("apply registry").ok();
    // A mark that was lost alone is put back on purpose.
    host.run("rm '/srv/a disk/.provision'").ok();
    provision("plan registry").fails(1).says("touch '/srv/a disk'/.provision");
    host.run("touch '/srv/a disk'/.provision").ok();
    provision("apply registry").ok();
    provision("destroy registry --yes").ok();
    host.run("test -e '/srv/a disk'").fails(1);
}
