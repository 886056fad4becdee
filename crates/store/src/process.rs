//! What tells this process from every other.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::time::SystemTime;

/// A random number, the same for as long as the process lives. Process numbers are not enough: in containers many have
/// the number 1, and machines that share a folder have the same ones.
pub(crate) fn token() -> u64 {
    static TOKEN: OnceLock<u64> = OnceLock::new();
    // The hasher's keys are random; time and process are for a system that has nothing random.
    *TOKEN.get_or_init(|| RandomState::new().hash_one((SystemTime::now(), std::process::id())))
}
