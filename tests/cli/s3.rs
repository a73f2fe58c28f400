//! `--flavor s3` as far as it goes without a store: inputs that do not go together, and names that cannot be.

use std::fmt::Write as _;

use crate::sandbox::Sandbox;
use crate::snapshot;

#[test]
fn inputs_that_do_not_go_together_are_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("key", "id\nsecret\n");
    assert_eq!(sandbox.run("certs --cn localhost --out ./tls --name tls").code, 0);
    let mut text = String::new();
    for more in [
        "--flavor s3",
        "--bucket acme",
        "--flavor s3 --bucket acme --endpoint store.example.com",
        "--flavor s3 --bucket acme --iam none",
        "--flavor s3 --bucket acme --iam create --access-key-file ./key",
        "--flavor s3 --bucket acme --access-key AK",
        "--flavor s3 --bucket acme --access-key AK --secret-key SK --access-key-file ./key",
        "--flavor s3 --bucket acme --store-ca ./tls/ca.crt --endpoint http://store.example.com",
        "--flavor s3 --bucket acme --iam none --access-key-file ./key --policy wide",
        "--flavor s3 --bucket acme --kms-key alias/mine",
    ] {
        let outcome = sandbox.run(&format!("plan registry {more}"));
        assert_eq!(outcome.code, 2, "{}", outcome.text);
        writeln!(text, "{}", outcome.text).unwrap();
    }
    snapshot!("s3_rules", text);
}

#[test]
fn a_key_file_has_one_of_two_forms() {
    let sandbox = Sandbox::new();
    sandbox.write("x.yml", "inputs:\n  key: { type: path }\nresources:\n  - access-key: it\n    file: \"{{ key }}\"\noutputs:\n  id: \"{{ it.id }}\"\n");
    for good in
        ["id\nsecret\n", "# mine\n id \n\n secret", "[default]\naws_access_key_id = id\naws_secret_access_key=secret\n"]
    {
        sandbox.write("key", good);
        let outcome = sandbox.run("apply ./x.yml --key ./key");
        assert!(outcome.code == 0 && outcome.stdout.contains("id  id"), "{}", outcome.text);
    }
    for bad in ["", "id", "id secret", "id\nsecret\nmore", "aws_access_key_id = id\naws_secret_access_key =\n"] {
        sandbox.write("key", bad);
        let outcome = sandbox.run("apply ./x.yml --key ./key");
        assert!(outcome.code == 1 && outcome.text.contains("holds no access key"), "{}", outcome.text);
        assert!(!outcome.text.contains("more"), "{}", outcome.text);
    }
}

#[test]
fn no_credentials_is_one_clear_error() {
    let sandbox = Sandbox::new();
    sandbox.write("x.yml", "resources:\n  - account: it\n    endpoint: http://127.0.0.1:1\n    region: eu-west-1\n  - bucket: b\n    name: acme\n    endpoint: http://127.0.0.1:1\n    region: eu-west-1\n");
    let mut command = sandbox.command(&["plan", "./x.yml"]);
    let output = command.env("AWS_EC2_METADATA_DISABLED", "true").output().unwrap();
    snapshot!("s3_no_credentials", String::from_utf8(output.stderr).unwrap());
}
