//! A stream over bad paths: what the bench measures for minutes, for seconds.

#[path = "../../examples/support/path.rs"]
pub(crate) mod run;

use std::time::Duration;
use studio_stream::link::PathConditions;

#[test]
fn two_percent_of_loss_and_jitter_stall_nothing() {
    let conditions = PathConditions {
        loss: 0.02,
        delay: Duration::from_millis(30),
        jitter: Duration::from_millis(10),
        seed: 7,
        ..Default::default()
    };
    let outcome = run::stream(conditions, Duration::from_secs(20), 4_000_000, false, |_, _| {});
    println!("{outcome:?}");
    assert!((0.01..0.03).contains(&outcome.packets_lost), "{outcome:?}");
    // The bench's limit is 250 ms; other tests run beside this one.
    assert!(outcome.longest_stall_ms < 500.0, "{outcome:?}");
    assert!(outcome.shown * 10 >= outcome.sent * 9, "{outcome:?}");
}

#[test]
fn a_path_that_becomes_narrow_lowers_the_bit_rate_and_the_stream_goes_on() {
    let wide = PathConditions { delay: Duration::from_millis(20), rate_bps: Some(20_000_000), ..Default::default() };
    let mut narrow = false;
    let outcome = run::stream(wide, Duration::from_secs(15), 4_000_000, true, |relay, since| {
        if since > Duration::from_secs(4) && !core::mem::replace(&mut narrow, true) {
            relay.set_conditions(PathConditions { rate_bps: Some(1_500_000), ..wide });
        }
    });
    println!("{outcome:?}");
    assert!((300_000..2_000_000).contains(&outcome.final_bps), "{outcome:?}");
    assert!(outcome.longest_stall_ms < 3000.0, "{outcome:?}");
}
