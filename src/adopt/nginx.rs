//! The configuration of nginx as it is written: its directives, and the servers among them: [`Server`].

/// One directive, with what stands in its braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Directive {
    pub name: String,
    pub words: Vec<String>,
    pub block: Vec<Directive>,
}

/// A `server`, as far as it matters to a registry.
#[derive(Debug, Clone, Default)]
pub(super) struct Server {
    pub listens: Vec<Listen>,
    pub names: Vec<String>,
    pub certificate: Option<String>,
    pub key: Option<String>,
    /// Whether it asks for a password anywhere.
    pub asks: bool,
    pub password_file: Option<String>,
    pub body_size: Option<String>,
    /// What it passes requests on to: `localhost:5000`.
    pub backends: Vec<String>,
    /// Whether it has a location of the registry's API.
    pub api: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listen {
    pub port: u16,
    pub tls: bool,
}

/// Reads a configuration; none if its braces or quotes do not match.
pub(super) fn parse(text: &str) -> Option<Vec<Directive>> {
    let tokens = tokens(text)?;
    let mut at = 0;
    let directives = block(&tokens, &mut at, false)?;
    (at == tokens.len()).then_some(directives)
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    End,
    Open,
    Close,
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut found = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            letter if letter.is_whitespace() => {}
            '#' => drop(letters.by_ref().find(|letter| *letter == '\n')),
            ';' => found.push(Token::End),
            '{' => found.push(Token::Open),
            '}' => found.push(Token::Close),
            quote @ ('"' | '\'') => found.push(Token::Word(quoted(&mut letters, quote)?)),
            first => {
                let mut word = String::from(first);
                // `${variable}` is part of a word.
                while let Some(letter) = letters.next_if(|letter| {
                    !letter.is_whitespace() && *letter != ';' && (word.ends_with('$') || *letter != '{')
                }) {
                    word.push(letter);
                }
                found.push(Token::Word(word));
            }
        }
    }
    Some(found)
}

fn quoted(letters: &mut impl Iterator<Item = char>, quote: char) -> Option<String> {
    let mut word = String::new();
    loop {
        match letters.next()? {
            '\\' => word.push(letters.next()?),
            letter if letter == quote => return Some(word),
            letter => word.push(letter),
        }
    }
}

fn block(tokens: &[Token], at: &mut usize, inner: bool) -> Option<Vec<Directive>> {
    let mut directives = Vec::new();
    let mut words: Vec<String> = Vec::new();
    while let Some(token) = tokens.get(*at) {
        *at += 1;
        match token {
            Token::Word(word) => words.push(word.clone()),
            Token::Close => return (inner && words.is_empty()).then_some(directives),
            Token::End | Token::Open => {
                let block = if *token == Token::Open { block(tokens, at, true)? } else { Vec::new() };
                let mut words = std::mem::take(&mut words).into_iter();
                let name = words.next()?;
                directives.push(Directive { name, words: words.collect(), block });
            }
        }
    }
    (!inner && words.is_empty()).then_some(directives)
}

impl Directive {
    fn word(&self) -> Option<String> {
        self.words.first().cloned()
    }
}

/// Every directive of that name, at any depth.
pub(super) fn all<'a>(directives: &'a [Directive], name: &str) -> Vec<&'a Directive> {
    let mut found = Vec::new();
    for directive in directives {
        if directive.name == name {
            found.push(directive);
        }
        found.extend(all(&directive.block, name));
    }
    found
}

/// The value of a directive that stands outside of all servers, be it in `http` or in a file that is included there.
pub(super) fn common(directives: &[Directive], name: &str) -> Option<String> {
    let inner = directives.iter().filter(|directive| directive.name == "http").flat_map(|http| &http.block);
    directives.iter().chain(inner).find(|directive| directive.name == name).and_then(Directive::word)
}

/// The servers of a configuration, which `upstream` blocks of it or of others tell the backends of.
pub(super) fn servers(directives: &[Directive], upstreams: &[(String, Vec<String>)]) -> Vec<Server> {
    let blocks = all(directives, "server").into_iter().filter(|directive| directive.words.is_empty());
    blocks.map(|directive| server(&directive.block, upstreams)).collect()
}

/// The `upstream` blocks of a configuration: their names, and the addresses of their servers.
pub(super) fn upstreams(directives: &[Directive]) -> Vec<(String, Vec<String>)> {
    let blocks = all(directives, "upstream").into_iter();
    blocks
        .filter_map(|block| {
            Some((block.word()?, all(&block.block, "server").iter().filter_map(|s| s.word()).collect()))
        })
        .collect()
}

fn server(block: &[Directive], upstreams: &[(String, Vec<String>)]) -> Server {
    let own = |name: &str| block.iter().filter(|directive| directive.name == name).collect::<Vec<_>>();
    let last = |name: &str| own(name).last().and_then(|directive| directive.word());
    let anywhere = |name: &str| all(block, name).into_iter().filter_map(Directive::word).collect::<Vec<_>>();
    // `ssl on;` made every port of a server one with TLS, up to nginx 1.25.
    let ssl = last("ssl").as_deref() == Some("on");
    let mut listens: Vec<Listen> = own("listen").into_iter().filter_map(|directive| listen(directive, ssl)).collect();
    listens.dedup();
    Server {
        listens,
        names: own("server_name").iter().flat_map(|directive| directive.words.clone()).collect(),
        certificate: last("ssl_certificate"),
        key: last("ssl_certificate_key"),
        asks: anywhere("auth_basic").iter().any(|realm| realm != "off"),
        password_file: anywhere("auth_basic_user_file").pop(),
        body_size: anywhere("client_max_body_size").pop(),
        backends: anywhere("proxy_pass").iter().flat_map(|to| backends(to, upstreams)).collect(),
        api: all(block, "location").iter().any(|location| {
            location.words.iter().any(|word| ["/v1", "/v2", "/_ping"].iter().any(|path| word.contains(path)))
        }),
    }
}

fn listen(directive: &Directive, ssl: bool) -> Option<Listen> {
    let address = directive.words.first()?;
    if address.starts_with("unix:") {
        return None;
    }
    let port = address.rsplit(':').next().filter(|_| !address.ends_with(']')).and_then(|port| port.parse().ok());
    // An address alone is on port 80.
    Some(Listen { port: port.unwrap_or(80), tls: ssl || directive.words.iter().any(|word| word == "ssl") })
}

fn backends(to: &str, upstreams: &[(String, Vec<String>)]) -> Vec<String> {
    let rest = to.split_once("://").map_or(to, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or_default();
    match upstreams.iter().find(|(name, _)| name == host) {
        Some((_, addresses)) => addresses.clone(),
        None => vec![host.to_owned()],
    }
}

/// A size of nginx in bytes; 0 is no limit.
pub(super) fn size(text: &str) -> Option<u64> {
    crate::input::size(text).ok()
}
