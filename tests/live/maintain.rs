//! The timer of `provision maintain`: systemd and cron start it, on hosts where these really run.

use crate::engine::{Ran, shell, wait_until};
use crate::machine::{BARE, Host, PROGRAMS, same, use_registry};

/// Runs `provision` as a user would, whose environment says nothing of maintenance.
fn provision(host: &Host, arguments: &str) -> Ran {
    host.run(&format!("unset PROVISION_MAINTAIN; PROVISION_HOME=/root/home provision {arguments}"))
}

fn serial(host: &Host) -> String {
    let shown = "openssl s_client -connect localhost:5443 </dev/null 2>/dev/null | openssl x509 -noout -serial";
    host.run(shown).ok().out
}

#[test]
fn a_timer_of_systemd_renews_a_certificate_while_clients_go_on() {
    let host = Host::start("timer", &format!("{BARE} {PROGRAMS} faketime"));
    host.bring_provision();
    let before = host.tree();
    // Set up 61 days ago and left alone.
    let ago = |line: &str| {
        host.run(&format!("unset PROVISION_MAINTAIN; PROVISION_HOME=/root/home faketime -f -61d provision {line}"))
    };
    let told = ago("registry --on host --port 5443").ok();
    told.says("created   timer maintain").says("`provision maintain` now runs once a day");
    ago("plan registry --exit-code").ok().says("nothing to change");
    let unit =
        host.run("basename $(ls /etc/systemd/system/provision-maintain-*.timer) .timer").ok().out.trim().to_owned();
    host.run(&format!("systemd-analyze verify /etc/systemd/system/{unit}.service /etc/systemd/system/{unit}.timer"))
        .ok();
    host.run(&format!("systemctl is-enabled {unit}.timer && systemctl is-active {unit}.timer")).ok();
    host.run(&format!("systemctl list-timers --all {unit}.timer")).ok().says(&unit);
    let password = provision(&host, "secrets registry password").ok().out;
    let ca = provision(&host, "output registry ca").ok().out;
    use_registry(&host, "localhost:5443", ca.trim(), password.trim());
    let first = serial(&host);

    // A client that asks all the time, each time anew.
    let ask = format!(
        "curl -s --cacert {} -u admin:{} -o /dev/null -w '%{{http_code}}\\n' https://localhost:5443/v2/_catalog",
        ca.trim(),
        password.trim()
    );
    shell(&format!(
        "docker exec -d {} sh -c \"while [ ! -e /root/end ]; do {ask} >>/root/answers; done; touch /root/ended\"",
        host.name
    ))
    .ok();
    host.run(&format!(
        "mkdir /etc/systemd/system/{unit}.timer.d && printf '[Timer]\\nOnCalendar=\\nOnCalendar=*:*:0/2\\nRandomizedDelaySec=0\\nAccuracySec=100ms\\n' >/etc/systemd/system/{unit}.timer.d/often.conf && systemctl daemon-reload && systemctl restart {unit}.timer"
    ))
    .ok();
    wait_until(|| serial(&host) != first);
    wait_until(|| host.run(&format!("journalctl -o cat -u {unit}")).out.contains("nothing was due"));
    host.run("touch /root/end").ok();
    wait_until(|| host.run("test -e /root/ended").code == 0);
    let answers = host.run("cat /root/answers").ok().out;
    assert!(answers.lines().count() > 20 && answers.lines().all(|line| line == "200"), "{answers}");
    let log = host.run(&format!("journalctl -o cat -u {unit}")).ok().out;
    assert!(log.contains("renewed ") && !log.contains(password.trim()), "{log}");
    let shown = host.run(&format!("cat /etc/systemd/system/{unit}.*; systemctl show {unit}.service")).ok();
    assert!(!shown.out.contains(password.trim()));
    host.run(&format!(
        "rm -r /etc/systemd/system/{unit}.timer.d && systemctl daemon-reload && systemctl stop {unit}.timer"
    ))
    .ok();

    // One that somebody has stopped or changed is named, and mended.
    wait_until(|| host.run(&format!("systemctl is-active {unit}.service")).code != 0);
    provision(&host, "status").says("registry: maintenance at 20");
    provision(&host, "plan registry --exit-code").fails(3).says("timer maintain: it is stopped, or has other settings");
    provision(&host, "registry").ok().says("updated   timer maintain");
    host.run(&format!("sed -i s/daily/weekly/ /etc/systemd/system/{unit}.timer")).ok();
    provision(&host, "plan registry --exit-code").fails(3).says("timer maintain");
    provision(&host, "registry --maintain no").ok().says("deleted   timer maintain");
    host.run(&format!("ls /etc/systemd/system | grep {unit}")).fails(1);
    provision(&host, "registry").ok().says("nothing to change");
    provision(&host, "registry --maintain yes").ok().says("created   timer maintain");
    // The last one takes it away.
    provision(&host, "certs --cn a.test --out /root/tls").ok();
    provision(&host, "destroy registry --yes").ok();
    host.run(&format!("systemctl is-active {unit}.timer")).ok();
    provision(&host, "destroy certs --yes").ok().says("deleted   timer maintain");
    same(&host.tree(), &before, "destroyed");
    host.run(&format!("systemctl list-timers --all | grep {unit} || ls /var/lib/systemd/timers/stamp-{unit}.timer"))
        .fails(2);
}

#[test]
fn a_user_without_root_has_a_timer_of_its_own() {
    let host = Host::start("lingering", &format!("{BARE} passwd libpam-systemd dbus-user-session"));
    host.bring_provision();
    host.run("useradd -m someone && loginctl enable-linger someone && for i in $(seq 200); do [ -S /run/user/$(id -u someone)/systemd/private ] && exit 0; sleep 0.1; done; exit 1").ok();
    let run = |line: &str| {
        host.run(&format!(
            "su someone -c 'unset PROVISION_MAINTAIN; cd; export XDG_RUNTIME_DIR=/run/user/$(id -u); {line}'"
        ))
    };
    run("provision certs --cn a.test --out tls").ok().says("created   timer maintain");
    run("provision plan certs --exit-code").ok();
    run("systemctl --user start provision-maintain.service && systemctl --user is-active provision-maintain.timer")
        .ok();
    run("provision status").ok().says("certs: maintenance at 20");
    run("provision destroy certs --yes").ok().says("deleted   timer maintain");
    run("find .config -name \"*provision*\" | grep .").fails(1);
    run("systemctl --user list-timers --all | grep provision").fails(1);
    // One whose units end with the last login is told what lets them run always.
    host.run("useradd -m other").ok();
    let told = host.run("su other -c 'unset PROVISION_MAINTAIN; cd; provision certs --cn a.test --out tls'").ok();
    told.says("the timer runs only while you are logged in; `sudo loginctl enable-linger other` lets it run always");
    host.run("su other -c 'unset PROVISION_MAINTAIN; cd; provision destroy certs --yes'").ok();
    host.run("find /home/other/.config -name '*provision*' | grep .").fails(1);
}

#[test]
fn cron_maintains_where_there_is_no_systemd() {
    let host = Host::start_with_scripts("cron", &format!("{BARE} passwd cron faketime"));
    host.bring_provision();
    let before = host.run("find /etc /var/spool/cron -type f -exec sha256sum {} \\; | sort").ok().out;
    let made = "unset PROVISION_MAINTAIN; PROVISION_HOME='/root/my home' faketime -f -61d provision certs --cn a.test --out /root/tls";
    host.run(made).ok().says("created   timer maintain");
    host.run(&format!("{made} | grep 'nothing to change'")).ok();
    let file = host.run("ls /etc/cron.d/provision-maintain-*").ok().out.trim().to_owned();
    host.run(&format!("stat -c %a:%U {file}")).ok().says("644:root");
    let first = host.run("cat /root/tls/a.test.crt").ok().out;
    // Every minute instead of every night: nothing takes up what it prints here, and that is in nobody's way.
    host.run(&format!("sed -i -E 's/^[0-9]+ [0-9]+ /* * /' {file} && cron")).ok();
    let begun = std::time::Instant::now();
    while host.run("cat /root/tls/a.test.crt").ok().out == first {
        assert!(begun.elapsed().as_secs() < 150, "cron has not run it");
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    host.run("PROVISION_HOME='/root/my home' provision status").says("renewed ");
    // That run has also put its line back as it is to be.
    host.run("unset PROVISION_MAINTAIN; PROVISION_HOME='/root/my home' provision plan certs --exit-code").ok();
    host.run(&format!("echo '# by hand' >>{file}")).ok();
    host.run("unset PROVISION_MAINTAIN; PROVISION_HOME='/root/my home' provision plan certs --exit-code")
        .fails(3)
        .says("timer maintain");
    // A user's lines stand in a table of their own, where others stay.
    host.run("useradd -m someone").ok();
    let run = |line: &str| host.run(&format!("su someone -c 'unset PROVISION_MAINTAIN; cd; {line}'"));
    run("echo \"0 5 * * * true\" | crontab -").ok();
    run("provision certs --cn a.test --out tls").ok().says("created   timer maintain");
    run("crontab -l").ok().says("0 5 * * * true").says("provision maintain");
    run("provision plan certs --exit-code").ok();
    run("provision destroy certs --yes").ok().says("deleted   timer maintain");
    assert_eq!(run("crontab -l").ok().out, "0 5 * * * true\n");
    run("crontab -r").ok();
    host.run("unset PROVISION_MAINTAIN; PROVISION_HOME='/root/my home' provision destroy certs --yes").ok();
    let after = host.run("find /etc /var/spool/cron -type f -exec sha256sum {} \\; | grep -v -e /etc/passwd -e /etc/group -e shadow -e subuid -e subgid | sort").ok().out;
    let before: String = before
        .lines()
        .filter(|line| {
            !["/etc/passwd", "/etc/group", "shadow", "subuid", "subgid"].iter().any(|part| line.contains(part))
        })
        .map(|line| format!("{line}\n"))
        .collect();
    same(&after, &before, "destroyed");
}

#[test]
fn where_nothing_runs_programs_by_the_clock_that_is_said() {
    let host = Host::start_with_scripts("clockless", BARE);
    host.bring_provision();
    let told = provision(&host, "certs --cn a.test --out /root/tls").ok();
    told.says("this host runs neither systemd nor cron: run `provision maintain` once a day yourself");
    let again = provision(&host, "certs").ok();
    assert!(again.all().contains("nothing to change") && !again.all().contains("neither"), "{}", again.all());
    provision(&host, "maintain").ok().says("certs: nothing was due");
    provision(&host, "destroy certs --yes").ok();
}
