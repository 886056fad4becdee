//! Numbers that say most, as tiles below a page's title.

use maud::{Markup, html};

use super::document::with_code;
use super::rows;
use crate::head::{Fact, Head};

/// The tiles.
pub(super) fn drawn(facts: &[Fact]) -> Markup {
    html! {
        dl.tiles.(rows::class(facts.len())) {
            @for fact in facts {
                div {
                    dt { (fact.label) }
                    dd.figure { (fact.figure) }
                    dd.about { (with_code(&fact.about)) }
                }
            }
        }
    }
}

/// Kind, title, sentence and numbers of a page of pictures.
pub(super) fn header(head: &Head) -> Markup {
    html! {
        header {
            p.kind { (head.kind) }
            h1 { (head.title) }
            p.lead { (with_code(&head.lead)) }
            @if !head.facts.is_empty() { (drawn(&head.facts)) }
        }
    }
}

/// What was left out and why.
pub(super) fn notes(head: &Head) -> Markup {
    html! { @for note in &head.notes { p.soft.small { (with_code(note)) } } }
}

/// How to read it.
pub(super) fn reading(head: &Head) -> Option<Markup> {
    (!head.reading.is_empty())
        .then(|| html! { div.reading { @for paragraph in &head.reading { p { (with_code(paragraph)) } } } })
}
