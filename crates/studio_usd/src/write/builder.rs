//! Making layers.

use super::{WriteError, types};
use openusd::{
    sdf::{
        ChildrenKey, Data, FieldKey, LayerOffset, Path, PathListOp, Reference, ReferenceListOp, SpecData, SpecType, Specifier,
        TokenListOp, Value, Variability,
    },
    tf::Token,
};
use std::collections::HashMap;

/// Makes a layer, prim by prim, in the order they are to be in. Values have to be of the type that their attribute says.
///
/// ```
/// use studio_usd::write::{LayerBuilder, LayerFormat, to_bytes};
///
/// let mut layer = LayerBuilder::new();
/// layer.set_metadata("upAxis", openusd::sdf::Value::token("Y"));
/// let world = layer.define("/World", "Xform")?;
/// layer.attribute(&world, "visibility", "token", openusd::sdf::Value::token("inherited"))?;
/// assert!(to_bytes(&layer.finish(), LayerFormat::Usda)?.starts_with(b"#usda 1.0"));
/// # Ok::<(), studio_usd::write::WriteError>(())
/// ```
#[derive(Debug)]
pub struct LayerBuilder {
    data: Data,
}

impl Default for LayerBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl LayerBuilder {
    /// An empty layer.
    pub fn new() -> Self {
        let mut data = Data::new();
        data.create_spec(Path::abs_root(), SpecType::PseudoRoot);
        Self { data }
    }

    /// The layer.
    pub fn finish(self) -> Data {
        self.data
    }

    /// Sets metadata of the layer, such as `upAxis`.
    pub fn set_metadata(&mut self, key: &str, value: Value) {
        if let Some(root) = self.data.spec_mut(&Path::abs_root()) {
            root.add(key, value);
        }
    }

    /// Whether there is a prim at a path.
    pub fn has_prim(&self, path: &str) -> bool {
        Path::new(path).is_ok_and(|path| self.data.spec(&path).is_some())
    }

    /// Defines a prim of a type (empty for none) at an absolute path. Its parent has to be there.
    ///
    /// # Errors
    /// [`WriteError::Path`] if the path is none, its parent is missing, or there is a prim at it.
    pub fn define(&mut self, path: &str, type_name: &str) -> Result<Path, WriteError> {
        self.prim(path, Specifier::Def, type_name)
    }

    /// Makes a prim with a specifier: see [`Self::define`].
    ///
    /// # Errors
    /// As [`Self::define`].
    pub fn prim(&mut self, path: &str, specifier: Specifier, type_name: &str) -> Result<Path, WriteError> {
        let wrong = |reason: &str| WriteError::Path { path: path.to_owned(), reason: reason.to_owned() };
        let (parent, name) = path.rsplit_once('/').ok_or_else(|| wrong("it is not absolute"))?;
        if !Path::is_valid_identifier(name) {
            return Err(wrong("a name is letters, digits and underscores and does not begin with a digit"));
        }
        let absolute = Path::new(path).map_err(|error| wrong(&error.to_string()))?;
        if self.data.spec(&absolute).is_some() {
            return Err(wrong("there is a prim already"));
        }
        let parent =
            if parent.is_empty() { Path::abs_root() } else { Path::new(parent).map_err(|error| wrong(&error.to_string()))? };
        let parent = self.data.spec_mut(&parent).ok_or_else(|| wrong("its parent is not in the layer"))?;
        append_child(parent, ChildrenKey::PrimChildren.as_str(), name);
        let spec = self.data.create_spec(absolute.clone(), SpecType::Prim);
        spec.add(FieldKey::Specifier, Value::Specifier(specifier));
        if !type_name.is_empty() {
            spec.add(FieldKey::TypeName, Value::token(type_name.to_owned()));
        }
        Ok(absolute)
    }

    /// Sets metadata of a prim, such as `kind`.
    ///
    /// # Errors
    /// [`WriteError::Path`] if there is no such prim.
    pub fn set_prim_metadata(&mut self, prim: &Path, key: &str, value: Value) -> Result<(), WriteError> {
        self.spec(prim)?.add(key, value);
        Ok(())
    }

    /// Applies an API schema, once.
    ///
    /// # Errors
    /// [`WriteError::Path`] if there is no such prim.
    pub fn apply_schema(&mut self, prim: &Path, schema: &str) -> Result<(), WriteError> {
        let spec = self.spec(prim)?;
        let schema = Token::from(schema.to_owned());
        if let Some(Value::TokenListOp(schemas)) = spec.get_mut(FieldKey::ApiSchemas.as_str()) {
            if !schemas.prepended_items.contains(&schema) {
                schemas.prepended_items.push(schema);
            }
        } else {
            spec.add(FieldKey::ApiSchemas, Value::TokenListOp(TokenListOp::prepended([schema])));
        }
        Ok(())
    }

    /// References a prim of this layer, and says whether all that do share it.
    ///
    /// # Errors
    /// [`WriteError::Path`] if there is no such prim.
    pub fn reference(&mut self, prim: &Path, target: &Path, instanceable: bool) -> Result<(), WriteError> {
        let reference = Reference {
            asset_path: String::new(),
            prim_path: target.clone(),
            layer_offset: LayerOffset::default(),
            custom_data: HashMap::new(),
        };
        let spec = self.spec(prim)?;
        spec.add(FieldKey::References, Value::ReferenceListOp(ReferenceListOp::prepended([reference])));
        if instanceable {
            spec.add(FieldKey::Instanceable, Value::Bool(true));
        }
        Ok(())
    }

    /// Gives a prim an attribute with a value.
    ///
    /// # Errors
    /// [`WriteError::Type`] if the value is not of that type, [`WriteError::Path`] if there is no such prim.
    pub fn attribute(&mut self, prim: &Path, name: &str, type_name: &str, value: Value) -> Result<Path, WriteError> {
        self.put(prim, name, type_name, Variability::Varying, Some((FieldKey::Default.as_str(), value)))
    }

    /// Gives a prim an attribute that is the same at all times.
    ///
    /// # Errors
    /// As [`Self::attribute`].
    pub fn uniform(&mut self, prim: &Path, name: &str, type_name: &str, value: Value) -> Result<Path, WriteError> {
        self.put(prim, name, type_name, Variability::Uniform, Some((FieldKey::Default.as_str(), value)))
    }

    /// Gives a prim an attribute with samples as (time code, value), sorted by time.
    ///
    /// # Errors
    /// As [`Self::attribute`].
    pub fn samples(&mut self, prim: &Path, name: &str, type_name: &str, samples: Vec<(f64, Value)>) -> Result<Path, WriteError> {
        self.put(prim, name, type_name, Variability::Varying, Some((FieldKey::TimeSamples.as_str(), Value::TimeSamples(samples))))
    }

    /// Declares an attribute without a value, such as a shader's output.
    ///
    /// # Errors
    /// As [`Self::attribute`].
    pub fn declare(&mut self, prim: &Path, name: &str, type_name: &str) -> Result<Path, WriteError> {
        self.put(prim, name, type_name, Variability::Varying, None)
    }

    /// Connects an attribute to another one.
    ///
    /// # Errors
    /// As [`Self::attribute`].
    pub fn connect(&mut self, prim: &Path, name: &str, type_name: &str, source: Path) -> Result<Path, WriteError> {
        let value = Value::PathListOp(PathListOp::explicit([source]));
        self.put(prim, name, type_name, Variability::Varying, Some((FieldKey::ConnectionPaths.as_str(), value)))
    }

    /// Gives a prim a relationship.
    ///
    /// # Errors
    /// [`WriteError::Path`] if there is no such prim.
    pub fn relationship(&mut self, prim: &Path, name: &str, targets: Vec<Path>) -> Result<Path, WriteError> {
        let path = self.property(prim, name, SpecType::Relationship)?;
        let spec = self.spec(&path)?;
        // A relationship never changes over time; that is what other tools write.
        spec.add(FieldKey::Variability, Value::Variability(Variability::Uniform));
        spec.add(FieldKey::TargetPaths, Value::PathListOp(PathListOp::explicit(targets)));
        Ok(path)
    }

    /// Sets metadata of a property, such as `interpolation` of a primvar.
    ///
    /// # Errors
    /// [`WriteError::Path`] if there is no such property.
    pub fn set_property_metadata(&mut self, property: &Path, key: &str, value: Value) -> Result<(), WriteError> {
        self.spec(property)?.add(key, value);
        Ok(())
    }

    /// Puts a spec with any fields in place, as [`flatten`](super::flatten) reads them.
    pub(super) fn put_fields(
        &mut self,
        prim: &Path,
        name: &str,
        ty: SpecType,
        fields: Vec<(String, Value)>,
    ) -> Result<(), WriteError> {
        let path = self.property(prim, name, ty)?;
        let spec = self.spec(&path)?;
        for (key, value) in fields {
            spec.add(key, value);
        }
        Ok(())
    }

    fn put(
        &mut self,
        prim: &Path,
        name: &str,
        type_name: &str,
        variability: Variability,
        field: Option<(&str, Value)>,
    ) -> Result<Path, WriteError> {
        let path = self.property(prim, name, SpecType::Attribute)?;
        if let Some((_, value)) = &field {
            let wrong = match value {
                Value::PathListOp(_) => None,
                Value::TimeSamples(samples) => {
                    samples.iter().map(|(_, value)| value).find(|value| !types::fits(type_name, value))
                }
                value => (!types::fits(type_name, value)).then_some(value),
            };
            if let Some(wrong) = wrong {
                return Err(WriteError::Type {
                    path: path.as_str().to_owned(),
                    type_name: type_name.to_owned(),
                    value: wrong.into(),
                });
            }
        }
        let spec = self.spec(&path)?;
        spec.add(FieldKey::TypeName, Value::token(type_name.to_owned()));
        if variability == Variability::Uniform {
            spec.add(FieldKey::Variability, Value::Variability(variability));
        }
        if let Some((key, value)) = field {
            spec.add(key, value);
        }
        Ok(path)
    }

    fn spec(&mut self, path: &Path) -> Result<&mut SpecData, WriteError> {
        let missing = || WriteError::Path { path: path.as_str().to_owned(), reason: "it is not in the layer".to_owned() };
        self.data.spec_mut(path).ok_or_else(missing)
    }

    /// The path of a property that is there, or is made.
    fn property(&mut self, prim: &Path, name: &str, ty: SpecType) -> Result<Path, WriteError> {
        let wrong = |reason: String| WriteError::Path { path: format!("{}.{name}", prim.as_str()), reason };
        if !name.split(':').all(|part| !part.is_empty() && part.chars().all(|char| char.is_alphanumeric() || char == '_')) {
            return Err(wrong("a property's name is letters, digits, underscores and colons between them".to_owned()));
        }
        let path = prim.append_property(name.to_owned()).map_err(|error| wrong(error.to_string()))?;
        match self.data.spec(&path) {
            Some(spec) if spec.ty == ty => {}
            Some(_) => return Err(wrong("there is a property of another kind".to_owned())),
            None => {
                let owner = self.data.spec_mut(prim).ok_or_else(|| wrong("its prim is not in the layer".to_owned()))?;
                append_child(owner, ChildrenKey::PropertyChildren.as_str(), name);
                self.data.create_spec(path.clone(), ty);
            }
        }
        Ok(path)
    }
}

fn append_child(parent: &mut SpecData, key: &str, name: &str) {
    let name = Token::from(name.to_owned());
    if let Some(Value::TokenVec(children)) = parent.get_mut(key) {
        children.push(name);
    } else {
        parent.add(key, Value::TokenVec(vec![name]));
    }
}
