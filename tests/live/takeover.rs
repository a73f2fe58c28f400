//! `provision blog` takes over a `WordPress`: its dump and its files, under a new address, once.

use std::io::{BufRead, BufReader};

use crate::blog::{INSTALLED, a_backup_brings_it_all_back, blog, curl, secret};
use crate::engine::{Sandbox, shell};
use crate::wordpress::run_php;

/// What an old site has: a post with a picture, and what plugins keep, each with the site's address.
const CONTENT: &str = "require_once ABSPATH . 'wp-admin/includes/image.php'; $u = home_url(); \
    $up = wp_upload_bits( 'lamp.png', null, base64_decode( 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==' ) ); \
    wp_insert_attachment( array( 'post_mime_type' => 'image/png', 'post_title' => 'lamp', 'post_status' => 'inherit' ), $up['file'] ); \
    wp_insert_post( array( 'post_title' => 'Tower', 'post_name' => 'tower', 'post_status' => 'publish', 'post_content' => \"<p>the lamp burns <img src='{$up['url']}'> at $u, $u:99/x and {$u}0</p>\" ) ); \
    update_option( 'plugin_x', array( 'url' => \"$u/a\", 'deep' => array( 'json' => json_encode( \"$u/j\" ), 'text' => serialize( array( \"$u/wü\" ) ), 'object' => (object) array( 'h' => $u ) ) ) ); \
    update_option( 'plugin_q', 'https://x.test/?u=' . rawurlencode( \"$u/q\" ) );";
/// What plugins keep, as they read it.
const KEPT: &str = "$x = get_option( 'plugin_x' ); echo implode( ' ', array( $x['url'], json_decode( $x['deep']['json'] ), \
    unserialize( $x['deep']['text'] )[0], $x['deep']['object']->h, rawurldecode( get_option( 'plugin_q' ) ) ) );";

/// An old site with its dump and its files.
struct Old {
    sandbox: Sandbox,
    site: String,
    password: String,
}

impl Old {
    fn new() -> Self {
        let sandbox = Sandbox::new("oldsite");
        sandbox.blog_images();
        blog(&sandbox, &[&INSTALLED[..], &["--table-prefix", "x7_"]].concat()).ok();
        run_php(&sandbox.name, CONTENT);
        let (name, folder) = (&sandbox.name, sandbox.home.path().display());
        shell(&format!(
            "cd {folder} && docker exec {name}-db mysqldump --defaults-file=/etc/provision/root.cnf --single-transaction --databases wordpress >old.sql 2>/dev/null && \
             gzip -k old.sql && docker cp {name}:/var/www/html/wp-content wp-content && cp -a wp-content linked && ln -s /etc/passwd linked/uploads/x && \
             head -c 5000 old.sql.gz >cut.gz && head -n -1 old.sql >cut.sql && age-keygen -o key 2>/dev/null && \
             age -r $(age-keygen -y key) -o old.age old.sql.gz && sed 's/utf8mb4_[a-z0-9_]*/utf8mb4_uca1400_ai_ci/' old.sql >maria.sql"
        ))
        .ok();
        let (site, password) = (format!("http://localhost:{}", sandbox.port), secret(&sandbox, "admin-password"));
        Self { sandbox, site, password }
    }

    fn path(&self, name: &str) -> String {
        self.sandbox.home.path().join(name).display().to_string()
    }
}

/// What is refused is refused before anything is made.
fn bad_dumps_and_folders_are_refused(old: &Old) {
    let sandbox = Sandbox::new("badsite");
    let path = |name: &str| old.path(name);
    for (dump, more, told) in [
        ("old.sql", &["--table-prefix", "wp_"][..], "its tables begin with another prefix: `--table-prefix x7_`"),
        ("cut.gz", &[], "cannot be read to its end: it is cut off"),
        ("cut.sql", &[], "the dump is cut off: its last line"),
        ("key", &[], "there are no tables in the dump"),
        ("nothing", &[], "no such file or directory"),
        ("old.age", &[], "give the key of one of them: `--import-identity FILE`"),
        ("maria.sql", &[], "which the database `mysql` does not know"),
        ("old.sql", &["--wp-content", &path("linked")], "uploads/x` is a symbolic link"),
        ("old.sql", &["--wp-content", &path("wp-content/uploads")], "there is none of plugins, themes, uploads"),
        ("old.sql", &INSTALLED, "`--import` brings its title and its users"),
    ] {
        let import = path(dump);
        let prefix: &[&str] = if more.contains(&"--table-prefix") { &[] } else { &["--table-prefix", "x7_"] };
        let ran = blog(&sandbox, &[&["--import", &import], prefix, more].concat());
        assert!(ran.code > 0 && ran.all().contains(told), "{dump} {more:?}: {}", ran.all());
        assert_eq!(sandbox.things(), "", "{dump} {more:?}");
    }
}

/// The post, its picture, what plugins keep, and the old login, at the new address.
#[track_caller]
fn is_the_old_site(sandbox: &Sandbox, old: &Old) {
    let site = format!("http://localhost:{}", sandbox.port);
    let post = run_php(&sandbox.name, "echo get_permalink( get_page_by_path( 'tower', OBJECT, 'post' ) );");
    assert!(post.starts_with(&site), "{post}");
    let page = curl(&post).ok().out;
    let burns = page.lines().find(|line| line.contains("the lamp burns")).unwrap_or_else(|| panic!("{page}"));
    let [at, near, more] = [format!("at {site}, "), format!("{}:99/x", old.site), format!("{}0</p>", old.site)];
    for text in [at, near, more] {
        assert!(burns.contains(&text), "`{text}` is not in {burns}");
    }
    let image = burns.split(['"', '\'']).find(|text| text.ends_with("lamp.png")).unwrap();
    assert!(image.starts_with(&site), "{image}");
    assert_eq!(curl(&format!("-o /dev/null -w '%{{http_code}} %{{content_type}}' {image}")).out, "200 image/png");
    let kept = run_php(&sandbox.name, KEPT);
    assert_eq!(kept, format!("{site}/a {site}/j {site}/wü {site} https://x.test/?u={site}/q"));
    let file = sandbox.write("old-password", &old.password);
    let login = curl(&format!(
        "-o /dev/null -w '%{{redirect_url}}' -b 'wordpress_test_cookie=WP%20Cookie%20check' -d log=keeper --data-urlencode pwd@{file} {site}/wp-login.php"
    ));
    assert_eq!(login.out, format!("{site}/wp-admin/"), "the old user logs in");
    let owner = format!("docker exec {} find /var/www/html/wp-content ! -user 33", sandbox.name);
    assert_eq!(shell(&owner).ok().out, "", "all files are the web server's");
}

#[test]
fn a_wordpress_is_taken_over_under_a_new_address() {
    let old = Old::new();
    bad_dumps_and_folders_are_refused(&old);
    // What is there is not gone over.
    blog(&old.sandbox, &["--database", "mariadb"]).fails(1).says("holds the data of MySQL, which MariaDB cannot read");
    blog(&old.sandbox, &["--wp-content", &old.path("wp-content")]).fails(1).says("is in use by the container");

    let sandbox = Sandbox::new("newsite");
    let (dump, content, identity) = (old.path("old.age"), old.path("wp-content"), old.path("key"));
    let port = sandbox.port.to_string();
    let name = sandbox.name.clone();
    let words = [
        "blog",
        "--name",
        &name,
        "--port",
        &port,
        "--table-prefix",
        "x7_",
        "--import",
        &dump,
        "--import-identity",
        &identity,
        "--wp-content",
        &content,
    ];
    // Killed while the dump is loaded, and while the addresses are rewritten; the next run goes on.
    for step in ["\"database-import\"", "\"takeover\""] {
        assert!(kill_at(&sandbox, &words, step), "no run came to {step}");
    }
    sandbox.command(&words).ok();
    is_the_old_site(&sandbox, &old);
    blog(&sandbox, &[]).ok().says("nothing to change");
    // The files are not needed any more, and no other ones go over the site.
    std::fs::rename(old.path("old.age"), old.path("gone.age")).unwrap();
    blog(&sandbox, &[]).ok().says("nothing to change");
    blog(&sandbox, &["--import", &old.path("old.sql")]).fails(1).says("was imported into this deployment already");
    // Containers that have run once may be taken away by whoever tidies up.
    shell(&format!("docker rm {name}-takeover {name}-content")).ok();
    blog(&sandbox, &[]).ok();
    a_backup_brings_it_all_back(&sandbox);
    is_the_old_site(&sandbox, &old);
    blog(&sandbox, &[]).ok().says("nothing to change");
    sandbox.destroy().ok();

    // MySQL's dump into MariaDB.
    let other = Sandbox::new("mariasite");
    let dump = old.path("old.sql.gz");
    let more = ["--database", "mariadb", "--table-prefix", "x7_", "--import", &dump, "--wp-content", &content];
    blog(&other, &more).ok();
    is_the_old_site(&other, &old);
    blog(&other, &["--database", "mysql"]).fails(1).says("holds the data of MariaDB, which MySQL cannot read");
    other.destroy().ok();
    old.sandbox.destroy().ok();
    assert_eq!(format!("{}{}{}", sandbox.things(), other.things(), old.sandbox.things()), "");
}

/// Kills a run when it tells that it begins a step; whether it came to that.
fn kill_at(sandbox: &Sandbox, words: &[&str], step: &str) -> bool {
    let mut child = sandbox.start(&[words, &["--output", "json"]].concat());
    let told = BufReader::new(child.stdout.take().unwrap()).lines();
    let begun = told.map_while(Result::ok).any(|line| line.contains("\"event\":\"started\"") && line.contains(step));
    child.kill().unwrap();
    child.wait().unwrap();
    begun
}
