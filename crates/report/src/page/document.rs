//! A page around its sections: one document, with its style in it.
//!
//! Whatever comes from a file is escaped by [`maud`]. A policy in the head forbids scripts and every
//! address besides, so that even a hole in that could not run or fetch anything.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::rows;
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
                style { (PreEscaped(STYLE)) (PreEscaped(rows::style())) }
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

/// Most letters of code that stays on one line.
const SHORT: usize = 40;

/// What stands between backquotes, such as a setting's name, as code. Options and short code stay on one line.
pub(super) fn with_code(text: &str) -> Markup {
    html! {
        @for (place, part) in text.split('`').enumerate() {
            @if place % 2 == 0 { (with_options(part)) } @else {
                code class=[(part.chars().count() <= SHORT).then_some("unbroken")] { (part) }
            }
        }
    }
}

/// Text whose words that begin as options do, such as `--weights`, stay on one line each.
pub(super) fn with_options(text: &str) -> Markup {
    let is_option = |word: &str| {
        let name = word.trim_start_matches('(').strip_prefix("--");
        name.is_some_and(|name| name.starts_with(|letter: char| letter.is_ascii_lowercase()))
    };
    html! {
        @for word in text.split_inclusive(char::is_whitespace) {
            @if is_option(word) { span.unbroken { (word.trim_end()) } @if word.ends_with(char::is_whitespace) { " " } }
            @else { (word) }
        }
    }
}

/// A table that scrolls by itself where the page is narrower. `name`: what it is, for those who do not
/// see it.
pub(super) fn scrolling(name: &str, table: &Markup) -> Markup {
    html! { div.scroll role="region" aria-label={ (name) ", a table" } tabindex="0" { (table) } }
}
