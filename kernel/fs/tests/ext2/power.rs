//! Power cuts: random operations with commits, then the image as it can be after a cut at any moment. Repaired by
//! `e2fsck -p`, or by our own recovery, it must show the state of the last commit, or of the one that was under way.

use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::files::{self, Files};
use crate::image::fs_under_test::ext2::Ext2;
use crate::image::{self, Memory, Numbers};
use crate::model::Model;
use crate::random::{Operation, Pair, operation};
use crate::recorder::Recorder;

/// A committed state: the moment from which on it is safe, and what the tree is.
struct Committed {
    moment: usize,
    model: Model,
}

#[test]
fn a_power_cut_at_any_moment_loses_nothing_that_was_committed() {
    let cuts: usize = std::env::var("FS_POWER_CUTS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    for (seed, options, size) in [
        (1, &["-b", "1024", "-I", "128", "-g", "2048"][..], "8M"),
        (2, &["-b", "4096", "-I", "256"][..], "16M"),
        (3, &["-b", "1024", "-j"][..], "8M"),
    ] {
        let scratch = image::scratch(&format!("power-{seed}"));
        let empty = std::fs::read(image::make(&scratch, options, size)).unwrap();
        let (pair, history) = run(empty, seed);
        let mut numbers = Numbers::seeded(seed);
        let end = pair.files.store.moment();
        for _ in 0..cuts {
            let moment = numbers.below(end as u64 + 1) as usize;
            let percent = [0, 50, 90, 100][numbers.below(4) as usize];
            let image = pair.files.store.cut(moment, || numbers.below(100) < percent);
            let state = history.iter().rposition(|state| state.moment <= moment);
            let what = format!("seed {seed}, cut at {moment} of {end}, {percent} % of what was not safe");
            if numbers.below(2) == 0 {
                repaired_by_e2fsck(&scratch, &image, &history, state, &what);
            } else {
                repaired_by_us(&scratch, image, &history, state, &what);
            }
        }
    }
}

fn run(empty: Vec<u8>, seed: u64) -> (Pair, Vec<Committed>) {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let operations = prop::collection::vec(operation(0), 300).new_tree(&mut runner).unwrap().current();
    let mut pair = Pair::new(empty);
    let mut history = vec![Committed { moment: pair.files.store.moment(), model: pair.model.clone() }];
    for operation in operations.into_iter().chain([Operation::Commit]) {
        pair.run(operation);
        // Full transactions are committed before the next operation; here, so that the state is known.
        let full = pair.files.edit().changed_blocks() > pair.files.writer.transaction_limit() / 2;
        if full {
            pair.files.commit();
        }
        if full || matches!(operation, Operation::Commit | Operation::Checkpoint) {
            let model = pair.model.clone();
            pair.model.settled();
            history.push(Committed { moment: pair.files.store.moment(), model });
        }
    }
    (pair, history)
}

fn repaired_by_e2fsck(scratch: &Path, bytes: &[u8], history: &[Committed], state: Option<usize>, what: &str) {
    let path = scratch.join("cut");
    std::fs::write(&path, bytes).unwrap();
    let run = Command::new("/sbin/e2fsck").arg("-fp").arg(&path).output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(matches!(run.status.code(), Some(0 | 1)), "{what}: e2fsck -fp: {}: {said}", run.status);
    let volume = Ext2::mount(Memory::load(&path)).unwrap_or_else(|error| panic!("{what}: {error}"));
    check(&volume, history, state, what);
}

fn repaired_by_us(scratch: &Path, bytes: Vec<u8>, history: &[Committed], state: Option<usize>, what: &str) {
    match Files::mount(Recorder::of(bytes)) {
        Ok(files) => {
            check(&files.volume, history, state, what);
            files::check_clean(scratch, &files.unmount());
        }
        // Before there is a journal, a file system that was not unmounted is for e2fsck.
        Err(error) => assert!(state.is_none(), "{what}: {error}"),
    }
}

fn check<S: image::fs_under_test::BlockStore>(volume: &Ext2<S>, history: &[Committed], state: Option<usize>, what: &str)
where
    S::Error: std::fmt::Debug,
{
    let empty = [Committed { moment: 0, model: Model::default() }];
    let (safe, history) = match state {
        Some(state) => (state, history),
        None => (0, &empty[..]),
    };
    let mut differences = Vec::new();
    for number in [safe, safe + 1] {
        let Some(candidate) = history.get(number) else { continue };
        // What was written since the last commit may be there already. It was the same file then, whatever its name.
        let later = &history[(safe + 1).min(history.len() - 1)].model;
        let excused = |path: &str| {
            let file = candidate.model.names[path];
            later.nodes.get(file).is_some_and(|node| node.written)
        };
        match candidate.model.difference(volume, excused) {
            None => return,
            Some(difference) => differences.push(difference),
        }
    }
    panic!("{what}: state {safe} of {}: {}", history.len(), differences.join("; and "));
}
