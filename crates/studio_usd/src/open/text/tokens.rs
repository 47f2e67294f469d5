//! The tokens of a text layer, with their lines, and what is to be rewritten.

use crate::open::UsdError;
use logos::{Logos as _, SpannedIter};
use openusd::usda::token::Token;
use std::{ops::Range, sync::Arc};

/// The tokens of a layer.
pub(super) struct Tokens<'a> {
    /// The layer's identifier.
    pub(super) layer: &'a str,
    text: &'a str,
    lexer: SpannedIter<'a, Token<'a>>,
    /// Where the lexer's text begins in the whole.
    base: usize,
    peeked: Option<(Result<Token<'a>, ()>, Range<usize>)>,
    /// The last token that was taken.
    last: Range<usize>,
    /// The line of a place in the text, which only moves ahead.
    line_at: (usize, u32),
    edits: Vec<(Range<usize>, String)>,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(layer: &'a str, text: &'a str) -> Self {
        Self {
            layer,
            text,
            lexer: Token::lexer(text).spanned(),
            base: 0,
            peeked: None,
            last: 0..0,
            line_at: (0, 1),
            edits: Vec::new(),
        }
    }

    fn fetch(&mut self) -> Option<(Result<Token<'a>, ()>, Range<usize>)> {
        loop {
            let (token, span) = self.lexer.next()?;
            let span = span.start + self.base..span.end + self.base;
            let rest = self.text.get(span.start..).unwrap_or_default();
            if token.is_err() && rest.starts_with("//") {
                let length = rest.find(['\n', '\r']).unwrap_or(rest.len());
                self.edits.push((span.start..span.start + length, String::new()));
                self.base = span.start + length;
                self.lexer = Token::lexer(self.text.get(self.base..).unwrap_or_default()).spanned();
                continue;
            }
            return Some((token, span));
        }
    }

    fn raw_peek(&mut self) -> Option<&(Result<Token<'a>, ()>, Range<usize>)> {
        if self.peeked.is_none() {
            self.peeked = self.fetch();
        }
        self.peeked.as_ref()
    }

    /// The next token, without taking it.
    pub(super) fn peek(&mut self) -> Option<&Token<'a>> {
        self.raw_peek().and_then(|(token, _)| token.as_ref().ok())
    }

    /// Whether the next token is this punctuation mark.
    pub(super) fn is_next(&mut self, mark: char) -> bool {
        matches!(self.peek(), Some(Token::Punctuation(next)) if *next == mark)
    }

    /// Whether everything was taken.
    pub(super) fn is_at_end(&mut self) -> bool {
        self.raw_peek().is_none()
    }

    /// Takes the next token.
    pub(super) fn next(&mut self) -> Result<Token<'a>, UsdError> {
        let fetched = match self.peeked.take() {
            Some(peeked) => Some(peeked),
            None => self.fetch(),
        };
        let Some((token, span)) = fetched else {
            self.last = self.text.len()..self.text.len();
            return Err(self.error("the layer ends in the middle; something is missing, often a closing bracket or quote"));
        };
        self.last = span.clone();
        match token {
            Ok(Token::Number(_)) => Ok(self.number(span)),
            Ok(Token::Punctuation('.')) if self.byte(span.end).is_some_and(|byte| byte.is_ascii_digit()) => {
                self.edits.push((span.start..span.start, "0".into()));
                Ok(self.number(span))
            }
            Ok(Token::String(content)) => self.string(content, span),
            Ok(token) => Ok(token),
            Err(()) => {
                let start: String =
                    self.text.get(span.start..).unwrap_or_default().chars().take(20).take_while(|c| *c != '\n').collect();
                Err(self.error(format!("this cannot be read from `{start}` on; often a quote, `@` or `>` is missing")))
            }
        }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// A number that begins with this token and may go on in others that touch it: `5.`, `.5`, `1.e5`.
    fn number(&mut self, first: Range<usize>) -> Token<'a> {
        let mut end = first.end;
        if self.byte(first.start) == Some(b'.') {
            while self.byte(end).is_some_and(|byte| byte.is_ascii_digit()) {
                end += 1;
            }
            end = self.exponent(end);
        } else if self.byte(end) == Some(b'.') && !self.text.get(first.clone()).unwrap_or_default().contains(['.', 'e', 'E']) {
            end += 1;
            self.edits.push((end..end, "0".into()));
            end = self.exponent(end);
        }
        while self.raw_peek().is_some_and(|(_, span)| span.start < end) {
            self.peeked = None;
        }
        self.last = first.start..end;
        Token::Number(self.text.get(first.start..end).unwrap_or_default())
    }

    fn exponent(&self, at: usize) -> usize {
        if !matches!(self.byte(at), Some(b'e' | b'E')) {
            return at;
        }
        let digits = if matches!(self.byte(at + 1), Some(b'+' | b'-')) { at + 2 } else { at + 1 };
        let mut end = digits;
        while self.byte(end).is_some_and(|byte| byte.is_ascii_digit()) {
            end += 1;
        }
        if end > digits { end } else { at }
    }

    fn string(&mut self, content: &'a str, span: Range<usize>) -> Result<Token<'a>, UsdError> {
        let quotes = (span.len() - content.len()) / 2;
        if quotes == 1 && content.contains(['\n', '\r']) {
            return Err(self.error("a line break in a string; close the string, or use three quotes"));
        }
        if content.contains('\\') {
            let expanded = unescape(content);
            let quote = ["\"\"\"", "'''"].into_iter().find(|quote| !expanded.contains(quote) && !expanded.ends_with(&quote[..1]));
            if let Some(quote) = quote {
                self.edits.push((span, format!("{quote}{expanded}{quote}")));
            }
        }
        Ok(Token::String(content))
    }

    /// Writes something else in place of the token that was taken last.
    pub(super) fn replace_last(&mut self, text: impl Into<String>) {
        let last = self.last.clone();
        // A number that was completed above is replaced as a whole.
        while self.edits.last().is_some_and(|(range, _)| range.start >= last.start) {
            self.edits.pop();
        }
        self.edits.push((last, text.into()));
    }

    /// The line of the token that was taken last.
    pub(super) fn line(&mut self) -> u32 {
        let (at, line) = self.line_at;
        let start = self.last.start.min(self.text.len());
        if start > at {
            let breaks = self.text.as_bytes().get(at..start).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count();
            self.line_at = (start, line.saturating_add(breaks as u32));
        }
        self.line_at.1
    }

    /// An error at the token that was taken last.
    pub(super) fn error(&mut self, message: impl Into<String>) -> UsdError {
        let line = self.line();
        UsdError::parse(self.layer, Some(line), message)
    }

    /// The text with everything that was rewritten; `None` if nothing was.
    pub(super) fn rewritten(&mut self) -> Option<Arc<[u8]>> {
        if self.edits.is_empty() {
            return None;
        }
        self.edits.sort_by_key(|(range, _)| (range.start, range.end));
        let mut out = String::with_capacity(self.text.len() + 16 * self.edits.len());
        let mut at = 0;
        for (range, with) in &self.edits {
            if range.start < at {
                continue;
            }
            out.push_str(self.text.get(at..range.start).unwrap_or_default());
            out.push_str(with);
            at = range.end;
        }
        out.push_str(self.text.get(at..).unwrap_or_default());
        Some(out.into_bytes().into())
    }
}

/// A string with its escapes worked in, as Pixar's parser does it.
pub(in crate::open) fn unescape(content: &str) -> String {
    let mut out = String::with_capacity(content.len());
    let mut rest = content.chars().peekable();
    while let Some(character) = rest.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        match rest.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('a') => out.push('\u{7}'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('v') => out.push('\u{b}'),
            Some('x') => {
                let mut code = 0;
                for _ in 0..2 {
                    let Some(digit) = rest.peek().and_then(|next| next.to_digit(16)) else { break };
                    code = code * 16 + digit;
                    rest.next();
                }
                out.extend(char::from_u32(code));
            }
            Some(digit @ '0'..='7') => {
                let mut code = digit.to_digit(8).unwrap_or_default();
                for _ in 0..2 {
                    let Some(digit) = rest.peek().and_then(|next| next.to_digit(8)) else { break };
                    code = code * 8 + digit;
                    rest.next();
                }
                out.extend(char::from_u32(code));
            }
            Some(other) => out.push(other),
            None => out.push('\\'),
        }
    }
    out
}
