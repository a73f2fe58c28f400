//! Work grows with what there is to do, and no faster. Compared are the processor times of a small and a large run of the same
//! kind, never times of the clock.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::sandbox::Sandbox;

/// How many times larger the large run is, and how many times more it may cost: linear work costs as many times more at most,
/// and quadratic work the square of it.
const LARGER: usize = 4;
const DEARER: f64 = 8.0;

/// What a run of `provision` cost: processor time in seconds, and the most memory that it had, in megabytes.
pub struct Cost {
    pub seconds: f64,
    pub megabytes: f64,
}

/// Runs `provision` and tells what it cost, whatever it ended with.
pub fn cost(sandbox: &Sandbox, arguments: &[&str]) -> (Cost, String) {
    let inner = sandbox.command(arguments);
    let note = sandbox.path("cost");
    let mut command = Command::new("/usr/bin/time");
    command.args(["--quiet", "--format", "%U %S %M", "--output"]).arg(&note).arg(inner.get_program());
    command.args(inner.get_args()).current_dir(sandbox.path("")).env_clear();
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.output().unwrap();
    let noted = fs::read_to_string(note).unwrap();
    let numbers: Vec<f64> = noted.split_whitespace().map(|number| number.parse().unwrap()).collect();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (Cost { seconds: numbers[0] + numbers[1], megabytes: numbers[2] / 1024.0 }, said)
}

/// Fails unless the large run costs no more than linear work would. The least of three is taken: others use the processor too.
#[track_caller]
pub fn linear(small: usize, mut run: impl FnMut(usize) -> f64) {
    let mut least = |size: usize| (0..3).map(|_| run(size)).fold(f64::INFINITY, f64::min);
    // What a run costs that has nothing to do is taken off both. Of little, the clock's steps of 10 ms are a large part.
    let (nothing, few, many) = (least(1), least(small), least(small * LARGER));
    let (few, many) = ((few - nothing).max(0.05), many - nothing);
    assert!(many <= few * DEARER, "{small}: {few:.3} s; {LARGER} times as many: {many:.3} s");
}

/// A playbook of so many files, each of which names one before it.
fn files(count: usize, folder: &Path, need: impl Fn(usize) -> usize) -> String {
    let mut text = String::from("about: many\nresources:\n");
    for number in 0..count {
        let content = match need(number) {
            need if need < number => format!("{{{{ f{need}.path }}}}"),
            _ => "first".to_owned(),
        };
        let path = folder.join(number.to_string());
        writeln!(text, "  - file: f{number}\n    path: {}\n    content: \"{content}\"", path.display()).unwrap();
    }
    text
}

#[test]
fn a_plan_grows_with_its_resources() {
    let sandbox = Sandbox::new();
    let plan = |count: usize, need: fn(usize) -> usize| {
        sandbox.write("x.yml", files(count, &sandbox.path("out"), need));
        let (cost, said) = cost(&sandbox, &["plan", "./x.yml"]);
        assert!(said.contains(&format!("{count} to create")), "{said}");
        cost
    };
    // Each names the first, or the one before it.
    linear(2000, |count| plan(count, |_| 0).seconds);
    linear(2000, |count| plan(count, |number| number.saturating_sub(1)).seconds);
    let memory = plan(10_000, |_| 0).megabytes;
    assert!(memory < 100.0, "{memory} MB");
}

#[test]
fn a_run_and_the_way_back_grow_with_their_resources() {
    let sandbox = Sandbox::new();
    let run = |verb: &[&str]| {
        let (cost, said) = cost(&sandbox, verb);
        assert!(said.contains(": done in ") || said.contains("destroyed") || said.contains("ok "), "{verb:?}: {said}");
        cost.seconds
    };
    // Each run has a deployment of its own, and all are removed last: a file system is slow to use again what was just removed.
    let sizes = [1, 500, 500 * LARGER]
        .into_iter()
        .flat_map(|count| [(count, format!("a{count}")), (count, format!("b{count}"))]);
    let sizes: Vec<(usize, String)> = sizes.collect();
    for (count, name) in &sizes {
        sandbox.write(&format!("{name}.yml"), files(*count, &sandbox.path(&format!("out/{name}")), |_| 0));
    }
    let mut verbs = [
        sizes.iter().map(|(count, name)| (*count, run(&["apply", &format!("./{name}.yml")]))).collect::<Vec<_>>(),
        sizes.iter().map(|(count, name)| (*count, run(&["status", name]))).collect(),
        sizes.iter().map(|(count, name)| (*count, run(&["destroy", name, "--yes"]))).collect(),
    ];
    assert_eq!(fs::read_dir(sandbox.path("out")).map_or(0, Iterator::count), 0);
    for found in &mut verbs {
        linear(500, |count| {
            let of = |(size, _): &(usize, f64)| *size == count;
            found.iter().filter(|one| of(one)).map(|(_, cost)| *cost).fold(f64::INFINITY, f64::min)
        });
    }
}

/// A container whose field is this.
fn container(field: &str) -> String {
    format!("resources:\n  - container: box\n    image: nginx:1.30\n{field}")
}

fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).collect()
}

/// A playbook with so many of something.
type Kind = fn(usize) -> String;

/// Each part of a playbook that may be there often, up to its limit: keys, texts with places of their own, values, conditions.
#[test]
fn a_playbook_is_read_in_proportion_to_its_parts() {
    let sandbox = Sandbox::new();
    let read = |text: &str| {
        sandbox.write("x.yml", text);
        let (cost, said) = cost(&sandbox, &["graph", "./x.yml"]);
        assert!(said.contains("digraph"), "{}", said.chars().take(300).collect::<String>());
        assert!(cost.megabytes < 100.0, "{} MB: {}", cost.megabytes, &text[..80]);
        cost.seconds
    };
    let kinds: [(usize, Kind); 7] = [
        (25_000, |count| container(&format!("    env:\n{}", lines(count, |i| format!("      K{i}: v\n"))))),
        (12_500, |count| {
            container(&format!("    env:\n{}", lines(count, |i| format!("      K{i}: '{{{{ name }}}}'\n"))))
        }),
        (25_000, |count| {
            container(&format!("    command:\n{}", lines(count, |_| "      - |\n        a\n        b\n".to_owned())))
        }),
        (5000, |count| {
            format!("values:\n  v: x\n{}", lines(count - 1, |i| format!("  v{i}: '{{{{ v }}}}'\n"))) + &container("")
        }),
        (5000, |count| container("") + &format!("outputs:\n{}", lines(count, |i| format!("  o{i}: x\n")))),
        (250, |count| {
            format!("rules:\n{}", lines(count, |_| "  - { when: 'false', refuse: x }\n".to_owned())) + &container("")
        }),
        (4000, |count| {
            let all = lines(count, |i| format!("n{i}, "));
            format!(
                "resources:\n{}  - network: z\n    after: [{all}]\n",
                lines(count, |i| format!("  - network: n{i}\n"))
            )
        }),
    ];
    for (count, text) in kinds {
        linear(count, |count| read(&text(count)));
    }
    // Each of these is a flag, and there are a thousand at most.
    let inputs = lines(999, |i| format!("  i{i}: {{ type: string, default: x, when: a }}\n"));
    let seconds = read(&format!("inputs:\n  a: {{ type: string, default: x }}\n{inputs}{}", container("")));
    assert!(seconds < 2.0, "{seconds} s");
}

#[test]
fn a_host_is_looked_at_in_proportion_to_what_its_files_hold() {
    let sandbox = Sandbox::new();
    sandbox.write("root/etc/nginx/one", "proxy_buffering off;");
    let mut number = 0;
    let mut look = |site: &str, file: &str, wanted: &str| {
        number += 1;
        sandbox.write("root/etc/nginx/sites-enabled/registry", site);
        sandbox.write("root/etc/docker/certs.d/all.crt", file);
        let (cost, said) = cost(&sandbox, &["adopt", "--root", "root", "--out", &format!("{number}.yml")]);
        assert!(said.contains(wanted) && !said.contains("overflow"), "{}", said.chars().take(600).collect::<String>());
        assert!(cost.megabytes < 100.0, "{} MB for {} bytes", cost.megabytes, site.len() + file.len());
        cost.seconds
    };
    let server = |inside: &str| format!("server {{ listen 443 ssl; proxy_pass http://localhost:5000; {inside} }}\n");
    linear(20_000, |count| look(&server(&"include one;".repeat(count)), "", "registry"));
    linear(2500, |count| look(&server("").repeat(count), "", "registry"));
    linear(4000, |count| {
        look(&(server("") + &lines(count, |i| format!("upstream u{i}{{server b:{};}}", i % 999 + 1))), "", "registry")
    });
    // What is too much is told, and read no further.
    look(&"a{".repeat(500_000), "", "its blocks stand in each other more than 64 deep");
    look(&"a;".repeat(500_000), "", "more than 400000 words");
    let include = server(&"include sites-enabled/registry;".repeat(2000));
    look(&include, "", "more than 400000 words");
    let block = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n";
    look(&server(""), &block.repeat(15_000), "it holds more than 1000 certificates or keys");
}
