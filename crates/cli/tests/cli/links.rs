//! Links within the project's pages lead somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// All pages of the project, by their paths, without what is built and what tests hold.
fn pages(folder: &Path, found: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            let other = name.starts_with('.') || ["target", "fixtures", "golden"].contains(&name);
            // A virtual environment or a run beside the project's files is none of its pages.
            if !other && !path.join("pyvenv.cfg").exists() && !path.join("run.json").exists() {
                pages(&path, found);
            }
        } else if name.ends_with(".md") {
            found.insert(path.clone(), fs::read_to_string(&path).unwrap());
        }
    }
}

/// A page without what it shows as code.
fn prose(page: &str) -> String {
    let blocks = page.split("```").step_by(2);
    blocks.map(|text| text.split('`').step_by(2).collect::<String>()).collect()
}

/// What headings of a page can be linked as: in small letters, spaces as `-`, without other signs.
fn anchors(page: &str) -> BTreeSet<String> {
    let outside = page.split("\n```").step_by(2).flat_map(str::lines);
    let headings = outside.filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| -> String {
        let kept = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

/// The targets of a page's links.
fn links(page: &str) -> Vec<String> {
    let text = prose(page);
    let inline = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    inline.map(str::to_owned).collect()
}

#[test]
fn links_within_the_project_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let mut all = BTreeMap::new();
    pages(&root, &mut all);
    assert!(all.contains_key(&root.join("README.md")), "{:?}", all.keys());
    let (mut dead, mut count) = (Vec::new(), 0);
    for (path, page) in &all {
        for link in links(page).into_iter().filter(|link| !link.contains("://")) {
            count += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => path.clone(),
                file => path.parent().unwrap().join(file),
            };
            let there = target.canonicalize().is_ok_and(|target| {
                anchor.is_empty()
                    || all.get(&target).is_some_and(|page| anchors(page).contains(anchor))
            });
            if !there {
                dead.push(format!("{}: {link}", path.strip_prefix(&root).unwrap().display()));
            }
        }
    }
    assert!(count > 30, "{count} links were found");
    assert!(dead.is_empty(), "{dead:#?}");
}

#[test]
fn what_a_page_links_and_what_can_be_linked() {
    let page =
        "# One `two`-three\nsee [a](b.md#c) and `[no](code)`\n```\n# [no](block)\n```\n[d](#e)";
    assert_eq!(links(page), ["b.md#c", "#e"]);
    assert_eq!(anchors(page), BTreeSet::from(["one-two-three".to_owned()]));
}
