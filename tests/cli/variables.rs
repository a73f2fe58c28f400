//! Variables of other tools that stand for inputs: where they come from, what goes first, and what is told of them.

use std::fmt::Write as _;

use crate::sandbox::{Sandbox, checks};
use crate::snapshot;

const PLAYBOOK: &str = "inputs:
  flavor: { type: choice, choices: [local, s3], default: local }
  bucket: { type: string, default: \"\", when: flavor == 's3' }
  key: { type: secret, default: \"\", when: flavor == 's3' }
  deep: { type: bool, default: false }
  out: { type: path, default: . }
variables:
  OLD_FLAVOR: { input: flavor, values: { prod: s3 } }
  OLD_BUCKET:
    - { input: bucket }
    - { note: no bucket is used, when: flavor == 'local' }
  OLD_KEY: { input: key }
  OLD_DEEP: { input: deep }
  OLD_SEARCH: { note: there is no search any more }
resources:
  - file: a
    path: \"{{ out }}/a\"
    content: \"{{ flavor }} {{ bucket }} {{ key }} {{ deep }}\"
";

/// Runs a command with variables in its environment.
fn run(sandbox: &Sandbox, line: &str, variables: &[(&str, &str)]) -> String {
    let mut command = sandbox.command(&line.split_whitespace().collect::<Vec<_>>());
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let root = sandbox.path("").parent().unwrap().display().to_string();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    let set: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={value} ")).collect();
    format!(
        "$ {}provision {line}\n{}[exit code {}]\n\n",
        set.concat(),
        said.replace(&root, "[sandbox]"),
        output.status.code().unwrap()
    )
}

#[test]
fn a_flag_goes_before_a_file_before_what_was_given_before_the_environment() {
    let sandbox = Sandbox::new();
    sandbox.write("x.yml", PLAYBOOK);
    sandbox.write("old.env", "# mine\nOLD_FLAVOR=prod\n\nOLD_BUCKET=from-file\nOLD_KEY=@hush=1\nOLD_DEEP=true\nOLD_SEARCH=yes\nOTHER=x\nEMPTY=\n");
    let mut text = String::new();
    let mut apply = |line: &str, variables: &[(&str, &str)], expected: &str| {
        text.push_str(&run(&sandbox, line, variables));
        assert_eq!(sandbox.read("a"), expected, "{text}");
    };
    let environment = [("OLD_FLAVOR", "s3"), ("OLD_BUCKET", "from-env")];
    apply("apply ./x.yml", &environment, "s3 from-env  false");
    // What was given stays given, and the environment is not asked any more.
    apply("apply ./x.yml", &[("OLD_BUCKET", "another")], "s3 from-env  false");
    apply("apply ./x.yml --env-file old.env", &environment, "s3 from-file @hush=1 true");
    apply("apply ./x.yml --env-file old.env --bucket flag", &[], "s3 flag @hush=1 true");
    assert!(!text.contains("hush"), "a secret shows: {text}");
    snapshot!("variables_order", text);
}

#[test]
fn what_a_variable_does_not_become_is_told() {
    let sandbox = Sandbox::new();
    sandbox.write("x.yml", PLAYBOOK);
    sandbox.write("idle.env", "OLD_BUCKET=b\nOLD_KEY=k\nOLD_SEARCH=yes\n");
    sandbox.write("bare.env", "OLD_FLAVOR\n");
    sandbox.write("quoted.env", "OLD_FLAVOR=\"s3\"\n");
    sandbox.write("export.env", "OLD_DEEP=true\nexport OLD_KEY=hush\n");
    sandbox.write("spaces.env", "OLD_KEY = hush\n");
    let mut text = String::new();
    for line in ["idle.env", "quoted.env", "export.env", "spaces.env", "missing.env"] {
        text.push_str(&run(&sandbox, &format!("apply ./x.yml --env-file {line}"), &[]));
    }
    text.push_str(&run(&sandbox, "apply ./x.yml --name bare --env-file bare.env", &[("OLD_FLAVOR", "prod")]));
    text.push_str(&run(&sandbox, "apply ./x.yml --name bad", &[("OLD_FLAVOR", "glance")]));
    text.push_str(&run(&sandbox, "apply ./x.yml --name bad", &[("OLD_DEEP", "yes")]));
    assert!(!text.contains("hush"), "a secret shows: {text}");
    snapshot!("variables_told", text);
}

#[test]
fn the_tutorials_variables_become_inputs_of_the_registry() {
    let sandbox = Sandbox::new();
    let files = [
        "SETTINGS_FLAVOR=s3\nAWS_BUCKET=acme-docker\nAWS_REGION=eu-west-1\nSTORAGE_PATH=/registry\nAWS_KEY=AKIAHUSH\nAWS_SECRET=hush\nAWS_ENCRYPT=true\nAWS_SECURE=true\nSEARCH_BACKEND=sqlalchemy\nGUNICORN_OPTS=[--preload]\n",
        "SETTINGS_FLAVOR=local\nSTORAGE_PATH=/data/registry\nAWS_BUCKET=unused\n",
        "SETTINGS_FLAVOR=gcs\nGCS_BUCKET=acme\nGCS_KEY=hush\nGCS_SECRET=hush\nSTORAGE_REDIRECT=true\n",
        "SETTINGS_FLAVOR=azureblob\nAZURE_STORAGE_ACCOUNT_NAME=acme\nAZURE_STORAGE_ACCOUNT_KEY=hush\nAZURE_STORAGE_CONTAINER=registry\n",
        "SETTINGS_FLAVOR=swift\nOS_AUTH_URL=https://keystone.example.com/v3\nOS_USERNAME=me\nOS_PASSWORD=hush\nOS_CONTAINER=registry\nOS_TENANT_NAME=acme\nOS_REGION_NAME=RegionOne\n",
        "SETTINGS_FLAVOR=oss\nOSS_BUCKET=acme\nOSS_KEY=LTAI\nOSS_SECRET=hush\nOSS_HOST=oss.aliyuncs.com\n",
        "SETTINGS_FLAVOR=dev\nMIRROR_SOURCE=https://registry-1.docker.io\nMIRROR_SOURCE_INDEX=https://index.docker.io\nCACHE_REDIS_HOST=redis.example.com\nCACHE_REDIS_PORT=6379\nCACHE_REDIS_PASSWORD=hush\n",
        "SETTINGS_FLAVOR=elliptics\n",
    ];
    let mut text = String::new();
    for file in files {
        sandbox.write("v1.env", file);
        let outcome = sandbox.run("graph registry --env-file v1.env");
        writeln!(text, "# {}\n{}", file.replace('\n', " "), outcome.stderr).unwrap();
        assert!(!outcome.text.contains("hush"), "a secret shows: {}", outcome.text);
    }
    snapshot!("variables_v1", text);
}

#[test]
fn a_variable_is_declared_with_an_input_or_a_note() {
    snapshot!(
        "variables_declared",
        checks(&[
            ("neither", "variables:\n  A: {}\n"),
            ("an unknown input", "inputs:\n  port: { type: port, default: 80 }\nvariables:\n  A: { input: prot }\n"),
            ("an unknown field", "variables:\n  A: { inptu: a }\n"),
            ("a text", "variables:\n  A: port\n"),
            ("a list", "variables: [A]\n"),
            (
                "values that are a list",
                "inputs:\n  port: { type: port, default: 80 }\nvariables:\n  A: { input: port, values: [80] }\n"
            ),
            ("a condition on nothing", "variables:\n  A: { note: x, when: nothing }\n"),
            ("an input `env-file`", "inputs:\n  env-file: { type: path }\n"),
        ])
    );
}

#[test]
fn the_variables_of_an_old_blog_become_inputs_of_the_new_one() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "old.env",
        "WORDPRESS_DB_HOST=mysql\nWORDPRESS_DB_NAME=news\nWORDPRESS_DB_USER=writer\nWORDPRESS_DB_PASSWORD=hush\nWORDPRESS_TABLE_PREFIX=x 7\n\
         WORDPRESS_CONFIG_EXTRA=define('A', 1);\nWORDPRESS_AUTH_KEY=hush\nMYSQL_ROOT_PASSWORD=hush\n",
    );
    let mut text = run(&sandbox, "plan blog --env-file old.env", &[]);
    // In the environment they may be about something else.
    text.push_str(&run(&sandbox, "plan blog --table-prefix x-7", &[("MYSQL_USER", "me"), ("MYSQL_PASSWORD", "hush")]));
    assert!(!text.replace("MYSQL_PASSWORD=hush", "").contains("hush"), "a secret shows: {text}");
    snapshot!("variables_blog", text);
}
