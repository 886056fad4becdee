//! What is fuzzed.

/// What a file was read as: accepted, or the words with which it was refused.
pub type Outcome = Result<(), String>;

/// A reader of files from elsewhere.
#[derive(Clone, Copy)]
pub struct Target {
    /// What it is called: the name of its test, and of its folder in `regressions`.
    pub name: &'static str,
    /// Reads a file's bytes as the library does. It must come back soon, take little memory, and not
    /// panic, whatever they are.
    pub run: fn(&[u8]) -> Outcome,
    /// Files to begin with, which are accepted.
    pub corpus: fn() -> Vec<Vec<u8>>,
    /// What stands in such files and is not found by chance.
    pub words: &'static [&'static [u8]],
    /// Makes the second right again as far as lengths and checksums go; the first is the file that it
    /// was made from.
    pub repair: fn(&[u8], Vec<u8>) -> Vec<u8>,
    /// How many executions take about half a second.
    pub short: u64,
}
