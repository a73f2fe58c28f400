//! Mutated inputs of every parser, given to the real binary: each run ends by itself, in time and in 100 MB, with no panic, and what
//! fails says why. `FUZZ_SECONDS` is how long each target runs; a failure tells the `FUZZ_SEED` that makes it again.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

use crate::backup::prepared;
use crate::hostile::{ends, serve, whole};
use crate::sandbox::Sandbox;

/// Numbers that follow from a seed (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 8).unwrap_or_default() % end.max(1)
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

/// What means something in one form or another.
const WORDS: [&str; 40] = [
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "{{",
    "}}",
    "{%",
    "%}",
    "\"",
    "'",
    "\\",
    ":",
    ": ",
    "- ",
    "\n",
    "\n  ",
    "\t",
    "#",
    ";",
    ",",
    "|",
    "&a ",
    "*a",
    "<<",
    "~",
    "0",
    "-1",
    "1e999",
    "99999999999999999999",
    "null",
    "\0",
    "\u{feff}",
    "é🦀",
    "$",
    "${x}",
    "-----BEGIN ",
    "%s%n",
    "..",
];
/// The same for expressions.
const TERMS: [&str; 44] = [
    "name",
    "a",
    "+",
    "-",
    "*",
    "**",
    "/",
    "//",
    "%",
    "~",
    "==",
    "<",
    " in ",
    " not ",
    " and ",
    " or ",
    " if ",
    " else ",
    " is ",
    "|",
    ".",
    ",",
    "[::-1]",
    "[1:]",
    "()",
    "[]",
    "{}",
    "0",
    "1",
    "99999999999",
    "1.5",
    "'x'",
    "\"\"",
    "|list",
    "|join(a)",
    "|replace('', a)",
    "|indent(9999)",
    "|batch(99999)",
    "|slice(99999)",
    "|format(a, 1)",
    "|map('upper')",
    "range(9999)",
    "{% set a = a ~ a %}",
    "{% for i in range(9999) %}",
];

/// Changes a text in up to eight places.
fn mutated(numbers: &mut Numbers, seeds: &[&str], words: &[&str]) -> Vec<u8> {
    let mut text = numbers.one(seeds).as_bytes().to_vec();
    for _ in 0..=numbers.below(8) {
        let (from, to) = (numbers.below(text.len() + 1), numbers.below(text.len() + 1));
        let (from, to) = (from.min(to), from.max(to));
        match numbers.below(8) {
            0 => drop(text.drain(from..to.min(from + 20))),
            1 => {
                let piece = text[from..to].to_vec();
                let at = numbers.below(text.len() + 1);
                text.splice(at..at, piece);
            }
            // What stands once, very often: this is what limits are for.
            2 => {
                let piece = if numbers.below(2) == 0 {
                    numbers.one(words).as_bytes().to_vec()
                } else {
                    text[from..to.min(from + 40)].to_vec()
                };
                let often = [10, 300, 10_000, 100_000][numbers.below(4)];
                let piece = piece.repeat(often.min((1 << 20) / piece.len().max(1)));
                text.splice(from..from, piece);
            }
            3 if from < text.len() => text[from] = u8::try_from(numbers.below(256)).unwrap_or_default(),
            4 => text.truncate(to.max(1)),
            5 => {
                let other = numbers.one(seeds).as_bytes();
                let start = numbers.below(other.len());
                text.splice(from..from, other[start..].iter().copied());
            }
            _ => drop(text.splice(from..from, numbers.one(words).bytes())),
        }
    }
    text
}

/// Runs mutated inputs for as long as it is meant to. What does not pass tells how to make it again.
#[expect(clippy::print_stdout, reason = "what was tried is told with the test")]
fn fuzz(target: &str, seeds: &[&str], words: &[&str], mut run: impl FnMut(&str, Vec<u8>)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let time = Duration::from_secs(number("FUZZ_SECONDS").unwrap_or(3));
    let first = number("FUZZ_SEED").unwrap_or_else(|| RandomState::new().build_hasher().finish());
    let begun = Instant::now();
    let mut seed = first;
    loop {
        let input = mutated(&mut Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1), seeds, words);
        run(&format!("FUZZ_SEED={seed} of {target}"), input);
        seed = seed.wrapping_add(1);
        if begun.elapsed() > time {
            break;
        }
    }
    println!("{target}: {} inputs from FUZZ_SEED={first}", seed.wrapping_sub(first));
}

#[track_caller]
fn passes(sandbox: &Sandbox, title: &str, line: &str) {
    let output = ends(sandbox, title, line, |_| ());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("panicked"), "{title}: {said}");
}

const PLAYBOOK: &str = "about: x\ninputs:\n  port: { type: port, default: 80, about: y }\n  list: { type: list, of: secret, default: [] }\nvalues:\n  v: '{{ port + 1 }}'\nrules:\n  - { when: port == 1, refuse: no }\nvariables:\n  V: { input: port }\nresources:\n  - secret: s\n    length: 20\n  - file: a\n    path: /tmp/{{ v }}\n    content: >-\n      {{ name }}\n    when: port\n  - htpasswd: h\n    users: { me: '{{ s }}' }\n    after: [a]\noutputs:\n  o: '{{ a.path }}'\n";
const EXPRESSIONS: [&str; 6] = [
    "{{ name }}",
    "{% set a = 'x' %}{{ a ~ name }}",
    "{% for i in range(9) %}{{ i * 2 }}{% if loop.last %}.{% else %},{% endif %}{% endfor %}",
    "{{ [1, 2, name]|map('string')|join(', ') }}{{ {'a': 1}.a is divisibleby 2 }}",
    "{% macro m(a, b=1) %}{{ a }}{{ b }}{% endmacro %}{{ m('x') }}{% set a %}{{ m(1, 2) }}{% endset %}{{ a|upper }}",
    "{{ name[::2] if name|length > 1 and 'x' not in name else name|default('y')|replace('a', 'bb') }}",
];
const NGINX: &str = "user www;\nhttp {\n  upstream r { server localhost:5000; }\n  server {\n    listen 443 ssl; # x\n    server_name registry.example.com;\n    ssl_certificate /etc/nginx/c.crt; ssl_certificate_key \"/etc/nginx/c.key\";\n    client_max_body_size 10m;\n    location /v2/ { auth_basic 'r'; auth_basic_user_file users; proxy_pass http://r; include one; }\n  }\n}\n";
const CONFIG: &str = "version: 0.1\nhttp: &h { addr: ':5000', secret: asdf }\nstorage:\n  s3: { accesskey: A, secretkey: B, region: us-east-1, bucket: b, rootdirectory: /x }\n  delete: { enabled: true }\nauth: { htpasswd: { realm: r, path: /etc/users } }\nx: *h\n";
const CONFIG_V1: &str = "common: &common\n  loglevel: info\n  secret_key: x\nprod:\n  <<: *common\n  storage: s3\n  s3_access_key: _env:AWS_KEY\n  boto_bucket: b\n  storage_path: /registry\n";
const USERS: &str =
    "alice:$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC\nbob:$apr1$x$y\n# x\ncarol:{SHA}abc=\n";
const RECORD: &str = r#"{"version":1,"id":"00ff","playbook":{"name":"x","path":null,"text":"resources:\n  - network: n\n"},"inputs":{"a":[1,"b"]},"kinds":["network"]}"#;
const ANSWERS: [&str; 4] = [
    r#"[{"Id":"a","Names":["/box"],"Image":"i","ImageID":"sha256:00","Labels":{"provision.deployment":"x","provision.resource":"box"},"State":"running","Ports":[{"PrivatePort":80}],"NetworkSettings":{"Networks":{"n":{"NetworkID":"q"}}},"Mounts":[]}]"#,
    r#"{"Id":"a","Name":"/box","Created":"2024-01-01T00:00:00Z","State":{"Status":"running","Running":true,"Health":{"Status":"healthy","Log":[]}},"Config":{"Image":"i","Env":["A=b"],"Labels":{"provision.deployment":"x"}},"HostConfig":{"Binds":[],"PortBindings":{"80/tcp":[{"HostPort":"8080"}]}},"NetworkSettings":{"Networks":{}},"ApiVersion":"1.47","Volumes":[{"Name":"v","Driver":"local","Labels":{"provision.deployment":"x"},"Mountpoint":"/x","Scope":"local","Options":null}]}"#,
    r#"{"Version":"27.0","ApiVersion":"1.46","MinAPIVersion":"1.24","Os":"linux","Arch":"amd64","ServerVersion":"27","Swarm":{"LocalNodeState":"inactive"},"SecurityOptions":["name=rootless"]}"#,
    r#"{"message":"no such container: box"}"#,
];

#[test]
fn mutated_playbooks() {
    let sandbox = Sandbox::new();
    fuzz("playbooks", &[PLAYBOOK], &WORDS, |title, input| {
        sandbox.write("x.yml", input);
        passes(&sandbox, title, "plan ./x.yml");
    });
}

#[test]
fn mutated_expressions() {
    let sandbox = Sandbox::new();
    fuzz("expressions", &EXPRESSIONS, &TERMS, |title, input| {
        let text = serde_json::to_string(&String::from_utf8_lossy(&input)).unwrap();
        sandbox.write("x.yml", format!("resources:\n  - file: a\n    path: /tmp/a\n    content: {text}\n"));
        sandbox.write("y.yml", "resources:\n  - file: a\n    path: /tmp/a\n    template: page.conf\n");
        sandbox.write("page.conf", input);
        passes(&sandbox, title, "plan ./x.yml");
        passes(&sandbox, title, "plan ./y.yml");
    });
}

#[test]
fn mutated_inputs() {
    let sandbox = Sandbox::new();
    fuzz(
        "inputs",
        &["cn: localhost\nsan: [a.example.com, 10.0.0.1]\nout: ./tls\ndays: 90\n"],
        &WORDS,
        |title, input| {
            sandbox.write("in.yml", input);
            passes(&sandbox, title, "plan certs --inputs in.yml");
        },
    );
}

#[test]
fn mutated_files_of_variables() {
    let sandbox = Sandbox::new();
    let seed = "# x\nexport SETTINGS_FLAVOR=s3\nAWS_BUCKET='b'\nAWS_KEY=\"a\\\"b\"\nAWS_REGION=us-east-1 # x\nSEARCH_BACKEND=\n";
    fuzz("files of variables", &[seed], &WORDS, |title, input| {
        sandbox.write("variables", input);
        passes(&sandbox, title, "render registry --env-file variables --out out");
    });
}

#[test]
fn mutated_password_files() {
    let sandbox = crate::users::site();
    fuzz("password files", &[USERS], &WORDS, |title, input| {
        sandbox.write("people", &input);
        sandbox.write("root/etc/nginx/users", input);
        sandbox.write("root/etc/nginx/sites-enabled/registry", NGINX);
        passes(&sandbox, title, "users site add --import people");
        passes(&sandbox, title, "adopt --root root --out /dev/null/x");
    });
}

#[test]
fn mutated_files_of_a_host() {
    let sandbox = Sandbox::new();
    let certificate = sandbox.run("certs --cn localhost --out ./tls --name tls");
    assert_eq!(certificate.code, 0, "{}", certificate.text);
    let certificate = sandbox.read("tls/localhost.crt");
    let mut turn = 0;
    let seeds = [NGINX, CONFIG, CONFIG_V1, &certificate];
    for (name, path, seeds) in [
        ("files of nginx", "root/etc/nginx/sites-enabled/registry", &seeds[..1]),
        ("configurations of a registry", "root/etc/docker/registry/config.yml", &seeds[1..3]),
        ("bundles of certificates", "root/etc/docker/certs.d/r/ca.crt", &seeds[3..]),
    ] {
        fuzz(name, seeds, &WORDS, |title, input| {
            turn += 1;
            sandbox.write("root/etc/nginx/sites-enabled/registry", NGINX);
            sandbox.write(path, input);
            passes(&sandbox, title, &format!("adopt --root root --out {turn}.yml"));
        });
    }
}

#[test]
fn mutated_backups() {
    let (sandbox, recipient) = prepared();
    assert_eq!(sandbox.run(&format!("backup tls one.age --recipient {recipient}")).code, 0);
    let identity: age::x25519::Identity = sandbox.read("key.txt").lines().last().unwrap().parse().unwrap();
    let sealed = std::fs::read(sandbox.path("one.age")).unwrap();
    // A letter for each byte, so that it can be changed as a text.
    let letters = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect::<String>();
    let bytes =
        |text: &[u8]| String::from_utf8_lossy(text).chars().map(|c| u8::try_from(c).unwrap_or(0)).collect::<Vec<u8>>();
    let plain = letters(&age::decrypt(&identity, &sealed).unwrap());
    fuzz("backups", &[&plain], &WORDS, |title, input| {
        sandbox.write("two.age", age::encrypt(&identity.to_public(), &bytes(&input)).unwrap());
        passes(&sandbox, title, "restore two two.age --identity key.txt --set out=./two");
        drop(sandbox.run("destroy two --yes"));
    });
    fuzz("sealed backups", &[&letters(&sealed)], &WORDS, |title, input| {
        sandbox.write("two.age", bytes(&input));
        passes(&sandbox, title, "restore two two.age --identity key.txt --set out=./two");
        drop(sandbox.run("destroy two --yes"));
    });
}

#[test]
fn mutated_records_and_answers_of_an_engine() {
    let sandbox = Sandbox::new();
    fuzz("records", &[RECORD], &WORDS, |title, input| {
        sandbox.write("../home/deployments/x/deployment.json", input);
        passes(&sandbox, title, "status x");
    });
    sandbox.write("x.yml", crate::hostile::PLAYBOOK);
    sandbox.write("../home/deployments/x/deployment.json", RECORD);
    fuzz("answers of an engine", &ANSWERS, &WORDS, |title, input| {
        let body = String::from_utf8_lossy(&input).into_owned();
        let engine = serve(&sandbox, move |to| whole(to, "200 OK", &body));
        for line in ["plan ./x.yml", "status x"] {
            let output = ends(&sandbox, title, line, |command| {
                command.env("DOCKER_HOST", &engine);
            });
            assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{title}: {output:?}");
        }
    });
}

/// What stands often is refused with the limit that it meets, in each language.
#[test]
fn what_goes_beyond_a_limit_is_told_which() {
    let sandbox = Sandbox::new();
    let file = |content: &str| format!("resources:\n  - file: a\n    path: /tmp/a\n    content: '{content}'\n");
    let twice = |next: &str| format!("resources:\n  - playbook: {next}\n    as: a\n  - playbook: {next}\n    as: b\n");
    (0..12).for_each(|level| drop(sandbox.write(&format!("{level}.yml"), twice(&format!("./{}.yml", level + 1)))));
    sandbox.write("12.yml", file("x"));
    sandbox.write("root/etc/nginx/sites-enabled/registry", "a{".repeat(1000));
    let deep = |open: &str| format!("{}x", open.repeat(1000));
    for (name, text, line, wanted) in [
        ("x.yml", deep("["), "plan ./x.yml", "nested deeper than 64 levels"),
        ("x.yml", deep("- "), "plan ./x.yml", "nested deeper than 64 levels"),
        ("x.yml", format!("a: [{}]", "x,".repeat(130_000)), "plan ./x.yml", "more than 120000 parts"),
        ("x.yml", file(&"{% if name %}".repeat(10_001)), "plan ./x.yml", "more than 10000 pairs of braces"),
        (
            "x.yml",
            file("{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}"),
            "plan ./x.yml",
            "more than 500000 steps",
        ),
        ("x.yml", twice("./0.yml"), "plan ./x.yml", "more than 1000 playbooks are included"),
        ("in.yml", deep("["), "plan certs --inputs in.yml", "nested deeper than 64 levels"),
        ("root/etc/docker/registry/config.yml", deep("["), "adopt --root root", "nested deeper than 64 levels"),
        ("root/etc/docker/registry/config.yml", "version: 0.1".to_owned(), "adopt --root root", "more than 64 deep"),
    ] {
        sandbox.write(name, text);
        let output = ends(&sandbox, wanted, line, |_| ());
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(said.contains(wanted), "{line}: {wanted}: {said}");
    }
}
