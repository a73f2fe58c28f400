use std::fmt::Write as _;

use minijinja::Value;

use super::tokens::{Kind, Part, expression, parts};
use super::*;

fn scope() -> Value {
    minijinja::context! {
        a => "0123456789", n => 7, yes => true, list => vec!["x", "y", "z"],
        ca => minijinja::context! { certificate => "PEM", names => vec!["one", "two"] },
    }
}

/// What a text yields, or why it yields nothing, with the line.
fn outcome(text: &str) -> Result<String, String> {
    let told = |fault: Fault| format!("{}: {}", fault.line, fault.message);
    let value = Expression::text(text).map_err(told)?.evaluate(scope()).map_err(told)?;
    Ok(value.to_string())
}

/// The same by minijinja alone, as it comes.
fn plain(text: &str) -> String {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build().unwrap();
    environment.set_syntax(syntax);
    environment.render_str(text, scope()).unwrap().replace("True", "true").replace("False", "false")
}

/// The accounting that is written into a text changes nothing of what it yields.
#[test]
fn a_text_yields_what_minijinja_alone_makes_of_it() {
    for text in [
        "x {{ a }} {{- n -}}  y {{ ca.certificate }}{{ ca['names'][n - 6] }} {{ ca.names.1 }}",
        "{{ a[2:4] }} {{ a[::-1] }} {{ -n * 2 + 3 * -n }} {{ 2 * n ** 2 }} {{ (n + 1) * (n - 1) }} {{ 1.5 * n }} {{ 2*-n|abs }}",
        "{{ a ~ '-' ~ n }} {{ list + [n] }} {{ {'k': {'l': a}}.k.l }} {{ [a, [n, {'}}': '%}'}]] }}",
        "{% for item in list %}{{ loop.index }}{{ item }}{% if not loop.last %}, {% endif %}{% else %}none{% endfor %}\n",
        "{% for k, v in {'a': 1, 'b': n}|items if v is not odd or k == 'b' -%}  {{ k }}={{ v }};\n{%- endfor %}",
        "{%- for i in range(1, n, 2) -%} \n {% for j in [i, i] %}{{ i * j }} {% endfor %}{% endfor %}",
        "{% set b = a|upper ~ n %}{% set c, d = [b, n] %}{{ c }}{{ d }}{% set e %}<{{ b }}>{% endset %}{{ e }}",
        "{% set x | replace('0', a) %}a0{{ n }}{% endset %}{{ x }}{% with p = a, q = [n, n] %}{{ p ~ q }}{% endwith %}",
        "{% macro m(x, y=a) %}[{{ x }}|{{ y }}]{% endmacro %}{{ m(n) }}{{ m(y='t', x=a) }}{% macro w() %}({{ caller() }}){% endmacro %}{% call w() %}{{ a }}{% endcall %}",
        "{% filter upper %}x{{ n }}{% endfilter %}{% raw %}{{ a }}{% for %}{% endraw %}{# {{ a }} #}{%- raw -%} {{ {%- endraw +%}.",
        "{{ a if n is divisibleby 7 else missing }}{{ missing is defined }}{{ missing|default(a) }}{{ n in [7] and 'x' not in a }}",
        "{% set ns = namespace(found='') %}{% for i in list %}{% set ns.found = ns.found ~ i %}{% endfor %}{{ ns.found }}",
        "{{ list|map('upper')|join(', ') }} {{ '%05d|%s'|format(n, a) }} {{ a|replace('1', list|first) }} {{ list|length * 2 }}",
        "{{ list|join(d='-') }} {{ 'a\\'b\"' ~ \"c'}}\" }} {{ 'x' 'y' }} {{ dict(a=n, b=a)|tojson }} {{ n if yes }} {{ 0x1F * 2 }}",
        "{% if n > 5 and a %}A{% elif list %}B{% else %}C{% endif %}{% macro w(x) %}{% endmacro %}{% do w(list) %}{% autoescape true %}{{ '<' }}{% endautoescape %}",
        "größe {{ '日本' ~ a }} {{ list\n  | reverse\n  | join }} {{ list|batch(2)|list }} {{ list|slice(2)|list }} {{ 'a b'|indent(2) }}",
    ] {
        assert_eq!(outcome(text), Ok(plain(text)), "{text}");
    }
}

/// The examples of the issue, and their kind: each ends, and says what was too much.
#[test]
fn what_would_never_end_or_bring_us_down_is_told() {
    let doubled = |count: usize, step: &str| {
        let steps = (0..count).fold(String::new(), |mut text, _| {
            text.push_str(step);
            text
        });
        format!("{{% set b = a %}}{steps}{{{{ b|length }}}}")
    };
    let more = "what it reads, builds and writes is more than 16 MiB";
    for (text, wanted) in [
        ("{{ \"\"[::-1] }}".to_owned(), "1: it cannot be computed ("),
        ("{{ 1 is divisibleby(0) }}".to_owned(), "1: it cannot be computed ("),
        ("one\n\n{% if true %}{{ a }}{{ 1 is divisibleby(0) }}{% endif %}".to_owned(), "it cannot be computed ("),
        ("{{ [1,2]|slice(999999999) }}".to_owned(), more),
        ("{{ [1,2]|batch(999999999, 0) }}".to_owned(), more),
        (format!("{{{{ {}1 }}}}", "1+".repeat(40_000)), "more than 2000 words and signs"),
        (format!("{{{{ {}1{} }}}}", "(".repeat(51), ")".repeat(51)), "more than 50 deep"),
        (format!("{{{{ {}true }}}}", "not ".repeat(2000)), "more than 2000 words and signs"),
        (format!("x{}", " ".repeat(4 << 20)) + "{{ a }}", "longer than 4 MiB"),
        ("{{ a }}x".repeat(10_001), "more than 10000 pairs of braces"),
        (format!("{{% if a %}}{}{{% endif %}}", "{% elif a %}".repeat(201)), "more than 200 `elif`"),
        ("{% for i in range(10000) %}{% for j in range(10000) %}{% endfor %}{% endfor %}".to_owned(), "more than"),
        ("{% for i in range(9999) %}{% for j in range(9999) %}{{ j }}{% endfor %}{% endfor %}".to_owned(), "more than"),
        ("{% for i in range(3000000000) %}{% endfor %}".to_owned(), "a range has 10000 numbers at most"),
        (
            "{{ range(-9223372036854775807, 9223372036854775807)|length }}".to_owned(),
            "a range has 10000 numbers at most",
        ),
        ("{{ 'ab' * 50000000 }}".to_owned(), "`*` multiplies numbers"),
        ("{{ 50000000 * a }}".to_owned(), "`*` multiplies numbers"),
        ("{{ [a] * 90000000 }}".to_owned(), "`*` multiplies numbers"),
        ("{% macro m(x='x' * 99999999) %}{{ x }}{% endmacro %}{{ m() }}".to_owned(), "`*` multiplies numbers"),
        ("{{ a|indent(4000000000, true) }}".to_owned(), more),
        ("{{ '%1000000000d'|format(1) }}".to_owned(), more),
        ("{{ '%.1000000000f'|format(1.0) }}".to_owned(), more),
        ("{{ '%*d'|format(1000000000, 1) }}".to_owned(), "`format` takes no `*`"),
        ("{{ list|tojson(indent=1000000000) }}".to_owned(), more),
        ("{{ list|pprint }}".to_owned(), "filter pprint is unknown"),
        (doubled(40, "{% set b = b ~ b %}"), more),
        (doubled(40, "{% set b = b + b %}"), more),
        (doubled(40, "{% set b = [b, b] %}"), more),
        (doubled(40, "{% set b = {'x': b, 'y': b} %}"), more),
        (doubled(40, "{% set b %}{{ b }}{{ b }}{% endset %}"), more),
        (doubled(40, "{% set b = b|replace('0', b) %}"), more),
        (doubled(40, "{% set b = list|join(b) %}"), more),
        (format!("{{% set b = list %}}{}", "{% set b = b + b %}".repeat(40)) + "{{ b == b }}", more),
        (format!("{{% set b = list %}}{}", "{% set b = b|chain(b) %}".repeat(40)) + "{{ b|length }}", more),
        (format!("{}x{}", "{% for b in [a ~ a] %}{% set a = b %}".repeat(40), "{% endfor %}".repeat(40)), more),
        (format!("{{% set b = [] %}}{}{{{{ b }}}}", "{% set b = [b] %}".repeat(70)), "nested deeper than 64 levels"),
        ("{% set ns = namespace(a=1) %}{% set ns.a = ns %}{{ ns }}".to_owned(), "nested deeper than 64 levels"),
        (
            "{% set ns = namespace(a='xy') %}{% for i in range(99) %}{% set ns.a = ns.a ~ ns.a %}{% endfor %}"
                .to_owned(),
            more,
        ),
        (format!("{{% set b %}}{{% for i in range(9999) %}}{}{{% endfor %}}{{% endset %}}", "x".repeat(60_000)), more),
        (format!("{{% for i in range(9999) %}}{}{{% endfor %}}", "x".repeat(60_000)), more),
        ("{% macro m(x) %}{{ m(x) }}{% endmacro %}{{ m(1) }}".to_owned(), "recursion limit"),
        ("{% for i in [[1]] recursive %}{{ loop(i) }}{% endfor %}".to_owned(), "a loop cannot be recursive"),
        ("{% include 'x' %}".to_owned(), "`include` is no part of the language"),
        ("{{ a|list|list|list }}{{ debug() }}".to_owned(), "debug"),
    ] {
        let told = outcome(&text).expect_err(&text[..text.len().min(100)]);
        assert!(told.contains(wanted), "{}: {told}", &text[..text.len().min(100)]);
        assert!(told.chars().count() < 200, "{told}");
    }
}

#[test]
fn what_is_large_and_means_no_harm_has_a_value() {
    let mut text = String::from("{% set all = [");
    (0..400).for_each(|number| write!(text, "'name-{number}', ").unwrap());
    text.push_str(
        "] %}{% for one in all %}{% if one in all %}{{ one }} is one of {{ all|length }}\n{% endif %}{% endfor %}",
    );
    assert_eq!(outcome(&text).unwrap().lines().count(), 400);
    assert_eq!(outcome(&"{% if yes %}{{ a }}\n{% endif %}".repeat(3000)).unwrap().len(), 33_000);
    let joined = format!("{{{{ {} }}}}", vec!["a"; 900].join(" ~ "));
    assert_eq!(outcome(&joined).unwrap().len(), 9000);
    let choices = format!("{{{{ {} a }}}}", "n if n == 0 else ".repeat(250));
    assert_eq!(outcome(&choices).unwrap(), "0123456789");
    assert_eq!(outcome(&format!("{{{{ {}1 }}}}", "1+".repeat(900))).unwrap(), "901");
    assert_eq!(outcome(&format!("{{{{ {}1{} }}}}", "(".repeat(50), ")".repeat(50))).unwrap(), "1");
}

#[test]
fn a_fault_stands_where_it_is_in_the_source() {
    for (text, covered) in [
        ("{{ a }}\n{{ n }} {{ ca.nothing.more }}", ".nothing.more"),
        ("{% for item in list %}\n  {{ item }}{{ n * item }}\n{% endfor %}", "item"),
        ("{{ a }}\n{{ list|nosuch(n) }}", "nosuch(n)"),
        ("{{ a }}\n{{ n ~ }}", "}}"),
        ("{{ a }}{{ n }}\n  {{ 1 is divisibleby(0) }}", "{{"),
    ] {
        let fault = match Expression::text(text) {
            Ok(expression) => expression.evaluate(scope()).unwrap_err(),
            Err(fault) => fault,
        };
        let range = fault.range.unwrap();
        assert!(text[range.clone()].starts_with(covered), "{text}: {:?}: {}", &text[range], fault.message);
    }
}

#[test]
fn a_template_is_taken_apart_as_minijinja_does_it() {
    let kinds =
        |text: &str| expression(text).map(|tokens| tokens.into_iter().map(|token| token.kind).collect::<Vec<_>>());
    assert_eq!(kinds("a.b[1.5]|x('}}')").unwrap().len(), 13);
    assert_eq!(
        kinds("a ** b // 1_0e-5 == 'x\\''").unwrap(),
        [Kind::Name, Kind::Sign, Kind::Name, Kind::Sign, Kind::Number, Kind::Sign, Kind::Text]
    );
    for broken in ["'a", "a)", "ä", "a ! b", "\"\\\""] {
        assert_eq!(kinds(broken), None, "{broken}");
    }
    let found = parts("x{{ a }}{#- {{ -#}y{% raw %}{{{% endraw %}{%- if a -%}");
    assert!(found.whole);
    assert_eq!(found.parts.iter().filter(|part| matches!(part, Part::Raw(_))).count(), 3);
    assert!(matches!(found.parts.last(), Some(Part::Statement(..))));
    assert!(!parts("{{ a").whole && !parts("{# a").whole && !parts("{% raw %}{{ a }}").whole);
}
