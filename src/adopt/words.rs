//! Variables and addresses in upstart jobs, units of systemd and files of defaults: [`variables`], [`bound`].

use std::collections::BTreeMap;

/// The words of a line, as a shell splits it.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for letter in line.chars() {
        match (letter, quote) {
            ('"' | '\'', None) => quote = Some(letter),
            (letter, Some(open)) if letter == open => quote = None,
            (letter, None) if letter.is_whitespace() => words.push(std::mem::take(&mut word)),
            (letter, _) => word.push(letter),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

fn lines(text: &str) -> impl Iterator<Item = Vec<String>> {
    let text = text.replace("\\\n", " ");
    let lines: Vec<Vec<String>> =
        text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])).map(words).collect();
    lines.into_iter()
}

/// What is set there as `NAME=VALUE`, be it by `env`, `export`, `Environment=` or in front of a command.
pub(super) fn variables(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for word in lines(text).flatten() {
        let word = word.strip_prefix("Environment=").unwrap_or(&word);
        let Some((name, value)) = word.split_once('=') else { continue };
        let capital = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        if name.starts_with(|c: char| c.is_ascii_uppercase()) && name.chars().all(capital) {
            found.insert(name.to_owned(), value.to_owned());
        }
    }
    found
}

/// The files of variables that a unit or a job reads: `EnvironmentFile=`, and `. FILE` of a shell.
pub(super) fn variable_files(text: &str) -> Vec<String> {
    let of = |line: Vec<String>| match line.first().map(String::as_str) {
        Some("." | "source") => line.get(1).cloned(),
        Some(word) => Some(word.strip_prefix("EnvironmentFile=")?.trim_start_matches('-').to_owned()),
        None => None,
    };
    lines(text).filter_map(of).filter(|path| path.starts_with('/')).collect()
}

/// The configurations that a registry of today is started with: what follows `serve`.
pub(super) fn served(text: &str) -> Vec<String> {
    let after = |line: Vec<String>| line.into_iter().skip_while(|word| word != "serve").nth(1);
    lines(text).filter_map(after).filter(|path| path.starts_with('/')).collect()
}

/// The addresses that gunicorn is told to listen on.
pub(super) fn bound(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in
        lines(text).filter(|line| line.iter().any(|word| word.contains("gunicorn") || word.contains("GUNICORN")))
    {
        // Options may stand in a variable, as one word.
        let line: Vec<&str> = line.iter().flat_map(|word| word.split_whitespace()).collect();
        for (index, word) in line.iter().enumerate() {
            let next = || line.get(index + 1).map(|next| (*next).to_owned());
            match word.strip_prefix("--bind=").or(word.strip_prefix("-b")) {
                Some("") => found.extend(next()),
                Some(address) => found.push(address.to_owned()),
                None if *word == "--bind" => found.extend(next()),
                None => {}
            }
        }
    }
    found
}

/// Whether others than this host can reach an address: `:5000`, `0.0.0.0:5000`, but not `localhost:5000`.
pub(super) fn is_open(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or("", |(host, _)| host).trim_matches(['[', ']']);
    !address.starts_with("unix:")
        && !address.contains('/')
        && host != "localhost"
        && host != "::1"
        && !host.starts_with("127.")
}

/// The port of an address.
pub(super) fn port(address: &str) -> Option<u16> {
    address.rsplit(':').next()?.parse().ok()
}
