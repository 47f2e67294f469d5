//! What a viewer sees over a bad path: pictures, stalls and latency at 0, 1, 2 and 5 % loss and 30 ± 10 ms each way.
//!
//! `cargo run --release -p studio_stream --example bench_stream -- [SECONDS [LOSS%…]]`: a minute each, and five minutes at 2 %,
//! unless seconds are given. The last line is a path that becomes narrow and wide again, with the bit rate following.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench program talks on stdout")]

#[path = "support/path.rs"]
mod path;

use path::{Outcome, stream};
use std::time::Duration;
use studio_stream::link::PathConditions;

/// The longest that a picture may stand at up to 2 % loss.
const STALL_MS: f64 = 250.0;
const BITRATE_BPS: u64 = 4_000_000;

fn say(name: &str, outcome: &Outcome, passed: bool) {
    let Outcome { p50_ms, p95_ms, longest_stall_ms, sent, shown, groups_skipped, key_frame_requests, target_delay_ms, .. } =
        outcome;
    println!(
        r#"{{"name":"{name}","p50_ms":{p50_ms:.1},"p95_ms":{p95_ms:.1},"longest_stall_ms":{longest_stall_ms:.0},"sent":{sent},"shown":{shown},"groups_skipped":{groups_skipped},"key_frames_asked":{key_frame_requests},"held_ms":{target_delay_ms:.0},"packets_lost_percent":{:.2},"sent_mbps":{:.2},"final_mbps":{:.2},"round_trip_ms":{:.0},"passed":{passed}}}"#,
        outcome.packets_lost * 100.0,
        outcome.sent_bps / 1e6,
        outcome.final_bps as f64 / 1e6,
        outcome.round_trip_ms,
    );
}

fn main() {
    let mut args = std::env::args().skip(1);
    let seconds: Option<f64> = args.next().and_then(|seconds| seconds.parse().ok());
    let wanted: Vec<f64> = args.filter_map(|loss| loss.parse().ok()).collect();
    let losses = if wanted.is_empty() { vec![0.0, 1.0, 2.0, 5.0] } else { wanted.clone() };
    for percent in losses {
        let watched = Duration::from_secs_f64(seconds.unwrap_or(if percent == 2.0 { 300.0 } else { 60.0 }));
        let conditions = PathConditions {
            loss: percent / 100.0,
            delay: Duration::from_millis(30),
            jitter: Duration::from_millis(10),
            seed: 7,
            ..Default::default()
        };
        let outcome = stream(conditions, watched, BITRATE_BPS, false, |_, _| {});
        let passed = percent > 2.0 || outcome.longest_stall_ms <= STALL_MS;
        say(&format!("stream, {percent} % loss, 30 ± 10 ms each way"), &outcome, passed);
    }
    if !wanted.is_empty() {
        return;
    }
    // Ten seconds wide, twenty narrow, the rest wide again.
    let wide = PathConditions { delay: Duration::from_millis(30), rate_bps: Some(20_000_000), ..Default::default() };
    let mut narrow = None;
    let outcome = stream(wide, Duration::from_secs(60), BITRATE_BPS, true, |relay, since| {
        let now = (10..30).contains(&since.as_secs());
        if narrow.replace(now) != Some(now) {
            relay.set_conditions(PathConditions { rate_bps: Some(if now { 2_000_000 } else { 20_000_000 }), ..wide });
        }
    });
    say("stream, 2 Mb/s for 20 s of 60 s, the bit rate follows", &outcome, outcome.shown > 0);
}
