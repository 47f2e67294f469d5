//! Values of attributes, and dictionaries.

use super::{Checker, grammar::describe, tokens::unescape};
use crate::open::UsdError;
use openusd::usda::token::Token;

/// The type of a value.
pub(super) struct Kind<'a> {
    name: &'a str,
    shape: Shape,
    is_array: bool,
    is_rewritten: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Bool,
    Int,
    Float,
    Text,
    Asset,
    Tuple(usize),
    Matrix(usize),
    Dictionary,
    Unknown,
}

fn shape_of(name: &str) -> Shape {
    match name {
        "bool" => Shape::Bool,
        "uchar" | "int" | "uint" | "int64" | "uint64" => Shape::Int,
        "half" | "float" | "double" | "timecode" => Shape::Float,
        "string" | "token" => Shape::Text,
        "asset" => Shape::Asset,
        "matrix2d" => Shape::Matrix(2),
        "matrix3d" => Shape::Matrix(3),
        "matrix4d" | "frame4d" => Shape::Matrix(4),
        "quath" | "quatf" | "quatd" => Shape::Tuple(4),
        "int2" | "half2" | "float2" | "double2" | "texCoord2h" | "texCoord2f" | "texCoord2d" => Shape::Tuple(2),
        "int3" | "half3" | "float3" | "double3" => Shape::Tuple(3),
        "int4" | "half4" | "float4" | "double4" | "color4h" | "color4f" | "color4d" => Shape::Tuple(4),
        "point3h" | "point3f" | "point3d" | "normal3h" | "normal3f" | "normal3d" | "vector3h" | "vector3f" | "vector3d"
        | "color3h" | "color3f" | "color3d" | "texCoord3h" | "texCoord3f" | "texCoord3d" => Shape::Tuple(3),
        "dictionary" => Shape::Dictionary,
        _ => Shape::Unknown,
    }
}

impl<'a> Checker<'a> {
    /// A type, of which the name was just taken; rewritten where it cannot be parsed.
    pub(super) fn array_type(&mut self, name: &'a str) -> Result<Kind<'a>, UsdError> {
        let rewrite = match name {
            "pathExpression" => Some("string"),
            "uint" | "uint64" => Some("int64"),
            _ => None,
        };
        let line = self.tokens.line();
        let mut kind = Kind { name, shape: shape_of(name), is_array: false, is_rewritten: false };
        // What is rewritten depends on what follows, so the edit is made from the place of the name.
        if let Some(with) = rewrite {
            let is_array = self.tokens.is_next('[');
            if is_array || name == "pathExpression" {
                self.tokens.replace_last(with);
                let array = if is_array { "[]" } else { "" };
                self.facts.notes.push((line, format!("{name}{array} is read as {with}{array}, which holds the same values")));
                kind.is_rewritten = true;
                if name == "pathExpression" {
                    kind.shape = Shape::Text;
                }
            }
        }
        if self.tokens.is_next('[') {
            self.tokens.next()?;
            self.expect(']')?;
            kind.is_array = true;
        }
        Ok(kind)
    }

    /// The value of an attribute.
    pub(super) fn typed_value(&mut self, kind: &Kind<'_>, prim: &str) -> Result<(), UsdError> {
        if matches!(self.tokens.peek(), Some(Token::None)) {
            self.tokens.next()?;
            return Ok(());
        }
        if !kind.is_array {
            return self.element(kind, prim);
        }
        self.expect('[')?;
        self.enter()?;
        let mut count = 0;
        while !self.take_close(']')? {
            self.element(kind, prim)?;
            count += 1;
            if count as u64 > self.budget.array_elements {
                let (allowed, line) = (self.budget.array_elements, self.tokens.line());
                return Err(UsdError::over(
                    self.tokens.layer,
                    Some(line),
                    "elements of an array",
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

    fn element(&mut self, kind: &Kind<'_>, prim: &str) -> Result<(), UsdError> {
        match kind.shape {
            Shape::Tuple(width) => self.tuple(width, kind.name),
            Shape::Matrix(width) => {
                self.expect('(')?;
                let mut rows = 0;
                while !self.take_close(')')? {
                    self.tuple(width, kind.name)?;
                    rows += 1;
                    self.separators()?;
                }
                if rows != width {
                    return Err(self.tokens.error(format!("{} has {width} rows, not {rows}", kind.name)));
                }
                Ok(())
            }
            Shape::Dictionary => self.dictionary(prim),
            Shape::Unknown => self.anything(prim),
            Shape::Bool | Shape::Int | Shape::Float | Shape::Text | Shape::Asset => self.scalar(kind, prim),
        }
    }

    fn scalar(&mut self, kind: &Kind<'_>, prim: &str) -> Result<(), UsdError> {
        let token = self.tokens.next()?;
        let fits = match (kind.shape, &token) {
            (Shape::Bool, Token::Number(number)) => {
                if let Ok(value) = number.parse::<f64>()
                    && value != 0.0
                    && value != 1.0
                {
                    self.tokens.replace_last("1");
                }
                true
            }
            (Shape::Bool, Token::Identifier(word) | Token::String(word)) => {
                let is_true = word.eq_ignore_ascii_case("true") || word.eq_ignore_ascii_case("yes");
                if is_true || word.eq_ignore_ascii_case("false") || word.eq_ignore_ascii_case("no") {
                    if word.len() < 4 {
                        self.tokens.replace_last(if is_true { "true" } else { "false" });
                    }
                    true
                } else {
                    false
                }
            }
            (Shape::Int, Token::Number(number)) => {
                self.integer(number, if kind.is_rewritten { "uint64[]" } else { kind.name })?
            }
            (Shape::Float, Token::Number(_) | Token::Inf) => true,
            (Shape::Float, Token::Identifier(word)) => *word == "nan",
            (Shape::Float, Token::Punctuation('-')) => matches!(self.tokens.next()?, Token::Inf),
            (Shape::Text, Token::String(_)) => true,
            (Shape::Asset, Token::AssetRef(path)) => {
                let path = *path;
                self.asset(path, prim);
                true
            }
            _ => false,
        };
        if fits { Ok(()) } else { Err(self.tokens.error(format!("{} is no value of type {}", describe(&token), kind.name))) }
    }

    /// Whether a number is an integer of the type, or can be rounded to one.
    fn integer(&mut self, number: &str, type_name: &str) -> Result<bool, UsdError> {
        let value = match number.parse::<i128>() {
            Ok(value) => value,
            Err(_) => match number.parse::<f64>() {
                Ok(value) if value.is_finite() && value.abs() < 1e20 => {
                    self.tokens.replace_last((value as i128).to_string());
                    value as i128
                }
                _ => return Ok(false),
            },
        };
        let range = match type_name {
            "uchar" => 0..=i128::from(u8::MAX),
            "int" => i128::from(i32::MIN)..=i128::from(i32::MAX),
            "uint" => 0..=i128::from(u32::MAX),
            "uint64" | "uint64[]" => 0..=i128::from(u64::MAX),
            _ => i128::from(i64::MIN)..=i128::from(i64::MAX),
        };
        if range.contains(&value) && type_name == "uint64[]" && value > i128::from(i64::MAX) {
            // Read as `int64[]`, which holds the same bits.
            self.tokens.replace_last((value as u64 as i64).to_string());
        }
        Ok(range.contains(&value))
    }

    fn tuple(&mut self, width: usize, type_name: &str) -> Result<(), UsdError> {
        self.expect('(')?;
        let found = self.numbers(type_name)?;
        if found != width {
            return Err(self.tokens.error(format!("a value of type {type_name} has {width} numbers, not {found}")));
        }
        Ok(())
    }

    /// Numbers up to the bracket that closes them.
    fn numbers(&mut self, type_name: &str) -> Result<usize, UsdError> {
        let is_int = type_name.starts_with("int");
        let mut found = 0;
        while !self.take_close(')')? {
            let token = self.tokens.next()?;
            let fits = match &token {
                Token::Number(number) if is_int => self.integer(number, "int")?,
                Token::Number(_) | Token::Inf => true,
                Token::Identifier(word) => *word == "nan",
                Token::Punctuation('-') => matches!(self.tokens.next()?, Token::Inf),
                _ => false,
            };
            if !fits {
                return Err(self
                    .tokens
                    .error(format!("{} stands in a value of type {type_name}, which holds numbers", describe(&token))));
            }
            found += 1;
            self.separators()?;
        }
        Ok(found)
    }

    pub(super) fn time_samples(&mut self, kind: &Kind<'_>, prim: &str) -> Result<(), UsdError> {
        self.expect('{')?;
        self.enter()?;
        while !self.take_close('}')? {
            let Token::Number(_) = self.tokens.next()? else {
                return Err(self.tokens.error("a time is expected here, then `:` and a value"));
            };
            self.expect(':')?;
            // The parser takes single values without their type, and knows no infinite ones there.
            if matches!(kind.shape, Shape::Float)
                && !kind.is_array
                && !matches!(self.tokens.peek(), Some(Token::Number(_) | Token::None))
            {
                self.sample_without_end()?;
            } else {
                self.typed_value(kind, prim)?;
            }
            self.separators()?;
        }
        self.leave();
        Ok(())
    }

    fn sample_without_end(&mut self) -> Result<(), UsdError> {
        let token = self.tokens.next()?;
        match token {
            Token::Inf => self.tokens.replace_last("1e999"),
            Token::Identifier("nan") => {}
            Token::Punctuation('-') => {
                self.tokens.replace_last("");
                match self.tokens.next()? {
                    Token::Inf => self.tokens.replace_last("-1e999"),
                    _ => return Err(self.tokens.error("a number is expected here")),
                }
            }
            other => return Err(self.tokens.error(format!("{} is no number", describe(&other)))),
        }
        Ok(())
    }

    /// A curve: the tuples in it are read with as many numbers as their place says, whether they are there or not.
    pub(super) fn spline(&mut self) -> Result<(), UsdError> {
        self.expect('{')?;
        self.enter()?;
        let (mut is_loop, mut is_in_knot) = (false, false);
        while !self.take_close('}')? {
            if self.tokens.is_next('{') {
                self.dictionary("")?;
                continue;
            }
            match self.tokens.next()? {
                Token::Punctuation('(') => {
                    let found = self.numbers("a curve")?;
                    let wanted = if is_loop {
                        5
                    } else if is_in_knot {
                        2
                    } else {
                        1
                    };
                    if found != wanted {
                        return Err(self
                            .tokens
                            .error(format!("{wanted} numbers are expected in these brackets of a curve, not {found}")));
                    }
                    is_loop = false;
                }
                Token::Identifier("loop") | Token::NamespacedIdentifier("loop:") => is_loop = true,
                Token::Punctuation(';') => is_in_knot = true,
                Token::Punctuation(',') => (is_loop, is_in_knot) = (false, false),
                Token::Punctuation('[' | ']' | ')') => return Err(self.tokens.error("this bracket does not belong in a curve")),
                _ => {}
            }
        }
        self.leave();
        Ok(())
    }

    /// A dictionary.
    pub(super) fn dictionary(&mut self, prim: &str) -> Result<(), UsdError> {
        self.expect('{')?;
        self.enter()?;
        let mut clips = Clips::default();
        while !self.take_close('}')? {
            let mut kind = None;
            let key = match self.tokens.next()? {
                Token::Dictionary => {
                    kind = Some(self.array_type("dictionary")?);
                    self.tokens.next()?
                }
                Token::Identifier(name) if !self.tokens.is_next('=') => {
                    kind = Some(self.array_type(name)?);
                    self.tokens.next()?
                }
                other => other,
            };
            let key = match key {
                Token::Identifier(key) | Token::NamespacedIdentifier(key) | Token::String(key) => key,
                other => match other.keyword_lexeme() {
                    Some(key) => key,
                    None => return Err(self.tokens.error(format!("a key is expected here, not {}", describe(&other)))),
                },
            };
            // Substitutions are written with a colon.
            if self.tokens.is_next(':') {
                self.tokens.next().map(drop)?
            } else {
                self.expect('=')?
            }
            clips.notice(key, self.tokens.peek());
            match &kind {
                Some(kind) => self.typed_value(kind, prim)?,
                None => self.anything(prim)?,
            }
            self.separators()?;
        }
        self.leave();
        self.clips(clips, prim);
        Ok(())
    }

    /// Takes down an asset that a value names.
    pub(super) fn asset(&mut self, path: &str, prim: &str) {
        if !path.is_empty() {
            let line = self.tokens.line();
            self.facts.assets.push((path.to_owned(), prim.to_owned(), Some(line)));
        }
    }
}

/// What a dictionary says about value clips that are named by a template.
#[derive(Default)]
pub(super) struct Clips {
    pub(super) template: Option<String>,
    pub(super) start: Option<f64>,
    pub(super) end: Option<f64>,
    pub(super) stride: Option<f64>,
}

impl Clips {
    fn notice(&mut self, key: &str, value: Option<&Token<'_>>) {
        match (key, value) {
            ("templateAssetPath", Some(Token::AssetRef(path))) => self.template = Some((*path).to_owned()),
            ("templateAssetPath", Some(Token::String(path))) => self.template = Some(unescape(path)),
            ("templateStartTime", Some(Token::Number(number))) => self.start = number.parse().ok(),
            ("templateEndTime", Some(Token::Number(number))) => self.end = number.parse().ok(),
            ("templateStride", Some(Token::Number(number))) => self.stride = number.parse().ok(),
            _ => {}
        }
    }
}
