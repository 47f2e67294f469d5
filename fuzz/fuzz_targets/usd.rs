//! Opens bytes as a layer or a package and takes everything from the stage: no panic, no hang, memory within the budget.
//!
//! The first byte says what the bytes are: text, binary, either, or a package. What they refer to is not there, except the layer itself.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::{sync::Arc, time::Duration};
use studio_usd::{
    extract::ExtractOptions,
    host::StageHost,
    open::{Budget, MemorySource, OpenOptions, UsdError, scan_assets, scan_references},
};

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let name = ["root.usda", "root.usdc", "root.usd", "root.usdz"][usize::from(*kind) % 4];
    let budget = Budget { decompressed_bytes: 16 << 20, prims: 5_000, open_time: Duration::from_secs(20), stack_bytes: 32 << 20, ..Budget::untrusted() };
    let options = OpenOptions { budget, ..OpenOptions::default() };
    // What a layer refers to can be said wherever it may be opened.
    let scanned = scan_references(bytes, name).and_then(|_| scan_assets(bytes, name));
    let source = Arc::new(MemorySource::new([(name, bytes.to_vec())]));
    let done = StageHost::open(source, name, &options).and_then(|host| host.extract(&ExtractOptions::default()).map(|_| host));
    match done {
        Err(error @ (UsdError::Panicked { .. } | UsdError::TimedOut { .. } | UsdError::HostGone { .. })) => panic!("{error}"),
        Err(_) => {}
        Ok(_) => assert!(scanned.is_ok(), "a layer that opens can be scanned"),
    }
});
