//! A map of pictures: those that are alike lie together.

use fcmae_words::page::number;
use maud::{Markup, html};

use super::document::{section, wide_document};
use super::facts::{header, notes, reading};
use super::gallery::{picture, shared_folder, shortened};
use crate::map::{MANY, Map, Spot, UNLABELLED};

impl Map {
    /// The page, a whole HTML document with all pictures in it. What a place is, and its picture where it has one, is
    /// shown where a pointer rests on it.
    pub fn to_html(&self) -> String {
        let header = header(&self.head);
        let sections = [
            section("map", "Map", Some(self.drawn())),
            section("reading", "How to read it", reading(&self.head)),
        ];
        wide_document(&self.head, &header, sections.into_iter().flatten().collect())
    }

    fn drawn(&self) -> Markup {
        let shared = shared_folder(self.spots.iter().map(|spot| spot.name.as_str()));
        let frame = self.frame();
        let label = format!("A map of {} pictures", number(self.spots.len() as f64));
        html! {
            (notes(&self.head))
            @if !self.groups.is_empty() {
                ul.groups aria-label="Labels" {
                    @for (place, group) in self.groups.iter().enumerate() {
                        li class={ "g" (place) } {
                            i aria-hidden="true" {}
                            (group.name) span.soft { " " (number(group.count as f64)) }
                        }
                    }
                    @if self.others > 0 {
                        li.g { i aria-hidden="true" {} (self.others_name()) span.soft { " " (number(self.others as f64)) } }
                    }
                }
            }
            @if self.spots.iter().any(|spot| spot.on_map && spot.picture.is_some()) {
                label.switch { input.pictures-too type="checkbox" checked; " Pictures on the map" }
            }
            div.map.many[self.spots.len() > MANY] role="group" aria-label=(label) style={ "aspect-ratio:" (format!("{:.3}", frame.aspect())) } {
                @for spot in &self.spots {
                    (drawn_spot(spot, frame.share(spot.place), &shared))
                }
                @for (group, place) in self.named_places() {
                    @let [x, y] = frame.share(place);
                    span.name aria-hidden="true" style=(position([x, y])) { (group.name) }
                }
            }
        }
    }
}

fn position([x, y]: [f64; 2]) -> String {
    format!("left:{:.2}%;top:{:.2}%", 100.0 * x, 100.0 * y)
}

fn drawn_spot(spot: &Spot, at: [f64; 2], shared: &str) -> Markup {
    let name = shortened(&spot.name, shared);
    let group = spot.group.map_or("g".to_owned(), |group| format!("g{group}"));
    let shown = if spot.on_map && spot.picture.is_some() { " shown" } else { "" };
    // A card that would pass the edge opens to the other side.
    let sides = [if at[0] > 0.7 { " left" } else { "" }, if at[1] > 0.7 { " up" } else { "" }];
    let class = format!("spot {group}{shown}{}{}", sides[0], sides[1]);
    html! {
        div class=(class) style=(position(at)) {
            div.card {
                @if spot.picture.is_some() { (picture(spot.picture.as_ref(), name, spot.label.as_deref())) }
                p {
                    strong { (spot.label.as_deref().unwrap_or(UNLABELLED)) }
                    " " span.path { (name) }
                }
            }
        }
    }
}
