//! What the files of a crate import from each other.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, ItemMacro, ItemUse, Lit, Macro, Meta, Stmt};

use crate::modules::{Tree, attributes, is_for_tests, is_reexport, used};
use crate::resolve::{Found, resolve};

/// Importing and defining file, and the names that tie them.
pub(crate) type Imports = BTreeMap<(usize, usize), BTreeSet<String>>;

pub(crate) fn imports(tree: &Tree) -> Imports {
    let mut imports = Imports::new();
    for (at, module) in tree.modules.iter().enumerate() {
        let mut reader = Reader { tree, module: at, file: module.file, imports: &mut imports };
        module.items.iter().for_each(|item| reader.visit_item(item));
    }
    imports
}

/// Reads the paths in a module's code.
struct Reader<'a> {
    tree: &'a Tree,
    module: usize,
    file: usize,
    imports: &'a mut Imports,
}

impl Reader<'_> {
    fn path(&mut self, path: &[String]) {
        for found in resolve(self.tree, self.module, path) {
            if let Found::Item { file, name, .. } = found {
                self.import(file, name);
            }
        }
    }

    fn import(&mut self, file: usize, name: String) {
        if file != self.file {
            self.imports.entry((self.file, file)).or_default().insert(name);
        }
    }

    /// Reads the paths in what has no syntax of its own, such as a macro's arguments.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        // Colons behind the path's last name.
        let mut colons = 0;
        // What stands before a name: a point makes it a field or a method, but two a range.
        let mut points = 0;
        for token in tokens {
            match &token {
                TokenTree::Ident(_) if points == 1 => points = 0,
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.path(&std::mem::take(&mut path));
                    }
                    path.push(name.to_string());
                    (colons, points) = (0, 0);
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' && !path.is_empty() => colons += 1,
                other => {
                    self.path(&std::mem::take(&mut path));
                    colons = 0;
                    let point = matches!(other, TokenTree::Punct(mark) if mark.as_char() == '.');
                    points = if point { points + 1 } else { 0 };
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        self.path(&path);
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes = match item {
            ImplItem::Const(item) => &item.attrs,
            ImplItem::Fn(item) => &item.attrs,
            _ => return visit::visit_impl_item(self, item),
        };
        if !is_for_tests(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        if !matches!(statement, Stmt::Local(local) if is_for_tests(&local.attrs)) {
            visit::visit_stmt(self, statement);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if is_reexport(&item.vis) {
            return;
        }
        for used in used(&item.tree) {
            self.path(&used.path);
            if used.name.is_none() {
                for found in resolve(self.tree, self.module, &used.path) {
                    if let Found::Module(module) = found {
                        self.import(self.tree.modules[module].file, "*".to_owned());
                    }
                }
            }
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|part| part.ident.to_string()).collect();
        self.path(&names);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, found: &'ast Macro) {
        self.visit_path(&found.path);
        self.tokens(found.tokens.clone());
    }

    fn visit_item_macro(&mut self, item: &'ast ItemMacro) {
        self.visit_macro(&item.mac);
    }

    /// Arguments may be code; a text may be a path, as Serde's `with`.
    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        let Meta::List(list) = &attribute.meta else { return };
        for token in list.tokens.clone() {
            if let TokenTree::Literal(literal) = token
                && let Lit::Str(text) = Lit::new(literal)
                && let Ok(path) = text.parse::<syn::Path>()
            {
                self.visit_path(&path);
            }
        }
        self.tokens(list.tokens.clone());
    }
}
