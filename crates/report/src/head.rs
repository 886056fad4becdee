//! What stands at the head of a page of pictures.

/// What a page is, and how to read it.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// What kind of page it is, such as `Neighbours`.
    pub kind: String,
    /// Of what.
    pub title: String,
    /// What was found, in a sentence.
    pub lead: String,
    /// The numbers that say most.
    pub facts: Vec<Fact>,
    /// How to read it, a paragraph each.
    pub reading: Vec<String>,
    /// What was left out and why, a sentence each.
    pub notes: Vec<String>,
}

/// A number that says most, with what it is.
#[derive(Clone, Debug)]
pub struct Fact {
    /// What it is.
    pub label: &'static str,
    /// The number.
    pub figure: String,
    /// What else is to be known of it.
    pub about: String,
}
