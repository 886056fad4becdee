//! Small crates, of which it is known what imports what.

use std::fs;

use fcmae_rings::{Ring, disorder, rings};
use tempfile::TempDir;

/// The folder of a crate of these files.
fn made_up(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// The rings of a crate of these files.
fn found(files: &[(&str, &str)]) -> Vec<Ring> {
    rings(&made_up(files).path().join(files[0].0)).unwrap()
}

/// The one ring that there is to be, as text.
fn only(files: &[(&str, &str)]) -> String {
    let rings = found(files);
    assert_eq!(rings.len(), 1, "{rings:?}");
    rings[0].to_string()
}

#[test]
fn two_files_that_name_each_other_are_a_ring() {
    let ring = only(&[
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a.rs", "use crate::b::B; pub struct A(B);"),
        ("b.rs", "pub struct B; impl B { fn of(a: &super::a::A) {} }"),
        ("c.rs", "use crate::{a::A, b::B};"),
    ]);
    assert_eq!(ring, "  a.rs -> b.rs: B\n  b.rs -> a.rs: A\n");
}

#[test]
fn a_longer_ring_is_found_whole() {
    let rings = found(&[
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a.rs", "use crate::b; pub fn a() { b::b() }"),
        ("b.rs", "use crate::c::{self as other, *}; pub fn b() { other::c() }"),
        ("c.rs", "pub fn c() { crate::a::a() }"),
    ]);
    assert_eq!(rings.len(), 1);
    assert!(rings[0].files.iter().eq(["a.rs", "b.rs", "c.rs"]), "{rings:?}");
}

#[test]
fn a_module_and_its_child_may_be_a_ring() {
    let ring = only(&[
        ("main.rs", "mod a;"),
        ("a.rs", "mod b; pub struct A; fn f() -> b::B { b::B }"),
        ("a/b.rs", "use super::A as Other; pub struct B;"),
    ]);
    assert_eq!(ring, "  a.rs -> a/b.rs: B\n  a/b.rs -> a.rs: A\n");
}

#[test]
fn a_name_counts_to_the_file_that_defines_it() {
    // To the folder's file it would be a ring.
    let files = [
        ("lib.rs", "pub mod a; pub use a::*;"),
        ("a.rs", "mod b; mod c; pub use b::B; pub use c::made; fn f() { made() }"),
        ("a/b.rs", "pub struct B;"),
        ("a/c.rs", "use super::B; pub fn made() -> crate::B { crate::B }"),
    ];
    assert_eq!(found(&files), []);
    // And a name that is given on and used too is an import.
    let mut files = files;
    files[2].1 = "pub struct B; fn f() { crate::made() }";
    assert_eq!(only(&files), "  a/b.rs -> a/c.rs: made\n  a/c.rs -> a/b.rs: B\n");
}

#[test]
fn macros_and_attributes_name_things_too() {
    let ring = only(&[
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "pub fn shown() {} fn f(x: u8) { println!(\"{}\", 1 + crate::b::count(x.b)) }"),
        ("b.rs", "pub fn count() {} #[serde(with = \"crate::a::shown\")] struct B;"),
    ]);
    assert_eq!(ring, "  a.rs -> b.rs: count\n  b.rs -> a.rs: shown\n");
}

#[test]
fn a_file_under_another_name_is_followed() {
    let ring = only(&[
        ("lib.rs", "mod a; #[cfg_attr(windows, path = \"other.rs\")] mod b;"),
        ("a.rs", "use crate::b::B; pub struct A;"),
        ("b.rs", "pub struct B;"),
        ("other.rs", "pub struct B(crate::a::A);"),
    ]);
    assert_eq!(ring, "  a.rs -> other.rs: B\n  other.rs -> a.rs: A\n");
}

#[test]
fn what_does_not_count() {
    let rings = found(&[
        ("lib.rs", "mod a; pub mod b; pub use a::A; pub fn root() {}"),
        // Tests, methods and fields; other crates.
        (
            "a.rs",
            "pub struct A; #[cfg(test)] mod tests { use crate::b::b; } fn f(x: X) { x.b().b; vec![x.b] }",
        ),
        ("b.rs", "use crate::A; use std::fmt; pub fn b() { crate::root(); other::a::A }"),
    ]);
    assert_eq!(rings, []);
}

#[test]
fn imports_against_the_order_of_the_wings_are_found_and_files_in_none() {
    let files = [
        ("lib.rs", "mod early; mod late; mod stray; pub use late::Late;"),
        ("early.rs", "mod part; use crate::stray::Stray;"),
        ("early/part.rs", "fn f() -> crate::Late { crate::late::made() }"),
        ("late.rs", "use crate::early; pub struct Late; pub fn made() -> Late { Late }"),
        ("stray.rs", "pub struct Stray;"),
    ];
    let found = disorder(&made_up(&files).path().join("lib.rs"), &["early", "late"]).unwrap();
    assert!(found.homeless.iter().eq(["stray.rs"]), "{found:?}");
    let forward: Vec<_> = found.forward.into_iter().collect();
    let [((from, to), names)] = &forward[..] else { panic!("{forward:?}") };
    assert_eq!((from.as_str(), to.as_str()), ("early/part.rs", "late.rs"));
    assert!(names.iter().eq(["Late", "made"]), "{names:?}");
}
