//! Runs as HTML: one document each, with its style, charts and pictures in it.
//!
//! Whatever comes from a file is escaped by [`maud`]. A policy in the head forbids scripts and every
//! address besides, so that even a hole in that could not run or fetch anything.

mod classes;
mod compare;
mod curves;
mod data;
mod experiment;
mod pictures;
mod summary;
mod trials;
pub(crate) mod words;

use maud::{DOCTYPE, Markup, PreEscaped, html};

pub use compare::compare;
pub use trials::Trials;

use crate::report::Report;

/// Light and dark, paper, and from a phone's width up.
const STYLE: &str = include_str!("page/style.css");

/// What a page may load: styles written into it, and pictures written into it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; \
                      form-action 'none'";

/// A part of a page, with what it is linked to by.
struct Section {
    anchor: &'static str,
    title: &'static str,
    body: Markup,
}

/// A section, unless there is nothing to put into it.
fn section(anchor: &'static str, title: &'static str, body: Option<Markup>) -> Option<Section> {
    body.map(|body| Section { anchor, title, body })
}

/// The page of one run.
pub(crate) fn of_one(report: &Report) -> String {
    let sections = [
        section("look", "What to look at", Some(summary::findings(report))),
        section("curves", "Curves", curves::of_one(report)),
        section("reconstructions", "Reconstructions", pictures::reconstructions(report)),
        section("classes", "Class by class", classes::results(report)),
        section("confusions", "What is taken for what", classes::confusions(report)),
        section("mistakes", "Most confident mistakes", pictures::mistakes(report)),
        section("data", "Pictures", data::pictures(report)),
        section("skipped", "Pictures left out", data::skipped(report)),
        section("run", "How it was run", Some(data::how_it_was_run(report))),
    ];
    let title = format!("{} · fcmae", report.name);
    document(&title, &summary::header(report), sections.into_iter().flatten().collect())
}

fn document(title: &str, header: &Markup, sections: Vec<Section>) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (header)
                    nav aria-label="Contents" {
                        ul {
                            @for section in &sections {
                                li { a href={ "#" (section.anchor) } { (section.title) } }
                            }
                        }
                    }
                    @for section in &sections {
                        section aria-labelledby=(section.anchor) {
                            h2 id=(section.anchor) { (section.title) }
                            (section.body)
                        }
                    }
                }
            }
        }
    }
    .into_string()
}

/// A table that scrolls by itself where the page is narrower. `name`: what it is, for those who do not
/// see it.
fn scrolling(name: &str, table: &Markup) -> Markup {
    html! { div.scroll role="region" aria-label={ (name) ", a table" } tabindex="0" { (table) } }
}

#[cfg(test)]
mod tests;
