use super::*;

/// Texts with letters of one, two, three and four bytes, and of one and two columns.
const WORDS: [&str; 6] = ["a", "größe", "日本", "🦀x", "two words", "x_1"];

fn read(text: &str) -> Node {
    let source = Source::new("x.yml", text);
    Node::parse(&source).unwrap_or_else(|error| panic!("{}", error.render()))
}

fn fault(text: &str) -> String {
    Node::parse(&Source::new("x.yml", text)).unwrap_err().render()
}

/// What a span covers, cut out of the text by characters.
fn covered(text: &str, span: Span) -> String {
    let line = text.lines().nth(span.line - 1).unwrap();
    line.chars().skip(span.column - 1).take(span.width).collect()
}

/// Every key and scalar with its span.
fn parts(node: &Node, found: &mut Vec<(String, Span)>) {
    match &node.value {
        Content::Scalar { text, .. } => found.push((text.clone(), node.span)),
        Content::List(items) => items.iter().for_each(|item| parts(item, found)),
        Content::Map(entries) => {
            for (key, value) in entries {
                found.push((key.text.clone(), key.span));
                parts(value, found);
            }
        }
    }
}

#[test]
fn every_span_covers_what_was_read() {
    for key in WORDS {
        for value in WORDS {
            for text in [
                format!("{key}: {value}\n"),
                format!("# {value}\n\n  {key}:   {value} # {key}\n"),
                format!("{{ {key}: {value} }}\n"),
                format!("- [ {key}, {value} ]\n- {key}:\n    {value}\n"),
                format!("{value}: {key}\r\nb: {value}\r\n"),
                format!("? {key}\n: {value}\n"),
            ] {
                let mut found = Vec::new();
                parts(&read(&text), &mut found);
                assert!(found.len() >= 2);
                for (part, span) in found {
                    assert_eq!(covered(&text, span), part, "in {text:?} at {span:?}");
                }
            }
        }
    }
}

#[test]
fn the_span_of_a_quoted_text_has_its_quotes() {
    for quote in ['"', '\''] {
        for word in WORDS {
            let text = format!("- {quote}{word}{quote}\n");
            let Content::List(items) = read(&text).value else { panic!("a list") };
            assert_eq!(covered(&text, items[0].span), format!("{quote}{word}{quote}"));
        }
    }
}

#[test]
fn a_name_is_found_as_a_whole_word_from_its_place_on() {
    let source = Source::new("x.yml", "name: a.name\nb: naïve_name name\nc: 日本 {{ name }}\nname_2: renamed\n");
    for (line, column, needle, expected) in [
        (1, 1, "name", (1, 1)),
        (1, 2, "name", (2, 15)),
        (2, 1, "name", (2, 15)),
        (3, 1, "name", (3, 10)),
        (1, 1, "a.name", (1, 7)),
        (1, 1, "naïve_name", (2, 4)),
        (4, 1, "name", (4, 1)),
        (3, 4, "missing", (3, 4)),
        (9, 9, "name", (9, 9)),
    ] {
        let place = source.find(Span { line, column, width: 1 }, needle);
        assert_eq!((place.line, place.column), expected, "{needle} from {line}:{column}");
    }
}

#[test]
fn a_range_of_bytes_and_a_line_have_a_span() {
    let text = "größe\n  zwei drei  \n";
    let source = Source::new("x.conf", text);
    let start = text.find("drei").unwrap();
    assert_eq!(source.span(start..start + 4), Span { line: 2, column: 8, width: 4 });
    assert_eq!(source.span(0..text.len()), Span { line: 1, column: 1, width: 5 });
    assert_eq!(source.span(9000..9001).width, 1);
    assert_eq!(source.line(2), Span { line: 2, column: 3, width: 9 });
    assert_eq!(source.line(99), Span { line: 99, column: 1, width: 1 });
}

#[test]
fn a_quoted_word_is_told_from_a_plain_one() {
    let node = read("[no, \"no\", ~]");
    let Content::List(items) = node.value else { panic!("a list") };
    let plain = items.iter().map(|item| matches!(item.value, Content::Scalar { plain: true, .. }));
    assert_eq!(plain.collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(items[0].describe(), "`no`");
    assert_eq!(read(&"x".repeat(41)).describe(), "a long text");
}

#[test]
fn nesting_has_a_limit() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    read(&nested(DEPTH));
    assert!(fault(&nested(DEPTH + 1)).contains("nested deeper than 64 levels"));
}

/// No text, however it is cut, brings the reader down, and every error has a place in it.
#[test]
fn any_part_of_a_text_is_read_or_refused_with_a_place() {
    let whole = "about: größe # x\ninputs: { a: { type: port, default: \"8\\u00e9\" } }\nresources:\n  - file: a\n    path: >-\n      /日本/{{ a }}\n    after: ['b', *c]\n\t- d\n---\n";
    for end in (0..=whole.len()).filter(|end| whole.is_char_boundary(*end)) {
        for start in (0..end).filter(|start| whole.is_char_boundary(*start)).step_by(7) {
            let source = Source::new("x.yml", &whole[start..end]);
            if let Err(error) = Node::parse(&source) {
                let place = error.place().unwrap();
                assert!(place.line >= 1 && place.column >= 1 && place.width >= 1);
                assert!(error.render().contains("--> x.yml:"));
            }
        }
    }
}

#[test]
fn a_part_with_a_name_is_used_again_where_the_language_has_aliases() {
    let with_aliases =
        |text: &str| Node::parse_with_aliases(&Source::new("x.yml", text)).map_err(|error| error.render());
    let node = with_aliases("a: &one { x: 1 }\nb: { <<: *one, y: &two [2] }\nc: *two\n").unwrap();
    let mut found = Vec::new();
    parts(&node, &mut found);
    let texts: Vec<&str> = found.iter().map(|(text, _)| text.as_str()).collect();
    assert_eq!(texts, ["a", "x", "1", "b", "<<", "x", "1", "y", "2", "c", "2"]);
    // The second use stands where the first does.
    assert_eq!(found[2].1, found[6].1);
    assert!(fault("a: &one 1\nb: *one\n").contains("not part of the playbook language"));
    assert!(with_aliases("a: *none\n").unwrap_err().contains("x.yml:1"));
    assert!(with_aliases("a: &one [*one]\n").unwrap_err().contains("an alias within what it names"));
    let laughs: String =
        (1..9).map(|n| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(", "))).collect();
    assert!(with_aliases(&format!("a0: &a0 [lol]\n{laughs}")).unwrap_err().contains("more than 120000 parts"));
    // A long text that is used often, and a long list with a name at every level above it.
    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), ["*a"; 100].join(", "));
    assert!(with_aliases(&long).unwrap_err().contains("what its aliases use again is more than 4 MiB"));
    let names: String = (0..60).map(|level| format!("&a{level} [")).collect();
    let nested = format!("{names}{}{}", "1,".repeat(20_000), "]".repeat(60));
    assert!(with_aliases(&nested).unwrap_err().contains("more than 120000 parts"));
}

#[test]
fn a_value_is_found_by_its_key_alone() {
    let text = "a: { about: no }\nabout: \"it: is\" # this\nb: [about, x]\nc: about\nd: last\n";
    assert_eq!(value_of(text, "about").as_deref(), Some("it: is"));
    assert_eq!(value_of(text, "d").as_deref(), Some("last"));
    assert_eq!(value_of(text, "a"), None);
    assert_eq!(value_of(text, "b"), None);
    assert_eq!(value_of(text, "x"), None);
    assert_eq!(value_of("[about, x]", "about"), None);
}
