//! `provision retention` beside a registry that serves: what a plan lists goes, nothing else, and the space comes free.

use crate::client::{Client, Outcome, digest};
use crate::engine::{Ran, Sandbox, shell};

fn image(client: &Client, content: &str, tags: &[&str]) -> String {
    let config = format!("{{\"image\":\"{content}\"}}");
    assert_eq!(client.upload("team/app", &config), 201);
    let manifest = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":{{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"size\":{},\"digest\":\"{}\"}},\"layers\":[]}}",
        config.len(),
        digest(&config)
    );
    tags.iter().for_each(|tag| assert_eq!(client.put("team/app", tag, &manifest), 201));
    config
}

#[test]
fn tags_go_by_rules_once_a_plan_was_confirmed() {
    let sandbox = Sandbox::new("retain");
    sandbox.registry(&["--trust", "no"]).ok();
    let client = Client::of(&sandbox);
    let run = |words: &str| -> Ran {
        let words: Vec<&str> = words.split_whitespace().collect();
        let (verb, rest) = words.split_first().unwrap();
        sandbox.command(&[&[*verb, sandbox.name.as_str()], rest].concat())
    };
    let names = || run("images list --names").ok().out;
    for number in 1..=4 {
        image(&client, &format!("{number}"), &[&format!("v{number}")]);
    }
    image(&client, "old", &["old", "same"]);
    run("retention show").ok().says("all tags stay");
    run("retention plan").fails(1).says("has no rules").says("retention");
    let file =
        sandbox.write("rules.yml", "- repositories: \"team/*\"\n  keep: { last: 2, tags: [v1] }\n  untagged: 1s\n");
    run(&format!("retention set {file}")).ok().says("nothing goes until");
    run("retention show").ok().says("keep: { last: 2, tags: [v1] }").says("# not confirmed");
    // `old` and `same` are the last two; nobody can be asked here.
    let listed = run("retention plan").ok().says("3 of 6 tags go").says("nothing was removed");
    for line in ["team/app:v2", "team/app:v3", "team/app:v4", "rule 1 (`team/*`) keeps the last 2, v1"] {
        assert!(listed.out.contains(line), "{}", listed.all());
    }
    run("maintain").ok();
    assert_eq!(names().lines().count(), 6, "not confirmed");

    // What is held stays.
    run("images hold team/app:v2 team/app:none").fails(1).says("no image `team/app:none`");
    run("images hold team/app:v2").ok().says("team/app:v2 is held");
    run("images untag team/app:v2 --yes").fails(1).says("is held").says("unhold team/app:v2");
    run("images delete team/app:v2 --yes").fails(1).says("is held");
    run("retention plan --dry-run").ok().says("2 of 6 tags go");
    run("retention plan --yes").ok().says("removed 2 tags");
    assert_eq!(names(), "team/app:old\nteam/app:same\nteam/app:v1\nteam/app:v2\n");
    run("retention show").ok().says("# confirmed").says("# held: team/app:v2");

    // What went can be put back until it is freed.
    run("gc --undelete").ok().says("team/app:v3  kept until 20").says("team/app:v4");
    run("gc --undelete team/app:v9").fails(1).says("is not among what was removed");
    run("gc --undelete team/app:v3 team/app:v4").ok().says("team/app:v3 is back").says("team/app:v4 is back");
    assert_eq!(client.outcome("team/app", "v3", &["{\"image\":\"3\"}"]), Outcome::Whole);
    run("gc --undelete").ok().says("nothing that was removed");
    run("images untag team/app:v3 --yes").ok();
    run("images delete team/app:v4 --yes").ok().says("--undelete` puts it back");
    let deleted = image(&client, "4", &[]);
    run("gc --undelete").ok().says("team/app:v3  kept until 20").says("team/app:v4  kept until 20");
    run("gc --undelete team/app:v4").ok();
    assert_eq!(client.outcome("team/app", "v4", &[&deleted]), Outcome::Whole);
    run("images delete team/app:v4 --yes").ok();
    image(&client, "new", &["v4"]);
    run("gc --undelete").ok().says("the tag is another image by now; this was sha256:");
    run("gc --undelete team/app:v4").fails(1).says("is another image by now").says("--undelete team/app@sha256:");
    run("images untag team/app:v4 --yes").ok();

    // From now on by itself; the manifests without a tag go with the garbage.
    image(&client, "5", &["v5"]);
    run("images unhold team/app:v2").ok().says("is not held");
    run("maintain").ok().says("removed 2 of 5 tags");
    assert_eq!(names().lines().count(), 3);
    run("gc --now").ok().says("manifests without a tag");
    assert_eq!(client.head("team/app", "{\"image\":\"3\"}"), 404);
    run("gc --undelete team/app:v3").fails(1).says("a part of it is freed").says("push it again");
    assert_eq!(client.head("team/app", "{\"image\":\"5\"}"), 200);
    run("fsck --deep").ok().says("no damage");

    // Other rules are confirmed anew.
    sandbox.write("rules.yml", "- repositories: \"*\"\n  keep: { last: 1 }\n");
    run(&format!("retention set {file}")).ok().says("nothing goes until");
    run("maintain").ok();
    assert_eq!(names().lines().count(), 3);
    run("retention set none").ok().says("all tags stay");
    run("retention show").ok().says("there are no rules");
    assert_eq!(shell(&format!("docker ps -aq --filter name={}-helper", sandbox.name)).out, "");
    sandbox.destroy().ok();
}
