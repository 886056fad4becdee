//! A map of pictures: what is on it, and where its names and small pictures fit.

use std::collections::HashMap;

use crate::head::Head;
use crate::thumbnail::Thumbnail;

/// What stands for the label of a picture without one.
pub(crate) const UNLABELLED: &str = "no label";

/// Most labels with a colour of their own.
pub const COLOURED: usize = 12;

/// The width of a small picture on the map, as a share of the map's.
pub(crate) const THUMBNAIL: f64 = 0.034;

/// The golden section, whose multiples are spread evenly.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// From so many places on, they are drawn small.
pub(crate) const MANY: usize = 3000;

/// Pictures of a label lie together where half of them are within this part of the radius that holds half of all.
const TOGETHER: f64 = 0.5;

/// Pictures in two dimensions.
#[derive(Clone, Debug)]
pub struct Map {
    /// What it is.
    pub head: Head,
    /// The pictures.
    pub(crate) spots: Vec<Spot>,
    /// The largest labels, which have a colour: the largest first.
    pub(crate) groups: Vec<Group>,
    /// Pictures of other labels, or of none.
    pub(crate) others: usize,
    /// Whether there are more labels than colours.
    more: bool,
}

/// A picture on the map.
#[derive(Clone, Debug)]
pub struct Spot {
    /// Where it lies, in any units: right and up.
    pub place: [f64; 2],
    /// Its name.
    pub name: String,
    /// Its label, where it has one.
    pub label: Option<String>,
    /// The picture, where it is at hand.
    pub picture: Option<Thumbnail>,
    pub(crate) group: Option<usize>,
    pub(crate) on_map: bool,
}

impl Spot {
    /// A picture at a place, without the picture itself.
    pub fn new(place: [f64; 2], name: String, label: Option<String>) -> Self {
        Self { place, name, label, picture: None, group: None, on_map: false }
    }
}

/// A label with a colour.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) count: usize,
}

impl Map {
    /// Of these pictures: the labels that most have get a colour, and of the pictures as many are on the map
    /// themselves as do not overlap.
    pub fn new(head: Head, spots: Vec<Spot>) -> Self {
        let mut map = Self { head, spots, groups: vec![], others: 0, more: false };
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for label in map.spots.iter().filter_map(|spot| spot.label.as_deref()) {
            *counts.entry(label).or_default() += 1;
        }
        let mut groups: Vec<Group> =
            counts.iter().map(|(&name, &count)| Group { name: name.to_owned(), count }).collect();
        groups.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
        map.more = groups.len() > COLOURED;
        groups.truncate(COLOURED);
        let places: HashMap<&str, usize> =
            groups.iter().enumerate().map(|(place, group)| (group.name.as_str(), place)).collect();
        for spot in &mut map.spots {
            spot.group = spot.label.as_deref().and_then(|label| places.get(label)).copied();
        }
        map.others = map.spots.iter().filter(|spot| spot.group.is_none()).count();
        map.groups = groups;
        for place in map.apart() {
            map.spots[place].on_map = true;
        }
        map
    }

    /// The pictures that are on the map themselves, by their places among those given.
    pub fn on_map(&self) -> impl Iterator<Item = usize> {
        (0..self.spots.len()).filter(|&place| self.spots[place].on_map)
    }

    /// Pictures on the map.
    pub fn len(&self) -> usize {
        self.spots.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.spots.is_empty()
    }

    /// What the picture at a place is called.
    ///
    /// # Panics
    /// If there is none.
    pub fn name(&self, place: usize) -> &str {
        &self.spots[place].name
    }

    /// Lays a picture onto its place.
    ///
    /// # Panics
    /// If there is no such place.
    pub fn lay(&mut self, place: usize, picture: Option<Thumbnail>) {
        self.spots[place].picture = picture;
    }

    /// What those without a colour are.
    pub(crate) fn others_name(&self) -> &'static str {
        if self.more { "others" } else { UNLABELLED }
    }

    /// What is drawn, with a margin for a small picture's half.
    pub(crate) fn frame(&self) -> Frame {
        let range = |axis: usize| {
            let values = || self.spots.iter().map(|spot| spot.place[axis]);
            let (low, high) = (
                values().fold(f64::INFINITY, f64::min),
                values().fold(f64::NEG_INFINITY, f64::max),
            );
            if low <= high { [low, high] } else { [0.0, 0.0] }
        };
        let [x, y] = [range(0), range(1)];
        let longest = (x[1] - x[0]).max(y[1] - y[0]);
        let longest = if longest > 0.0 { longest } else { 1.0 };
        // Neither a strip nor a column.
        let side = |[low, high]: [f64; 2], least: f64| {
            let (middle, length) = ((low + high) / 2.0, (high - low).max(least * longest));
            [middle - length / 2.0, length]
        };
        let ([left, width], [low, height]) = (side(x, 0.8), side(y, 0.55));
        let margin = longest * THUMBNAIL;
        Frame {
            left: left - margin,
            top: low + height + margin,
            width: width + 2.0 * margin,
            height: height + 2.0 * margin,
        }
    }

    /// The spots whose small pictures are shown: one after the other where none is that it would overlap.
    fn apart(&self) -> Vec<usize> {
        let frame = self.frame();
        // In widths of a small picture.
        let at = |place: usize| {
            let [x, y] = frame.share(self.spots[place].place);
            [x / THUMBNAIL, y / frame.aspect() / THUMBNAIL]
        };
        let cell = |[x, y]: [f64; 2]| [x.floor() as i64, y.floor() as i64];
        let mut taken: HashMap<[i64; 2], [f64; 2]> = HashMap::new();
        let mut shown = vec![];
        // One after the other from all over: names are often in the order of labels.
        let spread = |place: &usize| (*place as f64 * GOLDEN).fract();
        let finite = |place: &usize| self.spots[*place].place.iter().all(|value| value.is_finite());
        let mut order: Vec<usize> = (0..self.spots.len()).filter(finite).collect();
        order.sort_by(|a, b| spread(a).total_cmp(&spread(b)).then(a.cmp(b)));
        for place in order {
            let here = at(place);
            let [column, row] = cell(here);
            let free = (-1..=1).flat_map(|down| (-1..=1).map(move |right| [right, down])).all(
                |[right, down]| {
                    // A cell holds one, as two would be nearer than a width.
                    taken.get(&[column + right, row + down]).is_none_or(|other| {
                        (other[0] - here[0]).abs() >= 1.0 || (other[1] - here[1]).abs() >= 1.0
                    })
                },
            );
            if free {
                taken.insert([column, row], here);
                shown.push(place);
            }
        }
        shown
    }

    /// The largest labels whose pictures lie together, and the middle of these.
    pub(crate) fn named_places(&self) -> Vec<(&Group, [f64; 2])> {
        let all = around(self.spots.iter().map(|spot| spot.place));
        let groups = self.groups.iter().enumerate();
        groups
            .filter_map(|(place, group)| {
                let of = self.spots.iter().filter(|spot| spot.group == Some(place));
                let (middle, radius) = around(of.map(|spot| spot.place))?;
                (radius < TOGETHER * all?.1).then_some((group, middle))
            })
            .collect()
    }
}

/// The middle of places, and the distance from it of half of them.
fn around(places: impl Iterator<Item = [f64; 2]> + Clone) -> Option<([f64; 2], f64)> {
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    };
    let middle = [
        median(places.clone().map(|place| place[0]).collect())?,
        median(places.clone().map(|place| place[1]).collect())?,
    ];
    let distance = |[x, y]: [f64; 2]| (x - middle[0]).hypot(y - middle[1]);
    Some((middle, median(places.map(distance).collect())?))
}

/// What of the plane is drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

impl Frame {
    /// Width by height.
    pub(crate) fn aspect(self) -> f64 {
        self.width / self.height
    }

    /// Where a place lies, as shares of the width from the left and of the height from the top.
    pub(crate) fn share(self, [x, y]: [f64; 2]) -> [f64; 2] {
        [(x - self.left) / self.width, (self.top - y) / self.height]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(spots: impl IntoIterator<Item = (f64, f64, Option<String>)>) -> Map {
        let spot = |(x, y, label)| Spot::new([x, y], "a.png".to_owned(), label);
        Map::new(Head::default(), spots.into_iter().map(spot).collect())
    }

    /// Places that no pattern joins.
    fn scattered(count: usize) -> impl Iterator<Item = (f64, f64)> {
        (0..count).map(|i| ((i as f64 * 0.618).fract() * 30.0, (i as f64 * 0.414).fract() * 20.0))
    }

    #[test]
    fn pictures_on_the_map_do_not_overlap_and_leave_no_room_for_another() {
        let map = map(scattered(3000).map(|(x, y)| (x, y, None)));
        let frame = map.frame();
        let at = |place: usize| {
            let [x, y] = frame.share(map.spots[place].place);
            [x, y / frame.aspect()]
        };
        let overlap = |a: [f64; 2], b: [f64; 2]| {
            (a[0] - b[0]).abs() < THUMBNAIL && (a[1] - b[1]).abs() < THUMBNAIL
        };
        let shown: Vec<usize> = map.on_map().collect();
        assert!(shown.len() > 150, "{}", shown.len());
        for place in 0..map.len() {
            let others = shown.iter().filter(|&&other| other != place);
            let covered = others.filter(|&&other| overlap(at(place), at(other))).count();
            assert_eq!(covered > 0, !shown.contains(&place), "{place}");
        }
    }

    #[test]
    fn the_largest_labels_have_colours_and_only_those_that_lie_together_a_name() {
        let label = |i: usize| match i {
            0..200 => Some("together".to_owned()),
            200..500 => Some("all over".to_owned()),
            500..530 => None,
            // 20 labels of one picture each.
            _ => Some(format!("rare {:02}", i % 100)),
        };
        let map = map(scattered(550).enumerate().map(|(i, (x, y))| {
            let shrink = if i < 200 { 0.2 } else { 1.0 };
            (x * shrink, y * shrink, label(i))
        }));
        let groups: Vec<(&str, usize)> =
            map.groups.iter().map(|group| (group.name.as_str(), group.count)).collect();
        assert_eq!(groups.len(), COLOURED);
        assert_eq!(groups[..3], [("all over", 300), ("together", 200), ("rare 30", 1)]);
        assert_eq!((map.others, map.others_name()), (40, "others"));
        let named = map.named_places();
        let named: Vec<&str> = named.iter().map(|(group, _)| group.name.as_str()).collect();
        assert!(named.contains(&"together") && !named.contains(&"all over"), "{named:?}");
    }

    #[test]
    fn a_frame_holds_all_and_is_neither_strip_nor_column() {
        for (width, height) in [(1.0, 1.0), (100.0, 0.0), (0.0, 100.0), (0.0, 0.0)] {
            let map = map([(5.0, 7.0, None), (5.0 + width, 7.0 + height, None)]);
            let frame = map.frame();
            assert!((0.75..=1.9).contains(&frame.aspect()), "{}", frame.aspect());
            for spot in &map.spots {
                assert!(frame.share(spot.place).iter().all(|share| (0.0..=1.0).contains(share)));
            }
        }
        assert!(map([]).frame().aspect().is_finite());
    }
}
