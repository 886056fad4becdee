//! A path to the file that defines what it names.

use std::collections::HashSet;

use crate::modules::{Meaning, Tree};

/// What a path leads to.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) enum Found {
    /// A module.
    Module(usize),
    /// Something that a file defines, its name there, and whether it may hold names, such as a type's
    /// functions.
    Item { file: usize, name: String, holds_names: bool },
}

/// All that a path of `module` may name; nothing if it leads out of the crate.
pub(crate) fn resolve(tree: &Tree, module: usize, path: &[String]) -> HashSet<Found> {
    Search { tree, on_the_way: HashSet::new() }.path(module, path)
}

struct Search<'a> {
    tree: &'a Tree,
    /// Names that are being looked up: re-exports may lead back to them.
    on_the_way: HashSet<(usize, String)>,
}

impl Search<'_> {
    fn path(&mut self, module: usize, path: &[String]) -> HashSet<Found> {
        let Some((first, rest)) = path.split_first() else { return HashSet::new() };
        let mut found = match first.as_str() {
            "crate" => HashSet::from([Found::Module(0)]),
            "self" => HashSet::from([Found::Module(module)]),
            "super" => self.tree.modules[module].parent.map(Found::Module).into_iter().collect(),
            name => self.name(module, name),
        };
        for name in rest {
            let mut next = HashSet::new();
            for found in found {
                match found {
                    Found::Module(module) if name == "super" => {
                        next.extend(self.tree.modules[module].parent.map(Found::Module));
                    }
                    Found::Module(module) => next.extend(self.name(module, name)),
                    Found::Item { holds_names: true, .. } => {
                        next.insert(found);
                    }
                    Found::Item { holds_names: false, .. } => {}
                }
            }
            found = next;
        }
        found
    }

    fn name(&mut self, module: usize, name: &str) -> HashSet<Found> {
        let mut found = HashSet::new();
        if !self.on_the_way.insert((module, name.to_owned())) {
            return found;
        }
        let scope = &self.tree.modules[module];
        for meaning in scope.names.get(name).into_iter().flatten() {
            match meaning {
                Meaning::Module(module) => {
                    found.insert(Found::Module(*module));
                }
                Meaning::Defined { holds_names } => {
                    found.insert(Found::Item {
                        file: scope.file,
                        name: name.to_owned(),
                        holds_names: *holds_names,
                    });
                }
                Meaning::Imported(path) => found.extend(self.path(module, path)),
            }
        }
        if found.is_empty() {
            for glob in &scope.globs {
                for of in self.path(module, glob) {
                    if let Found::Module(of) = of {
                        found.extend(self.name(of, name));
                    }
                }
            }
        }
        self.on_the_way.remove(&(module, name.to_owned()));
        found
    }
}
