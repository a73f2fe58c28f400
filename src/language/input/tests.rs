use super::*;

fn input(kind: InputType, of: InputType) -> Input {
    let choices = vec!["local".to_owned(), "s3".to_owned()];
    Input {
        name: "a".to_owned(),
        kind,
        default: None,
        about: String::new(),
        choices,
        instead: BTreeMap::new(),
        by_set: false,
        of,
        group: None,
        when: None,
    }
}

#[test]
fn a_size_is_read_as_docker_reads_it() {
    for (text, bytes) in [
        ("0", 0),
        ("17", 17),
        ("1k", 1 << 10),
        ("1K", 1 << 10),
        ("2kb", 2 << 10),
        ("512m", 512 << 20),
        ("2g", 2 << 30),
        (" 3b ", 3),
    ] {
        assert_eq!(size(text).unwrap(), bytes, "{text}");
    }
    for text in ["", "b", "k", "m5", "-1", "1.5g", "1t", "1 k m", "99999999999g", "größe", "５"] {
        let error = size(text).unwrap_err();
        assert!(!error.is_usage(), "a size also stands in a playbook");
        assert!(error.render().ends_with("hint: write `512m` or `2g`"), "{text}");
    }
}

#[test]
fn a_flag_is_read_by_its_type() {
    let read = |kind, text: &str| {
        input(kind, InputType::String).flag(std::iter::once(text)).map_err(|error| error.to_string())
    };
    assert_eq!(read(InputType::Port, "80"), Ok(Json::from(80)));
    assert_eq!(read(InputType::Port, "+80"), Ok(Json::from(80)));
    assert_eq!(read(InputType::Bool, "true"), Ok(Json::from(true)));
    assert_eq!(read(InputType::Choice, "s3"), Ok(Json::from("s3")));
    assert_eq!(read(InputType::Domain, "BÜCHER.example"), Ok(Json::from("xn--bcher-kva.example")));
    assert_eq!(read(InputType::Size, "1k"), Ok(Json::from(1024)));
    assert_eq!(read(InputType::Network, "10.0.0.0/8"), Ok(Json::from("10.0.0.0/8")));
    assert_eq!(read(InputType::Email, "a.b+c@ex-1.org"), Ok(Json::from("a.b+c@ex-1.org")));
    assert_eq!(read(InputType::Network, "2001:DB8::1"), Ok(Json::from("2001:db8::1")));
    assert_eq!(read(InputType::String, "{{ x }}"), Ok(Json::from("{{ x }}")));
    assert_eq!(read(InputType::Secret, "geheim\n"), Ok(Json::from("geheim")));
    for (kind, text) in [
        (InputType::Port, "0"),
        (InputType::Port, "65536"),
        (InputType::Bool, "yes"),
        (InputType::Choice, "S3"),
        (InputType::Path, ""),
        (InputType::Email, "a@b.c"),
        (InputType::Email, "keeper@localhost"),
        (InputType::Email, "keeper@example..org"),
        (InputType::Email, "@example.org"),
        (InputType::Network, "proxy.test"),
        (InputType::Network, "10.0.0.0/33"),
        (InputType::Network, "10.0.0.0/"),
        (InputType::Secret, ""),
    ] {
        assert!(read(kind, text).unwrap_err().starts_with("`--a`: "), "{kind:?} {text}");
    }
}

#[test]
fn an_empty_text_takes_back_what_is_empty_by_default() {
    for kind in [InputType::String, InputType::Path, InputType::File, InputType::Secret, InputType::Port] {
        let optional = Input { default: Some(Json::from("")), ..input(kind, InputType::String) };
        assert_eq!(optional.flag([""]).unwrap(), Json::from(""), "{kind:?}");
    }
}

#[test]
fn an_empty_text_takes_back_a_list_that_is_empty_by_default() {
    let optional = Input { default: Some(Json::from(Vec::<Json>::new())), ..input(InputType::List, InputType::Port) };
    assert_eq!(optional.flag([""]).unwrap(), Json::from(Vec::<Json>::new()));
    assert!(optional.flag(["80", ""]).is_err());
    assert!(input(InputType::List, InputType::Port).flag([""]).is_err());
}

#[test]
fn a_list_is_read_item_by_item() {
    let ports = input(InputType::List, InputType::Port);
    assert_eq!(ports.flag(["80", "81"].into_iter()).unwrap(), Json::from(vec![80, 81]));
    let error = ports.flag(["80", "x"]).unwrap_err();
    assert!(error.is_usage() && error.to_string() == "`--a`: `x` is no port");
    assert!(!ports.parse("x").unwrap_err().is_usage(), "a default is no flag");
}

#[test]
fn every_type_has_a_name() {
    for name in InputType::NAMES {
        assert!(InputType::parse(name).is_ok(), "{name}");
    }
    assert_eq!(InputType::parse("prot").unwrap_err().next_step(), Some("did you mean `port`?"));
}
