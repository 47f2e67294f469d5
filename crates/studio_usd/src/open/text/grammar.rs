//! Prims, variants and properties.

use super::Checker;
use crate::open::{
    UsdError,
    scan::{Fact, ReferenceKind},
};
use openusd::usda::token::Token;

impl<'a> Checker<'a> {
    pub(super) fn layer(&mut self) -> Result<(), UsdError> {
        match self.tokens.next() {
            Ok(Token::Magic(version)) if version.starts_with("1.") => {}
            Ok(Token::Magic(version)) => {
                return Err(self.tokens.error(format!("version {version} of the text format is not known; 1.0 is")));
            }
            _ => {
                return Err(UsdError::parse(
                    self.tokens.layer,
                    Some(1),
                    "this is no USD layer: a text layer begins with `#usda 1.0`",
                ));
            }
        }
        if self.tokens.is_next('(') {
            self.layer_metadata()?;
        }
        while !self.tokens.is_at_end() {
            match self.tokens.next()? {
                Token::Reorder => self.reorder()?,
                Token::Def | Token::Over | Token::Class => self.prim("", 1)?,
                _ => return Err(self.tokens.error("a prim is expected here: `def`, `over` or `class`")),
            }
        }
        Ok(())
    }

    /// A prim, after its specifier.
    fn prim(&mut self, parent: &str, depth: usize) -> Result<(), UsdError> {
        let mut token = self.tokens.next()?;
        if matches!(token, Token::Identifier(_)) {
            token = self.tokens.next()?;
        }
        let Token::String(name) = token else { return Err(self.tokens.error("the name of a prim is expected here, in quotes")) };
        let line = self.tokens.line();
        if !is_identifier(name) {
            return Err(self
                .tokens
                .error(format!("`{name}` is no name for a prim: letters, digits and `_`, without a digit in front")));
        }
        let path = child(parent, name);
        self.facts.prims += 1;
        self.within(depth, self.budget.namespace_depth, "prims within prims", "namespace_depth")?;
        self.within(self.facts.prims, self.budget.prims, "prims in one layer", "prims")?;
        if self.facts.lines.insert(path.clone(), line).is_some() {
            return Err(self.tokens.error(format!("there is a second prim `{path}`")));
        }
        if self.tokens.is_next('(') {
            self.prim_metadata(&path)?;
        }
        self.body(&path, depth)
    }

    fn body(&mut self, path: &str, depth: usize) -> Result<(), UsdError> {
        self.expect('{')?;
        self.enter()?;
        while !self.take_close('}')? {
            match self.tokens.peek() {
                Some(Token::Def | Token::Over | Token::Class) => {
                    self.tokens.next()?;
                    self.prim(path, depth + 1)?;
                }
                Some(Token::VariantSet) => {
                    self.tokens.next()?;
                    self.variant_set(path, depth)?;
                }
                Some(Token::Reorder) => {
                    self.tokens.next()?;
                    self.reorder()?;
                }
                _ => self.property(path)?,
            }
            self.separators()?;
        }
        self.leave();
        Ok(())
    }

    /// A variant set, after its keyword.
    fn variant_set(&mut self, path: &str, depth: usize) -> Result<(), UsdError> {
        let Token::String(set) = self.tokens.next()? else {
            return Err(self.tokens.error("the name of a variant set is expected here, in quotes"));
        };
        self.variant_name(set, "a variant set")?;
        self.within(depth, self.budget.namespace_depth, "variants within variants", "namespace_depth")?;
        self.expect('=')?;
        self.expect('{')?;
        self.enter()?;
        while !self.take_close('}')? {
            let Token::String(variant) = self.tokens.next()? else {
                return Err(self.tokens.error("the name of a variant is expected here, in quotes"));
            };
            self.variant_name(variant, "a variant")?;
            let variant = format!("{path}{{{set}={variant}}}");
            let line = self.tokens.line();
            self.facts.lines.insert(variant.clone(), line);
            self.facts.prims += 1;
            self.within(self.facts.prims, self.budget.prims, "prims and variants in one layer", "prims")?;
            if self.tokens.is_next('(') {
                self.prim_metadata(&variant)?;
            }
            self.body(&variant, depth + 1)?;
            self.separators()?;
        }
        self.leave();
        Ok(())
    }

    fn variant_name(&mut self, name: &str, what: &str) -> Result<(), UsdError> {
        let is_known = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '|');
        let rest = name.strip_prefix('.').unwrap_or(name);
        if rest.is_empty() || !rest.chars().all(is_known) {
            return Err(self.tokens.error(format!("`{name}` is no name for {what}: letters, digits, `_`, `-` and `|`")));
        }
        Ok(())
    }

    /// An order, after its keyword.
    fn reorder(&mut self) -> Result<(), UsdError> {
        match self.tokens.next()? {
            Token::RootPrims | Token::NameChildren | Token::Properties => {
                self.expect('=')?;
                self.anything("")
            }
            // `reorder rel targets = ...`, `reorder token x.connect = ...`
            _ => Err(self.tokens.error("`reorder` is followed by `rootPrims`, `nameChildren` or `properties` here")),
        }
    }

    fn property(&mut self, prim: &str) -> Result<(), UsdError> {
        if matches!(self.tokens.peek(), Some(Token::Add | Token::Append | Token::Prepend | Token::Delete)) {
            self.tokens.next()?;
        }
        let mut token = self.tokens.next()?;
        while matches!(token, Token::Custom | Token::Varying | Token::Uniform | Token::Config) {
            token = self.tokens.next()?;
        }
        if matches!(token, Token::Rel) {
            return self.relationship(prim);
        }
        let Token::Identifier(type_name) = token else {
            return Err(self
                .tokens
                .error("a property or a prim is expected here: a type and a name, `rel`, `def`, `over` or `class`"));
        };
        let kind = self.array_type(type_name)?;
        self.property_name()?;
        let mut suffix = None;
        if self.tokens.is_next('.') {
            self.tokens.next()?;
            suffix = Some(self.tokens.next()?);
        }
        if self.tokens.is_next('(') {
            self.property_metadata(prim)?;
        }
        if !self.tokens.is_next('=') {
            return Ok(());
        }
        self.tokens.next()?;
        match suffix {
            None => {
                self.typed_value(&kind, prim)?;
            }
            Some(Token::Connect) => self.anything(prim)?,
            Some(Token::TimeSamples) => self.time_samples(&kind, prim)?,
            Some(Token::Spline) => self.spline()?,
            Some(_) => return Err(self.tokens.error("after the dot of a property comes `connect`, `timeSamples` or `spline`")),
        }
        if self.tokens.is_next('(') {
            self.property_metadata(prim)?;
        }
        Ok(())
    }

    /// A relationship, after its keyword.
    fn relationship(&mut self, prim: &str) -> Result<(), UsdError> {
        self.property_name()?;
        if self.tokens.is_next('(') {
            self.property_metadata(prim)?;
        }
        if self.tokens.is_next('=') {
            self.tokens.next()?;
            if matches!(self.tokens.peek(), Some(Token::Add | Token::Append | Token::Prepend | Token::Delete | Token::Reorder)) {
                self.tokens.next()?;
            }
            self.anything(prim)?;
        }
        if self.tokens.is_next('(') {
            self.property_metadata(prim)?;
        }
        Ok(())
    }

    fn property_name(&mut self) -> Result<(), UsdError> {
        let token = self.tokens.next()?;
        if matches!(token, Token::Identifier(_) | Token::NamespacedIdentifier(_)) || token.keyword_lexeme().is_some() {
            return Ok(());
        }
        Err(self.tokens.error("the name of a property is expected here"))
    }

    pub(super) fn expect(&mut self, mark: char) -> Result<(), UsdError> {
        match self.tokens.next()? {
            Token::Punctuation(next) if next == mark => Ok(()),
            other => Err(self.tokens.error(format!("`{mark}` is expected here, not {}", describe(&other)))),
        }
    }

    /// Takes the closing bracket if it is next.
    pub(super) fn take_close(&mut self, mark: char) -> Result<bool, UsdError> {
        let is_next = self.tokens.is_next(mark);
        if is_next {
            self.tokens.next()?;
        }
        Ok(is_next)
    }

    pub(super) fn separators(&mut self) -> Result<(), UsdError> {
        while self.tokens.is_next(',') || self.tokens.is_next(';') {
            self.tokens.next()?;
        }
        Ok(())
    }

    pub(super) fn enter(&mut self) -> Result<(), UsdError> {
        self.nesting += 1;
        // Each prim is a bracket of its own, and has a budget of its own.
        self.within(self.nesting, self.budget.nesting + self.budget.namespace_depth, "brackets within brackets", "nesting")
    }

    pub(super) fn leave(&mut self) {
        self.nesting -= 1;
    }

    pub(super) fn within(&mut self, found: usize, allowed: usize, what: &str, budget: &'static str) -> Result<(), UsdError> {
        if found <= allowed {
            return Ok(());
        }
        let line = self.tokens.line();
        Err(UsdError::over(self.tokens.layer, Some(line), what, found as u64, allowed as u64, budget))
    }

    /// Takes down that the layer refers to another.
    pub(super) fn refers(&mut self, prim: &str, asset: &str, target: &str, kind: ReferenceKind) {
        let line = self.tokens.line();
        self.facts.references.push(Fact {
            asset: asset.to_owned(),
            target: target.to_owned(),
            prim: prim.to_owned(),
            line: Some(line),
            kind,
        });
    }
}

fn child(parent: &str, name: &str) -> String {
    if parent.ends_with('}') { format!("{parent}{name}") } else { format!("{parent}/{name}") }
}

pub(super) fn is_identifier(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|first| first.is_alphabetic() || first == '_')
        && characters.all(|c| c.is_alphanumeric() || c == '_')
}

pub(super) fn describe(token: &Token<'_>) -> String {
    let text = match token {
        Token::String(text) => format!("\"{text}\""),
        Token::Number(text) | Token::Identifier(text) | Token::NamespacedIdentifier(text) | Token::Magic(text) => {
            (*text).to_owned()
        }
        Token::PathRef(path) => format!("<{path}>"),
        Token::AssetRef(path) => format!("@{path}@"),
        Token::Punctuation(mark) => mark.to_string(),
        other => other.keyword_lexeme().unwrap_or("?").to_owned(),
    };
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("`{short}`")
}
