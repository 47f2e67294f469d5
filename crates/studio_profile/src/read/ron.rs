//! The studio's own form.

use crate::profile::{CodecSupport, Fault, HeadsetProfile, Origin, Sourced};
use ron::value::RawValue;
use serde::Deserialize;
use studio_graph::blueprint::{
    Place, Problem,
    problem::most_like,
    read::{Entries, Lines, options},
};

/// A value with its origin, as files have it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename = "value with its source")]
struct SourcedEntry<T> {
    value: T,
    source: Option<String>,
    estimate: Option<String>,
    note: Option<String>,
}

const FIELDS: [&str; 14] = [
    "version",
    "id",
    "name",
    "vendor",
    "panel_px",
    "render_px",
    "left_fov",
    "right_fov",
    "refresh_hz",
    "ipd_m",
    "codecs",
    "bitrate_max_bps",
    "projection",
    "stereo",
];

struct Reader<'a> {
    lines: Lines<'a>,
    fields: Vec<(String, &'a RawValue)>,
    /// Where each codec stands.
    codecs: Vec<Place>,
    problems: Vec<Problem>,
}

pub(super) fn read(text: &str) -> (Option<HeadsetProfile>, Vec<Problem>) {
    let entries: Entries = match options().from_str(text) {
        Ok(entries) => entries,
        Err(error) => {
            let (line, column) = (error.span.start.line as u32, error.span.start.col as u32);
            let message = format!("this is no headset profile, which is (version: 1, id: …): {}", error.code);
            return (None, vec![Problem::error(Place { line, column }, message)]);
        }
    };
    let mut reader = Reader { lines: Lines::new(text), fields: Vec::new(), codecs: Vec::new(), problems: Vec::new() };
    reader.sort_in(entries);
    let profile = reader.profile();
    (profile, reader.problems)
}

impl<'a> Reader<'a> {
    /// Past so many problems no more are said.
    const MOST_PROBLEMS: usize = 100;

    fn error(&mut self, place: Place, message: String) {
        if self.problems.len() < Self::MOST_PROBLEMS {
            self.problems.push(Problem::error(place, message));
        }
    }

    fn warning(&mut self, place: Place, message: String) {
        if self.problems.len() < Self::MOST_PROBLEMS {
            self.problems.push(Problem::warning(place, message));
        }
    }

    fn sort_in(&mut self, entries: Entries<'a>) {
        for (name, raw) in entries.0 {
            let place = self.lines.place_of(raw);
            let shown: String = name.chars().take(60).collect();
            if !FIELDS.contains(&name.as_str()) {
                let like = most_like(&shown, FIELDS.into_iter())
                    .map_or_else(|| format!("it may have {}", FIELDS.join(", ")), |like| format!("did you mean `{like}`?"));
                self.error(place, format!("a profile has no `{shown}`: {like}"));
            } else if self.fields.iter().any(|(present, _)| *present == name) {
                self.error(place, format!("`{shown}` stands here twice: keep one"));
            } else {
                self.fields.push((name, raw));
            }
        }
    }

    fn place_of(&self, field: &str) -> Place {
        let found = self.fields.iter().find(|(name, _)| name == field);
        found.map_or(Place { line: 1, column: 1 }, |(_, raw)| self.lines.place_of(raw))
    }

    /// Reads a part of the file by itself, so that its faults do not hide those of others.
    fn part<T: Deserialize<'a>>(&mut self, field: &str, raw: &'a RawValue) -> Option<T> {
        let place = self.lines.place_of(raw);
        match options().from_str(raw.trim().get_ron()) {
            Ok(part) => Some(part),
            Err(error) => {
                let at = place.inside(error.span.start.line, error.span.start.col);
                self.error(at, format!("{field}: {}", error.code));
                None
            }
        }
    }

    fn field<T: Deserialize<'a>>(&mut self, field: &'static str) -> Option<T> {
        match self.fields.iter().find(|(name, _)| name == field).map(|(_, raw)| *raw) {
            Some(raw) => self.part(field, raw),
            None => {
                self.error(Place { line: 1, column: 1 }, format!("`{field}` is missing"));
                None
            }
        }
    }

    fn sourced<T: Deserialize<'a>>(&mut self, field: &'static str) -> Option<Sourced<T>> {
        let entry = self.field::<SourcedEntry<T>>(field)?;
        let place = self.place_of(field);
        Some(self.with_origin(field, place, entry))
    }

    fn with_origin<T>(&mut self, field: &str, place: Place, entry: SourcedEntry<T>) -> Sourced<T> {
        let SourcedEntry { value, source, estimate, note } = entry;
        let said = |words: &Option<String>| words.as_deref().is_some_and(|words| !words.trim().is_empty());
        let origin = match (said(&source), said(&estimate)) {
            (true, false) => Origin::Source(source.unwrap_or_default()),
            (false, true) => Origin::Estimate(estimate.unwrap_or_default()),
            (true, true) => {
                self.error(place, format!("{field} has a source and is an estimate: keep one of the two"));
                Origin::Unstated
            }
            (false, false) => {
                let way_out = "add source: \"where it stands\" or estimate: \"why it may be so\"";
                self.warning(place, format!("{field} says not where it comes from: {way_out}"));
                Origin::Unstated
            }
        };
        Sourced { value, origin, note: note.unwrap_or_default() }
    }

    fn codecs(&mut self) -> Option<Vec<Sourced<CodecSupport>>> {
        let entries: Vec<&'a RawValue> = self.field("codecs")?;
        if entries.len() > HeadsetProfile::MAX_ENTRIES {
            let message = format!("codecs has {} entries: 1 to {}", entries.len(), HeadsetProfile::MAX_ENTRIES);
            self.error(self.place_of("codecs"), message);
            return None;
        }
        let mut codecs = Vec::with_capacity(entries.len());
        let mut all = true;
        for (index, raw) in entries.into_iter().enumerate() {
            let (name, place) = (format!("codecs[{index}]"), self.lines.place_of(raw));
            match self.part::<SourcedEntry<CodecSupport>>(&name, raw) {
                Some(entry) => {
                    let codec = self.with_origin(&name, place, entry);
                    self.codecs.push(place);
                    codecs.push(codec);
                }
                None => all = false,
            }
        }
        all.then_some(codecs)
    }

    fn profile(&mut self) -> Option<HeadsetProfile> {
        let version = self.field::<u32>("version");
        if let Some(version) = version
            && version != HeadsetProfile::VERSION
        {
            let known = HeadsetProfile::VERSION;
            self.error(self.place_of("version"), format!("version {version} is not read here: this release knows {known}"));
            return None;
        }
        // All of them are asked for, so that every fault is told.
        let (id, name, vendor) = (self.field("id"), self.field("name"), self.field("vendor"));
        let (panel_px, render_px) = (self.sourced("panel_px"), self.sourced("render_px"));
        let (left_fov, right_fov) = (self.sourced("left_fov"), self.sourced("right_fov"));
        let (refresh_hz, ipd_m) = (self.sourced("refresh_hz"), self.sourced("ipd_m"));
        let codecs = self.codecs();
        let bitrate_max_bps = self.sourced("bitrate_max_bps");
        let (projection, stereo) = (self.sourced("projection"), self.sourced("stereo"));
        version?;
        let profile = HeadsetProfile {
            id: id?,
            name: name?,
            vendor: vendor?,
            panel_px: panel_px?,
            render_px: render_px?,
            left_fov: left_fov?,
            right_fov: right_fov?,
            refresh_hz: refresh_hz?,
            ipd_m: ipd_m?,
            codecs: codecs?,
            bitrate_max_bps: bitrate_max_bps?,
            projection: projection?,
            stereo: stereo?,
            extra: Vec::new(),
        };
        for Fault { field, entry, message } in profile.faults() {
            let place = entry.and_then(|entry| self.codecs.get(entry).copied()).unwrap_or_else(|| self.place_of(field));
            let name = entry.map_or_else(|| field.to_owned(), |entry| format!("{field}[{entry}]"));
            self.error(place, format!("{name} {message}"));
        }
        Some(profile)
    }
}
