//! Templates with hostile values, read back by the programs that their files are for: nothing in a value means anything there.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value as Json, json};

use crate::engine::{Ran, Sandbox, shell};

/// Values that would mean something to one parser or another; all but the last stand on one line.
const HOSTILE: [&str; 6] = [
    "plain",
    "a\"b'c\\d\\",
    " # x ; y: {z} [w]",
    "$(id) `id` ${HOME} %h %% $x",
    "é<?php ?> & | * !",
    "line\nuser=root\r\n\tevil: true",
];

struct Templates {
    sandbox: Sandbox,
}

impl Templates {
    fn new(test: &str) -> Self {
        Self { sandbox: Sandbox::new(test) }
    }

    /// Renders a template with these inputs; gives the way to the file.
    fn try_render(&self, template: &str, inputs: &BTreeMap<&str, Json>) -> (Ran, PathBuf) {
        let out = self.sandbox.home.path().join(format!("out-{}", template.replace('/', "-")));
        let kind = |value: &Json| match value {
            Json::Array(_) => "list, of: string",
            Json::Number(_) => "size",
            Json::Bool(_) => "bool",
            _ => "string",
        };
        let declared: String =
            inputs.iter().map(|(name, value)| format!("  {name}: {{ type: {} }}\n", kind(value))).collect();
        let playbook = self.sandbox.write(
            "templates.yml",
            &format!(
                "inputs:\n{declared}resources:\n  - file: it\n    path: {}\n    template: {template}\n",
                out.display()
            ),
        );
        let given = self.sandbox.write("inputs.yml", &json!(inputs).to_string());
        let name = format!("{}-{}", self.sandbox.name, template.replace(['/', '.'], "-"));
        (self.sandbox.command(&["apply", &playbook, "--name", &name, "--inputs", &given]), out)
    }

    #[track_caller]
    fn render(&self, template: &str, inputs: &BTreeMap<&str, Json>) -> String {
        let (ran, out) = self.try_render(template, inputs);
        ran.ok();
        out.display().to_string()
    }
}

fn image(name: &str) -> String {
    let listed =
        shell(&format!("docker images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' provision/{name} | head -1"));
    listed.ok().out.trim().to_owned()
}

#[test]
fn every_template_is_read_back_by_the_program_that_it_is_for() {
    let templates = Templates::new("forms");
    templates.sandbox.blog_images();
    let (mysql, mariadb, php) = (image("mysql"), image("mariadb"), image("wordpress"));
    for hostile in HOSTILE {
        let value = Json::from(hostile);
        // MySQL's and MariaDB's own reader of options.
        let inputs = BTreeMap::from([("db-login", value.clone()), ("db-key", value.clone())]);
        let file = templates.render("mysql/client.cnf", &inputs);
        for (image, reader) in [(&mysql, "my_print_defaults --show"), (&mariadb, "my_print_defaults")] {
            let read = shell(&format!(
                "docker run --rm -i --entrypoint sh {image} -c 'cat >/tmp/f; chmod 600 /tmp/f; {reader} --defaults-file=/tmp/f client' <{file}"
            ));
            assert_eq!(read.ok().out, format!("--user={hostile}\n--password={hostile}\n--host=127.0.0.1\n"), "{image}");
        }
        let file = templates.render("mysql/root.cnf", &BTreeMap::from([("root-password", value.clone())]));
        let read = shell(&format!(
            "docker run --rm -i --entrypoint sh {mysql} -c 'cat >/tmp/f; chmod 600 /tmp/f; my_print_defaults --show --defaults-file=/tmp/f client' <{file}"
        ));
        let socket = "/var/run/mysqld/mysqld.sock";
        assert_eq!(read.ok().out, format!("--user=root\n--password={hostile}\n--socket={socket}\n"));
        // PHP's reader of JSON.
        let names = ["settled", "mail-host", "mail-port", "mail-scheme", "mail-user", "smtp-ca", "sender"];
        let mut inputs: BTreeMap<&str, Json> = names.map(|name| (name, value.clone())).into();
        inputs.extend([("host-port", json!("80")), ("tls", json!(true)), ("proxies", json!([]))]);
        let file = templates.render("wordpress/site.json", &inputs);
        let read = shell(&format!(
            "docker run --rm -i --entrypoint php {php} -r '$s = json_decode(stream_get_contents(STDIN)); echo $s->url, $s->smtp->user, $s->smtp->from, count((array) $s->smtp);' <{file}"
        ));
        assert_eq!(read.ok().out, format!("{hostile}{hostile}{hostile}6"));
        // A shell: a script of the host, and one of a user's own.
        let one = json!(hostile.lines().next());
        let inputs = BTreeMap::from([
            ("daemon", one.clone()),
            ("web-group", json!("www-data")),
            ("arguments", json!("serve")),
            ("api", json!("v2")),
            ("confined", json!(true)),
            ("images-folder", json!("")),
        ]);
        let file = templates.render("sysv/docker-registry", &inputs);
        let read = shell(&format!("sh -n {file} && eval \"$(grep ^DAEMON= {file})\" && printf %s \"$DAEMON\""));
        assert_eq!(Json::from(read.ok().out), one);
        variables_of_the_first_registry(&templates, one.as_str().unwrap());
        templates.sandbox.write("own.sh", "printf %s {{ word }}\n");
        let file = templates.render("own.sh", &BTreeMap::from([("word", value.clone())]));
        assert_eq!(shell(&format!("sh {file}")).ok().out, hostile);
        // YAML and JSON of a user's own.
        templates.sandbox.write("own.yml", "a: {{ word }}\nb: [{{ word }}, 1]\n");
        templates.sandbox.write("own.json", "{\"a\": {{ word }}, \"b\": [{{ word }}, 1]}\n");
        for (template, reader) in [("own.yml", "yaml.safe_load"), ("own.json", "json.load")] {
            let file = templates.render(template, &BTreeMap::from([("word", value.clone())]));
            let read = shell(&format!(
                "python3 -c 'import json, yaml; print(json.dumps({reader}(open(\"{file}\", newline=\"\"))))'"
            ));
            let read: Json = serde_json::from_str(&read.ok().out).unwrap();
            assert_eq!(read, json!({ "a": hostile, "b": [hostile, 1] }), "{template}");
        }
    }
}

/// The registry in Python reads each of its variables as YAML.
fn variables_of_the_first_registry(templates: &Templates, word: &str) {
    let inputs = BTreeMap::from([
        ("on", json!("host")),
        ("flavor", json!("s3")),
        ("keeps", json!(true)),
        ("storage", json!(word)),
        ("settings", json!(format!("AWS_SECRET={word}"))),
    ]);
    let file = templates.render("registry-v1/environment", &inputs);
    let read = shell(&format!(
        "set -a; . {file}; python3 -c 'import json, os, yaml; print(json.dumps([yaml.safe_load(os.environ[\"AWS_SECRET\"]), os.environ[\"STORAGE_PATH\"], os.environ[\"SQLALCHEMY_INDEX_DATABASE\"]]))'"
    ));
    let read: Json = serde_json::from_str(&read.ok().out).unwrap();
    assert_eq!(read, json!([word, word, format!("sqlite:///{word}/search.db")]));
}

#[test]
fn php_reads_how_large_an_upload_may_be() {
    let templates = Templates::new("uploads");
    templates.sandbox.blog_images();
    let php = image("wordpress");
    let file = templates.render("wordpress/uploads.ini", &BTreeMap::from([("upload-limit", json!(73_400_320_u64))]));
    let read = shell(&format!(
        "docker run --rm -i --entrypoint sh {php} -c 'mkdir /tmp/d; cat >/tmp/d/f.ini; PHP_INI_SCAN_DIR=/tmp/d php -r \"echo ini_get(\\\"upload_max_filesize\\\"), \\\" \\\", ini_get(\\\"post_max_size\\\");\"' <{file}"
    ));
    assert_eq!(read.ok().out, "73400320 74448896");
}

/// nginx reads its own file with paths of any name, and is never given what it cannot be told.
#[test]
fn nginx_reads_paths_of_any_name() {
    let templates = Templates::new("nginxes");
    let nginx = image("nginx");
    let folder = templates.sandbox.home.path().join("t");
    let odd = "a \"b\" #; {c}'d";
    std::fs::create_dir_all(folder.join(odd)).unwrap();
    let at = |file: &str| format!("/t/{odd}/{file}");
    shell(&format!(
        "cd {} && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -keyout '{key}' -out '{crt}' 2>/dev/null; chmod -R a+rX .; touch users",
        folder.display(),
        key = "tls.key",
        crt = "tls.crt"
    ))
    .ok();
    for file in ["tls.key", "tls.crt", "users"] {
        std::fs::rename(folder.join(file), folder.join(odd).join(file)).unwrap();
    }
    shell(&format!("chmod -R a+rX {0} {0}/..", folder.display())).ok();
    let inputs = |users: &str| {
        BTreeMap::from([
            ("place", json!("container")),
            ("outside-certificate", json!("")),
            ("fingerprint", json!("")),
            ("tls", json!(true)),
            ("public", json!("")),
            ("trusted", json!([])),
            ("backend", json!("backend")),
            ("protocol", json!("registry")),
            ("auth", json!(true)),
            ("cn", json!("localhost")),
            ("san", json!([])),
            ("port", json!("5000")),
            ("upstream", json!("unix:/run/x.sock")),
            ("body-limit", json!("0")),
            ("certificate-file", json!(at("tls.crt"))),
            ("key-file", json!(at("tls.key"))),
            ("users-file", json!(users)),
            ("key-of-passwords", json!("")),
            ("watch", json!("")),
        ])
    };
    let file = templates.render("nginx/proxy.conf", &inputs(&at("users")));
    let read = shell(&format!(
        "docker run --rm -i --tmpfs /tmp -v {}:/t:ro --entrypoint sh {nginx} -c 'cat >/tmp/f; nginx -T -q -c /tmp/f' <{file} 2>&1",
        folder.display()
    ));
    assert!(read.ok().out.contains("auth_basic_user_file"));
    let (refused, _) = templates.try_render("nginx/proxy.conf", &inputs("/t/$host"));
    refused.fails(1).says("nginx takes no `$`");
    // One that is written into quotes by hand is told, and not written.
    templates.sandbox.write("quoted.json", "{\"a\": \"{{ word }}\"}\n");
    let (told, _) = templates.try_render("quoted.json", &BTreeMap::from([("word", json!("x"))]));
    told.fails(1).says("does not give JSON").says("and not `\"{{ name }}\"`");
}
