//! From text to a blueprint.

use super::{
    Blueprint, BlueprintBookmark, BlueprintDriver, BlueprintExposed, BlueprintLink, BlueprintNode, BlueprintNote,
    BlueprintParameter, BlueprintRoute, BlueprintSubgraph, Setting,
    problem::{Place, Problem},
};
use crate::{flow::JoinPolicy, link::LinkText};
use bevy::{math::Vec2, platform::collections::HashSet};
use core::{cmp::Ordering, fmt, marker::PhantomData};
use ron::{extensions::Extensions, value::RawValue};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};

/// How blueprints and their settings are read and written: `Some` goes without saying.
pub fn options() -> ron::Options {
    ron::Options::default().with_default_extension(Extensions::IMPLICIT_SOME)
}

/// Reads a blueprint, and as much as can be read of a faulty one. Bounded: at most [`Blueprint::MAX_BYTES`],
/// [`Blueprint::MAX_NODES`] and [`Blueprint::MAX_LINKS`], values nested at most 128 deep.
pub fn read(text: &str) -> (Blueprint, Vec<Problem>) {
    let mut reader = Reader { text, nodes: 0, links: 0, problems: Vec::new() };
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
    #[serde(borrow, default)]
    subgraphs: Entries<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename = "subgraph")]
struct SubgraphEntry<'a> {
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
    values: Entries<'a>,
    #[serde(borrow, default)]
    drivers: Entries<'a>,
    #[serde(borrow, default)]
    exposed: Vec<&'a RawValue>,
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

/// The entries of a map or a struct in their order, doubles included, each as its own text: so that the faults of one do not
/// hide those of others.
#[derive(Default)]
pub struct Entries<'a>(pub Vec<(String, &'a RawValue)>);

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
    /// Nodes and links so far, those of subgraphs included.
    nodes: usize,
    links: usize,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    /// Past so many problems no more are said.
    const MOST_PROBLEMS: usize = 1000;
    /// The most settings, values, drivers or exposed settings of a node, and the most parameters of a graph.
    const MOST_ENTRIES: usize = 1000;

    fn push(&mut self, problem: Problem) {
        match self.problems.len().cmp(&Self::MOST_PROBLEMS) {
            Ordering::Less => self.problems.push(problem),
            Ordering::Equal => {
                let message = format!("there are more errors than these {}", Self::MOST_PROBLEMS);
                self.problems.push(Problem { message, ..problem });
            }
            Ordering::Greater => {}
        }
    }

    /// Says it where there is too much of something. Time would grow with the square of it.
    fn few_enough(&mut self, place: Place, count: usize, what: &str) -> bool {
        let most = Self::MOST_ENTRIES;
        if count > most {
            self.push(Problem::error(place, format!("{what}: there are {count}, and there may be {most} at most")));
        }
        count <= most
    }

    fn blueprint(&mut self) -> Blueprint {
        let mut blueprint = Blueprint::default();
        let start = Place { line: 1, column: 1 };
        if self.text.len() > Blueprint::MAX_BYTES {
            let message =
                format!("the file has {} bytes; a blueprint may have {} at most", self.text.len(), Blueprint::MAX_BYTES);
            self.push(Problem::error(start, message));
            return blueprint;
        }
        match options().from_str::<Head>(self.text) {
            Ok(Head { version: Some(version) }) if version > Blueprint::VERSION => {
                let known = Blueprint::VERSION;
                let message = format!(
                    "the file is of version {version}, this program reads up to version {known}: update the program, or save the \
                     file from the newer one for version {known}"
                );
                self.push(Problem::error(start, message));
                return blueprint;
            }
            Ok(Head { version: Some(0) | None }) => {
                let message = format!("the file says no version: begin it with `version: {},`", Blueprint::VERSION);
                self.push(Problem::error(start, message));
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
        let lines = Lines::new(self.text);
        let File { name, nodes, links, notes, parameters, routes, bookmarks, subgraphs, .. } = file;
        let graph = SubgraphEntry { nodes, links, notes, parameters, routes, bookmarks };
        blueprint = self.graph(&lines, start, graph);
        blueprint.name = name;
        if subgraphs.0.len() > Blueprint::MAX_SUBGRAPHS {
            let (count, most) = (subgraphs.0.len(), Blueprint::MAX_SUBGRAPHS);
            self.push(Problem::error(start, format!("the file has {count} subgraphs; it may have {most} at most")));
            return blueprint;
        }
        for (name, raw) in subgraphs.0 {
            let place = lines.place_of(raw);
            let Some(entry) = self.part(place, raw.trim(), &format!("subgraph “{name}”")) else { continue };
            let graph = self.graph(&lines, place, entry);
            blueprint.subgraphs.push(BlueprintSubgraph { name, graph, place });
        }
        let names = blueprint.subgraphs.iter().map(|subgraph| (subgraph.name.as_str(), subgraph.place));
        self.names("subgraph", names);
        blueprint
    }

    /// Reads the nodes, links, notes and parameters of a file or of a subgraph in it.
    fn graph(&mut self, lines: &Lines<'a>, place: Place, entry: SubgraphEntry<'a>) -> Blueprint {
        let mut blueprint = Blueprint::default();
        self.nodes += entry.nodes.0.len();
        self.links += entry.links.len();
        if self.nodes > Blueprint::MAX_NODES || self.links > Blueprint::MAX_LINKS {
            let message = format!(
                "the file has {} nodes and {} links; a blueprint may have {} and {} at most",
                self.nodes,
                self.links,
                Blueprint::MAX_NODES,
                Blueprint::MAX_LINKS
            );
            self.push(Problem::error(place, message));
            return blueprint;
        }
        blueprint.nodes = entry.nodes.0.into_iter().filter_map(|(name, raw)| self.node(lines, name, raw)).collect();
        blueprint.links = entry.links.into_iter().filter_map(|raw| self.link(lines, raw)).collect();
        blueprint.notes = entry.notes.into_iter().filter_map(|raw| self.note(lines, raw)).collect();
        if !self.few_enough(place, entry.parameters.0.len(), "parameters") {
            return blueprint;
        }
        blueprint.parameters =
            entry.parameters.0.into_iter().filter_map(|(name, raw)| self.parameter(lines, name, raw)).collect();
        blueprint.routes = entry.routes.0.into_iter().filter_map(|(link, raw)| self.route(lines, &link, raw)).collect();
        blueprint.bookmarks = entry.bookmarks.0.into_iter().filter_map(|(name, raw)| self.bookmark(lines, name, raw)).collect();
        self.names("parameter", blueprint.parameters.iter().map(|parameter| (parameter.name.as_str(), parameter.place)));
        self.names("node", blueprint.nodes.iter().map(|node| (node.name.as_str(), node.place)));
        blueprint
    }

    /// Names must differ and be fit to be named by links and on a command line.
    fn names<'n>(&mut self, what: &str, names: impl Iterator<Item = (&'n str, Place)>) {
        let mut seen = HashSet::new();
        for (name, place) in names {
            if !seen.insert(name) {
                let message = format!("there is another {what} named “{name}”: names must differ");
                self.push(Problem::error(place, message));
            }
            if let Some(fault) = name_fault(name) {
                self.push(Problem::error(place, format!("the {what}'s name “{name}” {fault}")));
            }
        }
    }

    fn node(&mut self, lines: &Lines<'a>, name: String, raw: &'a RawValue) -> Option<BlueprintNode> {
        let place = lines.place_of(raw);
        let entry: NodeEntry = self.part(place, raw.trim(), &format!("node “{name}”"))?;
        let most = [entry.settings.0.len(), entry.values.0.len(), entry.drivers.0.len(), entry.exposed.len()].into_iter().max();
        if !self.few_enough(place, most.unwrap_or_default(), &format!("node “{name}”, settings of one kind")) {
            return None;
        }
        let settings = self.settings(lines, &name, entry.settings);
        let values = self.settings(lines, &name, entry.values);
        let mut drivers = Vec::with_capacity(entry.drivers.0.len());
        for (path, raw) in entry.drivers.0 {
            let place = lines.place_of(raw);
            if let Some(driver) = self.part(place, raw.trim(), &format!("node “{name}”, driver of “{path}”")) {
                drivers.push(BlueprintDriver { path, driver, place });
            }
        }
        let mut exposed: Vec<BlueprintExposed> = Vec::with_capacity(entry.exposed.len());
        for raw in entry.exposed {
            let place = lines.place_of(raw);
            let Some(path) = self.part::<String>(place, raw.trim(), &format!("node “{name}”, an exposed setting")) else {
                continue;
            };
            exposed.push(BlueprintExposed { path, place });
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
            values,
            drivers,
            exposed,
            bypass: entry.bypass,
            freeze: entry.freeze,
            join: entry.join,
            place,
        })
    }

    fn settings(&mut self, lines: &Lines<'a>, node: &str, entries: Entries<'a>) -> Vec<Setting> {
        let mut settings: Vec<Setting> = Vec::with_capacity(entries.0.len());
        let mut seen = HashSet::new();
        for (field, raw) in entries.0 {
            let place = lines.place_of(raw);
            if seen.insert(field.clone()) {
                settings.push(Setting { field, value: raw.trim().get_ron().to_owned(), place });
            } else {
                self.push(Problem::error(place, format!("node “{node}” sets “{field}” twice: keep one")));
            }
        }
        settings
    }

    fn link(&mut self, lines: &Lines<'a>, raw: &'a RawValue) -> Option<BlueprintLink> {
        let place = lines.place_of(raw);
        let text: String = self.part(place, raw.trim(), "a link")?;
        match text.parse::<LinkText>() {
            Ok(link) => Some(BlueprintLink { link, place }),
            Err(error) => {
                self.push(Problem::error(place, error.to_string()));
                None
            }
        }
    }

    fn note(&mut self, lines: &Lines<'a>, raw: &'a RawValue) -> Option<BlueprintNote> {
        let place = lines.place_of(raw);
        let NoteEntry { text, at, size } = self.part(place, raw.trim(), "a note")?;
        if ![at.0, at.1, size.0, size.1].iter().all(|number| number.is_finite()) {
            self.push(Problem::error(
                place,
                format!("a note stands at {at:?} and is {size:?} large: all must be finite numbers"),
            ));
            return None;
        }
        Some(BlueprintNote { text, at: Vec2::from(at), size: Vec2::from(size) })
    }

    fn parameter(&mut self, lines: &Lines<'a>, name: String, raw: &'a RawValue) -> Option<BlueprintParameter> {
        let place = lines.place_of(raw);
        let setting = self.part(place, raw.trim(), &format!("parameter “{name}”"))?;
        Some(BlueprintParameter { name, setting, place })
    }

    fn route(&mut self, lines: &Lines<'a>, link: &str, raw: &'a RawValue) -> Option<BlueprintRoute> {
        let place = lines.place_of(raw);
        let link = link.parse::<LinkText>().map_err(|error| self.push(Problem::error(place, error.to_string()))).ok()?;
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
            self.push(Problem::error(
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
                self.push(Problem::error(at, format!("{what}: {}", error.code)));
                None
            }
        }
    }

    fn syntax(&mut self, start: Place, error: &ron::error::SpannedError) {
        let place = start.inside(error.span.start.line, error.span.start.col);
        self.push(Problem::error(place, error.code.to_string()));
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
    if name.contains("->") || name.chars().any(|letter| matches!(letter, '.' | '/' | '"') || letter.is_control()) {
        return Some(
            "has a full stop, a slash, a quotation mark, an arrow or a control character in it: links could not name it"
                .to_owned(),
        );
    }
    None
}

/// Where the lines of a text start, and how many letters lie before each of its stretches: a text may be one long line.
pub struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
    letters: Vec<usize>,
}

impl<'a> Lines<'a> {
    /// Bytes of a stretch.
    const STRETCH: usize = 1024;

    /// Counts the lines of a text once.
    pub fn new(text: &'a str) -> Self {
        let starts = core::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let mut before = 0;
        let mut letters = vec![0];
        for stretch in text.as_bytes().chunks(Self::STRETCH) {
            before += Self::count(stretch);
            letters.push(before);
        }
        Self { text, starts, letters }
    }

    /// The letters that begin in these bytes of UTF-8: all bytes but those that go on with a letter.
    fn count(bytes: &[u8]) -> usize {
        bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
    }

    fn letters_before(&self, byte: usize) -> usize {
        let stretch = byte / Self::STRETCH;
        let known = self.letters.get(stretch).copied();
        let rest = self.text.as_bytes().get(stretch * Self::STRETCH..byte).unwrap_or_default();
        known.unwrap_or_default() + Self::count(rest)
    }

    /// The place of a part that was borrowed from the text.
    pub fn place_of(&self, part: &RawValue) -> Place {
        self.place_at((part.trim().get_ron().as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize))
    }

    /// The place of the byte at this offset; of the text's end for one beyond.
    pub fn place_at(&self, byte: usize) -> Place {
        let byte = byte.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= byte);
        let start = self.starts[line - 1];
        let column = self.letters_before(byte) - self.letters_before(start);
        Place { line: line as u32, column: column as u32 + 1 }
    }
}
