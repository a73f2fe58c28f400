//! A certificate that another program manages: used where it is, followed when it is renewed, never written or removed.

use crate::engine::{Sandbox, shell, tree};

/// An authority of somebody else, in a folder.
struct Authority {
    folder: String,
}

impl Authority {
    fn new(sandbox: &Sandbox) -> Self {
        let folder = sandbox.home.path().join("outside");
        std::fs::create_dir(&folder).unwrap();
        let authority = Self { folder: folder.display().to_string() };
        authority.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -subj /CN=theirs -days 300");
        authority
    }

    fn openssl(&self, arguments: &str) {
        shell(&format!("cd {} && openssl {arguments} 2>/dev/null", self.folder)).ok();
    }

    /// Issues a certificate in the place of the one before.
    fn issue(&self, names: &str, days: u32) {
        self.openssl(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout privkey.pem -out x.csr -subj /CN=x",
        );
        shell(&format!("cd {} && echo subjectAltName={names} >x.ext", self.folder)).ok();
        self.openssl(&format!(
            "x509 -req -in x.csr -CA ca.crt -CAkey ca.key -CAcreateserial -extfile x.ext -days {days} -out leaf.crt"
        ));
        shell(&format!("cd {} && cat leaf.crt ca.crt >fullchain.pem", self.folder)).ok();
    }

    fn flags(&self) -> [String; 4] {
        let path = |file: &str| format!("{}/{file}", self.folder);
        ["--certificate".to_owned(), path("fullchain.pem"), "--certificate-key".to_owned(), path("privkey.pem")]
    }

    fn fingerprint(&self) -> String {
        shell(&format!("openssl x509 -in {}/leaf.crt -noout -fingerprint -sha256", self.folder)).ok().out
    }
}

fn served(port: u16) -> String {
    shell(&format!(
        "openssl s_client -connect localhost:{port} </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256"
    ))
    .ok()
    .out
}

#[test]
fn a_registry_serves_a_certificate_from_outside_and_follows_it() {
    let sandbox = Sandbox::new("outside");
    let authority = Authority::new(&sandbox);
    authority.issue("DNS:localhost", 60);
    let flags = authority.flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    sandbox.registry(&flags).ok().says("checked   probe round-trip");
    assert_eq!(served(sandbox.port), authority.fingerprint());
    let ask = format!(
        "curl -sf --cacert {}/ca.crt -u admin:{} https://localhost:{}/v2/",
        authority.folder,
        sandbox.password(),
        sandbox.port
    );
    assert_eq!(shell(&ask).ok().out, "{}");
    sandbox.plan(&["--exit-code"]).ok().says("nothing to change");
    sandbox.command(&["status"]).ok().says("59 d");

    // It is renewed, with another key: the next run has it served.
    let before = served(sandbox.port);
    authority.issue("DNS:localhost", 90);
    sandbox.plan(&["--exit-code"]).fails(3).says("/etc/provision/tls.crt");
    sandbox.registry(&[]).ok();
    assert_eq!(served(sandbox.port), authority.fingerprint());
    assert_ne!(served(sandbox.port), before);
    // Its end is near, and nobody has renewed it.
    authority.issue("DNS:localhost", 5);
    sandbox.registry(&[]).ok().says("has not renewed it yet");
    sandbox.command(&["status"]).fails(3).says("which another program manages, ends in 4 days");

    // What cannot be served is told, and nothing changes.
    let files = tree(authority.folder.as_ref());
    authority.issue("DNS:other.example.com", 60);
    sandbox.registry(&[]).fails(1).says("is not for `localhost`").says("other.example.com");
    authority.openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out privkey.pem");
    sandbox.registry(&[]).fails(1).says("does not belong to the certificate");
    shell(&format!("cp {0}/leaf.crt {0}/fullchain.pem", authority.folder)).ok();
    authority.issue("DNS:localhost", 60);
    shell(&format!("cp {0}/leaf.crt {0}/fullchain.pem", authority.folder)).ok();
    sandbox.registry(&[]).fails(1).says("holds the server's certificate alone").says("fullchain.pem");
    sandbox.registry(&["--certificate-key", ""]).fails(2).says("belong together");
    assert_ne!(tree(authority.folder.as_ref()), files, "the test itself has changed them");

    // Back to one of its own, and away: the files stay.
    authority.issue("DNS:localhost", 60);
    let files = tree(authority.folder.as_ref());
    sandbox.registry(&["--certificate", "", "--certificate-key", ""]).ok();
    assert_ne!(served(sandbox.port), authority.fingerprint());
    sandbox.registry(&flags).ok();
    assert_eq!(served(sandbox.port), authority.fingerprint());
    sandbox.destroy().ok();
    assert_eq!(tree(authority.folder.as_ref()), files);
}
