//! What the tests of the blog share: an administrator's login over the REST interface, PHP in the site's container, and a mail
//! server: [`Session`], [`run_php`], [`MailServer`].

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::engine::{Sandbox, shell};
use crate::stores::host_address;

/// Who is logged in as the administrator `keeper`.
pub struct Session {
    site: String,
    /// How curl trusts the site, and keeps who is logged in.
    options: String,
    nonce: String,
}

impl Session {
    /// Logs in to a site; `options` are curl's, such as `--cacert FILE`.
    pub fn new(sandbox: &Sandbox, site: &str, options: &str) -> Self {
        let password = sandbox.command(&["secrets", &sandbox.name, "admin-password"]).ok().out;
        let jar = sandbox.home.path().join("session").display().to_string();
        let options = format!("-s -m 30 {options} -c {jar} -b {jar}");
        shell(&format!(
            "curl {options} -o /dev/null -b wordpress_test_cookie=WP%20Cookie%20check --data-urlencode log=keeper --data-urlencode pwd={} -d wp-submit=Log {site}/wp-login.php",
            password.trim()
        ))
        .ok();
        let nonce = shell(&format!("curl {options} '{site}/wp-admin/admin-ajax.php?action=rest-nonce'")).ok().out;
        assert!(nonce.len() == 10, "nobody is logged in: {nonce}");
        Self { site: site.to_owned(), options, nonce }
    }

    /// Asks the REST interface, as it is asked where addresses have no query.
    #[track_caller]
    pub fn ask(&self, path: &str, more: &str) -> Json {
        let Self { site, options, nonce } = self;
        let ran = shell(&format!("curl {options} -H 'X-WP-Nonce: {nonce}' {more} '{site}/wp-json/{path}'"));
        serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{path}: {error}: {}", ran.all()))
    }

    /// `WordPress` reaches itself by its own address, as its own check says.
    #[track_caller]
    pub fn check_loopback(&self) {
        let health = self.ask("wp-site-health/v1/tests/loopback-requests", "");
        assert_eq!(health["status"], "good", "{health}");
    }

    /// A post that is to appear later does when its time has come and anybody comes by.
    #[track_caller]
    pub fn check_schedule(&self, container: &str) {
        let date = shell("date -u -d '+1 hour' +%Y-%m-%dT%H:%M:%S").ok().out;
        let post = format!("-d status=future -d title=later -d content=later -d date_gmt={}", date.trim());
        let post = self.ask("wp/v2/posts", &post);
        assert_eq!(post["status"], "future", "{post}");
        // The hour passes: WordPress schedules nothing that is less than a minute away.
        let passed = "$date = gmdate( 'Y-m-d H:i:s', time() - 1 ); global $wpdb; \
                      $wpdb->update( $wpdb->posts, array( 'post_date' => $date, 'post_date_gmt' => $date ), array( 'ID' => ID ) ); \
                      clean_post_cache( ID ); wp_clear_scheduled_hook( 'publish_future_post', array( ID ) ); \
                      wp_schedule_single_event( time() - 1, 'publish_future_post', array( ID ) );";
        run_php(container, &passed.replace("ID )", &format!("{} )", post["id"])));
        let deadline = Instant::now() + Duration::from_secs(90);
        loop {
            let now = self.ask(&format!("wp/v2/posts/{}?context=edit", post["id"]), "");
            if now["status"] == "publish" {
                return;
            }
            assert!(Instant::now() < deadline, "it stays {}", now["status"]);
            std::thread::sleep(Duration::from_millis(250));
        }
    }

    /// Uploads a file of so many megabytes and gives the status of the answer.
    pub fn upload(&self, sandbox: &Sandbox, megabytes: u32) -> String {
        let Self { site, options, nonce } = self;
        let file = sandbox.home.path().join("upload.txt").display().to_string();
        shell(&format!(
            "yes lamp | head -c {megabytes}M > {file}; curl {options} -H 'X-WP-Nonce: {nonce}' -o /dev/null -w '%{{http_code}}' -F 'file=@{file};type=text/plain' {site}/wp-json/wp/v2/media"
        ))
        .out
    }
}

/// Runs PHP in a site's container with `WordPress` loaded, and gives what it prints.
pub fn run_php(container: &str, code: &str) -> String {
    let code = format!("<?php require '/var/www/html/wp-load.php'; {code}");
    shell(&format!("docker exec -i {container} php <<'END'\n{code}\nEND")).ok().out
}

/// What a request from within to the site's own address is answered with, its certificate checked.
pub fn own_answer(container: &str) -> String {
    run_php(
        container,
        "$answer = wp_remote_get( home_url( '/wp-json/' ) ); \
         echo is_wp_error( $answer ) ? $answer->get_error_message() : wp_remote_retrieve_response_code( $answer );",
    )
}

/// Sends a mail as `WordPress` does; `true`, or why not.
pub fn send_mail(container: &str) -> String {
    run_php(
        container,
        "add_action( 'wp_mail_failed', fn( $error ) => print( $error->get_error_message() ) ); \
         echo json_encode( wp_mail( 'reader@example.org', 'The lamp', 'burns all night' ) );",
    )
}

/// A mail server that containers reach, with an authority of its own. Its user is `keeper`, with the password `pass word`.
pub struct MailServer {
    pub address: String,
    /// The ports with TLS, with STARTTLS, and in the clear.
    pub ports: [u16; 3],
    pub ca: PathBuf,
    folder: PathBuf,
    process: Child,
}

impl Drop for MailServer {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl MailServer {
    pub fn new(sandbox: &Sandbox) -> Self {
        let (folder, address) = (sandbox.home.path().join("mail"), host_address());
        std::fs::create_dir(&folder).unwrap();
        let path = |name: &str| folder.join(name);
        shell(&format!(
            "cd {} && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key -out ca -days 2 -subj /CN=mail -addext subjectAltName=IP:{address}",
            folder.display()
        ))
        .ok();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live/mail.py");
        // Debian's own Python has Debian's module.
        let mut process = Command::new("/usr/bin/python3")
            .arg(script)
            .arg(&folder)
            .arg(&address)
            .args([path("ca"), path("key")])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ports: Vec<u16> = line.split_whitespace().map(|port| port.parse().unwrap()).collect();
        Self {
            address,
            ports: ports.try_into().expect("`make setup` installs aiosmtpd"),
            ca: path("ca"),
            folder,
            process,
        }
    }

    /// The mail that came last by one of the ports; its first line says who was logged in, who it is from and to.
    pub fn mail(&self, port: usize) -> String {
        std::fs::read_to_string(self.folder.join(port.to_string())).unwrap_or_default()
    }
}
