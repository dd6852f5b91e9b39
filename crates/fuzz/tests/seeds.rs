//! Every seed goes through its target: whole, cut short, and damaged in ways that repeat.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails, with the reason in the panic")]

use std::path::Path;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use sluicegate_fuzz::{TARGETS, Target};

/// Damaged copies of each seed.
const DAMAGED: usize = 400;

fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target.name);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn damage(seed: &[u8], random: &mut SmallRng) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..random.random_range(1..4) {
        let at = random.random_range(0..bytes.len());
        match random.random_range(0..4) {
            0 => bytes[at] ^= 1 << random.random_range(0..8),
            1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.random_range(0..5)],
            2 => bytes.insert(at, random.random()),
            _ if bytes.len() > 1 => drop(bytes.remove(at)),
            _ => {}
        }
    }
    bytes
}

#[test]
fn every_folder_of_seeds_is_a_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let mut folders: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let mut targets: Vec<std::ffi::OsString> = TARGETS.map(|target| target.name.into()).to_vec();
    folders.sort();
    targets.sort();
    assert_eq!(folders, targets);
}

#[test]
fn seeds_cut_and_damaged_do_no_harm() {
    for target in TARGETS {
        let seeds = seeds(&target);
        assert!(seeds.len() >= 2, "{} has {} seeds", target.name, seeds.len());
        for seed in seeds {
            assert!(!seed.is_empty(), "{}: an empty seed", target.name);
            (target.run)(&seed);
            (0..seed.len()).for_each(|length| (target.run)(&seed[..length]));
            let mut random = SmallRng::seed_from_u64(seed.len() as u64);
            (0..DAMAGED).for_each(|_| (target.run)(&damage(&seed, &mut random)));
        }
    }
}
