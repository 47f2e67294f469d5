//! Reading the attributes and relationships of one prim, once, with what goes wrong noted.

use super::{
    Issue, IssueSeverity,
    binding::Collections,
    value::{self, As},
};
use crate::snapshot::{Attribute, AttributeValue, Sampled};
use openusd::{
    sdf::{self, Value},
    tf::Token,
    usd::{InterpolationType, Prim, Stage, TimeCode},
};
use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet},
    rc::Rc,
};

/// No more issues are kept than this; the last one says so.
const MAX_ISSUES: usize = 10_000;

/// What reading has in common for all prims of a stage.
pub(super) struct Reader<'a> {
    pub stage: &'a Stage,
    /// Names of attributes that have time samples in any layer. Most never have, and asking the stage about each costs.
    sampled_names: HashSet<String>,
    /// Whether any prim has value clips: then any attribute may have samples.
    has_clips: bool,
    holds: bool,
    /// Which prims are in which collections.
    pub collections: Collections,
    issues: RefCell<Vec<Issue>>,
    is_quiet: Cell<bool>,
}

impl<'a> Reader<'a> {
    /// All layers must have been read: prims have been walked.
    pub fn new(stage: &'a Stage) -> Self {
        let mut sampled_names = HashSet::new();
        let mut has_clips = false;
        for layer in stage.layer_identifiers() {
            let Some(layer) = stage.layer(&layer) else { continue };
            let data = layer.data();
            for path in data.spec_paths() {
                if path.is_property_path() {
                    if data.has_field(&path, "timeSamples") {
                        sampled_names.insert(path.property_suffix().trim_start_matches('.').to_owned());
                    }
                } else if data.has_field(&path, "clips") {
                    has_clips = true;
                }
            }
        }
        let holds = stage.interpolation_type() == InterpolationType::Held;
        Self {
            stage,
            sampled_names,
            has_clips,
            holds,
            collections: Collections::default(),
            issues: RefCell::default(),
            is_quiet: Cell::new(false),
        }
    }

    /// For a prim or two of a stage that changes: looking through all its layers would take longer than asking about each attribute.
    pub fn of_few(stage: &'a Stage) -> Self {
        let holds = stage.interpolation_type() == InterpolationType::Held;
        Self {
            stage,
            sampled_names: HashSet::new(),
            has_clips: true,
            holds,
            collections: Collections::default(),
            issues: RefCell::default(),
            is_quiet: Cell::new(false),
        }
    }

    /// Says whether issues are noted no more, because what is read was read before.
    pub fn be_quiet(&self, is_quiet: bool) {
        self.is_quiet.set(is_quiet);
    }

    /// Notes that something is wrong with a prim or property.
    pub fn issue(&self, severity: IssueSeverity, path: &sdf::Path, message: String) {
        let mut issues = self.issues.borrow_mut();
        if issues.len() >= MAX_ISSUES || self.is_quiet.get() {
            return;
        }
        // The layer of the strongest opinion is the one to look into.
        let sites = if path.is_property_path() {
            self.stage.attribute(path.clone()).property_stack()
        } else {
            self.stage.prim(path.clone()).prim_stack()
        };
        let layer = sites.ok().and_then(|sites| sites.into_iter().next()).map(|(layer, _)| layer).unwrap_or_default();
        let message = match issues.len() + 1 {
            MAX_ISSUES => "there are more issues than are listed".to_owned(),
            _ => message,
        };
        issues.push(Issue { severity, layer, line: None, prim: path.prim_path().to_string(), message });
    }

    /// Everything noted.
    pub fn into_issues(self) -> Vec<Issue> {
        self.issues.into_inner()
    }

    /// A metadatum of a prim or property.
    pub fn metadata(&self, path: &sdf::Path, key: &str) -> Option<Value> {
        match self.stage.attribute(path.clone()).get_metadata::<Value>(key) {
            Ok(value) => value.filter(|value| !matches!(value, Value::None | Value::ValueBlock)),
            Err(error) => {
                self.issue(IssueSeverity::Warning, path, format!("`{key}` cannot be read ({error}); it is left out"));
                None
            }
        }
    }
}

/// Types of which there is nothing between two values.
const HELD_TYPES: [&str; 10] = ["bool", "uchar", "int", "uint", "int64", "uint64", "string", "token", "asset", "pathExpression"];

/// Types of one number that need not be whole.
const REAL_TYPES: [&str; 4] = ["half", "float", "double", "timecode"];

/// How paths are written: absolute, or relative to a prototype that they are in.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// The prototype's root and the instance that it is read for; `None` in the stage itself.
    pub prototype: Option<InstanceRoot>,
}

/// The root of a prototype as an instance shows it.
#[derive(Debug)]
pub(super) struct InstanceRoot {
    /// Where the composer has the prototype.
    pub prototype: sdf::Path,
    /// The instance, in the stage or in the prototype that it is in.
    pub instance: sdf::Path,
    /// Where the instance is.
    pub outer: Rc<Scope>,
}

impl Scope {
    /// A path as the snapshot has it: `./Rest` within the prototype, `.` for its root; `../Rest` in the prototype around it, and so on; else
    /// absolute.
    pub fn write(&self, path: &sdf::Path) -> String {
        let mut here = self;
        let mut up = String::from(".");
        while let Some(root) = &here.prototype {
            for root in [&root.prototype, &root.instance] {
                if path == root {
                    return up;
                }
                if let Some(rest) = path.as_str().strip_prefix(root.as_str()).filter(|rest| rest.starts_with(['/', '.'])) {
                    return if rest.starts_with('/') { format!("{up}{rest}") } else { format!("{up}/{rest}") };
                }
            }
            up = if up == "." { "..".to_owned() } else { format!("{up}/..") };
            here = &root.outer;
        }
        path.to_string()
    }

    /// A prim of this prototype as those see it who are where `from` is: in the prototype, in one around it, or in the stage.
    pub fn seen_from(&self, from: &sdf::Path, prim: &sdf::Path) -> sdf::Path {
        let mut here = self;
        let mut seen = prim.clone();
        while let Some(root) = here.prototype.as_ref().filter(|root| !from.has_prefix(&root.prototype)) {
            seen = seen.replace_prefix(&root.prototype, &root.instance).unwrap_or(seen);
            here = &root.outer;
        }
        seen
    }
}

/// The attributes and relationships of one prim.
pub(super) struct PrimReader<'a> {
    pub reader: &'a Reader<'a>,
    pub scope: Rc<Scope>,
    pub prim: Prim,
    /// All properties, as USD orders them.
    pub names: Vec<Token>,
    /// Where it is said: layers and paths in them, the strongest first.
    pub sites: Vec<(String, sdf::Path)>,
    /// The fields that any of these has. Asking the stage for one that none has costs as much as for one that some have.
    fields: HashSet<String>,
    set: HashSet<String>,
    /// Properties that the snapshot says elsewhere than in its raw attributes.
    taken: RefCell<HashSet<String>>,
}

/// An attribute's values before they are converted.
#[derive(Debug)]
pub(super) struct Raw {
    pub default: Option<Value>,
    pub samples: Vec<(f64, Value)>,
}

impl<'a> PrimReader<'a> {
    pub fn new(reader: &'a Reader<'a>, scope: &Rc<Scope>, path: &sdf::Path) -> Self {
        let prim = reader.stage.prim(path.clone());
        let names = prim.property_names().unwrap_or_else(|error| {
            reader.issue(IssueSeverity::Error, path, format!("its properties cannot be read ({error}); they are left out"));
            Vec::new()
        });
        let set = names.iter().map(|name| name.to_string()).collect();
        let sites = prim.prim_stack().unwrap_or_default();
        let mut fields = HashSet::new();
        for (layer, path) in &sites {
            let layer = reader.stage.layer(layer);
            fields.extend(layer.and_then(|layer| layer.data().list_fields(path)).unwrap_or_default());
        }
        Self { reader, scope: Rc::clone(scope), prim, names, sites, fields, set, taken: RefCell::default() }
    }

    pub fn path(&self) -> &sdf::Path {
        self.prim.path()
    }

    /// Whether any layer says this metadatum of the prim.
    pub fn has_field(&self, key: &str) -> bool {
        self.fields.contains(key)
    }

    /// A metadatum of the prim.
    pub fn metadata(&self, key: &str) -> Option<Value> {
        if self.has_field(key) { self.reader.metadata(self.path(), key) } else { None }
    }

    pub fn has(&self, name: &str) -> bool {
        self.set.contains(name)
    }

    pub fn warn(&self, message: String) {
        self.reader.issue(IssueSeverity::Warning, self.path(), message);
    }

    /// Notes that the snapshot says this property elsewhere.
    pub fn take(&self, name: &str) {
        self.taken.borrow_mut().insert(name.to_owned());
    }

    pub fn is_taken(&self, name: &str) -> bool {
        self.taken.borrow().contains(name)
    }

    pub fn property_path(&self, name: &str) -> Option<sdf::Path> {
        self.path().append_property(name).ok()
    }

    /// A metadatum of a property, such as `interpolation`.
    pub fn property_metadata(&self, name: &str, key: &str) -> Option<Value> {
        self.property_path(name).and_then(|path| self.reader.metadata(&path, key))
    }

    /// The values of an attribute, if it is there.
    pub fn raw(&self, name: &str) -> Option<Raw> {
        if !self.has(name) {
            return None;
        }
        let attribute = self.prim.attribute(name);
        let warn = |error: String| {
            self.warn(format!("`{name}` cannot be read ({error}); its fallback is used"));
        };
        let default = attribute.get_at::<Value>(None).unwrap_or_else(|error| {
            warn(error.to_string());
            None
        });
        let default = default.filter(|value| !matches!(value, Value::None | Value::ValueBlock));
        let mut samples = Vec::new();
        if self.reader.has_clips || self.reader.sampled_names.contains(name) {
            samples = self.samples(name, default.is_some()).unwrap_or_else(|error| {
                warn(error);
                Vec::new()
            });
        }
        Some(Raw { default, samples })
    }

    /// The names of attributes with samples.
    pub fn animated(&self) -> Vec<String> {
        let may_be = |name: &&Token| self.reader.has_clips || self.reader.sampled_names.contains(name.as_str());
        let is = |name: &&Token| self.samples(name, true).is_ok_and(|samples| !samples.is_empty());
        self.names.iter().filter(may_be).filter(is).map(|name| name.to_string()).collect()
    }

    fn samples(&self, name: &str, has_default: bool) -> Result<Vec<(f64, Value)>, String> {
        let attribute = self.prim.attribute(name);
        let times = attribute.time_sample_times().map_err(|error| error.to_string())?;
        if times.is_empty() {
            return Ok(Vec::new());
        }
        // A default in a stronger layer hides samples in weaker ones.
        if has_default && !self.reader.has_clips && !self.is_strongest_sampled(name) {
            return Ok(Vec::new());
        }
        let mut samples: Vec<(f64, Value)> = if self.reader.has_clips {
            let mut samples = Vec::with_capacity(times.len());
            for time in times {
                let value = attribute.get_at::<Value>(TimeCode::from(time)).map_err(|error| error.to_string())?;
                samples.extend(value.map(|value| (time, value)));
            }
            samples
        } else {
            attribute.time_samples().map_err(|error| error.to_string())?.unwrap_or_default()
        };
        samples.retain(|(time, value)| time.is_finite() && !matches!(value, Value::None | Value::ValueBlock));
        samples.sort_by(|before, after| before.0.total_cmp(&after.0));
        samples.dedup_by(|after, before| after.0 == before.0);
        Ok(samples)
    }

    /// Whether the strongest layer that says a value at all says it by samples.
    fn is_strongest_sampled(&self, name: &str) -> bool {
        let Ok(sites) = self.prim.attribute(name).property_stack() else { return true };
        for (layer, path) in sites {
            let Some(layer) = self.reader.stage.layer(&layer) else { continue };
            if layer.data().has_field(&path, "timeSamples") {
                return true;
            }
            if layer.data().has_field(&path, "default") {
                return false;
            }
        }
        true
    }

    /// An attribute over time. What has a wrong type is noted and left out.
    pub fn sampled<T>(&self, name: &str, kind: As<T>) -> Sampled<T> {
        let Some(raw) = self.raw(name) else { return Sampled::default() };
        self.take(name);
        self.convert(name, raw, kind)
    }

    fn convert<T>(&self, name: &str, raw: Raw, kind: As<T>) -> Sampled<T> {
        let mut wrong = None;
        let mut convert = |value: Value| {
            let found = value_name(&value);
            let converted = (kind.convert)(value);
            if converted.is_none() {
                wrong = Some(found);
            }
            converted
        };
        let default = raw.default.and_then(&mut convert);
        let samples = raw.samples.into_iter().filter_map(|(time, value)| Some((time, convert(value)?))).collect();
        if let Some(found) = wrong {
            self.warn(format!("`{name}` should be {}, not {found}; its fallback is used", kind.what));
        }
        Sampled { default, samples, held: kind.held || self.reader.holds }
    }

    /// An attribute over time, with its schema's fallback.
    pub fn sampled_or<T>(&self, name: &str, kind: As<T>, fallback: T) -> Sampled<T> {
        let mut value = self.sampled(name, kind);
        if !value.is_some() {
            value.default = Some(fallback);
        }
        value
    }

    /// An attribute that does not change: its default, or its first sample.
    pub fn uniform<T>(&self, name: &str, kind: As<T>) -> Option<T> {
        let value = self.sampled(name, kind);
        value.default.or_else(|| value.samples.into_iter().next().map(|(_, value)| value))
    }

    /// An attribute that does not change, with its schema's fallback.
    pub fn uniform_or<T>(&self, name: &str, kind: As<T>, fallback: T) -> T {
        self.uniform(name, kind).unwrap_or(fallback)
    }

    /// The first of several names that is there: schemas renamed some of their attributes.
    pub fn first_of<'n>(&self, names: &[&'n str]) -> &'n str {
        names.iter().find(|name| self.has(name)).or(names.first()).copied().unwrap_or_default()
    }

    /// The targets of a relationship.
    pub fn targets(&self, name: &str) -> Vec<sdf::Path> {
        if !self.has(name) {
            return Vec::new();
        }
        self.take(name);
        let relationship = self.prim.relationship(name);
        relationship.targets().unwrap_or_else(|error| {
            self.warn(format!("the targets of `{name}` cannot be read ({error}); they are left out"));
            Vec::new()
        })
    }

    /// The attributes that an attribute is connected to.
    pub fn connections(&self, name: &str) -> Vec<sdf::Path> {
        if !self.has(name) {
            return Vec::new();
        }
        self.prim.attribute(name).connections().unwrap_or_else(|error| {
            self.warn(format!("the connections of `{name}` cannot be read ({error}); they are left out"));
            Vec::new()
        })
    }

    /// The USD type name of an attribute; `None` for relationships.
    pub fn type_name(&self, name: &str) -> Option<String> {
        self.prim.attribute(name).type_name().ok().flatten().map(Into::into)
    }

    /// An attribute as it is.
    pub fn raw_attribute(&self, name: &str, type_name: String) -> Attribute {
        let raw = self.raw(name).unwrap_or(Raw { default: None, samples: Vec::new() });
        let held = self.reader.holds || HELD_TYPES.contains(&type_name.trim_end_matches("[]"));
        // The text format writes whole numbers of floating types without a point, and samples are read by how they are written.
        let is_real = REAL_TYPES.contains(&type_name.as_str());
        let any = |value: Value| match value::any(value)? {
            AttributeValue::Int(number) if is_real => Some(AttributeValue::Double(number as f64)),
            value => Some(value),
        };
        let samples = raw.samples.into_iter().filter_map(|(time, value)| Some((time, any(value)?))).collect();
        let value = Sampled { default: raw.default.and_then(any), samples, held };
        let connections = self.connections(name).iter().map(|path| self.scope.write(path)).collect();
        let is_custom = self.prim.attribute(name).is_custom().unwrap_or(false);
        Attribute { name: name.to_owned(), type_name, is_custom, value, connections }
    }
}

/// The name of a value's type, for messages.
fn value_name(value: &Value) -> String {
    let name: &'static str = value.into();
    name.to_owned()
}

/// A dictionary's entries as `prefix:key`, dictionaries within it one after another.
pub(super) fn flatten(prefix: &str, entries: HashMap<String, Value>, add: &mut impl FnMut(String, Value)) {
    // Nested dictionaries are walked with a list, not by calls: files decide how deep they are.
    let mut open = vec![(prefix.to_owned(), entries)];
    while let Some((prefix, entries)) = open.pop() {
        for (key, value) in entries {
            let name = format!("{prefix}:{key}");
            match value {
                Value::Dictionary(entries) => open.push((name, entries)),
                value => add(name, value),
            }
        }
    }
}
