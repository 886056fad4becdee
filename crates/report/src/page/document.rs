//! A page around its sections: one document, with its style in it.
//!
//! Whatever comes from a file is escaped by [`maud`]. A policy in the head forbids scripts and every
//! address besides, so that even a hole in that could not run or fetch anything.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::head::Head;

/// Light and dark, paper, and from a phone's width up.
const STYLE: &str = include_str!("style.css");

/// What a page may load: styles written into it, and pictures written into it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; \
                      form-action 'none'";

/// A part of a page, with what it is linked to by.
pub(super) struct Section {
    anchor: &'static str,
    title: &'static str,
    body: Markup,
}

/// A section, unless there is nothing to put into it.
pub(super) fn section(
    anchor: &'static str,
    title: &'static str,
    body: Option<Markup>,
) -> Option<Section> {
    body.map(|body| Section { anchor, title, body })
}

/// A whole document: its head, its header, and sections with links to them.
pub(super) fn document(title: &str, header: &Markup, sections: Vec<Section>) -> String {
    laid_out(title, None, header, &sections)
}

/// The same, as wide as the window: for pages of many pictures.
pub(super) fn wide_document(head: &Head, header: &Markup, sections: Vec<Section>) -> String {
    let title = format!("{} · {} · fcmae", head.kind, head.title);
    laid_out(&title, Some("wide"), header, &sections)
}

fn laid_out(title: &str, class: Option<&str>, header: &Markup, sections: &[Section]) -> String {
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
                main class=[class] {
                    (header)
                    nav aria-label="Contents" {
                        ul {
                            @for section in sections {
                                li { a href={ "#" (section.anchor) } { (section.title) } }
                            }
                        }
                    }
                    @for section in sections {
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
pub(super) fn scrolling(name: &str, table: &Markup) -> Markup {
    html! { div.scroll role="region" aria-label={ (name) ", a table" } tabindex="0" { (table) } }
}
