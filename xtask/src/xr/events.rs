//! What the viewer's event log must say.

use serde_json::Value;
use std::{fs, path::Path};

/// An event log.
pub(super) struct Events(Vec<Value>);

impl Events {
    /// Reads what is there of a log; a last line that is half written is left out.
    pub fn read(path: &Path) -> Self {
        Self::from_lines(&fs::read_to_string(path).unwrap_or_default())
    }

    /// The events of a log's lines.
    pub fn from_lines(lines: &str) -> Self {
        Self(lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// The events of a kind, in their order.
    pub fn of(&self, kind: &str) -> impl DoubleEndedIterator<Item = &Value> {
        self.0.iter().filter(move |event| event["event"] == kind)
    }

    /// The frames in which a picture was seen.
    pub fn with_picture(&self) -> impl Iterator<Item = &Value> {
        self.of("frame").filter(|frame| frame["picture"].is_u64())
    }

    /// How many frames that were not to be drawn, and had no layers, came after the last one with a picture.
    pub fn unseen_after_picture(&self) -> usize {
        let after = self.0.iter().rposition(|event| event["picture"].is_u64()).map_or(0, |at| at + 1);
        let unseen = |event: &&Value| event["should_render"] == false && event["layers"].as_array().is_some_and(Vec::is_empty);
        self.0[after..].iter().filter(unseen).count()
    }

    /// How many frames with a picture came after the last event of a kind.
    pub fn frames_after(&self, kind: &str) -> usize {
        let after = self.0.iter().rposition(|event| event["event"] == kind).map_or(0, |at| at + 1);
        self.0[after..].iter().filter(|event| event["event"] == "frame" && event["picture"].is_u64()).count()
    }

    /// The session's states in the order that OpenXR has them in, from the first to the end.
    pub fn check_states(&self) -> Result<(), String> {
        let states: Vec<&str> = self.of("state").filter_map(|event| event["state"].as_str()).collect();
        let mut wanted = ["IDLE", "READY", "SYNCHRONIZED", "VISIBLE", "FOCUSED", "STOPPING", "EXITING"].into_iter().peekable();
        for state in &states {
            wanted.next_if(|wanted| wanted == state);
        }
        match wanted.next() {
            Some(missing) => Err(format!("the session never came to {missing} in its turn: {}", states.join(" "))),
            None if self.of("ended").count() != 1 => Err("the session did not end".to_owned()),
            None => Ok(()),
        }
    }

    /// Display times that grow, two eyes apart, layers in each frame with a picture, and a head that moves. Returns the layers seen.
    pub fn check_frames(&self, at_least: usize) -> Result<Vec<String>, String> {
        let frames: Vec<&Value> = self.of("frame").collect();
        let times: Vec<i64> = frames.iter().filter_map(|frame| frame["display_ns"].as_i64()).collect();
        if !times.is_sorted_by(|earlier, later| earlier < later) {
            return Err("display times do not grow".to_owned());
        }
        let seen: Vec<&Value> = self.with_picture().collect();
        if seen.len() < at_least {
            return Err(format!("{} frames with a picture, {at_least} at least were wanted", seen.len()));
        }
        let mut layers = Vec::new();
        let mut least = [f64::MAX; 2];
        let mut most = [f64::MIN; 2];
        for frame in &seen {
            let names: Vec<String> = frame["layers"].as_array().into_iter().flatten().map(|name| text(name).to_owned()).collect();
            if names.is_empty() {
                return Err(format!("frame {} has no layers", frame["number"]));
            }
            let eyes = [0, 1].map(|eye| [0, 1, 2].map(|axis| frame["eyes_m"][eye][axis].as_f64().unwrap_or(f64::NAN)));
            let apart = (0..3).map(|axis| (eyes[0][axis] - eyes[1][axis]).powi(2)).sum::<f64>().sqrt();
            if !(0.05..0.08).contains(&apart) {
                return Err(format!("the eyes are {apart:.4} m apart in frame {}", frame["number"]));
            }
            for axis in 0..2 {
                let angle = frame["head_deg"][axis].as_f64().unwrap_or(f64::NAN);
                (least[axis], most[axis]) = (least[axis].min(angle), most[axis].max(angle));
            }
            layers.extend(names);
        }
        if (0..2).all(|axis| most[axis] - least[axis] < 0.5) {
            return Err("the head did not move".to_owned());
        }
        layers.sort_unstable();
        layers.dedup();
        Ok(layers)
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn log(states: &[&str]) -> Events {
        let mut events: Vec<Value> = states.iter().map(|state| json!({"event": "state", "state": state})).collect();
        events.push(json!({"event": "ended"}));
        Events(events)
    }

    fn frame(number: u64, yaw: f64, layers: &[&str]) -> Value {
        let eyes = [[-0.03, 0.0, 0.0], [0.03, 0.0, 0.0]];
        json!({"event": "frame", "number": number, "display_ns": number * 10, "layers": layers, "eyes_m": eyes, "head_deg": [yaw, 0.0],
               "picture": 1})
    }

    #[test]
    fn states_out_of_their_turn_are_found() {
        let good = ["IDLE", "READY", "SYNCHRONIZED", "VISIBLE", "FOCUSED", "VISIBLE", "STOPPING", "IDLE", "EXITING"];
        assert_eq!(log(&good).check_states(), Ok(()));
        assert!(log(&["READY", "IDLE", "FOCUSED", "STOPPING", "EXITING"]).check_states().is_err());
        assert!(log(&good[..6]).check_states().unwrap_err().contains("STOPPING"));
    }

    #[test]
    fn frames_without_layers_or_with_a_head_that_stands_still_are_found() {
        let good = Events(vec![frame(1, 0.0, &["quad"]), frame(2, 4.0, &["quad", "panel"])]);
        assert_eq!(good.check_frames(2), Ok(vec!["panel".to_owned(), "quad".to_owned()]));
        assert!(good.check_frames(3).is_err());
        assert!(Events(vec![frame(1, 0.0, &["quad"]), frame(2, 4.0, &[])]).check_frames(1).unwrap_err().contains("no layers"));
        assert!(Events(vec![frame(1, 0.0, &["quad"]), frame(2, 0.0, &["quad"])]).check_frames(1).unwrap_err().contains("move"));
        assert!(Events(vec![frame(2, 0.0, &["quad"]), frame(1, 3.0, &["quad"])]).check_frames(1).unwrap_err().contains("grow"));
    }
}
