//! Numbers that say most, as tiles below a page's title.

use maud::{Markup, html};

use crate::head::{Fact, Head};

/// The tiles.
pub(super) fn drawn(facts: &[Fact]) -> Markup {
    html! {
        dl.tiles {
            @for fact in facts {
                div {
                    dt { (fact.label) }
                    dd.figure { (fact.figure) }
                    dd.about { (fact.about) }
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
            p.lead { (head.lead) }
            @if !head.facts.is_empty() { (drawn(&head.facts)) }
        }
    }
}

/// How to read it.
pub(super) fn reading(head: &Head) -> Option<Markup> {
    (!head.reading.is_empty())
        .then(|| html! { div.reading { @for paragraph in &head.reading { p { (paragraph) } } } })
}
