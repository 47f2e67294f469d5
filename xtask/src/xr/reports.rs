//! What the studio heard from its viewer.

use super::events::Events;
use serde_json::Value;
use std::{fs, path::Path};

/// How far a report's direction may be outside of those that the log has, in degrees: reports are of moments between frames, too.
const BETWEEN_FRAMES_DEG: f64 = 1.0;

/// The studio's file of reports (`--viewer-report`).
pub(super) struct Reports(Value);

impl Reports {
    /// Reads it once the viewer has left and all of its reports are there; none before.
    pub fn after_the_end(path: &Path) -> Option<Self> {
        let file: Value = serde_json::from_str(&fs::read_to_string(path).ok()?).ok()?;
        let viewers = file["viewers"].as_array()?;
        let over = !viewers.is_empty() && viewers.iter().all(|viewer| viewer["leftAt"].is_number());
        over.then_some(Self(file))
    }

    /// A headset's viewer that looked where its log says, and was shown generated frames. Returns how many directions it told.
    pub fn check(&self, events: &Events) -> Result<usize, String> {
        let kinds: Vec<&Value> = self.0["viewers"].as_array().into_iter().flatten().map(|viewer| &viewer["kind"]).collect();
        if kinds != ["openxr"] {
            return Err(format!("the studio's viewers were {kinds:?}, not one headset"));
        }
        let reports: Vec<&Value> = self.0["records"].as_array().into_iter().flatten().map(|record| &record["report"]).collect();
        let generated = reports.iter().filter_map(|report| report["generatedHz"].as_f64()).fold(0.0, f64::max);
        if generated <= 0.0 {
            return Err(format!("no frame was generated, by {} reports", reports.len()));
        }
        let looked: Vec<&Value> = reports.iter().filter_map(|report| report["gaze"].as_array()).flatten().collect();
        if looked.is_empty() {
            return Err(format!("none of {} reports says where the head looked", reports.len()));
        }
        for (axis, name) in [(0, "to the right"), (1, "up")] {
            let of_head = |frame: &Value| frame["head_deg"][axis].as_f64();
            let head: Vec<f64> = events.of("frame").filter_map(of_head).collect();
            let least = head.iter().copied().fold(f64::MAX, f64::min) - BETWEEN_FRAMES_DEG;
            let most = head.iter().copied().fold(f64::MIN, f64::max) + BETWEEN_FRAMES_DEG;
            let told = looked.iter().map(|sample| sample[axis + 1].as_f64().unwrap_or(f64::NAN));
            if let Some(wrong) = told.into_iter().find(|told| !(least..=most).contains(told)) {
                return Err(format!(
                    "a report says that the head looked {wrong:.1}° {name}; it was within {least:.1}° and {most:.1}°"
                ));
            }
        }
        Ok(looked.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn another_viewer_or_one_that_looks_elsewhere_is_found() {
        let log = Events::from_lines(
            "{\"event\":\"frame\",\"head_deg\":[10.0,-3.0]}\n{\"event\":\"frame\",\"head_deg\":[14.0,2.0]}\n{\"event\":",
        );
        let reports = |kind: &str, generated_hz: f64, gaze: Value| {
            let record = json!({"report": {"generatedHz": generated_hz, "gaze": gaze}});
            Reports(json!({"viewers": [{"kind": kind, "leftAt": 5.0}], "records": [record]})).check(&log)
        };
        assert_eq!(reports("openxr", 4.0, json!([[20.0, 12.0, 0.0], [3.0, 14.5, 2.5]])), Ok(2));
        assert!(reports("desktop", 4.0, json!([[20.0, 12.0, 0.0]])).unwrap_err().contains("desktop"));
        assert!(reports("openxr", 0.0, json!([[20.0, 12.0, 0.0]])).unwrap_err().contains("generated"));
        assert!(reports("openxr", 4.0, json!([])).unwrap_err().contains("none of 1"));
        assert!(reports("openxr", 4.0, json!([[20.0, -12.0, 0.0]])).unwrap_err().contains("-12.0° to the right"));
    }

    #[test]
    fn reports_are_looked_at_when_the_viewer_has_left() {
        let path = std::env::temp_dir().join(format!("viewers-{}.json", std::process::id()));
        let read = |text: &str| {
            fs::write(&path, text).unwrap();
            Reports::after_the_end(&path).is_some()
        };
        assert!(
            !read("{\"viewers\": [{\"leftAt\"") && !read("{\"viewers\": []}") && !read("{\"viewers\": [{\"leftAt\": null}]}")
        );
        assert!(read("{\"viewers\": [{\"leftAt\": 12.5}]}"));
        let _gone = fs::remove_file(&path);
    }
}
