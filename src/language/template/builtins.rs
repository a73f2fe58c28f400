//! Filters and functions of the language, each with the work that it may do taken from the allowance before it is done:
//! [`add_to`]. A number in an expression makes nothing large by itself.

use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, State, Value, filters};

use super::allowance::{refused, spend, stand_at, weigh};
use super::source::{AT, NUMBER, REPEAT, WEIGH};
use super::{address, url};
use crate::error::did_you_mean;
use crate::language::escape::Target;
use crate::text::digest::{hex, sha256_bytes};

/// How many numbers a range may have.
const RANGE: u64 = 10_000;
/// What an item of a list takes.
const ITEM: u64 = 24;

/// What a filter may make beside what it is given, in bytes: told from its arguments, of which there is one at least.
type Cost = fn(&[Value]) -> Result<u64, Error>;

/// Puts the filters and functions in the place of those that minijinja brings.
pub(super) fn add_to(environment: &mut Environment<'static>) {
    for (name, filter, cost) in all() {
        environment.add_filter(name, move |state: &mut State<'_, '_>, arguments: Rest<ValueOrKwargs>| {
            let arguments = arguments.into_values();
            arguments.iter().try_for_each(weigh)?;
            if !arguments.is_empty() {
                spend(cost(&arguments)?)?;
            }
            filter.call(state, &arguments)
        });
    }
    environment.add_filter(WEIGH, |value: &Value| weigh(value).map(|()| value.clone()));
    environment.add_filter(NUMBER, |value: &Value| match value.kind() {
        ValueKind::String | ValueKind::Bytes | ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => {
            Err(refused("`*` multiplies numbers, and one side of it is none"))
        }
        _ => Ok(value.clone()),
    });
    environment.add_filter(REPEAT, |value: &Value, bytes: u64| {
        // What is no list is told of by the loop itself.
        if bytes > 0
            && let Ok(items) = value.try_iter()
        {
            items.into_iter().try_for_each(|_| spend(bytes))?;
        }
        Ok::<_, Error>(value.clone())
    });
    environment.add_function(AT, |byte: usize| {
        stand_at(Some(byte));
        Value::from_safe_string(String::new())
    });
    environment.add_test("loopback", |text: &str| address::is_loopback(text));
    environment.add_test("address", |text: &str| address::is_address(text));
    environment.add_test("below", |path: &str, folders: Rest<String>| address::is_below(path, folders));
    environment.add_test("prefixed", |text: &str, starts: Rest<String>| address::is_prefixed(text, starts));
    environment.add_function("range", range);
    environment.remove_filter("pprint");
    environment.remove_global("debug");
}

/// The filters by their names, and what each costs beside its arguments.
fn all() -> Vec<(&'static str, Value, Cost)> {
    macro_rules! filters {
        ($($cost:ident: $($name:literal => $filter:expr),+;)+) => {
            vec![$($(($name, Value::from_function($filter), $cost as Cost)),+),+]
        };
    }
    let mut all = filters! {
        nothing: "safe" => filters::safe, "bool" => filters::bool, "int" => filters::int, "float" => filters::float,
            "abs" => filters::abs, "round" => filters::round, "attr" => filters::attr, "first" => filters::first,
            "last" => filters::last, "length" => filters::length, "count" => filters::length,
            "default" => filters::default, "d" => filters::default, "string" => filters::string, "trim" => filters::trim,
            "lower" => filters::lower, "title" => filters::title, "capitalize" => filters::capitalize,
            "reverse" => filters::reverse;
        // One letter may become three, and one that is written for HTML or JSON six.
        thrice: "upper" => filters::upper;
        six_times: "escape" => filters::escape, "e" => filters::escape;
        json: "tojson" => filters::tojson;
        items: "list" => filters::list, "split" => filters::split, "lines" => filters::lines, "sort" => filters::sort,
            "min" => filters::min, "max" => filters::max, "unique" => filters::unique, "groupby" => filters::groupby,
            "items" => filters::items, "dictsort" => filters::dictsort, "map" => filters::map,
            "select" => filters::select, "reject" => filters::reject, "selectattr" => filters::selectattr,
            "rejectattr" => filters::rejectattr, "chain" => filters::chain, "zip" => filters::zip;
        added: "sum" => filters::sum;
        piled: "batch" => filters::batch, "slice" => filters::slice;
        joined: "join" => filters::join;
        replaced: "replace" => filters::replace;
        indented: "indent" => filters::indent;
        formatted: "format" => filters::format;
        nothing: "digest" => |text: String| hex(&sha256_bytes(text.as_bytes())[..8]);
        nothing: "url" => |text: String| url::parts(&text);
        twice: "bracketed" => |host: String| address::bracketed(&host), "scheme" => |text: String| url::scheme(&text);
        compared: "did_you_mean" => |name: String, known: Vec<String>| {
            did_you_mean(&name, &known.iter().map(String::as_str).collect::<Vec<_>>())
        };
    };
    all.extend(Target::ALL.into_iter().map(|(word, target)| {
        let filter =
            Value::from_function(move |value: Value| super::written(target, &value).map(Value::from_safe_string));
        (word, filter, six_times as Cost)
    }));
    all
}

/// A number that an argument is, or that an argument by name is; of several the largest.
fn number(arguments: &[Value]) -> u64 {
    let by_name = |value: &Value| {
        let named = Kwargs::try_from(value.clone()).ok();
        named.into_iter().flat_map(|named| {
            let values: Vec<u64> = named.args().filter_map(|name| named.peek::<u64>(name).ok()).collect();
            values
        })
    };
    let plain = arguments.iter().filter_map(|value| u64::try_from(value.clone()).ok());
    plain.chain(arguments.iter().flat_map(by_name).collect::<Vec<_>>()).max().unwrap_or(0)
}

fn length(value: &Value) -> u64 {
    value.as_str().map_or_else(|| value.to_string().len(), str::len) as u64
}

fn count(value: &Value) -> u64 {
    value.try_iter().map_or(0, Iterator::count) as u64
}

#[expect(clippy::unnecessary_wraps, reason = "one of many costs")]
fn nothing(_: &[Value]) -> Result<u64, Error> {
    Ok(0)
}

#[expect(clippy::unnecessary_wraps, reason = "one of many costs")]
fn twice(arguments: &[Value]) -> Result<u64, Error> {
    Ok(2 * length(&arguments[0]))
}

#[expect(clippy::unnecessary_wraps, reason = "one of many costs")]
fn thrice(arguments: &[Value]) -> Result<u64, Error> {
    Ok(3 * length(&arguments[0]))
}

#[expect(clippy::unnecessary_wraps, reason = "one of many costs")]
fn six_times(arguments: &[Value]) -> Result<u64, Error> {
    Ok(6 * length(&arguments[0]))
}

/// Every part on a line of its own, as deep as brackets stand there.
#[expect(clippy::unnecessary_wraps, reason = "one of many costs")]
fn json(arguments: &[Value]) -> Result<u64, Error> {
    let text = length(&arguments[0]);
    Ok((6 * text).saturating_add(text.saturating_mul(number(&arguments[1..]))))
}

/// A letter of a text becomes an item of a list.
#[expect(clippy::unnecessary_wraps, reason = "one of many costs")]
fn items(arguments: &[Value]) -> Result<u64, Error> {
    let text = arguments[0].as_str().map_or(0, str::len) as u64;
    Ok(text * ITEM + count_of_list(&arguments[0]) * ITEM)
}

fn count_of_list(value: &Value) -> u64 {
    if value.kind() == ValueKind::String { 0 } else { count(value) }
}

/// Texts and lists are added by copying what there is again and again; numbers are not.
fn added(arguments: &[Value]) -> Result<u64, Error> {
    let start = Kwargs::try_from(arguments[arguments.len() - 1].clone()).ok();
    let numbers = |value: &Value| matches!(value.kind(), ValueKind::Number | ValueKind::Bool);
    let plain = arguments[0].try_iter()?.all(|item| numbers(&item));
    if plain && start.is_none() && arguments[1..].iter().all(numbers) {
        return Ok(0);
    }
    Ok(length(&arguments[0]).saturating_mul(count(&arguments[0])))
}

#[expect(clippy::unnecessary_wraps, reason = "one of many costs")]
fn piled(arguments: &[Value]) -> Result<u64, Error> {
    Ok(count(&arguments[0]).saturating_add(number(&arguments[1..])).saturating_mul(2 * ITEM))
}

#[expect(clippy::unnecessary_wraps, reason = "one of many costs")]
fn joined(arguments: &[Value]) -> Result<u64, Error> {
    let between: u64 = arguments[1..].iter().map(length).sum();
    Ok(count(&arguments[0]).saturating_mul(between.saturating_mul(6)).saturating_add(6 * length(&arguments[0])))
}

fn replaced(arguments: &[Value]) -> Result<u64, Error> {
    let [text, from, to, ..] = arguments else { return Ok(0) };
    let text = text.as_str().map_or_else(|| text.to_string(), str::to_owned);
    let from = from.as_str().ok_or_else(|| refused("`replace` wants texts"))?;
    let often = text.matches(from).count() as u64;
    // What is not written for a form of file yet may become six times as long.
    Ok(often.saturating_mul(length(to)).saturating_add(text.len() as u64).saturating_mul(6))
}

#[expect(clippy::unnecessary_wraps, reason = "one of many costs")]
fn indented(arguments: &[Value]) -> Result<u64, Error> {
    let text = arguments[0].to_string();
    let lines = text.matches('\n').count() as u64 + 1;
    Ok(lines.saturating_mul(number(&arguments[1..]).max(4)).saturating_add(text.len() as u64))
}

/// Every number in the text may be a width, and every `%` may write any of the values.
fn formatted(arguments: &[Value]) -> Result<u64, Error> {
    let text = arguments[0].to_string();
    if text.contains('*') {
        return Err(refused("`format` takes no `*`: write the width as a number"));
    }
    let digits = text.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty());
    let widths = digits.fold(0_u64, |sum, digits| sum.saturating_add(digits.parse().unwrap_or(u64::MAX)));
    let values: u64 = arguments[1..].iter().map(length).sum();
    let often = text.matches('%').count() as u64;
    // A number may have 400 digits.
    Ok(widths.saturating_add(often.saturating_mul(values.saturating_mul(6).saturating_add(400))))
}

#[expect(clippy::unnecessary_wraps, reason = "one of many costs")]
fn compared(arguments: &[Value]) -> Result<u64, Error> {
    let known: u64 = arguments[1..].iter().map(length).sum();
    Ok(length(&arguments[0]).saturating_mul(known) / 16)
}

/// The numbers from one to another, `range(to)` or `range(from, to, step)`.
fn range(first: i64, second: Option<i64>, step: Option<i64>) -> Result<Value, Error> {
    let (from, to) = second.map_or((0, first), |second| (first, second));
    let step = step.unwrap_or(1);
    if step == 0 {
        return Err(refused("a range has no step of 0"));
    }
    let length = (i128::from(to) - i128::from(from) + i128::from(step) - i128::from(step.signum())) / i128::from(step);
    let length = u64::try_from(length.max(0)).unwrap_or(u64::MAX);
    if length > RANGE {
        return Err(refused(format!("a range has {RANGE} numbers at most")));
    }
    spend(length * ITEM)?;
    Ok((0..length).map(|index| Value::from(from + i64::try_from(index).unwrap_or_default() * step)).collect())
}
