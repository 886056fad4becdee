//! Which files of a crate import each other in a ring, and which import against the order of its wings.
//!
//! A file imports another if it names something that the other defines, directly or through
//! re-exports: in a `use`, in a path, inside a macro's arguments or an attribute. Declaring a module,
//! re-exporting a name and calling a method are not imports, and test code does not count. Two files
//! of a ring cannot be understood, tested or moved without each other.
//!
//! ```
//! let folder = tempfile::tempdir()?;
//! let root = folder.path().join("lib.rs");
//! std::fs::write(&root, "mod a; mod b;")?;
//! std::fs::write(folder.path().join("a.rs"), "use crate::b::B; pub struct A(B);")?;
//! std::fs::write(folder.path().join("b.rs"), "use crate::a::A; pub struct B(Box<A>);")?;
//! let rings = fcmae_rings::rings(&root)?;
//! assert_eq!(rings.len(), 1);
//! assert_eq!(rings[0].files.len(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - `modules`: a crate's files as modules, and the names in their scopes;
//! - `resolve`: from a path to the file that defines what it names;
//! - `imports`: the paths of a file.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

mod imports;
mod modules;
mod resolve;

use modules::Tree;

pub use modules::Unreadable;

/// Files that import each other, each directly or by way of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    /// Their paths relative to the folder of the crate's root, with `/`.
    pub files: BTreeSet<String>,
    /// From file to file of the ring, what the first names and the second defines.
    pub imports: BTreeMap<(String, String), BTreeSet<String>>,
}

impl fmt::Display for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((from, to), names) in &self.imports {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            writeln!(f, "  {from} -> {to}: {}", names.join(", "))?;
        }
        Ok(())
    }
}

/// The rings among the files of the crate whose root, `lib.rs` or `main.rs`, is given.
///
/// # Errors
/// A file that cannot be read, or is not Rust.
pub fn rings(root: &Path) -> Result<Vec<Ring>, Unreadable> {
    let tree = Tree::read(root)?;
    let imports = imports::imports(&tree);
    let reached: Vec<BTreeSet<usize>> =
        (0..tree.files.len()).map(|file| reached_from(file, &imports)).collect();
    let mut rings = Vec::new();
    let mut seen = BTreeSet::new();
    for file in 0..tree.files.len() {
        let ring: BTreeSet<usize> =
            reached[file].iter().copied().filter(|&other| reached[other].contains(&file)).collect();
        if ring.len() > 1 && seen.insert(ring.clone()) {
            let name = |file: &usize| tree.files[*file].clone();
            let inside =
                imports.iter().filter(|((from, to), _)| ring.contains(from) && ring.contains(to));
            rings.push(Ring {
                files: ring.iter().map(name).collect(),
                imports: inside
                    .map(|((from, to), by)| ((name(from), name(to)), by.clone()))
                    .collect(),
            });
        }
    }
    Ok(rings)
}

/// What stands in the way of a crate's wings: the modules that its root declares, in the order in which each
/// imports only those before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disorder {
    /// Files that belong to none of the wings. The root is none of them.
    pub homeless: BTreeSet<String>,
    /// From a file of a wing to one of a later wing, what the first names and the second defines.
    pub forward: BTreeMap<(String, String), BTreeSet<String>>,
}

/// Holds the crate of this root to the order of its `wings`: `engine` is `engine.rs` and what lies in `engine/`.
///
/// # Errors
/// A file that cannot be read, or is not Rust.
pub fn disorder(root: &Path, wings: &[&str]) -> Result<Disorder, Unreadable> {
    let tree = Tree::read(root)?;
    let wing = |file: usize| {
        let first = tree.files[file].split('/').next().unwrap_or_default();
        wings.iter().position(|wing| *wing == first.trim_end_matches(".rs"))
    };
    let mut found = Disorder::default();
    // The root is the first file.
    for file in 1..tree.files.len() {
        if wing(file).is_none() {
            found.homeless.insert(tree.files[file].clone());
        }
    }
    for ((from, to), names) in imports::imports(&tree) {
        if wing(from).zip(wing(to)).is_some_and(|(from, to)| from < to) {
            found.forward.insert((tree.files[from].clone(), tree.files[to].clone()), names);
        }
    }
    Ok(found)
}

/// All files that a file imports, directly or by way of others.
fn reached_from(file: usize, imports: &imports::Imports) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut next = vec![file];
    while let Some(from) = next.pop() {
        let found = imports.keys().filter(|(importer, _)| *importer == from).map(|&(_, to)| to);
        next.extend(found.filter(|&to| reached.insert(to)));
    }
    reached
}
