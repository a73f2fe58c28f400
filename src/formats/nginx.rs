//! The configuration of nginx as it is written: [`Directive`].

use std::fmt;
use std::iter::Peekable;
use std::str::Chars;

/// One directive, with what stands in its braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Directive {
    pub name: String,
    pub words: Vec<String>,
    pub block: Vec<Directive>,
}

/// How deep blocks may stand in each other; nginx's own directives know five.
const DEPTH: usize = 64;
/// How many words and signs the files of a host may have in all, what they include counted where it stands.
pub(crate) const WORDS: usize = 400_000;

/// Why a configuration is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Its braces or quotes do not match.
    Broken,
    Deep,
    Many,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken => f.write_str("its braces or quotes do not match"),
            Self::Deep => write!(f, "its blocks stand in each other more than {DEPTH} deep"),
            Self::Many => write!(f, "more than {WORDS} words, included files counted"),
        }
    }
}

/// Reads a configuration; `left` is how many words there may be, and how many are left after it.
pub(crate) fn parse(text: &str, left: &mut usize) -> Result<Vec<Directive>, Refusal> {
    Reader { letters: text.chars().peekable(), left }.block(0)
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    End,
    Open,
    Close,
}

struct Reader<'a> {
    letters: Peekable<Chars<'a>>,
    left: &'a mut usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Result<Option<Token>, Refusal> {
        while let Some(letter) = self.letters.next() {
            let token = match letter {
                letter if letter.is_whitespace() => continue,
                '#' => {
                    self.letters.by_ref().find(|letter| *letter == '\n');
                    continue;
                }
                ';' => Token::End,
                '{' => Token::Open,
                '}' => Token::Close,
                quote @ ('"' | '\'') => Token::Word(self.quoted(quote)?),
                first => Token::Word(self.word(first)),
            };
            *self.left = self.left.checked_sub(1).ok_or(Refusal::Many)?;
            return Ok(Some(token));
        }
        Ok(None)
    }

    fn word(&mut self, first: char) -> String {
        let mut word = String::from(first);
        // `${variable}` is part of a word.
        while let Some(letter) = self
            .letters
            .next_if(|letter| !letter.is_whitespace() && *letter != ';' && (word.ends_with('$') || *letter != '{'))
        {
            word.push(letter);
        }
        word
    }

    fn quoted(&mut self, quote: char) -> Result<String, Refusal> {
        let mut word = String::new();
        loop {
            match self.letters.next().ok_or(Refusal::Broken)? {
                '\\' => word.push(self.letters.next().ok_or(Refusal::Broken)?),
                letter if letter == quote => return Ok(word),
                letter => word.push(letter),
            }
        }
    }

    fn block(&mut self, depth: usize) -> Result<Vec<Directive>, Refusal> {
        if depth > DEPTH {
            return Err(Refusal::Deep);
        }
        let mut directives = Vec::new();
        let mut words: Vec<String> = Vec::new();
        while let Some(token) = self.next()? {
            match token {
                Token::Word(word) => words.push(word),
                Token::Close if depth > 0 && words.is_empty() => return Ok(directives),
                Token::Close => return Err(Refusal::Broken),
                Token::End | Token::Open => {
                    let block = if token == Token::Open { self.block(depth + 1)? } else { Vec::new() };
                    let mut words = std::mem::take(&mut words).into_iter();
                    let name = words.next().ok_or(Refusal::Broken)?;
                    directives.push(Directive { name, words: words.collect(), block });
                }
            }
        }
        if depth == 0 && words.is_empty() { Ok(directives) } else { Err(Refusal::Broken) }
    }
}

impl Directive {
    pub fn word(&self) -> Option<String> {
        self.words.first().cloned()
    }
}

/// Every directive of that name, at any depth.
pub(crate) fn all<'a>(directives: &'a [Directive], name: &str) -> Vec<&'a Directive> {
    fn look<'a>(directives: &'a [Directive], name: &str, found: &mut Vec<&'a Directive>) {
        for directive in directives {
            if directive.name == name {
                found.push(directive);
            }
            look(&directive.block, name, found);
        }
    }
    let mut found = Vec::new();
    look(directives, name, &mut found);
    found
}

/// The value of a directive that stands outside of all servers, be it in `http` or in a file that is included there.
pub(crate) fn common(directives: &[Directive], name: &str) -> Option<String> {
    let inner = directives.iter().filter(|directive| directive.name == "http").flat_map(|http| &http.block);
    directives.iter().chain(inner).find(|directive| directive.name == name).and_then(Directive::word)
}
