//! From text to a blueprint.

use super::{
    Blueprint, BlueprintBookmark, BlueprintDriver, BlueprintLink, BlueprintNode, BlueprintNote, BlueprintParameter,
    BlueprintRoute, Setting,
    problem::{Place, Problem},
};
use crate::{flow::JoinPolicy, link::LinkText};
use bevy::{math::Vec2, platform::collections::HashSet};
use core::{fmt, marker::PhantomData};
use ron::{extensions::Extensions, value::RawValue};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};

/// How blueprints and their settings are read and written: `Some` goes without saying.
pub(crate) fn options() -> ron::Options {
    ron::Options::default().with_default_extension(Extensions::IMPLICIT_SOME)
}

/// Reads a blueprint, and as much as can be read of a faulty one. Bounded: at most [`Blueprint::MAX_BYTES`],
/// [`Blueprint::MAX_NODES`] and [`Blueprint::MAX_LINKS`], values nested at most 128 deep.
pub fn read(text: &str) -> (Blueprint, Vec<Problem>) {
    let mut reader = Reader { text, problems: Vec::new() };
    let blueprint = reader.blueprint();
    (blueprint, reader.problems)
}

/// The version alone: a file of a later version may say everything else differently.
#[derive(Deserialize)]
struct Head {
    version: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename = "blueprint")]
struct File<'a> {
    #[serde(rename = "version")]
    _version: u32,
    #[serde(default)]
    name: String,
    #[serde(borrow, default)]
    nodes: Entries<'a>,
    #[serde(borrow, default)]
    links: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    notes: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    parameters: Entries<'a>,
    #[serde(borrow, default)]
    routes: Entries<'a>,
    #[serde(borrow, default)]
    bookmarks: Entries<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename = "node")]
struct NodeEntry<'a> {
    kind: String,
    #[serde(default)]
    at: (f32, f32),
    #[serde(borrow, default)]
    settings: Entries<'a>,
    #[serde(borrow, default)]
    drivers: Entries<'a>,
    #[serde(default)]
    bypass: bool,
    #[serde(default)]
    freeze: bool,
    #[serde(default)]
    join: JoinPolicy,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename = "note")]
struct NoteEntry {
    text: String,
    #[serde(default)]
    at: (f32, f32),
    size: (f32, f32),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename = "bookmark")]
struct BookmarkEntry {
    at: (f32, f32),
    #[serde(default = "own_size")]
    zoom: f32,
}

fn own_size() -> f32 {
    1.0
}

/// The entries of a map or a struct in their order, doubles included.
#[derive(Default)]
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for EntriesVisitor<'a> {
            type Value = Entries<'a>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("names and values: (name: value, …) or {\"name\": value, …}")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Entries::default())
            }

            // Empty parentheses read as an empty tuple.
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                match seq.next_element::<serde::de::IgnoredAny>()? {
                    None => Ok(Entries::default()),
                    Some(_) => Err(serde::de::Error::invalid_type(serde::de::Unexpected::Seq, &self)),
                }
            }
        }
        deserializer.deserialize_any(EntriesVisitor(PhantomData))
    }
}

struct Reader<'a> {
    text: &'a str,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn blueprint(&mut self) -> Blueprint {
        let mut blueprint = Blueprint::default();
        let start = Place { line: 1, column: 1 };
        if self.text.len() > Blueprint::MAX_BYTES {
            let message =
                format!("the file has {} bytes; a blueprint may have {} at most", self.text.len(), Blueprint::MAX_BYTES);
            self.problems.push(Problem::error(start, message));
            return blueprint;
        }
        match options().from_str::<Head>(self.text) {
            Ok(Head { version: Some(version) }) if version > Blueprint::VERSION => {
                let known = Blueprint::VERSION;
                let message = format!(
                    "the file is of version {version}, this program reads up to version {known}: update the program, or save the \
                     file from the newer one for version {known}"
                );
                self.problems.push(Problem::error(start, message));
                return blueprint;
            }
            Ok(Head { version: Some(0) | None }) => {
                let message = format!("the file says no version: begin it with `version: {},`", Blueprint::VERSION);
                self.problems.push(Problem::error(start, message));
                return blueprint;
            }
            Ok(Head { version: Some(_) }) => {}
            Err(error) => {
                self.syntax(start, &error);
                return blueprint;
            }
        }
        let file = match options().from_str::<File>(self.text) {
            Ok(file) => file,
            Err(error) => {
                self.syntax(start, &error);
                return blueprint;
            }
        };
        blueprint.name = file.name;
        if file.nodes.0.len() > Blueprint::MAX_NODES || file.links.len() > Blueprint::MAX_LINKS {
            let message = format!(
                "the file has {} nodes and {} links; a blueprint may have {} and {} at most",
                file.nodes.0.len(),
                file.links.len(),
                Blueprint::MAX_NODES,
                Blueprint::MAX_LINKS
            );
            self.problems.push(Problem::error(start, message));
            return blueprint;
        }
        let lines = Lines::new(self.text);
        blueprint.nodes = file.nodes.0.into_iter().filter_map(|(name, raw)| self.node(&lines, name, raw)).collect();
        blueprint.links = file.links.into_iter().filter_map(|raw| self.link(&lines, raw)).collect();
        blueprint.notes = file.notes.into_iter().filter_map(|raw| self.note(&lines, raw)).collect();
        blueprint.parameters =
            file.parameters.0.into_iter().filter_map(|(name, raw)| self.parameter(&lines, name, raw)).collect();
        blueprint.routes = file.routes.0.into_iter().filter_map(|(link, raw)| self.route(&lines, &link, raw)).collect();
        blueprint.bookmarks = file.bookmarks.0.into_iter().filter_map(|(name, raw)| self.bookmark(&lines, name, raw)).collect();
        let mut names = HashSet::new();
        for parameter in &blueprint.parameters {
            let fault = if names.insert(parameter.name.clone()) {
                name_fault(&parameter.name)
            } else {
                Some("is there twice".to_owned())
            };
            if let Some(fault) = fault {
                self.problems.push(Problem::error(parameter.place, format!("the parameter's name “{}” {fault}", parameter.name)));
            }
        }
        let mut names = HashSet::new();
        for node in &blueprint.nodes {
            if !names.insert(node.name.clone()) {
                let message = format!("there is another node named “{}”: names must differ", node.name);
                self.problems.push(Problem::error(node.place, message));
            }
            if let Some(fault) = name_fault(&node.name) {
                self.problems.push(Problem::error(node.place, format!("the node's name “{}” {fault}", node.name)));
            }
        }
        blueprint
    }

    fn node(&mut self, lines: &Lines<'a>, name: String, raw: &'a RawValue) -> Option<BlueprintNode> {
        let place = lines.place_of(raw);
        let entry: NodeEntry = self.part(place, raw.trim(), &format!("node “{name}”"))?;
        let mut settings: Vec<Setting> = Vec::with_capacity(entry.settings.0.len());
        for (field, raw) in entry.settings.0 {
            let place = lines.place_of(raw);
            if settings.iter().any(|present| present.field == field) {
                self.problems.push(Problem::error(place, format!("node “{name}” sets “{field}” twice: keep one")));
                continue;
            }
            settings.push(Setting { field, value: raw.trim().get_ron().to_owned(), place });
        }
        let mut drivers = Vec::with_capacity(entry.drivers.0.len());
        for (path, raw) in entry.drivers.0 {
            let place = lines.place_of(raw);
            if let Some(driver) = self.part(place, raw.trim(), &format!("node “{name}”, driver of “{path}”")) {
                drivers.push(BlueprintDriver { path, driver, place });
            }
        }
        if !(entry.at.0.is_finite() && entry.at.1.is_finite()) {
            self.problems
                .push(Problem::error(place, format!("node “{name}” stands at {:?}: both must be finite numbers", entry.at)));
        }
        Some(BlueprintNode {
            name,
            kind: entry.kind,
            at: entry.at.into(),
            settings,
            drivers,
            bypass: entry.bypass,
            freeze: entry.freeze,
            join: entry.join,
            place,
        })
    }

    fn link(&mut self, lines: &Lines<'a>, raw: &'a RawValue) -> Option<BlueprintLink> {
        let place = lines.place_of(raw);
        let text: String = self.part(place, raw.trim(), "a link")?;
        match text.parse::<LinkText>() {
            Ok(link) => Some(BlueprintLink { link, place }),
            Err(error) => {
                self.problems.push(Problem::error(place, error.to_string()));
                None
            }
        }
    }

    fn note(&mut self, lines: &Lines<'a>, raw: &'a RawValue) -> Option<BlueprintNote> {
        let place = lines.place_of(raw);
        let NoteEntry { text, at, size } = self.part(place, raw.trim(), "a note")?;
        Some(BlueprintNote { text, at: Vec2::from(at), size: Vec2::from(size) })
    }

    fn parameter(&mut self, lines: &Lines<'a>, name: String, raw: &'a RawValue) -> Option<BlueprintParameter> {
        let place = lines.place_of(raw);
        let setting = self.part(place, raw.trim(), &format!("parameter “{name}”"))?;
        Some(BlueprintParameter { name, setting, place })
    }

    fn route(&mut self, lines: &Lines<'a>, link: &str, raw: &'a RawValue) -> Option<BlueprintRoute> {
        let place = lines.place_of(raw);
        let link = link.parse::<LinkText>().map_err(|error| self.problems.push(Problem::error(place, error.to_string()))).ok()?;
        let via: Vec<(f32, f32)> = self.part(place, raw.trim(), &format!("the route of {link}"))?;
        if via.iter().any(|(x, y)| !(x.is_finite() && y.is_finite())) {
            self.problems
                .push(Problem::error(place, format!("the route of {link} goes through points that are no finite numbers")));
            return None;
        }
        Some(BlueprintRoute { link, via: via.into_iter().map(Vec2::from).collect() })
    }

    fn bookmark(&mut self, lines: &Lines<'a>, name: String, raw: &'a RawValue) -> Option<BlueprintBookmark> {
        let place = lines.place_of(raw);
        let BookmarkEntry { at, zoom } = self.part(place, raw.trim(), &format!("bookmark “{name}”"))?;
        if !(at.0.is_finite() && at.1.is_finite() && zoom.is_finite() && zoom > 0.0) {
            self.problems.push(Problem::error(
                place,
                format!("bookmark “{name}” lies at {at:?} with zoom {zoom}: finite numbers, and a zoom above 0"),
            ));
            return None;
        }
        Some(BlueprintBookmark { name, at: at.into(), zoom })
    }

    /// Reads a part of the file by itself, so that its faults do not hide those of others.
    fn part<T: Deserialize<'a>>(&mut self, place: Place, raw: &'a RawValue, what: &str) -> Option<T> {
        match options().from_str(raw.get_ron()) {
            Ok(part) => Some(part),
            Err(error) => {
                let at = place.inside(error.span.start.line, error.span.start.col);
                self.problems.push(Problem::error(at, format!("{what}: {}", error.code)));
                None
            }
        }
    }

    fn syntax(&mut self, start: Place, error: &ron::error::SpannedError) {
        let place = start.inside(error.span.start.line, error.span.start.col);
        self.problems.push(Problem::error(place, error.code.to_string()));
    }
}

/// What is wrong with a node's name, if anything is.
pub fn name_fault(name: &str) -> Option<String> {
    let letters = name.chars().count();
    if letters == 0 || letters > Blueprint::MAX_NAME_LETTERS {
        return Some(format!("has {letters} letters: give it 1 to {}", Blueprint::MAX_NAME_LETTERS));
    }
    if name.trim() != name {
        return Some("begins or ends with a blank: take it off".to_owned());
    }
    if name.contains("->") || name.chars().any(|letter| letter == '.' || letter == '"' || letter.is_control()) {
        return Some(
            "has a full stop, a quotation mark, an arrow or a control character in it: links could not name it".to_owned(),
        );
    }
    None
}

/// Where the lines of a text start.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let starts = core::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// The place of a part that was borrowed from the text.
    fn place_of(&self, part: &RawValue) -> Place {
        let byte = (part.trim().get_ron().as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize).min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= byte);
        let start = self.starts[line - 1];
        Place { line: line as u32, column: self.text[start..byte].chars().count() as u32 + 1 }
    }
}
