//! Sequences of pictures and of moments, and what is chosen: read by the page's tests too.
//!
//! `web/test/vectors/pace.json`, see [`vectors`](crate::vectors). In each case `events` are, in order, `["ready", ptsMs, nowMs]` or `["ask", nowMs, steps, mayGenerate, choice]`, where `choice` is `null` or
//! `[previousPts, currentPts, phase]` with `null` for no previous one. Every picture that was ready is still there to choose from.
//! After the last event `jitterMs`, `intervalMs` and, for a display of 60 Hz, `steps` are what is given. A case with a
//! `targetMs` is for viewers that have such a setting.

use super::pace::{Choice, Pace, choose};
use crate::vectors::{Chance, check_vectors, rounded};
use serde_json::{Value, json};

struct Case {
    pace: Pace,
    pictures: Vec<f64>,
    events: Vec<Value>,
}

impl Case {
    fn new(target_ms: Option<f64>) -> Self {
        let mut pace = Pace::default();
        pace.set_target_ms(target_ms);
        Self { pace, pictures: Vec::new(), events: Vec::new() }
    }

    fn ready(&mut self, pts_ms: f64, now_ms: f64) {
        let (pts_ms, now_ms) = (rounded(pts_ms), rounded(now_ms));
        if self.pictures.last().is_some_and(|last| *last >= pts_ms) {
            self.pictures.clear();
        }
        self.pictures.push(pts_ms);
        self.pace.ready(pts_ms, now_ms);
        self.events.push(json!(["ready", pts_ms, now_ms]));
    }

    fn ask(&mut self, now_ms: f64, steps: u32, may_generate: bool) {
        let now_ms = rounded(now_ms);
        let choice =
            self.pace.moment(now_ms, steps).and_then(|moment| choose(&self.pictures, moment, steps, |_, _| may_generate));
        let choice = choice.map_or(Value::Null, |Choice { previous, current, phase }| {
            json!([previous.map(|previous| self.pictures[previous]), self.pictures[current], phase])
        });
        self.events.push(json!(["ask", now_ms, steps, may_generate, choice]));
    }

    fn finish(self, name: &str, target_ms: Option<f64>) -> Value {
        json!({
            "name": name,
            "targetMs": target_ms,
            "events": self.events,
            "jitterMs": self.pace.jitter_ms(),
            "intervalMs": self.pace.interval_ms(),
            "steps": self.pace.steps(1000.0 / 60.0),
        })
    }
}

/// A stream of `frames` pictures at `interval_ms` whose delay is `delay(frame)`, looked at by a display of 60 Hz.
fn stream(name: &str, target_ms: Option<f64>, frames: u32, interval_ms: f64, mut delay: impl FnMut(u32) -> Option<f64>) -> Value {
    let mut case = Case::new(target_ms);
    let mut ready: Vec<(f64, f64)> = (0..frames)
        .filter_map(|frame| {
            let pts = 1_000_000.0 + f64::from(frame) * interval_ms;
            delay(frame).map(|delay| (pts, f64::from(frame) * interval_ms + delay))
        })
        .collect();
    // One that is late holds back those behind it: decoders go in order.
    for index in 1..ready.len() {
        ready[index].1 = ready[index].1.max(ready[index - 1].1);
    }
    let (mut next, end) = (0, ready.last().map_or(0.0, |last| last.1) + 100.0);
    let mut now = 3.0;
    while now < end {
        while next < ready.len() && ready[next].1 <= now {
            case.ready(ready[next].0, ready[next].1);
            next += 1;
        }
        let steps = case.pace.steps(1000.0 / 60.0);
        case.ask(now, steps, (now as u64 / 500).is_multiple_of(2) || steps == 1);
        now += 1000.0 / 60.0;
    }
    case.finish(name, target_ms)
}

#[test]
fn the_pages_vectors_are_what_is_chosen_here() {
    let mut chance = Chance(0x05ee_d0f7_e575);
    let mut jitter = |spread: f64| chance.next() * spread;
    let cases = [
        stream("an even stream of 30 pictures a second", None, 60, 1000.0 / 30.0, |_| Some(40.0)),
        stream("jitter of 20 ms", None, 120, 1000.0 / 30.0, |_| Some(30.0 + jitter(20.0))),
        stream("a late joiner gets a backlog at once", None, 60, 1000.0 / 30.0, |frame| {
            Some(if frame < 20 { f64::from(20 - frame) * 33.0 + 35.0 } else { 35.0 + jitter(3.0) })
        }),
        stream("a late joiner whose decoder starts slowly", None, 90, 1000.0 / 15.0, |frame| {
            let late = (30.0 - f64::from(frame)) * 65.0 + f64::from(frame.min(3)) * 70.0;
            Some(35.0 + late.max(0.0))
        }),
        stream("lost pictures", None, 90, 1000.0 / 30.0, |frame| (frame % 11 != 7).then(|| 40.0 + jitter(8.0))),
        stream("a stall of 600 ms", None, 120, 1000.0 / 30.0, |frame| {
            Some(if (50..68).contains(&frame) { 640.0 - f64::from(frame - 50) * 33.0 } else { 40.0 })
        }),
        stream("72 pictures a second on a display of 60 Hz", None, 90, 1000.0 / 72.0, |_| Some(20.0 + jitter(4.0))),
        stream("15 pictures a second, drift of 0.1 %", None, 60, 1000.0 / 15.0, |frame| Some(50.0 + f64::from(frame) * 0.0667)),
        stream("a wanted delay of 100 ms", Some(100.0), 90, 1000.0 / 30.0, |_| Some(30.0 + jitter(20.0))),
    ];
    let json = check_vectors("pace.json", &cases);
    // The vectors say something: all kinds of choices are among them.
    for wanted in [",null]", "0.5]", "[null,", "false,"] {
        assert!(json.contains(wanted), "{wanted}");
    }
}
