//! Following a material's connections: through node graphs and the inputs of their interfaces, to shaders or values.

use super::{
    read::{PrimReader, Reader, Scope},
    value::{self, As, Asset},
};
use crate::snapshot::{Input, InputSource, TextureChannels, TextureColorSpace, TextureInput, TextureWrap, UvTransform};
use glam::{Vec2, Vec3, Vec4};
use openusd::sdf::{self, Value};
use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    rc::Rc,
};

/// Connections followed from one input at most: files may connect in circles.
const MAX_HOPS: usize = 64;

/// A material's network while it is read.
pub(super) struct Network<'a> {
    reader: &'a Reader<'a>,
    scope: Rc<Scope>,
    prims: RefCell<HashMap<sdf::Path, Rc<PrimReader<'a>>>>,
    left_out: RefCell<Vec<String>>,
}

/// Where an input's value comes from.
pub(super) enum Source<'a> {
    /// An attribute that is not connected any further.
    Value(Rc<PrimReader<'a>>, String),
    /// An output of a shader.
    Shader(Rc<PrimReader<'a>>, String),
}

impl<'a> Network<'a> {
    pub fn new(reader: &'a Reader<'a>, scope: &Rc<Scope>) -> Self {
        Self { reader, scope: Rc::clone(scope), prims: RefCell::default(), left_out: RefCell::default() }
    }

    pub fn leave_out(&self, what: String) {
        let mut left_out = self.left_out.borrow_mut();
        if !left_out.contains(&what) && left_out.len() < 100 {
            left_out.push(what);
        }
    }

    pub fn into_left_out(self) -> Vec<String> {
        self.left_out.into_inner()
    }

    fn prim(&self, path: &sdf::Path) -> Rc<PrimReader<'a>> {
        let mut prims = self.prims.borrow_mut();
        let prim = prims.entry(path.clone()).or_insert_with(|| Rc::new(PrimReader::new(self.reader, &self.scope, path)));
        Rc::clone(prim)
    }

    pub fn root(&self, path: &sdf::Path) -> Rc<PrimReader<'a>> {
        self.prim(path)
    }

    /// Where the value of an attribute comes from; `None` if there is no such attribute, or it is connected in a circle.
    pub fn source(&self, prim: &Rc<PrimReader<'a>>, name: &str) -> Option<Source<'a>> {
        let (mut prim, mut name) = (Rc::clone(prim), name.to_owned());
        let mut been = HashSet::new();
        for _ in 0..MAX_HOPS {
            if !prim.has(&name) {
                return None;
            }
            if !been.insert((prim.path().clone(), name.clone())) {
                prim.warn(format!("`{name}` is connected in a circle; the connection is left out"));
                return None;
            }
            let Some(target) = prim.connections(&name).into_iter().next() else { return Some(Source::Value(prim, name)) };
            let Some((path, target_name)) = target.split_property() else { return Some(Source::Value(prim, name)) };
            let target_name = target_name.trim_start_matches('.').to_owned();
            let next = self.prim(&path);
            let is_shader = next.prim.type_name().ok().flatten().is_some_and(|name| name.as_str() == "Shader");
            if is_shader && !target_name.starts_with("inputs:") {
                return Some(Source::Shader(next, target_name.strip_prefix("outputs:").unwrap_or(&target_name).to_owned()));
            }
            if !next.has(&target_name) {
                prim.warn(format!("`{name}` is connected to {target}, which is not there; the connection is left out"));
                return Some(Source::Value(prim, name));
            }
            (prim, name) = (next, target_name);
        }
        prim.warn(format!("`{name}` is connected over more than {MAX_HOPS} others; the connection is left out"));
        None
    }

    /// The value of a shader's input, through connections that end in a value.
    pub fn value<T>(&self, shader: &Rc<PrimReader<'a>>, input: &str, kind: As<T>) -> Option<T> {
        match self.source(shader, &format!("inputs:{input}"))? {
            Source::Value(prim, name) => prim.uniform(&name, kind),
            Source::Shader(node, output) => {
                // A constant behind a node is a value, too.
                let id = shader_id(&node);
                if id.starts_with("ND_constant_") || id.starts_with("ND_dot_") {
                    let inner = if id.starts_with("ND_dot_") { "in" } else { "value" };
                    return self.constant(&node, inner, kind, 0);
                }
                self.leave_out(format!("`{input}` from {id} (`{output}`)"));
                None
            }
        }
    }

    fn constant<T>(&self, node: &Rc<PrimReader<'a>>, input: &str, kind: As<T>, depth: usize) -> Option<T> {
        match self.source(node, &format!("inputs:{input}"))? {
            Source::Value(prim, name) => prim.uniform(&name, kind),
            Source::Shader(next, _) if depth < MAX_HOPS => {
                let inner = if shader_id(&next).starts_with("ND_dot_") { "in" } else { "value" };
                self.constant(&next, inner, kind, depth + 1)
            }
            Source::Shader(..) => None,
        }
    }

    /// An input of a surface: a value, a texture or a primvar.
    pub fn input<T: Clone>(&self, shader: &Rc<PrimReader<'a>>, name: &str, kind: As<T>, fallback: T) -> Input<T> {
        match self.source(shader, &format!("inputs:{name}")) {
            None => fallback.into(),
            Some(Source::Value(prim, attribute)) => prim.uniform_or(&attribute, kind, fallback).into(),
            Some(Source::Shader(node, output)) => {
                let id = shader_id(&node);
                if id.starts_with("ND_constant_") {
                    return self.constant(&node, "value", kind, 0).unwrap_or(fallback).into();
                }
                let source = self.input_source(&node, &output, 0);
                if source.is_none() {
                    self.leave_out(format!("`{name}` from {id} (`{output}`)"));
                }
                Input { value: fallback, source }
            }
        }
    }

    /// A texture or primvar by the node that gives it.
    pub fn input_source(&self, node: &Rc<PrimReader<'a>>, output: &str, depth: usize) -> Option<InputSource> {
        if depth > MAX_HOPS {
            return None;
        }
        let id = shader_id(node);
        match id.as_str() {
            "UsdUVTexture" | "ND_UsdUVTexture" | "ND_UsdUVTexture_23" => {
                Some(InputSource::Texture(self.uv_texture(node, output)))
            }
            _ if id.starts_with("UsdPrimvarReader_") || id.starts_with("ND_UsdPrimvarReader_") => Some(InputSource::Primvar {
                name: self.value(node, "varname", value::TOKEN).filter(|name| !name.is_empty())?,
                fallback: self.value(node, "fallback", VEC4_ANY).unwrap_or(Vec4::ZERO),
            }),
            _ => super::mtlx::input_source(self, node, &id, output, depth),
        }
    }

    fn uv_texture(&self, node: &Rc<PrimReader<'a>>, output: &str) -> TextureInput {
        let file = self.value(node, "file", value::ASSET).unwrap_or_default();
        let (uv_primvar, uv_transform) = self.uv(node, "st");
        let color_space = match self.value(node, "sourceColorSpace", value::TOKEN).as_deref() {
            Some("raw") => TextureColorSpace::Raw,
            Some("sRGB") => TextureColorSpace::Srgb,
            Some("auto") => TextureColorSpace::Auto,
            _ => self.file_color_space(node).unwrap_or_default(),
        };
        TextureInput {
            authored: file.authored,
            resolved: file.resolved,
            channels: channels(output),
            wrap_s: self.wrap(node, "wrapS"),
            wrap_t: self.wrap(node, "wrapT"),
            color_space,
            scale: self.value(node, "scale", VEC4_ANY).unwrap_or(Vec4::ONE),
            bias: self.value(node, "bias", VEC4_ANY).unwrap_or(Vec4::ZERO),
            fallback: self.value(node, "fallback", VEC4_ANY).unwrap_or(Vec4::W),
            uv_primvar,
            uv_transform,
        }
    }

    fn wrap(&self, node: &Rc<PrimReader<'a>>, name: &str) -> TextureWrap {
        match self.value(node, name, value::TOKEN).as_deref() {
            Some("black" | "constant") => TextureWrap::Black,
            Some("clamp") => TextureWrap::Clamp,
            Some("repeat" | "periodic") => TextureWrap::Repeat,
            Some("mirror") => TextureWrap::Mirror,
            _ => TextureWrap::UseMetadata,
        }
    }

    /// What `colorSpace` in the metadata of the file's attribute says.
    pub fn file_color_space(&self, node: &Rc<PrimReader<'a>>) -> Option<TextureColorSpace> {
        let Source::Value(prim, name) = self.source(node, "inputs:file")? else { return None };
        let space = prim.property_metadata(&name, "colorSpace").and_then(value::text)?;
        match space.as_str() {
            "sRGB" | "srgb_texture" | "srgb_rec709_scene" => Some(TextureColorSpace::Srgb),
            "raw" | "lin_rec709" | "lin_rec709_scene" | "data" | "none" => Some(TextureColorSpace::Raw),
            other => {
                self.leave_out(format!("the colour space `{other}` of a texture"));
                None
            }
        }
    }

    /// The primvar of texture coordinates that an input names, and how they are changed.
    pub fn uv(&self, node: &Rc<PrimReader<'a>>, input: &str) -> (String, UvTransform) {
        let mut transform = UvTransform::default();
        let mut is_changed = false;
        let mut source = self.source(node, &format!("inputs:{input}"));
        for _ in 0..MAX_HOPS {
            let Some(Source::Shader(node, _)) = source else { break };
            let id = shader_id(&node);
            match id.as_str() {
                "UsdTransform2d" | "ND_UsdTransform2d" if is_changed => {
                    self.leave_out("a UsdTransform2d after another".to_owned());
                    source = self.source(&node, "inputs:in");
                }
                "UsdTransform2d" | "ND_UsdTransform2d" => {
                    transform = UvTransform {
                        scale: self.value(&node, "scale", value::VEC2).unwrap_or(Vec2::ONE),
                        rotation_deg: self.value(&node, "rotation", value::F32).unwrap_or(0.0),
                        translation: self.value(&node, "translation", value::VEC2).unwrap_or(Vec2::ZERO),
                    };
                    is_changed = true;
                    source = self.source(&node, "inputs:in");
                }
                _ if id.starts_with("UsdPrimvarReader_") || id.starts_with("ND_UsdPrimvarReader_") => {
                    let name = self.value(&node, "varname", value::TOKEN).filter(|name| !name.is_empty());
                    return (name.unwrap_or_else(|| "st".to_owned()), transform);
                }
                _ => match super::mtlx::uv_step(self, &node, &id, &mut transform) {
                    super::mtlx::UvStep::Primvar(name) => return (name, transform),
                    super::mtlx::UvStep::Through(input) => source = self.source(&node, &format!("inputs:{input}")),
                    super::mtlx::UvStep::Unknown => {
                        self.leave_out(format!("texture coordinates from {id}"));
                        break;
                    }
                },
            }
        }
        ("st".to_owned(), transform)
    }

    /// A texture's file with its resolved identifier.
    pub fn file(&self, node: &Rc<PrimReader<'a>>) -> Asset {
        self.value(node, "file", value::ASSET).unwrap_or_default()
    }
}

/// One to four numbers: one is grey, three have an alpha of one.
pub(super) const VEC4_ANY: As<Vec4> = As { what: "one to four numbers", convert: vec4_any, held: false };

fn vec4_any(value: Value) -> Option<Vec4> {
    value::vec4_from_any(value, Vec4::new(0.0, 0.0, 0.0, 1.0))
}

/// A colour of three or four numbers, or a grey of one.
pub(super) const COLOR: As<Vec3> = As { what: "a colour", convert: |value| vec4_any(value).map(Vec4::truncate), held: false };

/// A number, or the first of several.
pub(super) const FIRST: As<f32> = As { what: "a number", convert: |value| vec4_any(value).map(|value| value.x), held: false };

/// What a shader is: `info:id`, or where its code is.
pub(super) fn shader_id(shader: &PrimReader<'_>) -> String {
    shader.uniform("info:id", value::TOKEN).unwrap_or_else(|| "a shader without `info:id`".to_owned())
}

pub(super) fn channels(output: &str) -> TextureChannels {
    match output {
        "r" | "outr" | "x" | "outx" => TextureChannels::R,
        "g" | "outg" | "y" | "outy" => TextureChannels::G,
        "b" | "outb" | "z" | "outz" => TextureChannels::B,
        "a" | "outa" | "w" | "outw" => TextureChannels::A,
        _ => TextureChannels::Rgb,
    }
}
