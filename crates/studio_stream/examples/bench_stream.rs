//! What a viewer sees over a bad path: pictures, stalls and latency at 0, 1, 2 and 5 % loss and 30 ± 10 ms each way.
//!
//! `cargo run --release -p studio_stream --example bench_stream -- [SECONDS [LOSS%…]]`: a minute each, and five minutes at 2 %,
//! unless seconds are given. The last lines are a path that becomes narrow and wide again, with the bit rate following, or the viewer
//! taking another rendition, and renditions switched by hand.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench program talks on stdout")]

#[path = "support/path.rs"]
mod path;

use bevy::math::UVec2;
use path::{Outcome, stream, stream_x264};
use std::{ops::ControlFlow, time::Duration};
use studio_stream::{
    link::{PathConditions, UdpRelay},
    subscribe::StreamQuality,
};

/// The longest that a picture may stand at up to 2 % loss.
const STALL_MS: f64 = 250.0;
/// The longest while a path becomes narrow all at once: what its queue cannot hold is lost, and has to be sent again over what is
/// left of it.
const NARROW_STALL_MS: f64 = 1000.0;
const BITRATE_BPS: u64 = 4_000_000;

fn say(name: &str, outcome: &Outcome, passed: bool) {
    let Outcome { p50_ms, p95_ms, longest_stall_ms, sent, shown, groups_skipped, key_frame_requests, target_delay_ms, .. } =
        outcome;
    println!(
        r#"{{"name":"{name}","p50_ms":{p50_ms:.1},"p95_ms":{p95_ms:.1},"longest_stall_ms":{longest_stall_ms:.0},"sent":{sent},"shown":{shown},"groups_skipped":{groups_skipped},"key_frames_asked":{key_frame_requests},"held_ms":{target_delay_ms:.0},"packets_lost_percent":{:.2},"sent_mbps":{:.2},"lowest_mbps":{:.2},"final_mbps":{:.2},"widths_px":{:?},"out_of_order":{},"round_trip_ms":{:.0},"passed":{passed}}}"#,
        outcome.packets_lost * 100.0,
        outcome.sent_bps / 1e6,
        outcome.lowest_bps as f64 / 1e6,
        outcome.final_bps as f64 / 1e6,
        outcome.widths_px,
        outcome.out_of_order,
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
    let narrow = |relay: &UdpRelay, since: Duration, was: &mut Option<bool>| {
        let now = (10..30).contains(&since.as_secs());
        if was.replace(now) != Some(now) {
            relay.set_conditions(PathConditions { rate_bps: Some(if now { 2_000_000 } else { 20_000_000 }), ..wide });
        }
    };
    let minute = Duration::from_secs(60);
    let mut was = None;
    let outcome = stream(wide, minute, BITRATE_BPS, true, |relay, since| narrow(relay, since, &mut was));
    say("stream, 2 Mb/s for 20 s of 60 s, the bit rate follows", &outcome, outcome.longest_stall_ms <= NARROW_STALL_MS);
    let (large, small) = ((UVec2::new(1280, 640), 4_000_000), (UVec2::new(640, 320), 1_000_000));
    let mut was = None;
    let outcome = stream_x264(wide, minute, &[large], |relay, _, since| {
        narrow(relay, since, &mut was);
        ControlFlow::Continue(())
    });
    let follows = outcome.lowest_bps < 2_000_000 && outcome.final_bps > 2_000_000;
    let passed = follows && outcome.longest_stall_ms <= NARROW_STALL_MS && outcome.out_of_order == 0;
    say("x264, 2 Mb/s for 20 s of 60 s, the bit rate follows", &outcome, passed);
    let mut was = None;
    let outcome = stream_x264(wide, minute * 3 / 2, &[large, small], |relay, _, since| {
        narrow(relay, since, &mut was);
        ControlFlow::Continue(())
    });
    let passed = outcome.widths_px.starts_with(&[1280, 640]) && outcome.widths_px.last() == Some(&1280);
    let passed = passed && outcome.longest_stall_ms <= NARROW_STALL_MS && outcome.out_of_order == 0;
    say("x264 in two renditions, 2 Mb/s for 20 s of 90 s, the viewer chooses", &outcome, passed);
    let mut at = 0;
    let outcome = stream_x264(wide, minute / 2, &[large, small], |_, viewer, since| {
        let now = since.as_secs() / 4;
        if core::mem::replace(&mut at, now) != now {
            viewer.set_quality(if now % 2 == 1 { StreamQuality::Low } else { StreamQuality::High });
        }
        ControlFlow::Continue(())
    });
    let passed = outcome.widths_px.len() >= 7 && outcome.longest_stall_ms <= STALL_MS && outcome.out_of_order == 0;
    say("x264 in two renditions, switched every 4 s by hand", &outcome, passed);
}
