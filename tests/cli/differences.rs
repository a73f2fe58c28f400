//! The lines of files that change, as a plan shows them.

use std::fs;

use serde_json::Value as Json;

use crate::sandbox::Sandbox;
use crate::snapshot;

const PLAYBOOK: &str = r#"inputs:
  token: { type: secret }
  greeting: { type: string, default: hello }
resources:
  - secret: password
    length: 20
  - playbook: part.yml
    as: part
    inputs: { key: "{{ password }}", out: "OUT" }
  - file: main
    path: OUT/main.conf
    template: main.conf
  - file: bare
    path: OUT/bare
    content: "{{ token }}\n"
  - file: list
    path: OUT/list
    content: "{% for number in range(200) %}entry {{ number }}\n{% endfor %}"
"#;

const PART: &str = r##"inputs:
  key: { type: secret }
  out: { type: path }
resources:
  - file: part
    path: "{{ out }}/part.conf"
    content: "# part\nkey={{ key | upper }}\nend\n"
"##;

const MAIN: &str = "# main\ngreeting = {{ greeting }}\ntoken = \"{{ token }}\"\nlogin: {{ token }}:{{ password }}\n{% if token %}protected\n{% endif %}end\n";

/// All that is said of a plan, in both forms.
fn planned(sandbox: &Sandbox, more: &str) -> (String, Vec<Json>) {
    let plan = sandbox.run(&format!("plan x {more}"));
    assert_eq!(plan.code, 0, "{}", plan.text);
    let told = sandbox.run(&format!("plan x --output json {more}"));
    (plan.text, told.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn with_files() -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    let out = sandbox.path("out").display().to_string();
    sandbox.write("x.yml", PLAYBOOK.replace("OUT", &out));
    sandbox.write("part.yml", PART);
    sandbox.write("main.conf", MAIN);
    assert_eq!(sandbox.run("apply ./x.yml --token hunter2").code, 0);
    let password = sandbox.run("secrets x password").stdout.trim().to_owned();
    (sandbox, password)
}

#[test]
fn a_plan_shows_the_lines_that_change_and_no_secret() {
    let (sandbox, password) = with_files();
    let edit = |name: &str, from: &str, to: &str| {
        let path = sandbox.path(&format!("out/{name}"));
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(path, text.replace(from, to)).unwrap();
    };
    edit("main.conf", "greeting = hello", "greeting = moin");
    edit("main.conf", "token = \"hunter2\"", "token = \"mine-by-hand\"");
    edit("main.conf", "end\n", "# a note\nend\n");
    edit("main.conf", "# main\n", "# main\ntoken: another-by-hand\n# was hunter2\n");
    edit("part.conf", &format!("key={}", password.to_uppercase()), "key=somebody");
    edit("bare", "hunter2", "all-by-hand");
    let (text, told) = planned(&sandbox, "");
    let all = format!("{text}{told:?}");
    for secret in
        ["hunter2", "mine-by-hand", "another-by-hand", "somebody", "all-by-hand", &password, &password.to_uppercase()]
    {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
    // A secret that is to be another one.
    let rotated = sandbox.run("plan x --token hunter3").stdout;
    assert!(!rotated.contains("hunter") && rotated.contains("+ (secret)"), "{rotated}");
    // The template changes, and what a run changes is told in the same way.
    sandbox.write("main.conf", MAIN.replace("# main", "# better"));
    let applied = sandbox.run("apply x");
    assert!(!applied.text.contains("by-hand") && applied.text.contains("+ # better"), "{}", applied.text);
    snapshot!("differences_shown", format!("{text}\n{}", applied.text));
}

#[test]
fn forty_lines_of_a_file_are_shown_and_json_has_all() {
    let (sandbox, _) = with_files();
    fs::write(sandbox.path("out/list"), "nothing\n").unwrap();
    let (text, told) = planned(&sandbox, "");
    let shown = text.lines().filter(|line| line.trim_start().starts_with(['+', '-', '@'])).count();
    assert_eq!(shown, 40, "{text}");
    assert!(text.contains("… 162 more lines; `--output json` has all"), "{text}");
    let fields = told.iter().find(|event| event["resource"] == "list").unwrap();
    let lines = fields["fields"][0]["lines"].as_array().unwrap();
    assert_eq!(lines.len(), 201);
    assert_eq!(lines[0], serde_json::json!({ "change": "removed", "old": 1, "new": null, "text": "nothing" }));
    assert_eq!(lines[200], serde_json::json!({ "change": "added", "old": null, "new": 200, "text": "entry 199" }));
}

#[test]
fn of_what_is_no_text_or_too_large_the_size_is_told() {
    let (sandbox, _) = with_files();
    fs::write(sandbox.path("out/list"), [0xff, 0xfe, 0]).unwrap();
    fs::write(sandbox.path("out/main.conf"), vec![b'x'; (1 << 20) + 1]).unwrap();
    let (text, _) = planned(&sandbox, "");
    assert!(text.contains("content: 3 bytes that are no text → 1890 bytes"), "{text}");
    assert!(text.contains("content: 1048577 bytes → "), "{text}");
}
