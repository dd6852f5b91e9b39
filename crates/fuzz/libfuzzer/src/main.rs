//! Runs one of the targets under libFuzzer; `FUZZ_TARGET` names it.
#![no_main]

use std::sync::LazyLock;

use sluicegate_fuzz::{TARGETS, Target};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names the target");
    *TARGETS.iter().find(|target| target.name == name).expect("FUZZ_TARGET is one of TARGETS")
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| (TARGET.run)(data));
