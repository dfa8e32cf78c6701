//! Nanoseconds a call, for a million and for ten million identities in 64 MiB, asked for in groups that are
//! warmed first:
//! `cargo run --release -p segue-dedupe --example speed`
#![expect(clippy::print_stdout, reason = "an example that reports what it measured")]

use std::time::Instant;

use segue_dedupe::{Dedupe, DedupeError, Seen, fingerprint};

const GROUP: u32 = 32;

fn main() -> Result<(), DedupeError> {
    for (identities, memory) in [(1_000_000, 64), (10_000_000, 64), (10_000_000, 1024)] {
        let scratch = std::env::temp_dir().join(format!("segue-dedupe-{}", std::process::id()));
        let mut dedupe = Dedupe::new(memory << 20, scratch);
        let fresh = pass(&mut dedupe, identities, Seen::New)?;
        let again = pass(&mut dedupe, identities, Seen::Same)?;
        let stats = dedupe.stats();
        println!(
            "{identities:>9} identities in {memory:>4} MiB: {fresh:>5.0} ns new, {again:>5.0} ns seen again; \
             memory {} MiB, {} files of {} MiB, {} disk lookups",
            stats.memory_bytes >> 20,
            stats.files,
            stats.disk_bytes >> 20,
            stats.disk_lookups,
        );
    }
    Ok(())
}

/// Nanoseconds a call, the hashing of the identity included.
fn pass(dedupe: &mut Dedupe, identities: u32, expected: Seen) -> Result<f64, DedupeError> {
    let start = Instant::now();
    let mut group = Vec::with_capacity(GROUP as usize);
    for first in (0..identities).step_by(GROUP as usize) {
        let numbers = first..(first + GROUP).min(identities);
        group.clear();
        group.extend(numbers.map(|n| (fingerprint(42, &n.to_le_bytes()), u64::from(n))));
        dedupe.warm(group.iter().map(|(fingerprint, _)| *fingerprint));
        for &(fingerprint, payload) in &group {
            assert_eq!(dedupe.see(fingerprint, payload)?, expected);
        }
    }
    Ok(start.elapsed().as_secs_f64() * 1e9 / f64::from(identities))
}
