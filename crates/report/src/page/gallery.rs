//! Rows of small pictures with what is said of each: neighbours, copies, choices.

use fcmae_words::cut_in_the_middle;
use fcmae_words::page::number;
use maud::{Markup, html};

use super::document::{section, wide_document};
use super::facts::{header, notes, reading};
use super::rows;
use crate::head::Head;
use crate::thumbnail::Thumbnail;

/// Most rows, and most pictures in all: a page is to be mailed, and opened on a telephone.
const MOST_ROWS: usize = 500;
const MOST_PICTURES: usize = 5_000;

/// Letters of a name below a picture, which has room for three lines of them.
const LONGEST_NAME: usize = 40;

/// A page of rows of small pictures.
#[derive(Clone, Debug, Default)]
pub struct Gallery {
    /// What it is.
    pub head: Head,
    /// What the rows are, as the heading above them.
    pub heading: &'static str,
    /// The rows.
    pub rows: Vec<Strip>,
}

/// A row of small pictures.
#[derive(Clone, Debug, Default)]
pub struct Strip {
    /// What it is, if anything is to be said.
    pub title: String,
    /// Whether the title is a warning.
    pub warning: bool,
    /// The picture that the others are compared with.
    pub first: Option<Card>,
    /// The pictures.
    pub cards: Vec<Card>,
    /// How many more there are that are not shown.
    pub left_out: usize,
}

/// A picture with what is said of it.
#[derive(Clone, Debug, Default)]
pub struct Card {
    /// The picture; without one a blank is shown.
    pub picture: Option<Thumbnail>,
    /// Its name.
    pub name: String,
    /// Its label, where it has one.
    pub label: Option<String>,
    /// A number or a few words.
    pub about: String,
    /// Whether its label is another than that of the row's first.
    pub differs: bool,
}

impl Gallery {
    /// The page, a whole HTML document with all pictures in it: of many rows the first 500, and 5,000 pictures at most.
    pub fn to_html(&self) -> String {
        let shared = shared_folder(self.cards().map(|card| card.name.as_str()));
        let header = header(&self.head);
        let sections = [
            section("reading", "How to read it", reading(&self.head)),
            section("rows", self.heading, Some(self.shown(&shared))),
        ];
        wide_document(&self.head, &header, sections.into_iter().flatten().collect())
    }

    fn cards(&self) -> impl Iterator<Item = &Card> {
        self.rows.iter().flat_map(|row| row.first.iter().chain(&row.cards))
    }

    fn shown(&self, shared: &str) -> Markup {
        let mut pictures = 0;
        let fits = |row: &&Strip| {
            pictures += row.cards.len() + 1;
            pictures <= MOST_PICTURES
        };
        let rows: Vec<&Strip> = self.rows.iter().take(MOST_ROWS).take_while(fits).collect();
        html! {
            (notes(&self.head))
            @if rows.len() < self.rows.len() {
                p.soft.small {
                    "The first " (number(rows.len() as f64)) " of " (number(self.rows.len() as f64))
                    " rows: a page holds no more pictures."
                }
            }
            @if !shared.is_empty() {
                p.soft.small { "All names begin with " span.path { (shared) } }
            }
            @if self.rows.is_empty() { p { "There is nothing to show." } }
            @for row in rows { (strip(row, shared)) }
        }
    }
}

fn strip(row: &Strip, shared: &str) -> Markup {
    let first = row.first.as_ref().map(|card| shortened(&card.name, shared));
    let label = if row.title.is_empty() { first.unwrap_or_default() } else { &row.title };
    html! {
        div.strip role="group" aria-label=(label) {
            @if !row.title.is_empty() {
                h3 class=[row.warning.then_some("differs")] { (row.title) }
            }
            div.cards.(rows::class(row.cards.len() + row.first.iter().len())) {
                @if let Some(first) = &row.first { (card(first, shared, "first")) }
                @for other in &row.cards { (card(other, shared, if other.differs { "differs" } else { "" })) }
            }
            @if row.left_out > 0 {
                p.soft.small { "and " (number(row.left_out as f64)) " more" }
            }
        }
    }
}

fn card(card: &Card, shared: &str, class: &str) -> Markup {
    let name = shortened(&card.name, shared);
    html! {
        figure class=[(!class.is_empty()).then_some(class)] {
            (picture(card.picture.as_ref(), name, card.label.as_deref()))
            figcaption {
                @if let Some(label) = &card.label {
                    strong {
                        @if card.differs { span aria-hidden="true" { "≠ " } }
                        (label)
                    }
                    " "
                }
                @if !card.about.is_empty() { span.soft.unbroken { (card.about) } }
                span.path.soft title=(card.name) { (cut_in_the_middle(name, LONGEST_NAME, "…")) }
            }
        }
    }
}

/// A picture, or a blank in its place.
pub(super) fn picture(picture: Option<&Thumbnail>, name: &str, label: Option<&str>) -> Markup {
    let alt = label.map_or(name.to_owned(), |label| format!("{label}, {name}"));
    html! {
        @match picture {
            Some(picture) => {
                @let [height, width] = picture.size();
                img src=(picture.uri()) width=(width) height=(height) alt=(alt) loading="lazy";
            }
            None => { div.blank role="img" aria-label={ (alt) ", no picture" } { "no picture" } }
        }
    }
}

/// The folder that all names begin with, with the sign behind it.
pub(super) fn shared_folder<'a>(mut names: impl Iterator<Item = &'a str>) -> String {
    let Some(first) = names.next() else { return String::new() };
    let folder = |name: &str| name.rfind('/').map_or(0, |end| end + 1);
    let mut shared = &first[..folder(first)];
    for name in names {
        while !name.starts_with(shared) {
            shared = &shared[..folder(shared.trim_end_matches('/'))];
        }
    }
    shared.to_owned()
}

/// A name without the folder that all share.
pub(super) fn shortened<'a>(name: &'a str, shared: &str) -> &'a str {
    name.strip_prefix(shared).filter(|name| !name.is_empty()).unwrap_or(name)
}
