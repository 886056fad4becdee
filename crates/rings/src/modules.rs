//! A crate's files as modules, and the names in their scopes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use syn::{Attribute, Expr, Item, Lit, Meta, UseTree, Visibility};

/// A file that cannot be read, or is not Rust.
#[derive(Debug)]
pub struct Unreadable {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

impl std::error::Error for Unreadable {}

/// A crate.
pub(crate) struct Tree {
    /// Files, relative to the root's folder.
    pub(crate) files: Vec<String>,
    /// The first is the root.
    pub(crate) modules: Vec<Module>,
}

/// A module: a file, or a part of one in braces.
pub(crate) struct Module {
    pub(crate) file: usize,
    pub(crate) parent: Option<usize>,
    /// What a name stands for; where two namespaces or two settings have it, several things.
    pub(crate) names: HashMap<String, Vec<Meaning>>,
    pub(crate) globs: Vec<Vec<String>>,
    /// All items but modules, without those for tests.
    pub(crate) items: Vec<Item>,
}

/// What a name in a module's scope stands for.
pub(crate) enum Meaning {
    Module(usize),
    /// Something that is defined here, and whether further names may follow it in a path.
    Defined {
        holds_names: bool,
    },
    Imported(Vec<String>),
}

/// One path of a `use`.
pub(crate) struct Used {
    pub(crate) path: Vec<String>,
    /// The name that it gets; none if it is `*`.
    pub(crate) name: Option<String>,
}

impl Tree {
    pub(crate) fn read(root: &Path) -> Result<Self, Unreadable> {
        let mut tree = Self { files: Vec::new(), modules: Vec::new() };
        let folder = root.parent().unwrap_or(Path::new(""));
        tree.file(folder, root, folder, None)?;
        Ok(tree)
    }

    /// Adds a file's module, whose own modules lie in `inner`.
    fn file(
        &mut self,
        folder: &Path,
        path: &Path,
        inner: &Path,
        parent: Option<usize>,
    ) -> Result<usize, Unreadable> {
        let refused = |reason: String| Unreadable { path: path.to_path_buf(), reason };
        let text = fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
        let parsed = syn::parse_file(&text).map_err(|error| refused(error.to_string()))?;
        let parts: Vec<_> = path
            .strip_prefix(folder)
            .unwrap_or(path)
            .iter()
            .map(|part| part.to_string_lossy())
            .collect();
        self.files.push(parts.join("/"));
        self.module(folder, (self.files.len() - 1, path), inner, parent, parsed.items)
    }

    fn module(
        &mut self,
        folder: &Path,
        (file, path): (usize, &Path),
        inner: &Path,
        parent: Option<usize>,
        items: Vec<Item>,
    ) -> Result<usize, Unreadable> {
        let at = self.modules.len();
        let (names, globs) = (HashMap::new(), Vec::new());
        self.modules.push(Module { file, parent, names, globs, items: Vec::new() });
        for item in items {
            if is_for_tests(attributes(&item)) {
                continue;
            }
            let Item::Mod(module) = item else {
                self.modules[at].add(item);
                continue;
            };
            let name = name_of(&module.ident);
            let inside = inner.join(&name);
            let children = match module.content {
                Some((_, items)) => {
                    vec![self.module(folder, (file, path), &inside, Some(at), items)?]
                }
                None => {
                    let mut found = Vec::new();
                    let beside = path.parent().unwrap_or(folder);
                    for (file, inner) in files_of(&module.attrs, &name, inner, beside) {
                        found.push(self.file(folder, &file, &inner, Some(at))?);
                    }
                    found
                }
            };
            let meanings = self.modules[at].names.entry(name).or_default();
            meanings.extend(children.into_iter().map(Meaning::Module));
        }
        Ok(at)
    }
}

impl Module {
    fn add(&mut self, item: Item) {
        if let Item::Use(item) = &item {
            for Used { path, name } in used(&item.tree) {
                match name {
                    Some(name) => self.names.entry(name).or_default().push(Meaning::Imported(path)),
                    None => self.globs.push(path),
                }
            }
        } else if let Some((name, holds_names)) = defined(&item) {
            self.names.entry(name).or_default().push(Meaning::Defined { holds_names });
        }
        self.items.push(item);
    }
}

/// Where a module that is declared may lie, and its own modules: its usual place, and those that
/// attributes name under some settings.
fn files_of(
    attributes: &[Attribute],
    name: &str,
    inner: &Path,
    beside: &Path,
) -> Vec<(PathBuf, PathBuf)> {
    let mut files = Vec::new();
    let mut always = false;
    for attribute in attributes {
        let named = match &attribute.meta {
            Meta::NameValue(pair) if pair.path.is_ident("path") => {
                always = true;
                text_of(&pair.value)
            }
            Meta::List(list) if list.path.is_ident("cfg_attr") => {
                let parser = syn::punctuated::Punctuated::<Meta, syn::Token![,]>::parse_terminated;
                let metas = list.parse_args_with(parser).unwrap_or_default();
                metas.into_iter().skip(1).find_map(|meta| match meta {
                    Meta::NameValue(pair) if pair.path.is_ident("path") => text_of(&pair.value),
                    _ => None,
                })
            }
            _ => None,
        };
        files.extend(named.map(|path| (beside.join(path), beside.to_path_buf())));
    }
    if !always {
        let (flat, folder) = (inner.join(format!("{name}.rs")), inner.join(name));
        let file = if flat.is_file() { flat } else { folder.join("mod.rs") };
        files.push((file, folder));
    }
    files
}

fn text_of(value: &Expr) -> Option<String> {
    match value {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Str(text) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

/// All paths of a `use`.
pub(crate) fn used(tree: &UseTree) -> Vec<Used> {
    fn walk(tree: &UseTree, path: &[String], found: &mut Vec<Used>) {
        let with = |name: &syn::Ident| [path, &[name_of(name)]].concat();
        match tree {
            UseTree::Path(part) => walk(&part.tree, &with(&part.ident), found),
            UseTree::Group(group) => group.items.iter().for_each(|tree| walk(tree, path, found)),
            UseTree::Glob(_) => found.push(Used { path: path.to_vec(), name: None }),
            UseTree::Name(name) if name.ident == "self" => {
                found.push(Used { path: path.to_vec(), name: path.last().cloned() });
            }
            UseTree::Name(name) => {
                found.push(Used { path: with(&name.ident), name: Some(name_of(&name.ident)) });
            }
            UseTree::Rename(names) if names.ident == "self" => {
                found.push(Used { path: path.to_vec(), name: Some(name_of(&names.rename)) });
            }
            UseTree::Rename(names) => {
                found.push(Used { path: with(&names.ident), name: Some(name_of(&names.rename)) });
            }
        }
    }
    let mut found = Vec::new();
    walk(tree, &[], &mut found);
    found
}

/// Whether a `use` gives its names to others.
pub(crate) fn is_reexport(visibility: &Visibility) -> bool {
    !matches!(visibility, Visibility::Inherited)
}

/// Whether code is compiled for tests alone.
pub(crate) fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}

fn name_of(ident: &syn::Ident) -> String {
    let name = ident.to_string();
    name.strip_prefix("r#").map_or(name.clone(), str::to_owned)
}

fn defined(item: &Item) -> Option<(String, bool)> {
    let (ident, holds_names) = match item {
        Item::Const(item) => (&item.ident, false),
        Item::Static(item) => (&item.ident, false),
        Item::Fn(item) => (&item.sig.ident, false),
        Item::Macro(item) => (item.ident.as_ref()?, false),
        Item::Enum(item) => (&item.ident, true),
        Item::Struct(item) => (&item.ident, true),
        Item::Trait(item) => (&item.ident, true),
        Item::TraitAlias(item) => (&item.ident, true),
        Item::Type(item) => (&item.ident, true),
        Item::Union(item) => (&item.ident, true),
        _ => return None,
    };
    Some((name_of(ident), holds_names))
}

/// An item's attributes.
pub(crate) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
