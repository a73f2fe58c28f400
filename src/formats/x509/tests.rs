use time::macros::datetime;

use super::*;

const NOW: OffsetDateTime = datetime!(2026-03-01 12:00 UTC);
const DAY: Duration = Duration::DAY;

fn names(texts: &[&str]) -> Vec<Name> {
    texts.iter().map(|text| Name::parse(text).unwrap()).collect()
}

/// A root, an issuing authority for the given names, and what is made under them.
struct Authority {
    root: Pair,
    issuing: Pair,
}

impl Authority {
    fn new(permitted: &[&str]) -> Self {
        let root = root("test root", 3650, NOW).unwrap();
        let issuing = issuing(&root, "test issuing", &names(permitted), 365, NOW).unwrap();
        Self { root, issuing }
    }

    fn leaf(&self, texts: &[&str]) -> Pair {
        self.make(&Leaf { names: &names(texts), days: 90, algorithm: Algorithm::P256, client: false })
    }

    fn make(&self, request: &Leaf<'_>) -> Pair {
        leaf(&self.issuing, request, NOW).unwrap()
    }

    fn chain(&self, leaf: &Pair) -> String {
        format!("{}{}", leaf.certificate, self.issuing.certificate)
    }

    /// The whole text of the error, or nothing when all is well.
    fn verify(&self, leaf: &Pair, texts: &[&str], now: OffsetDateTime) -> String {
        outcome(verify(&self.chain(leaf), &leaf.key, &self.root.certificate, &names(texts), now))
    }
}

fn outcome<T>(result: Result<T>) -> String {
    result.err().map(|error| error.render()).unwrap_or_default()
}

#[test]
fn names_are_read_in_their_lower_case_ascii_form() {
    for (text, expected) in [
        ("localhost", "localhost"),
        ("Registry.Example.COM", "registry.example.com"),
        ("*.example.com", "*.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("*.BÜCHER.example", "*.xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("r3---sn.example", "r3---sn.example"),
        ("1password.com", "1password.com"),
        ("10.0.0.1", "10.0.0.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("[::1]", "::1"),
    ] {
        assert_eq!(Name::parse(text).unwrap().to_string(), expected, "{text}");
    }
    let longest = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(61));
    assert_eq!(Name::parse(&longest).unwrap(), Name::Dns(longest));
    assert_eq!(Name::parse("[::1]").unwrap(), Name::Ip(Ipv6Addr::LOCALHOST.into()));
}

#[test]
fn a_wrong_name_is_refused_with_what_to_give_instead() {
    let label = "a".repeat(64);
    let long = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(62));
    for (text, what, hint) in [
        ("", "a name is empty", "give a host name such as `registry.example.com`"),
        ("a b", "contains a space", "one name at a time"),
        ("a\n", "contains a space", "one name at a time"),
        ("https://x", "is a URL", "give `x` alone"),
        ("https://u@x:5000/v2/", "is a URL", "give `x` alone, and give the port with `--port 5000`"),
        ("mydomain.com:5000", "has a port", "give the port with `--port 5000`"),
        ("[::1]:5000", "has a port", "give `[::1]` alone, and give the port with `--port 5000`"),
        (":5000", "has a port", "give a host name"),
        ("x/y", "has a path", "give `x` alone"),
        ("10.0.0.0/8", "has a path", "give `10.0.0.0` alone"),
        ("2001:db8::zz", "is not an IPv6 address", "`2001:db8::1`"),
        ("[10.0.0.1]", "is not an IPv6 address", "`2001:db8::1`"),
        ("my_host", "contains `_`", "use a hyphen: `my-host`"),
        (".example.com", "starts with a dot", "give `example.com`, or `*.example.com`"),
        ("example.com.", "ends with a dot", "give `example.com`"),
        ("a..b", "two dots in a row", "put a label between them"),
        ("300.1.1.1", "ends in a number but is not an IPv4 address", "four numbers from 0 to 255"),
        ("5000", "ends in a number but is not an IPv4 address", "four numbers from 0 to 255"),
        ("*.1.2.3", "ends in a number but is not an IPv4 address", "four numbers from 0 to 255"),
        ("*", "has a `*` that is not its whole first label", "`*.example.com`"),
        ("a.*.example.com", "has a `*` that is not its whole first label", "`*.example.com`"),
        ("a*.example.com", "has a `*` that is not its whole first label", "`*.example.com`"),
        ("*.com", "is too wide", "`*.example.com`"),
        ("-a.example", "starts or ends with a hyphen", "give it as `a`"),
        ("a-.example", "starts or ends with a hyphen", "give it as `a`"),
        ("a@b", "contains `@`", "letters, digits, hyphens and dots"),
        ("a:b", "contains `:`", "letters, digits, hyphens and dots"),
        ("xn--\u{e4}", "is not a valid international name", "check its spelling"),
        (&label, "has a label of 64 characters", "shorten `aaa"),
        (&long, "is 254 characters long", "shorten it"),
    ] {
        let error = Name::parse(text).unwrap_err();
        assert!(error.to_string().contains(what), "{text}: {error}");
        assert!(error.next_step().unwrap().contains(hint), "{text}: {error:?}");
    }
}

#[test]
fn an_algorithm_is_written_as_one_word() {
    for (text, expected) in [("\"p256\"", Algorithm::P256), ("\"rsa3072\"", Algorithm::Rsa3072)] {
        assert_eq!(serde_json::from_str::<Algorithm>(text).unwrap(), expected);
    }
}

#[test]
fn what_is_made_is_accepted_and_says_what_was_asked() {
    let authority = Authority::new(&["registry.test", "*.apps.test", "10.0.0.1", "::1"]);
    let asked = ["registry.test", "*.apps.test", "10.0.0.1", "::1"];
    let leaf = authority.leaf(&asked);
    assert_eq!(authority.verify(&leaf, &asked, NOW), "");
    assert_eq!(authority.verify(&leaf, &[], NOW), "");

    let facts = read(&authority.chain(&leaf)).unwrap();
    assert_eq!(facts.names, names(&asked).into_iter().collect());
    assert_eq!(facts.common_name.as_deref(), Some("registry.test"));
    assert_eq!((facts.serial.len(), facts.fingerprint.len()), (32, 64));
    assert_eq!((facts.authority, facts.algorithm), (false, Some(Algorithm::P256)));
    assert_eq!(facts.not_before, NOW - Duration::HOUR);
    assert_eq!(facts.not_after, NOW - Duration::HOUR + 90 * DAY - Duration::SECOND);
    assert!(facts.permitted.is_empty());

    let issuing = read(&authority.issuing.certificate).unwrap();
    assert!(issuing.authority && read(&authority.root.certificate).unwrap().authority);
    assert_eq!(issuing.permitted, names(&["registry.test", "apps.test", "10.0.0.1", "::1"]).into_iter().collect());
}

#[test]
fn an_rsa_leaf_is_accepted() {
    let authority = Authority::new(&["registry.test"]);
    let names = names(&["registry.test"]);
    let leaf = authority.make(&Leaf { names: &names, days: 825, algorithm: Algorithm::Rsa3072, client: false });
    assert_eq!(authority.verify(&leaf, &["registry.test"], NOW), "");
    assert_eq!(read(&leaf.certificate).unwrap().algorithm, Some(Algorithm::Rsa3072));
}

#[test]
fn a_client_certificate_is_not_accepted_for_a_server() {
    let authority = Authority::new(&["client.test"]);
    let names = names(&["client.test"]);
    let leaf = authority.make(&Leaf { names: &names, days: 90, algorithm: Algorithm::P256, client: true });
    assert!(authority.verify(&leaf, &[], NOW).contains("the certificate is refused: un"));
}

#[test]
fn a_constrained_authority_is_refused_for_every_other_name() {
    for (permitted, granted, other) in [
        (&["registry.test"][..], "registry.test", "other.test"),
        (&["registry.test"], "sub.registry.test", "notregistry.test"),
        (&["*.apps.test"], "*.apps.test", "*.other.test"),
        (&["registry.test"], "registry.test", "10.0.0.1"),
        (&["registry.test"], "registry.test", "::1"),
        (&["10.0.0.1"], "10.0.0.1", "10.0.0.2"),
        (&["10.0.0.1"], "10.0.0.1", "registry.test"),
        (&["10.0.0.1"], "10.0.0.1", "localhost"),
        (&["10.0.0.1"], "10.0.0.1", "::1"),
        (&["::1"], "::1", "10.0.0.1"),
        (&["registry.test", "::1"], "::1", "::2"),
    ] {
        let authority = Authority::new(permitted);
        assert_eq!(authority.verify(&authority.leaf(&[granted]), &[granted], NOW), "", "{permitted:?}");
        let refusal = authority.verify(&authority.leaf(&[granted, other]), &[], NOW);
        let expected = format!("error: the issuing authority may not issue for `{other}`\nhint: it may issue for ");
        assert!(refusal.starts_with(&expected), "{permitted:?} {other}: {refusal}");
    }
}

/// Java 17 refuses an IPv4 leaf under an excluded `::/0`, and an IPv6 leaf under an excluded `0.0.0.0/0`.
#[test]
fn a_kind_of_name_is_excluded_only_as_a_whole() {
    let host = GeneralSubtree::DnsName(String::new());
    let addresses = [network(Ipv4Addr::UNSPECIFIED.into(), 0), network(Ipv6Addr::UNSPECIFIED.into(), 0)];
    for (permitted, excluded) in [
        (&["a.test"][..], &addresses[..]),
        (&["10.0.0.1"], std::slice::from_ref(&host)),
        (&["::1"], std::slice::from_ref(&host)),
        (&["a.test", "10.0.0.1"], &[]),
        (&["a.test", "::1"], &[]),
    ] {
        assert_eq!(constraints(&names(permitted)).unwrap().excluded_subtrees, excluded, "{permitted:?}");
    }
}

#[test]
fn a_name_that_is_not_covered_is_named_with_those_that_are() {
    let authority = Authority::new(&["registry.test", "10.0.0.1"]);
    let leaf = authority.leaf(&["registry.test", "10.0.0.1"]);
    for other in ["www.registry.test", "10.0.0.2", "*.registry.test"] {
        let expected =
            format!("error: the certificate is not for `{other}`\nhint: it is for `registry.test`, `10.0.0.1`");
        assert_eq!(authority.verify(&leaf, &["registry.test", other], NOW), expected);
    }
}

#[test]
fn an_address_is_never_the_common_name() {
    let authority = Authority::new(&["10.0.0.1", "registry.test"]);
    let common_name = |texts: &[&str]| read(&authority.leaf(texts).certificate).unwrap().common_name;
    assert_eq!(common_name(&["10.0.0.1"]), None);
    assert_eq!(common_name(&["10.0.0.1", "registry.test"]).as_deref(), Some("registry.test"));
    let long = format!("{}.registry.test", "a".repeat(63));
    let leaf = authority.leaf(&[&long]);
    assert_eq!(read(&leaf.certificate).unwrap().common_name, None);
    assert_eq!(authority.verify(&leaf, &[&long], NOW), "");
}

#[test]
fn a_certificate_is_accepted_in_its_time_only() {
    let authority = Authority::new(&["registry.test"]);
    let leaf = authority.leaf(&["registry.test"]);
    let end = NOW - Duration::HOUR + 90 * DAY;
    assert_eq!(authority.verify(&leaf, &["registry.test"], NOW - Duration::HOUR), "");
    // OpenSSL leaves out the very last second, which RFC 5280 section 4.1.2.5 counts in.
    assert_eq!(authority.verify(&leaf, &["registry.test"], end - 2 * Duration::SECOND), "");
    assert!(authority.verify(&leaf, &[], end).contains("the certificate had expired"));
    assert!(authority.verify(&leaf, &["other.test"], end).contains("the certificate had expired"));
    assert!(authority.verify(&leaf, &[], NOW - 2 * Duration::HOUR).contains("is not valid yet on 2026-03-01"));
    assert!(authority.verify(&leaf, &[], NOW + 10 * 365 * DAY).contains("the root authority had expired by 2036-"));
}

#[test]
fn nothing_outlives_its_issuer() {
    let old = root("short root", 30, NOW).unwrap();
    let young = issuing(&old, "issuing", &names(&["a.test"]), 365, NOW).unwrap();
    assert_eq!(read(&young.certificate).unwrap().not_after, read(&old.certificate).unwrap().not_after);
    let request = Leaf { names: &names(&["a.test"]), days: 90, algorithm: Algorithm::P256, client: false };
    let late = leaf(&young, &request, NOW + 29 * DAY).unwrap();
    assert_eq!(read(&late.certificate).unwrap().not_after, read(&old.certificate).unwrap().not_after);
    let refusal = outcome(leaf(&young, &request, NOW + 31 * DAY));
    assert!(refusal.contains("the authority that signs ended on 2026-03-31, and today is 2026-04-01"));
}

#[test]
fn what_cannot_be_made_is_refused() {
    let authority = Authority::new(&["a.test"]);
    let (own, none) = (names(&["a.test"]), []);
    let refusal = |names, days| {
        outcome(leaf(&authority.issuing, &Leaf { names, days, algorithm: Algorithm::P256, client: false }, NOW))
    };
    assert!(refusal(&own[..], 826).contains("cannot live for 826 days"));
    assert!(refusal(&own[..], 0).contains("cannot live for 0 days"));
    assert!(refusal(&none[..], 90).contains("needs at least one name"));
    assert!(outcome(root("", 1, NOW)).contains("1 to 64 characters"));
    assert!(outcome(root(&"x".repeat(65), 1, NOW)).contains("1 to 64 characters"));
    assert!(outcome(root("x", u32::MAX, NOW)).contains("beyond the year 9999"));
    assert!(outcome(issuing(&authority.root, "x", &[], 1, NOW)).contains("at least one permitted name"));
    let end = authority.leaf(&["a.test"]);
    assert!(outcome(issuing(&end, "x", &own, 1, NOW)).contains("is not an authority's"));
    let mixed = Pair { certificate: authority.root.certificate.clone(), key: authority.issuing.key.clone() };
    assert!(outcome(issuing(&mixed, "x", &own, 1, NOW)).contains("key does not belong"));
}

#[test]
fn another_root_or_a_missing_link_is_refused() {
    let (ours, theirs) = (Authority::new(&["a.test"]), Authority::new(&["a.test"]));
    let leaf = ours.leaf(&["a.test"]);
    let check = |chain: &str, root: &str| outcome(verify(chain, &leaf.key, root, &names(&["a.test"]), NOW));
    let chain = ours.chain(&leaf);
    assert!(check(&chain, &theirs.root.certificate).contains("does not lead to the given root"));
    assert!(check(&leaf.certificate, &ours.root.certificate).contains("does not lead to the given root"));
    let both = format!("{}{}", theirs.root.certificate, ours.root.certificate);
    assert_eq!(check(&chain, &both), "");
    let crossed = format!("{}{}", leaf.certificate, theirs.issuing.certificate);
    assert!(check(&crossed, &both).contains("does not lead to the given root"));
}

#[test]
fn a_renewed_issuing_authority_leaves_old_leaves_and_roots_alone() {
    let first = Authority::new(&["a.test"]);
    let leaf = first.leaf(&["a.test"]);
    let renewed = issuing(&first.root, "test issuing 2", &names(&["a.test", "b.test"]), 365, NOW).unwrap();
    let second = Authority { root: first.root.clone(), issuing: renewed };
    assert_eq!(first.verify(&leaf, &["a.test"], NOW), "");
    assert_eq!(second.verify(&second.leaf(&["b.test"]), &["b.test"], NOW), "");
    assert!(second.verify(&leaf, &["a.test"], NOW).contains("does not lead to the given root"));
    let again = first.leaf(&["a.test"]);
    let (one, two) = (read(&leaf.certificate).unwrap(), read(&again.certificate).unwrap());
    assert!(one.serial != two.serial && one.fingerprint != two.fingerprint && leaf.key != again.key);
}

#[test]
fn a_key_belongs_to_one_certificate() {
    let authority = Authority::new(&["a.test"]);
    let (one, two) = (authority.leaf(&["a.test"]), authority.leaf(&["a.test"]));
    assert!(matches(&one.certificate, &one.key).unwrap());
    assert!(!matches(&one.certificate, &two.key).unwrap());
    let mixed = Pair { certificate: one.certificate, key: two.key };
    assert!(authority.verify(&mixed, &["a.test"], NOW).contains("the key does not belong to the certificate"));
}

#[test]
fn a_text_that_is_no_whole_pem_is_told_so() {
    let authority = Authority::new(&["a.test"]);
    let leaf = authority.leaf(&["a.test"]);
    let (chain, key) = (authority.chain(&leaf), leaf.key.expose());
    let check = |chain: &str, key: &str, root: &str| outcome(verify(chain, &Secret::new(key), root, &[], NOW));
    let root = &authority.root.certificate[..];
    for cut in [3, 20, chain.len() / 4, leaf.certificate.len() - 4, leaf.certificate.len() + 9, chain.len() - 9] {
        let refusal = check(&chain[..cut], key, root);
        assert!(refusal.contains("the certificate: it is cut off"), "{cut}: {refusal}");
    }
    assert!(check(&chain, &key[..key.len() / 2], root).contains("the key: it is cut off"));
    assert!(check(&chain, key, &root[..root.len() / 2]).contains("the root certificate: it is cut off"));
    assert!(check("", key, root).contains("the certificate: it is empty"));
    assert!(check("hello", key, root).contains("the certificate: it is not PEM"));
    assert!(check(&chain, "hello", root).contains("the key: it is not PEM"));
    assert!(check(key, &chain, root).contains("it has no line `-----BEGIN CERTIFICATE-----`"));
    assert!(check(&chain.replace("MII", "!"), key, root).contains("the certificate: its PEM text is damaged"));
    let encrypted = key.replace("PRIVATE", "ENCRYPTED PRIVATE");
    assert!(check(&chain, &encrypted, root).contains("the key: it is encrypted with a passphrase"));
    let older = key.replace("PRIVATE", "EC PRIVATE");
    assert!(check(&chain, &older, root).contains("the key: it is in the form `EC PRIVATE KEY`, not in PKCS#8"));
    assert!(check(&chain, &key.replacen("MI", "MJ", 1), root).contains("the key: it cannot be decoded"));
    assert!(check(&chain.replacen("MII", "MIJ", 1), key, root).contains("the certificate: its PEM text is damaged"));
    let crossed = chain.replacen("END CERTIFICATE", "END PRIVATE KEY", 1);
    assert!(check(&crossed, key, root).contains("the certificate: it is cut off"));
    assert!(outcome(read(&chain[..99])).contains("it is cut off"));
    assert_eq!(check(&chain.replace('\n', "\r\n"), key, root), "");
}

#[test]
fn a_key_is_never_shown() {
    let pair = root("test root", 1, NOW).unwrap();
    assert!(format!("{pair:?}").contains("(secret)") && !format!("{pair:?}").contains("PRIVATE"));
}

#[test]
fn serials_are_positive_and_sixteen_bytes_long() {
    for _ in 0..1000 {
        let bytes = serial().unwrap().to_bytes();
        assert!(bytes.len() == 16 && (1..0x80).contains(&bytes[0]));
    }
}

/// What there is of a certificate, seen from a moment: its phase, and whether a successor that ends then is due.
#[test]
fn both_ends_of_a_life_count_and_nothing_is_made_that_does_not_live_longer() {
    let root = root("root", 3650, NOW).unwrap();
    let facts = read(&root.certificate).unwrap();
    let (start, end) = (facts.not_before, facts.not_after);
    let margin = 120 * DAY;
    for (now, next, phase, due) in [
        // Made by a clock that was ahead: neither end of it is near, and still nobody accepts it.
        (start - DAY, end + DAY, Phase::Early, true),
        (start - DAY, end, Phase::Early, true),
        (start, end + DAY, Phase::Running, false),
        (end - margin, end + DAY, Phase::Running, false),
        (end - margin + Duration::SECOND, end + DAY, Phase::Running, true),
        // Its issuer ends with it: another one would not live longer.
        (end - margin + Duration::SECOND, end, Phase::Running, false),
        (end - Duration::SECOND, end, Phase::Running, false),
        (end, end, Phase::Running, false),
        (end + Duration::SECOND, end, Phase::Over, true),
    ] {
        assert_eq!((facts.phase(now), facts.is_due(margin, next, now)), (phase, due), "{now} {next}");
        assert_eq!(facts.fault(now).is_none(), phase == Phase::Running);
    }
}

/// Near the end of a root each new certificate ends with it, and that it is made once is enough.
#[test]
fn in_the_last_days_of_a_root_there_is_a_moment_when_all_is_done() {
    let root = root("root", 3650, NOW).unwrap();
    let root_facts = read(&root.certificate).unwrap();
    for left in [DAY * 119, DAY * 30, DAY, Duration::HOUR, Duration::MINUTE] {
        let now = root_facts.not_after - left;
        let issuing = issuing(&root, "issuing", &names(&["a.test"]), 397, now).unwrap();
        let issuer = read(&issuing.certificate).unwrap();
        assert!(!issuer.is_due(120 * DAY, end(397, &root_facts, now), now), "{left}");
        let request = Leaf { names: &names(&["a.test"]), days: 90, algorithm: Algorithm::P256, client: false };
        let facts = read(&leaf(&issuing, &request, now).unwrap().certificate).unwrap();
        for later in [now, now + left / 2, now + left - Duration::SECOND] {
            let due = facts.is_due((facts.not_after - facts.not_before) / 3, end(90, &issuer, later), later);
            assert_eq!(due, facts.not_after < issuer.not_after && later > facts.not_after - 30 * DAY, "{left} {later}");
        }
    }
}

#[test]
fn a_client_of_an_earlier_root_accepts_what_a_later_one_has_signed() {
    let texts = names(&["a.test"]);
    let roots: Vec<Pair> = (0..3).map(|number| root(&format!("root {number}"), 3650, NOW).unwrap()).collect();
    let mut lineage = Lineage::default();
    for pair in roots.windows(2) {
        lineage = lineage.succeeded(&pair[0], &pair[1], NOW).unwrap();
    }
    let issuing = issuing(&roots[2], "issuing", &texts, 365, NOW).unwrap();
    let request = Leaf { names: &texts, days: 90, algorithm: Algorithm::P256, client: false };
    let leaf = leaf(&issuing, &request, NOW).unwrap();
    let chain = format!("{}{}{}", leaf.certificate, issuing.certificate, lineage.crosses());
    for root in &roots {
        assert_eq!(outcome(verify(&chain, &leaf.key, &root.certificate, &texts, NOW)), "");
    }
    // What is written is what is read, in this order; a link to a root that never came to be is passed over.
    let [latest, all] = [&roots[2].certificate, &lineage.text()].map(String::clone);
    assert_eq!(Lineage::read(&all, &latest, NOW).unwrap(), lineage);
    let never = Lineage::default().succeeded(&roots[2], &root("never", 1, NOW).unwrap(), NOW).unwrap().text();
    assert_eq!(Lineage::read(&format!("{never}{all}"), &latest, NOW).unwrap(), lineage);
    assert_eq!(Lineage::read(&all, &root("other", 1, NOW).unwrap().certificate, NOW).unwrap(), Lineage::default());
    // None is trusted any longer than it is valid, and one that is not valid vouches for nothing.
    let later = NOW + 3650 * DAY;
    assert_eq!(Lineage::read(&all, &latest, later).unwrap(), Lineage::default());
    for now in [later, NOW - DAY] {
        let next = root("next", 3650, now).unwrap();
        assert!(lineage.clone().succeeded(&roots[2], &next, now).unwrap().is_empty());
    }
}
