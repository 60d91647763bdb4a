//! Chance: from a seed, to be repeated, and from the system.

pub use simulation::random::Random;

/// From the system, for when nobody gave one.
pub fn seed() -> u64 {
    let mut bytes = [0; 4];
    // Without chance from the system any seed serves.
    let _ = getrandom::fill(&mut bytes);
    u64::from(u32::from_le_bytes(bytes))
}

pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let _ = getrandom::fill(&mut bytes);
    bytes
}
