//! The types of data that flow through pins, and which of them fit together.

use crate::value::{CONVERSIONS, ConvertValue, Value};
use bevy::{platform::collections::HashMap, prelude::*};
use std::borrow::Cow;

/// The type of what flows through a pin. Plugins make their own with [`DataType::new`] and
/// [`register_data_type`](AppDataTypeExt::register_data_type).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Reflect)]
pub struct DataType(Cow<'static, str>);

/// What kind of data a type belongs to; palettes and wires are coloured by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DataCategory {
    /// Numbers, vectors, colours, switches, words.
    Primitive,
    /// Pictures, sound, meshes.
    Media,
    /// Places in space and what stands there.
    Spatial,
    /// What changes how things look.
    Effect,
    /// Tensors, models and what they deliver.
    Ai,
    /// Coded data on its way.
    Streaming,
    /// Several values in one.
    Composite,
    /// What a plugin brought.
    Plugin,
}

impl DataCategory {
    /// Every category, in the order of palettes.
    pub const ALL: [Self; 8] =
        [Self::Primitive, Self::Media, Self::Spatial, Self::Effect, Self::Ai, Self::Streaming, Self::Composite, Self::Plugin];

    /// The category's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Primitive => "primitive",
            Self::Media => "media",
            Self::Spatial => "spatial",
            Self::Effect => "effect",
            Self::Ai => "AI",
            Self::Streaming => "streaming",
            Self::Composite => "composite",
            Self::Plugin => "plugin",
        }
    }

    /// The colour of its pins and wires, sRGB. Hues lie far apart, so that they differ for colour-blind eyes too.
    pub const fn color_srgb(self) -> [u8; 3] {
        match self {
            Self::Primitive => [161, 161, 161],
            Self::Media => [86, 180, 233],
            Self::Spatial => [0, 158, 115],
            Self::Effect => [204, 121, 167],
            Self::Ai => [240, 228, 66],
            Self::Streaming => [230, 159, 0],
            Self::Composite => [213, 94, 0],
            Self::Plugin => [142, 124, 255],
        }
    }
}

macro_rules! data_types {
    ($($category:ident { $($(#[$doc:meta])* $constant:ident = $name:literal),* $(,)? })*) => {
        impl DataType {
            $($($(#[$doc])* pub const $constant: Self = Self::new($name);)*)*
        }

        const BUILT_IN: &[(DataType, DataCategory)] =
            &[$($((DataType::$constant, DataCategory::$category)),*),*];
    };
}

data_types! {
    Primitive {
        /// A number.
        SCALAR = "scalar",
        /// Two to four numbers.
        VECTOR = "vector",
        /// A linear RGBA colour.
        COLOR = "colour",
        /// Yes or no.
        BOOLEAN = "boolean",
        /// Words.
        STRING = "string",
    }
    Media {
        /// A picture on the GPU without a moment.
        TEXTURE = "texture",
        /// Pictures on the GPU, with their stamps.
        VIDEO_FRAME = "video frame",
        /// A stretch of sound.
        AUDIO_BUFFER = "audio buffer",
        /// Vertices and faces.
        MESH = "mesh",
    }
    Spatial {
        /// A place, a turn and a size.
        TRANSFORM = "transform",
        /// What is looked with.
        CAMERA = "camera",
        /// What shines.
        LIGHT = "light",
        /// A world of things.
        SCENE = "scene",
    }
    Effect {
        /// A program for the GPU.
        SHADER = "shader",
        /// How a surface looks.
        MATERIAL = "material",
        /// A chain of picture operations.
        FILTER = "filter",
        /// A table of colours.
        LUT = "LUT",
    }
    Ai {
        /// Numbers in any number of dimensions.
        TENSOR = "tensor",
        /// A trained network.
        MODEL = "model",
        /// A vector that stands for a meaning.
        EMBEDDING = "embedding",
        /// One motion field a frame.
        MOTION_FIELD = "motion field",
        /// How far points lie apart in two eyes.
        DISPARITY = "disparity",
    }
    Streaming {
        /// Coded pictures.
        PACKET = "packet",
        /// Facts about a stream.
        METADATA = "metadata",
        /// A stream at an address.
        NETWORK_STREAM = "network stream",
    }
    Composite {
        /// Values in order.
        ARRAY = "array",
        /// Values by name.
        MAP = "map",
        /// One of several.
        VARIANT = "variant",
        /// Values one after the other.
        STREAM = "stream",
    }
}

impl DataType {
    /// An input of this type takes everything.
    pub const ANY: Self = Self::new("any");

    /// A type of this name.
    pub const fn new(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// A type of a name that is only known when the program runs.
    pub fn from_name(name: impl Into<Cow<'static, str>>) -> Self {
        Self(name.into())
    }

    /// The type's name, as shown to people.
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// How an output's data becomes what an input takes.
#[derive(Component, Clone, Debug, PartialEq, Eq, Hash, Reflect)]
#[reflect(Component)]
pub enum Conversion {
    /// It is what the input takes.
    None,
    /// The input takes everything.
    Any,
    /// It is turned into another type on the way; shown on the link.
    Implicit(Cow<'static, str>),
}

/// The types there are, and which outputs fit which inputs. Plugins add to it.
#[derive(Resource, Clone, Debug)]
pub struct DataTypes {
    types: Vec<(DataType, DataCategory)>,
    conversions: HashMap<(DataType, DataType), Cow<'static, str>>,
    values: HashMap<(DataType, DataType), ConvertValue>,
}

impl Default for DataTypes {
    fn default() -> Self {
        let mut table = Self { types: BUILT_IN.to_vec(), conversions: HashMap::default(), values: HashMap::default() };
        table.add_conversion(DataType::TEXTURE, DataType::VIDEO_FRAME, "a picture that stays");
        for (from, to, how, convert) in CONVERSIONS {
            table.add_value_conversion(from, to, how, convert);
        }
        table
    }
}

impl DataTypes {
    /// Every type with its category, in order of registration.
    pub fn iter(&self) -> impl Iterator<Item = &(DataType, DataCategory)> {
        self.types.iter()
    }

    /// The type of this name.
    pub fn named(&self, name: &str) -> Option<&DataType> {
        self.types.iter().map(|(data_type, _)| data_type).find(|data_type| data_type.name() == name)
    }

    /// The category of a type; [`DataCategory::Plugin`] for types that nobody registered.
    pub fn category(&self, data_type: &DataType) -> DataCategory {
        self.types.iter().find(|(known, _)| known == data_type).map_or(DataCategory::Plugin, |(_, category)| *category)
    }

    /// Adds a type, or moves it to another category.
    pub fn add(&mut self, data_type: DataType, category: DataCategory) {
        self.types.retain(|(known, _)| *known != data_type);
        self.types.push((data_type, category));
    }

    /// Lets outputs of one type feed inputs of another. `how` says in a few words what becomes of the data.
    pub fn add_conversion(&mut self, from: DataType, to: DataType, how: impl Into<Cow<'static, str>>) {
        self.conversions.insert((from, to), how.into());
    }

    /// As [`add_conversion`](Self::add_conversion), for values on wires, with what becomes of them.
    pub fn add_value_conversion(
        &mut self,
        from: DataType,
        to: DataType,
        how: impl Into<Cow<'static, str>>,
        convert: ConvertValue,
    ) {
        self.values.insert((from.clone(), to.clone()), convert);
        self.add_conversion(from, to, how);
    }

    /// A value of one type as one of another, as the table says; by way of a third type where a link leads through the
    /// interface of a subgraph. None if there is no way, or if the value is not of its type.
    pub fn convert(&self, value: Value, from: &DataType, to: &DataType) -> Option<Value> {
        if from == to || *to == DataType::ANY {
            return Some(value);
        }
        if let Some(convert) = self.values.get(&(from.clone(), to.clone())) {
            return convert(&value);
        }
        let first_steps = self.values.iter().filter(|((start, _), _)| start == from);
        // Of several ways the one over the first type by name, so that the same graph always does the same.
        let way =
            first_steps.filter_map(|((_, middle), first)| Some((middle, first, self.values.get(&(middle.clone(), to.clone()))?)));
        let (_, first, second) = way.min_by_key(|(middle, ..)| middle.name())?;
        second(&first(&value)?)
    }

    /// Whether an output of one type fits an input of another, and how. `None`: it does not.
    pub fn conversion(&self, from: &DataType, to: &DataType) -> Option<Conversion> {
        if from == to {
            return Some(Conversion::None);
        }
        if *to == DataType::ANY {
            return Some(Conversion::Any);
        }
        self.conversions.get(&(from.clone(), to.clone())).cloned().map(Conversion::Implicit)
    }
}

/// Registers types and conversions.
pub trait AppDataTypeExt {
    /// As [`register_conversion`](Self::register_conversion), for values on wires, with what becomes of them.
    fn register_value_conversion(&mut self, from: DataType, to: DataType, how: &'static str, convert: ConvertValue) -> &mut Self;
    /// Adds a type of data.
    fn register_data_type(&mut self, data_type: DataType, category: DataCategory) -> &mut Self;
    /// Lets outputs of one type feed inputs of another; `how` is shown on such links.
    fn register_conversion(&mut self, from: DataType, to: DataType, how: &'static str) -> &mut Self;
}

impl AppDataTypeExt for App {
    fn register_value_conversion(&mut self, from: DataType, to: DataType, how: &'static str, convert: ConvertValue) -> &mut Self {
        self.world_mut().get_resource_or_init::<DataTypes>().add_value_conversion(from, to, how, convert);
        self
    }

    fn register_data_type(&mut self, data_type: DataType, category: DataCategory) -> &mut Self {
        self.world_mut().get_resource_or_init::<DataTypes>().add(data_type, category);
        self
    }

    fn register_conversion(&mut self, from: DataType, to: DataType, how: &'static str) -> &mut Self {
        self.world_mut().get_resource_or_init::<DataTypes>().add_conversion(from, to, how);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_category_of_the_seven_has_types_and_names_are_unique() {
        let types = DataTypes::default();
        for category in DataCategory::ALL.iter().filter(|category| **category != DataCategory::Plugin) {
            assert!(types.iter().any(|(_, of)| of == category), "{} is empty", category.name());
        }
        let mut names: Vec<&str> = types.iter().map(|(data_type, _)| data_type.name()).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn what_fits_is_a_table_that_plugins_extend() {
        let mut types = DataTypes::default();
        let fits = |types: &DataTypes, from, to| types.conversion(&from, &to);
        assert_eq!(fits(&types, DataType::PACKET, DataType::PACKET), Some(Conversion::None));
        assert!(matches!(fits(&types, DataType::TEXTURE, DataType::VIDEO_FRAME), Some(Conversion::Implicit(_))));
        assert!(matches!(fits(&types, DataType::SCALAR, DataType::VECTOR), Some(Conversion::Implicit(_))));
        assert_eq!(fits(&types, DataType::MESH, DataType::ANY), Some(Conversion::Any));
        assert_eq!(fits(&types, DataType::AUDIO_BUFFER, DataType::TEXTURE), None);
        assert_eq!(fits(&types, DataType::VECTOR, DataType::SCALAR), None);
        let smell = DataType::new("smell");
        types.add(smell.clone(), DataCategory::Plugin);
        types.add_conversion(smell.clone(), DataType::STRING, "its name");
        assert!(matches!(fits(&types, smell, DataType::STRING), Some(Conversion::Implicit(_))));
    }
}
