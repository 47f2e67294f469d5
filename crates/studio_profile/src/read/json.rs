//! The form that other tools write: one JSON object with `id`, `eyeWidth`, `eyeHeight`, `fov…`, `ipd`, `codec`, `bitrate`,
//! `framerate`, `stereoFormat` and `embedDepthMap`, spelled in many ways.
//!
//! Keys are told apart by their letters and digits alone (`eyeWidth`, `eye_width` and `eye.width` are one). What is not said is
//! taken from a common headset and marked as an estimate; keys that are not known are kept and warned of.

use crate::{
    eye::EyeFov,
    level,
    profile::{CodecProfile, CodecSupport, Fault, HeadsetProfile, Origin, ProfileProjection, Sourced},
};
use bevy::math::UVec2;
use serde_json::Value;
use studio_frame::prelude::*;
use studio_graph::blueprint::{Place, Problem, read::Lines};

/// One value of the text, its keys joined: `{"fov": {"left": 1}}` is `fovleft`.
struct Leaf {
    /// As it is written, for people: `fov.left`.
    name: String,
    key: String,
    value: Value,
    place: Place,
    used: bool,
}

pub(super) fn read(text: &str) -> (Option<HeadsetProfile>, Vec<Problem>) {
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => {
            let place = Place { line: error.line() as u32, column: error.column() as u32 };
            let message = error.to_string();
            let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(words, _)| words);
            return (None, vec![Problem::error(place, format!("this is no JSON: {message}"))]);
        }
    };
    let mut places = key_places(text).into_iter();
    let mut reader = Reader { leaves: Vec::new(), problems: Vec::new(), lines: Lines::new(text) };
    reader.flatten(&value, text);
    // The keys come in the order of the text only as far as the parser keeps it, so each is looked for by its way.
    let known: Vec<(String, usize)> = places.by_ref().collect();
    for leaf in &mut reader.leaves {
        if let Some((_, byte)) = known.iter().rev().find(|(name, _)| *name == leaf.name) {
            leaf.place = reader.lines.place_at(*byte);
        }
    }
    let profile = reader.profile();
    (profile, reader.problems)
}

/// Where each key stands in a text that is JSON: the way to it, joined by full stops, and the byte. Objects in lists have no
/// part in it.
fn key_places(text: &str) -> Vec<(String, usize)> {
    let bytes = text.as_bytes();
    let mut places = Vec::new();
    // The way into the text: names of objects, none for lists.
    let mut way: Vec<Option<String>> = Vec::new();
    let mut pending: Option<String> = None;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let start = at;
                at += 1;
                while bytes.get(at).is_some_and(|byte| *byte != b'"') {
                    at += if bytes.get(at) == Some(&b'\\') { 2 } else { 1 };
                }
                at += 1;
                let mut after = at;
                while bytes.get(after).is_some_and(u8::is_ascii_whitespace) {
                    after += 1;
                }
                if bytes.get(after) == Some(&b':') {
                    let key: String =
                        text.get(start..at).and_then(|quoted| serde_json::from_str(quoted).ok()).unwrap_or_default();
                    // Objects in lists are not gone into, nor what lies deep.
                    if way.iter().skip(1).all(Option::is_some) && way.len() <= 4 {
                        let path: Vec<&str> = way.iter().skip(1).flatten().map(String::as_str).chain([key.as_str()]).collect();
                        places.push((path.join("."), start));
                    }
                    pending = Some(key);
                }
            }
            b'{' => {
                way.push(Some(pending.take().unwrap_or_default()));
                at += 1;
            }
            b'[' => {
                pending = None;
                way.push(None);
                at += 1;
            }
            b'}' | b']' => {
                way.pop();
                at += 1;
            }
            b',' => {
                pending = None;
                at += 1;
            }
            _ => at += 1,
        }
    }
    places
}

struct Reader<'a> {
    leaves: Vec<Leaf>,
    problems: Vec<Problem>,
    lines: Lines<'a>,
}

fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
}

fn shorten(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 60 { text.chars().take(57).chain("...".chars()).collect() } else { text }
}

impl Reader<'_> {
    const MOST_PROBLEMS: usize = 100;
    const MOST_KEYS: usize = 500;

    fn say(&mut self, problem: Problem) {
        if self.problems.len() < Self::MOST_PROBLEMS {
            self.problems.push(problem);
        }
    }

    /// The object's values by the way to them, objects in objects three deep.
    fn flatten(&mut self, value: &Value, _: &str) {
        let mut open: Vec<(String, &Value, usize)> = vec![(String::new(), value, 0)];
        while let Some((name, value, depth)) = open.pop() {
            match value {
                Value::Object(entries) if depth < 4 => {
                    for (key, value) in entries.iter().take(Self::MOST_KEYS) {
                        let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                        open.push((name, value, depth + 1));
                    }
                }
                _ if self.leaves.len() < Self::MOST_KEYS => {
                    let key = plain(&name);
                    let place = Place { line: 1, column: 1 };
                    self.leaves.push(Leaf { name, key, value: value.clone(), place, used: false });
                }
                _ => {}
            }
        }
        self.leaves.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// The first of these keys that is there.
    fn find(&mut self, keys: &[&str]) -> Option<(usize, Value)> {
        let index = keys.iter().find_map(|key| self.leaves.iter().position(|leaf| leaf.key == *key && !leaf.value.is_null()))?;
        let leaf = self.leaves.get_mut(index)?;
        leaf.used = true;
        Some((index, leaf.value.clone()))
    }

    fn place(&self, index: usize) -> Place {
        self.leaves.get(index).map_or(Place { line: 1, column: 1 }, |leaf| leaf.place)
    }

    fn fault(&mut self, index: usize, wants: &str) {
        let Some(leaf) = self.leaves.get(index) else { return };
        let (place, message) = (leaf.place, format!("{} is {}: {wants}", leaf.name, shorten(&leaf.value)));
        self.say(Problem::error(place, message));
    }

    fn words(&mut self, keys: &[&str]) -> Option<(usize, String)> {
        let (index, value) = self.find(keys)?;
        match value {
            Value::String(words) => Some((index, words)),
            Value::Number(number) => Some((index, number.to_string())),
            _ => {
                self.fault(index, "it must be words");
                None
            }
        }
    }

    /// A number with the unit behind it, if it has one: `63`, `"63 mm"`, `"50M"`.
    fn number(&mut self, keys: &[&str]) -> Option<(usize, f64, String)> {
        let (index, value) = self.find(keys)?;
        let Some((number, unit)) = number_of(&value) else {
            self.fault(index, "it must be a number");
            return None;
        };
        Some((index, number, unit))
    }

    /// One number or a list of them.
    fn numbers(&mut self, keys: &[&str]) -> Option<(usize, Vec<f64>)> {
        let (index, value) = self.find(keys)?;
        let list = if let Value::Array(list) = value { list } else { vec![value] };
        let numbers: Option<Vec<f64>> = list.iter().map(|value| number_of(value).map(|(number, _)| number)).collect();
        match numbers {
            Some(numbers) if (1..=HeadsetProfile::MAX_ENTRIES).contains(&numbers.len()) => Some((index, numbers)),
            _ => {
                self.fault(index, "it must be a number, or a list of 1 to 16");
                None
            }
        }
    }

    fn pixels(&mut self, keys: &[&str]) -> Option<u32> {
        let (index, number, _) = self.number(keys)?;
        if (1.0..=65_536.0).contains(&number) && number.fract() == 0.0 {
            return Some(number as u32);
        }
        self.fault(index, "it must be a whole number of pixels, 16 to 16384");
        None
    }

    fn eye_size(&mut self) -> Option<(u32, u32)> {
        let width = self.pixels(&["eyewidth", "widthpereye", "pereyewidth", "eyeresolutionwidth", "resolutionwidth", "width"]);
        let height =
            self.pixels(&["eyeheight", "heightpereye", "pereyeheight", "eyeresolutionheight", "resolutionheight", "height"]);
        if let (Some(width), Some(height)) = (width, height) {
            return Some((width, height));
        }
        let (index, value) = self.find(&["resolution", "eyeresolution", "resolutionpereye", "pereyeresolution"])?;
        let parts: Vec<f64> = match &value {
            Value::Array(parts) => parts.iter().filter_map(|part| number_of(part).map(|(number, _)| number)).collect(),
            Value::String(words) => words.split(['x', 'X', '×', '*']).filter_map(|part| part.trim().parse().ok()).collect(),
            _ => Vec::new(),
        };
        match parts.as_slice() {
            [width, height] if (1.0..=65_536.0).contains(width) && (1.0..=65_536.0).contains(height) => {
                Some((*width as u32, *height as u32))
            }
            _ => {
                self.fault(index, "it must be width and height, such as [2064, 2208] or \"2064x2208\"");
                None
            }
        }
    }

    /// An angle under one of these keys, or under one of them with its unit behind it.
    fn angle(&mut self, keys: &[&str]) -> Option<(usize, f64, Unit)> {
        for (unit, endings) in
            [(Unit::Unknown, &[""][..]), (Unit::Degrees, &["deg", "degrees"][..]), (Unit::Radians, &["rad", "radians"][..])]
        {
            for key in keys {
                for ending in endings {
                    if let Some((index, angle, written)) = self.number(&[&format!("{key}{ending}")]) {
                        let unit = match written.as_str() {
                            "deg" | "degrees" | "°" => Unit::Degrees,
                            "rad" | "radians" => Unit::Radians,
                            _ => unit,
                        };
                        return Some((index, angle, unit));
                    }
                }
            }
        }
        None
    }

    fn fov(&mut self) -> Option<[Sourced<EyeFov>; 2]> {
        let stated = self.words(&["fovunit", "fovunits", "angleunit", "angleunits"]).map(|(_, words)| words.to_ascii_lowercase());
        let side = |reader: &mut Self, eye: &str, side: &str, other: &str| {
            let keys: Vec<String> = [eye, ""]
                .iter()
                .flat_map(|eye| {
                    [side, other]
                        .map(|side| [format!("fov{eye}{side}"), format!("fov{eye}angle{side}"), format!("{eye}fov{side}")])
                })
                .flatten()
                .collect();
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            reader.angle(&keys)
        };
        let mut angles: Vec<(usize, f64, Unit)> = Vec::new();
        let mut eyes: [Option<[f64; 4]>; 2] = [None, None];
        for (eye, found) in ["lefteye", "righteye"].iter().zip(&mut eyes) {
            let four = [("left", "l"), ("right", "r"), ("up", "top"), ("down", "bottom")]
                .map(|(name, other)| side(self, eye, name, other));
            if let [Some(left), Some(right), Some(up), Some(down)] = four {
                angles.extend([left, right, up, down]);
                // OpenXR counts the left and the lower edge negative.
                *found = Some([left, right, up, down].map(|(_, angle, _)| angle.abs()));
            }
        }
        let mut one_for_both = false;
        if eyes.iter().all(Option::is_none) {
            let across = self.angle(&["fovhorizontal", "horizontalfov", "fovh", "hfov", "fovx", "fovwidth", "fov"]);
            let down = self.angle(&["fovvertical", "verticalfov", "fovv", "vfov", "fovy", "fovheight"]);
            let (across, down) = match (across, down) {
                (Some(across), Some(down)) => (across, down),
                (Some(one), None) | (None, Some(one)) => (one, one),
                (None, None) => return None,
            };
            angles.extend([across, down]);
            one_for_both = true;
            let half = [across.1 / 2.0, across.1 / 2.0, down.1 / 2.0, down.1 / 2.0];
            eyes = [Some(half), Some(half)];
        }
        let (place, name) = angles.first().map(|(index, ..)| (self.place(*index), *index)).unwrap_or_default();
        let radians = match stated.as_deref() {
            Some(unit) if unit.starts_with("rad") => true,
            Some(_) => false,
            None if angles.iter().any(|(.., unit)| *unit == Unit::Radians) => true,
            None if angles.iter().any(|(.., unit)| *unit == Unit::Degrees) => false,
            None => {
                let small = angles.iter().all(|(_, angle, _)| angle.abs() <= core::f64::consts::PI);
                if small {
                    let name = self.leaves.get(name).map(|leaf| leaf.name.clone()).unwrap_or_default();
                    self.say(Problem::warning(place, format!("{name} and its kin are small: they are read as radians")));
                }
                small
            }
        };
        let to_deg = |angle: f64| if radians { angle.to_degrees() as f32 } else { angle as f32 };
        let made = |[left, right, up, down]: [f64; 4]| EyeFov {
            left_deg: to_deg(left),
            right_deg: to_deg(right),
            up_deg: to_deg(up),
            down_deg: to_deg(down),
        };
        let mirrored = |[left, right, up, down]: [f64; 4]| [right, left, up, down];
        // Of four angles alone, the left eye's are meant, as every such file has the larger one outwards to the left.
        let (left, right) = match eyes {
            [Some(left), Some(right)] if one_for_both || left != right => (left, right),
            [Some(left), _] => (left, mirrored(left)),
            [None, Some(right)] => (mirrored(right), right),
            [None, None] => return None,
        };
        Some([Sourced::unstated(made(left)), Sourced::unstated(made(right))])
    }

    fn metres(&mut self, index: usize, number: f64, unit: &str) -> f32 {
        let metres = match unit {
            "mm" => number / 1e3,
            "cm" => number / 1e2,
            "m" => number,
            // Eyes are 50 to 80 mm apart: the size tells the unit.
            _ if number < 0.2 => number,
            _ if number < 20.0 => number / 1e2,
            _ => number / 1e3,
        };
        if unit.is_empty() && number >= 0.2 {
            let name = self.leaves.get(index).map(|leaf| leaf.name.clone()).unwrap_or_default();
            self.say(Problem::warning(self.place(index), format!("{name} is {number}: read as {metres} metres")));
        }
        metres as f32
    }

    fn ipd(&mut self) -> Option<(f32, f32)> {
        for (unit, ending) in [("", ""), ("mm", "mm"), ("m", "m"), ("cm", "cm")] {
            let key = |name: &str| format!("{name}{ending}");
            if let Some((index, numbers)) = self
                .leaves
                .iter()
                .any(|leaf| leaf.key == key("ipd") && leaf.value.is_array())
                .then(|| self.numbers(&[&key("ipd")]))
                .flatten()
            {
                let metres: Vec<f32> = numbers.iter().map(|number| self.metres(index, *number, unit)).collect();
                return Some((metres.iter().copied().fold(f32::MAX, f32::min), metres.iter().copied().fold(0.0, f32::max)));
            }
            if let Some((index, number, written)) = self.number(&[&key("ipd")]) {
                let metres = self.metres(index, number, if written.is_empty() { unit } else { &written });
                return Some((metres, metres));
            }
            let least = self.number(&[&key("ipdmin"), &key("minipd")]);
            let most = self.number(&[&key("ipdmax"), &key("maxipd")]);
            if let (Some(least), Some(most)) = (least, most) {
                let (low, high) = (self.metres(least.0, least.1, unit), self.metres(most.0, most.1, unit));
                return Some((low, high));
            }
        }
        None
    }

    fn bitrate(&mut self) -> Option<u32> {
        for (unit, ending) in [("", ""), ("mbps", "mbps"), ("kbps", "kbps"), ("bps", "bps")] {
            let keys = ["bitrate", "maxbitrate", "bitratemax", "targetbitrate"].map(|key| format!("{key}{ending}"));
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let Some((index, number, written)) = self.number(&keys) else { continue };
            let unit = if written.is_empty() { unit.to_owned() } else { written };
            let scale = match unit.as_str() {
                "mbps" | "m" | "mbit/s" | "mb/s" | "mbits" => 1e6,
                "kbps" | "k" | "kbit/s" | "kb/s" | "kbits" => 1e3,
                "bps" | "bit/s" | "b/s" => 1.0,
                // Nobody streams with a thousand bits a second.
                _ if number < 2_000.0 => 1e6,
                _ if number < 100_000.0 => 1e3,
                _ => 1.0,
            };
            let bits = number * scale;
            if (1.0..=4e9).contains(&bits) {
                return Some(bits as u32);
            }
            self.fault(index, "it must be 100000 to 2000000000 bits a second");
            return None;
        }
        None
    }

    fn codecs(&mut self, size: UVec2, fps: f32) -> Option<Vec<Sourced<CodecSupport>>> {
        let (index, value) = self.find(&["codec", "codecs", "videocodec", "encoder"])?;
        let list = if let Value::Array(list) = value { list } else { vec![value] };
        let mut codecs = Vec::new();
        for entry in list.iter().take(HeadsetProfile::MAX_ENTRIES) {
            let Some(codec) = entry.as_str().and_then(codec_named) else {
                self.fault(index, "it must be h264, h265 (hevc) or av1, or a list of them");
                return None;
            };
            let profile = if codec == VideoCodec::H264 { CodecProfile::High } else { CodecProfile::Main };
            let Some(level) = level::lowest_level(codec, profile, size, fps) else {
                let (width, height) = (size.x, size.y);
                self.fault(index, &format!("no level of it allows both eyes' {width}×{height} at {fps} frames a second"));
                return None;
            };
            let support = CodecSupport { codec, profile, level: level.to_owned(), max_px: size.into(), max_fps: fps };
            let why = "the lowest level for the size and rate that the file names".to_owned();
            codecs.push(Sourced { value: support, origin: Origin::Estimate(why), note: String::new() });
        }
        (!codecs.is_empty()).then_some(codecs)
    }

    fn profile(&mut self) -> Option<HeadsetProfile> {
        let (_, id) = self.words(&["id", "name", "displayname", "profile"]).or_else(|| {
            self.say(Problem::error(Place { line: 1, column: 1 }, "`id` is missing".to_owned()));
            None
        })?;
        let name = self.words(&["displayname", "name", "label", "model"]).map_or_else(|| id.clone(), |(_, name)| name);
        let vendor = self.words(&["vendor", "manufacturer", "maker", "brand"]).map_or_else(|| "unknown".to_owned(), |(_, it)| it);
        let id: String = id
            .trim()
            .to_ascii_lowercase()
            .chars()
            .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' })
            .collect();
        let Some(eye) = self.eye_size() else {
            if self.problems.is_empty() {
                self.say(Problem::error(Place { line: 1, column: 1 }, "`eyeWidth` and `eyeHeight` are missing".to_owned()));
            }
            return None;
        };
        let estimate = |why: &str| Origin::Estimate(why.to_owned());
        let taken = "the file does not say it: as most headsets have it";
        let [left_fov, right_fov] = self.fov().unwrap_or_else(|| {
            let fov = |left_deg, right_deg| EyeFov { left_deg, right_deg, up_deg: 48.0, down_deg: 48.0 };
            [fov(50.0, 44.0), fov(44.0, 50.0)].map(|value| Sourced { value, origin: estimate(taken), note: String::new() })
        });
        let said = self.numbers(&["framerate", "framerates", "fps", "refreshrate", "refreshrates", "refresh", "refreshhz", "hz"]);
        let refresh_hz = match said {
            Some((_, rates)) => Sourced::unstated(rates.into_iter().map(|rate| rate as f32).collect()),
            None => Sourced { value: vec![72.0, 90.0], origin: estimate(taken), note: String::new() },
        };
        let ipd_m = match self.ipd() {
            Some(range) => Sourced::unstated(range),
            None => Sourced { value: (0.058, 0.070), origin: estimate(taken), note: String::new() },
        };
        let bitrate_max_bps = match self.bitrate() {
            Some(rate) => Sourced::unstated(rate),
            None => Sourced { value: 50_000_000, origin: estimate(taken), note: String::new() },
        };
        let stereo = match self.words(&["stereoformat", "stereo", "stereomode", "stereolayout", "layout", "packing"]) {
            Some((index, words)) => match stereo_named(&words) {
                Some(stereo) => Sourced::unstated(stereo),
                None => {
                    self.fault(index, "it must be side-by-side, top-bottom or mono");
                    return None;
                }
            },
            None => Sourced { value: StereoLayout::LeftRight, origin: estimate(taken), note: String::new() },
        };
        let projection = match self.words(&["projection", "projectiontype", "format"]) {
            Some((index, words)) => match projection_named(&words) {
                Some(projection) => Sourced::unstated(projection),
                None => {
                    self.fault(index, "it must be equirectangular, vr180, cubemap or rectilinear");
                    return None;
                }
            },
            None => Sourced {
                value: ProfileProjection::Rectilinear,
                origin: estimate("the file names eyes' sizes and angles, so flat views"),
                note: String::new(),
            },
        };
        let (width, height) = match *stereo {
            StereoLayout::LeftRight => (eye.0.saturating_mul(2), eye.1),
            StereoLayout::TopBottom => (eye.0, eye.1.saturating_mul(2)),
            StereoLayout::Mono => eye,
        };
        let fps = refresh_hz.iter().copied().fold(1.0, f32::max);
        let size = UVec2::new(width.min(16_384), height.min(16_384));
        let named = self.leaves.iter().any(|leaf| ["codec", "codecs", "videocodec", "encoder"].contains(&leaf.key.as_str()));
        let codecs = match self.codecs(size, fps.min(1000.0)) {
            Some(codecs) => codecs,
            None if named => return None,
            None => {
                let support = CodecSupport {
                    codec: VideoCodec::H264,
                    profile: CodecProfile::High,
                    level: "5.2".to_owned(),
                    max_px: (4096, 2160),
                    max_fps: 60.0,
                };
                vec![Sourced { value: support, origin: estimate(taken), note: String::new() }]
            }
        };
        let mut profile = HeadsetProfile {
            id,
            name,
            vendor,
            panel_px: Sourced::unstated(eye),
            render_px: Sourced::unstated(eye),
            left_fov,
            right_fov,
            refresh_hz,
            ipd_m,
            codecs,
            bitrate_max_bps,
            projection,
            stereo,
            extra: Vec::new(),
        };
        for Fault { field, message, .. } in profile.faults() {
            let place = self.place_of_field(field);
            self.say(Problem::error(place, format!("{field} {message}")));
        }
        for index in 0..self.leaves.len() {
            let Some(leaf) = self.leaves.get(index).filter(|leaf| !leaf.used) else { continue };
            profile.extra.push((leaf.name.clone(), leaf.value.to_string()));
            let (name, place) = (leaf.name.chars().take(60).collect::<String>(), leaf.place);
            let why = match leaf.key.as_str() {
                "embeddepthmap" if leaf.value == Value::Bool(true) => "no depth is sent yet; it is kept",
                "embeddepthmap" => continue,
                _ => "it is not known here; it is kept",
            };
            self.say(Problem::warning(place, format!("{name}: {why}")));
        }
        Some(profile)
    }

    /// Where the value of one of the profile's fields most likely came from.
    fn place_of_field(&self, field: &str) -> Place {
        let beginnings: &[&str] = match field {
            "panel_px" | "render_px" => &["eye", "width", "height", "resolution", "pereye"],
            "left_fov" | "right_fov" => &["fov", "hfov", "vfov", "horizontalfov", "verticalfov", "lefteyefov", "righteyefov"],
            "refresh_hz" => &["framerate", "fps", "refresh", "hz"],
            "ipd_m" => &["ipd", "minipd", "maxipd"],
            "bitrate_max_bps" => &["bitrate", "maxbitrate", "targetbitrate"],
            "codecs" => &["codec", "videocodec", "encoder"],
            "id" => &["id", "name"],
            _ => &["name", "displayname", "vendor", "manufacturer"],
        };
        let found = self.leaves.iter().find(|leaf| leaf.used && beginnings.iter().any(|start| leaf.key.starts_with(start)));
        found.map_or(Place { line: 1, column: 1 }, |leaf| leaf.place)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Unit {
    Unknown,
    Degrees,
    Radians,
}

/// A number, and the letters behind it in small ones.
fn number_of(value: &Value) -> Option<(f64, String)> {
    match value {
        Value::Number(number) => number.as_f64().filter(|number| number.is_finite()).map(|number| (number, String::new())),
        Value::String(words) => {
            let words = words.trim();
            let is_of_number = |letter: char| letter.is_ascii_digit() || matches!(letter, '.' | '-' | '+' | '_');
            let end = words.find(|letter| !is_of_number(letter)).unwrap_or(words.len());
            let (number, unit) = words.split_at_checked(end)?;
            let number: f64 = number.replace('_', "").parse().ok()?;
            number.is_finite().then(|| (number, unit.trim().to_ascii_lowercase()))
        }
        _ => None,
    }
}

fn codec_named(words: &str) -> Option<VideoCodec> {
    match plain(words).as_str() {
        "h264" | "avc" | "x264" | "nvench264" => Some(VideoCodec::H264),
        "h265" | "hevc" | "x265" | "nvench265" => Some(VideoCodec::H265),
        "av1" | "av01" => Some(VideoCodec::Av1),
        plain if plain.starts_with("avc1") || plain.starts_with("avc3") => Some(VideoCodec::H264),
        plain if plain.starts_with("hvc1") || plain.starts_with("hev1") => Some(VideoCodec::H265),
        plain if plain.starts_with("av01") => Some(VideoCodec::Av1),
        _ => None,
    }
}

fn stereo_named(words: &str) -> Option<StereoLayout> {
    match plain(words).as_str() {
        "sbs" | "sidebyside" | "leftright" | "lr" | "horizontal" | "fullsbs" => Some(StereoLayout::LeftRight),
        "tb" | "topbottom" | "overunder" | "ou" | "vertical" | "abovebelow" => Some(StereoLayout::TopBottom),
        "mono" | "none" | "2d" | "off" | "false" => Some(StereoLayout::Mono),
        _ => None,
    }
}

fn projection_named(words: &str) -> Option<ProfileProjection> {
    match plain(words).as_str() {
        "equirectangular" | "equirect" | "erp" | "360" | "sphere" | "spherical" => Some(ProfileProjection::Equirectangular),
        "halfequirectangular" | "vr180" | "180" | "equirect180" | "equirectangular180" => {
            Some(ProfileProjection::HalfEquirectangular)
        }
        "cubemap" | "cube" => Some(ProfileProjection::CubeMap),
        "rectilinear" | "flat" | "perspective" | "planar" => Some(ProfileProjection::Rectilinear),
        _ => None,
    }
}
