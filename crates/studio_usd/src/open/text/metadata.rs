//! Metadata of layers, prims and properties.

use super::{Checker, grammar::describe, value::Clips};
use crate::open::{
    UsdError, is_default_prim, is_list_of_specs,
    scan::{ReferenceKind, template_clips},
};
use openusd::usda::token::Token;

/// Fields of a layer that hold one number.
const NUMBERS: [&str; 7] = [
    "framesPerSecond",
    "timeCodesPerSecond",
    "metersPerUnit",
    "startTimeCode",
    "endTimeCode",
    "framePrecision",
    "kilogramsPerUnit",
];

/// Fields that hold one string, of layers and of what is in them.
const STRINGS: [&str; 6] = ["upAxis", "defaultPrim", "owner", "sessionOwner", "colorManagementSystem", "interpolation"];

impl<'a> Checker<'a> {
    pub(super) fn layer_metadata(&mut self) -> Result<(), UsdError> {
        self.block("", |checker, name| match name {
            "subLayers" => checker.arcs("", ReferenceKind::SubLayer),
            "relocates" => checker.relocates(""),
            "framesPerSecond" => {
                let token = checker.tokens.next()?;
                let rate = match &token {
                    Token::Number(number) => number.parse().unwrap_or(f64::NAN),
                    Token::Inf => f64::INFINITY,
                    _ => f64::NAN,
                };
                if rate > 0.0 {
                    return Ok(());
                }
                Err(checker.tokens.error(format!("framesPerSecond is {}; it has to be above zero", describe(&token))))
            }
            _ => checker.field(name, ""),
        })
    }

    pub(super) fn prim_metadata(&mut self, path: &str) -> Result<(), UsdError> {
        self.block(path, |checker, name| match name {
            "references" => checker.arcs(path, ReferenceKind::Reference),
            "payload" => checker.arcs(path, ReferenceKind::Payload),
            "inherits" => checker.arcs(path, ReferenceKind::Inherit),
            "specializes" => checker.arcs(path, ReferenceKind::Specialize),
            "relocates" => checker.relocates(path),
            "kind" => match checker.tokens.next()? {
                Token::String(_) => Ok(()),
                other => Err(checker.tokens.error(format!("kind is {}; it has to be a string", describe(&other)))),
            },
            _ => checker.field(name, path),
        })
    }

    pub(super) fn property_metadata(&mut self, prim: &str) -> Result<(), UsdError> {
        self.block(prim, |checker, name| checker.field(name, prim))
    }

    /// `( name = value … )`, where a value is read by `value`.
    fn block(&mut self, _path: &str, mut value: impl FnMut(&mut Self, &'a str) -> Result<(), UsdError>) -> Result<(), UsdError> {
        self.expect('(')?;
        self.enter()?;
        while !self.take_close(')')? {
            let mut token = self.tokens.next()?;
            if matches!(token, Token::Add | Token::Append | Token::Prepend | Token::Delete | Token::Reorder) {
                token = self.tokens.next()?;
            }
            let name = match token {
                Token::String(_) => {
                    self.separators()?;
                    continue;
                }
                Token::Identifier(name) | Token::NamespacedIdentifier(name) => name,
                other => match other.keyword_lexeme() {
                    Some(name) => name,
                    None => {
                        return Err(self.tokens.error(format!("the name of a field is expected here, not {}", describe(&other))));
                    }
                },
            };
            self.expect('=')?;
            value(self, name)?;
            self.separators()?;
        }
        self.leave();
        Ok(())
    }

    fn field(&mut self, name: &str, prim: &str) -> Result<(), UsdError> {
        if is_list_of_specs(name) {
            return Err(self.tokens.error(format!("`{name}` cannot be said; it follows from what the layer holds")));
        }
        let is_none = matches!(self.tokens.peek(), Some(Token::None));
        if NUMBERS.contains(&name) && !is_none {
            return match self.tokens.next()? {
                Token::Number(number) => {
                    if name == "framePrecision" && number.parse::<i32>().is_err() {
                        let whole = number.parse::<f64>().unwrap_or_default() as i32;
                        self.tokens.replace_last(whole.to_string());
                    }
                    Ok(())
                }
                Token::Inf | Token::Identifier("nan") => Ok(()),
                Token::Punctuation('-') => self.tokens.next().map(drop),
                other => Err(self.tokens.error(format!("{name} is {}; it has to be a number", describe(&other)))),
            };
        }
        if STRINGS.contains(&name) && !is_none {
            return match self.tokens.next()? {
                Token::String(value) => {
                    if name == "defaultPrim" {
                        if !is_default_prim(value) {
                            let value = value.chars().take(60).collect::<String>();
                            return Err(self
                                .tokens
                                .error(format!("defaultPrim is \"{value}\"; it has to be the name of a prim")));
                        }
                        self.facts.default_prim = Some(value.trim_start_matches('/').to_owned());
                    }
                    Ok(())
                }
                other => Err(self.tokens.error(format!("{name} is {}; it has to be a string", describe(&other)))),
            };
        }
        self.anything(prim)
    }

    /// Prims that are moved: `{ <from>: <to> }`.
    fn relocates(&mut self, prim: &str) -> Result<(), UsdError> {
        self.expect('{')?;
        while !self.take_close('}')? {
            for _ in 0..2 {
                match self.tokens.next()? {
                    Token::PathRef(path) => self.prim_path(path, prim)?,
                    other => return Err(self.tokens.error(format!("a path is expected here, not {}", describe(&other)))),
                }
                if self.tokens.is_next(':') {
                    self.tokens.next()?;
                }
            }
            self.separators()?;
        }
        Ok(())
    }

    /// Sublayers, references and payloads, inherits and specializes.
    fn arcs(&mut self, prim: &str, kind: ReferenceKind) -> Result<(), UsdError> {
        if !self.tokens.is_next('[') {
            return self.arc(prim, kind);
        }
        self.tokens.next()?;
        self.enter()?;
        while !self.take_close(']')? {
            self.arc(prim, kind)?;
            self.separators()?;
        }
        self.leave();
        Ok(())
    }

    fn arc(&mut self, prim: &str, kind: ReferenceKind) -> Result<(), UsdError> {
        let takes_assets = !matches!(kind, ReferenceKind::Inherit | ReferenceKind::Specialize);
        match self.tokens.next()? {
            Token::None => return Ok(()),
            Token::AssetRef(asset) if takes_assets => {
                let mut target = "";
                if let Some(Token::PathRef(path)) = self.tokens.peek() {
                    target = *path;
                    self.tokens.next()?;
                    self.prim_path(target, prim)?;
                }
                self.refers(prim, asset, target, kind);
            }
            Token::PathRef(path) if kind != ReferenceKind::SubLayer => {
                self.prim_path(path, prim)?;
                self.refers(prim, "", path, kind);
            }
            other => {
                return Err(self.tokens.error(format!(
                    "a layer between `@` or a path between `<` and `>` is expected here, not {}",
                    describe(&other)
                )));
            }
        }
        if self.tokens.is_next('(') {
            self.anything(prim)?;
        }
        Ok(())
    }

    fn prim_path(&mut self, path: &str, prim: &str) -> Result<(), UsdError> {
        if path.is_empty() {
            // The default prim.
            return Ok(());
        }
        self.path(path, prim)?;
        if path.trim_start_matches("../").trim_start_matches("..").contains(['{', '.']) {
            return Err(self.tokens.error(format!("<{path}> is no path of a prim, as is needed here")));
        }
        Ok(())
    }

    fn path(&mut self, path: &str, prim: &str) -> Result<(), UsdError> {
        let depth = path.bytes().filter(|byte| matches!(byte, b'/' | b'{' | b'[')).count();
        self.within(depth, 2 * self.budget.namespace_depth, "parts of a path", "namespace_depth")?;
        let here = prim.bytes().filter(|byte| matches!(byte, b'/' | b'}')).count();
        if !path.is_empty() && crate::open::is_sound(path, here) {
            return Ok(());
        }
        Err(self
            .tokens
            .error(format!("<{}> is no path that can be followed from here", path.chars().take(60).collect::<String>())))
    }

    /// A value of which the type is not written: one token, a list, a dictionary, or what stands behind an arc in brackets.
    pub(super) fn anything(&mut self, prim: &str) -> Result<(), UsdError> {
        if self.tokens.is_next('{') {
            return self.dictionary(prim);
        }
        match self.tokens.next()? {
            Token::Punctuation(open @ ('[' | '(')) => {
                let close = if open == '[' { ']' } else { ')' };
                self.enter()?;
                let mut count = 0_usize;
                while !self.take_close(close)? {
                    self.anything(prim)?;
                    // `name = value` within round brackets.
                    if self.tokens.is_next('=') || self.tokens.is_next(':') {
                        self.tokens.next()?;
                        self.anything(prim)?;
                    }
                    count += 1;
                    if count as u64 > self.budget.array_elements {
                        let (allowed, line) = (self.budget.array_elements, self.tokens.line());
                        return Err(UsdError::over(
                            self.tokens.layer,
                            Some(line),
                            "elements of a list",
                            count as u64,
                            allowed,
                            "array_elements",
                        ));
                    }
                    self.separators()?;
                }
                self.leave();
                Ok(())
            }
            Token::Punctuation('-' | '+') => self.tokens.next().map(drop),
            Token::Punctuation(mark) => Err(self.tokens.error(format!("a value is expected here, not `{mark}`"))),
            Token::PathRef(path) => self.path(path, prim),
            Token::AssetRef(path) => {
                self.asset(path, prim);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Takes down the layers of value clips that are named by a template.
    pub(super) fn clips(&mut self, clips: Clips, prim: &str) {
        let Clips { template: Some(template), start: Some(start), end: Some(end), stride: Some(stride) } = clips else { return };
        for asset in template_clips(&template, start, end, stride) {
            self.refers(prim, &asset, "", ReferenceKind::Clip);
        }
    }
}
