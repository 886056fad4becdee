//! Points in a tree of squares, so that those far away count as one.

/// A square counts as one point where its side is less than this part of its distance.
const THETA: f64 = 0.5;

/// Squares within squares at most: points closer than that count as one.
const DEEPEST: usize = 40;

/// No child, no next point.
const NONE: u32 = u32::MAX;

/// A square.
struct Square {
    /// The sum of its points' places, and then their mean.
    centre: [f64; 2],
    points: f64,
    /// Its side, squared.
    side: f64,
    /// The first of four children; `NONE` for a square of points at one place, or so close that they count so.
    children: u32,
}

/// Points in squares.
pub(super) struct Tree {
    squares: Vec<Square>,
}

impl Tree {
    /// Of points, of which there is one at least.
    pub(super) fn new(points: &[[f64; 2]]) -> Self {
        let bounds = |axis: usize| {
            points.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), point| {
                (low.min(point[axis]), high.max(point[axis]))
            })
        };
        let [x, y] = [bounds(0), bounds(1)];
        let side = (x.1 - x.0).max(y.1 - y.0);
        let middle = [0.5 * (x.0 + x.1), 0.5 * (y.0 + y.1)];
        let mut tree = Self { squares: Vec::with_capacity(2 * points.len()) };
        tree.squares.push(Square::empty(side));
        for &point in points {
            tree.insert(point, middle, side);
        }
        for square in &mut tree.squares {
            if square.points > 0.0 {
                square.centre = square.centre.map(|sum| sum / square.points);
            }
        }
        tree
    }

    fn insert(&mut self, point: [f64; 2], mut middle: [f64; 2], mut side: f64) {
        let mut at = 0;
        for depth in 0.. {
            let square = &mut self.squares[at];
            let alone = square.children == NONE;
            let first = square.centre.map(|sum| sum / square.points.max(1.0));
            let others = square.points;
            square.centre = [square.centre[0] + point[0], square.centre[1] + point[1]];
            square.points += 1.0;
            if alone && (others == 0.0 || first == point || depth == DEEPEST) {
                return;
            }
            side *= 0.5;
            if alone {
                // What was here alone goes one down.
                let children = self.squares.len();
                self.squares[at].children = children as u32;
                self.squares.extend((0..4).map(|_| Square::empty(side)));
                let child = &mut self.squares[children + quarter(first, middle)];
                child.points = others;
                child.centre = first.map(|value| value * others);
            }
            let quarter = quarter(point, middle);
            at = self.squares[at].children as usize + quarter;
            middle[0] += if quarter & 1 == 1 { 0.5 } else { -0.5 } * side;
            middle[1] += if quarter & 2 == 2 { 0.5 } else { -0.5 } * side;
        }
    }

    /// Σ (y − yⱼ) / (1 + |y − yⱼ|²)² over all points, and Σ 1 / (1 + |y − yⱼ|²) over all others: one point is taken for
    /// the one at `place` itself, and left out.
    pub(super) fn repulsion(&self, place: [f64; 2]) -> ([f64; 2], f64) {
        let (mut force, mut sum) = ([0.0; 2], -1.0);
        let mut stack = [0_u32; 4 * (DEEPEST + 2)];
        let mut open = 1;
        while open > 0 {
            open -= 1;
            let square = &self.squares[stack[open] as usize];
            if square.points == 0.0 {
                continue;
            }
            let away = [place[0] - square.centre[0], place[1] - square.centre[1]];
            let distance = away[0] * away[0] + away[1] * away[1];
            if square.children == NONE || square.side < THETA * THETA * distance {
                let near = 1.0 / (1.0 + distance);
                sum += square.points * near;
                let factor = square.points * near * near;
                force = [force[0] + factor * away[0], force[1] + factor * away[1]];
            } else {
                for child in 0..4 {
                    stack[open] = square.children + child;
                    open += 1;
                }
            }
        }
        (force, sum)
    }
}

impl Square {
    fn empty(side: f64) -> Self {
        Self { centre: [0.0; 2], points: 0.0, side: side * side, children: NONE }
    }
}

/// Which quarter of a square around `middle` a point is in.
fn quarter(point: [f64; 2], middle: [f64; 2]) -> usize {
    usize::from(point[0] >= middle[0]) + 2 * usize::from(point[1] >= middle[1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fill::fill;

    #[test]
    fn forces_are_those_of_all_points() {
        let values = fill("points", 2 * 500);
        let mut points: Vec<[f64; 2]> = values.as_chunks::<2>().0.to_vec();
        points.iter_mut().for_each(|point| *point = [20.0 * point[0], 5.0 * point[1]]);
        // Some at one place, and some so close that they count so.
        points[7] = points[3];
        points[8] = points[3];
        points[9] = [points[4][0] + 1e-14, points[4][1]];
        let tree = Tree::new(&points);
        for point in &points {
            let (mut force, mut sum) = ([0.0; 2], -1.0);
            for other in &points {
                let away = [point[0] - other[0], point[1] - other[1]];
                let near = 1.0 / (1.0 + away[0] * away[0] + away[1] * away[1]);
                sum += near;
                force = [force[0] + near * near * away[0], force[1] + near * near * away[1]];
            }
            let (found, found_sum) = tree.repulsion(*point);
            assert!((found_sum / sum - 1.0).abs() < 0.03, "{found_sum} {sum}");
            assert!(
                (found[0] - force[0]).hypot(found[1] - force[1])
                    < 0.1 + 0.02 * force[0].hypot(force[1])
            );
        }
        assert_eq!(Tree::new(&[[1.0, 2.0]; 5]).repulsion([1.0, 2.0]), ([0.0; 2], 4.0));
    }
}
