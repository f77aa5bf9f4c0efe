//! Pages that a worker makes for itself: no race, but a curve of its own.
//!
//! Three shapes are fitted by least squares to the later half of what was observed: level, growing with
//! the logarithm of the age (caches that fill), and growing with the age (a leak, or a log). The one
//! that leaves the least is taken; the others that leave hardly more tell how sure one can be.

/// How much more than the best a shape may leave, and still be possible.
const POSSIBLE: f64 = 4.0;
/// Pages that a measurement of fresh memory is off by anyhow.
const NOISE: f64 = 1.0;

/// Fresh pages of one worker by age.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Those that fit, the best first.
    shapes: Vec<Fitted>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Fitted {
    shape: Shape,
    start: f64,
    slope: f64,
    left: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Level,
    Logarithm,
    Line,
}

impl Shape {
    fn at(self, age: f64) -> f64 {
        match self {
            Self::Level => 0.0,
            Self::Logarithm => age.ln_1p(),
            Self::Line => age,
        }
    }
}

impl Curve {
    /// Fits the shapes to (age, pages), ascending by age.
    pub fn fit(points: &[(f64, f64)]) -> Self {
        let later = &points[points.len() / 2..];
        let mut shapes: Vec<Fitted> =
            [Shape::Level, Shape::Logarithm, Shape::Line].map(|shape| fit_shape(shape, later)).to_vec();
        shapes.sort_by(|one, other| one.left.total_cmp(&other.left));
        let most = POSSIBLE * shapes[0].left;
        shapes.retain(|shape| shape.left <= most);
        Self { shapes }
    }

    /// Pages at an age.
    pub fn at(&self, age: f64) -> f64 {
        self.shapes.first().map_or(0.0, |best| best.at(age))
    }

    /// Least and most pages at an age, over the shapes that are possible.
    pub fn range(&self, age: f64) -> (f64, f64) {
        let pages = self.shapes.iter().map(|shape| shape.at(age));
        let spread = self.shapes.first().map_or(0.0, |best| 2.0 * best.left.sqrt());
        (pages.clone().fold(f64::INFINITY, f64::min) - spread, pages.fold(0.0, f64::max) + spread)
    }

    /// Mean over the ages from 0 to `lifetime`, by Simpson's rule.
    pub fn mean(&self, lifetime: f64) -> f64 {
        const HALVES: u32 = 32;
        let at = |step: u32| self.at(lifetime * f64::from(step) / f64::from(2 * HALVES));
        let inner: f64 = (1..2 * HALVES).map(|step| if step % 2 == 1 { 4.0 } else { 2.0 } * at(step)).sum();
        (at(0) + inner + at(2 * HALVES)) / f64::from(6 * HALVES)
    }
}

impl Fitted {
    fn at(&self, age: f64) -> f64 {
        (self.start + self.slope * self.shape.at(age)).max(0.0)
    }
}

/// Least squares; memory that shrinks is taken to stay level.
#[expect(clippy::cast_precision_loss, reason = "a number of snapshots")]
fn fit_shape(shape: Shape, points: &[(f64, f64)]) -> Fitted {
    let count = points.len().max(1) as f64;
    let mean =
        |of: fn(Shape, (f64, f64)) -> f64| points.iter().map(|&point| of(shape, point)).sum::<f64>() / count;
    let (x, y) = (mean(|shape, (age, _)| shape.at(age)), mean(|_, (_, pages)| pages));
    let (mut xx, mut xy) = (0.0, 0.0);
    for &(age, pages) in points {
        xx += (shape.at(age) - x).powi(2);
        xy += (shape.at(age) - x) * (pages - y);
    }
    let slope = if xx > 0.0 { (xy / xx).max(0.0) } else { 0.0 };
    let start = y - slope * x;
    let squares: f64 =
        points.iter().map(|&(age, pages)| (start + slope * shape.at(age) - pages).powi(2)).sum();
    let parameters = if shape == Shape::Level { 1.0 } else { 2.0 };
    Fitted { shape, start, slope, left: (squares + NOISE) / (count - parameters).max(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(of: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        [0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0].map(|age| (age, of(age))).to_vec()
    }

    #[test]
    fn each_shape_is_told_from_the_others() {
        assert!((Curve::fit(&points(|_| 40.0)).at(1_000.0) - 40.0).abs() < 1.0);
        assert!((Curve::fit(&points(|age| 40.0 + 3.0 * age)).at(1_000.0) - 3_040.0).abs() < 30.0);
        let grown = 40.0 + 30.0 * 1_000.0_f64.ln_1p();
        assert!(
            (Curve::fit(&points(|age| 40.0 + 30.0 * age.ln_1p())).at(1_000.0) / grown - 1.0).abs() < 0.02
        );
    }

    #[test]
    fn the_range_holds_the_estimate() {
        let curve = Curve::fit(&points(|age| 40.0 + age.sqrt()));
        for age in [0.0, 10.0, 100.0, 500.0] {
            let (low, high) = curve.range(age);
            assert!(low <= curve.at(age) && curve.at(age) <= high);
        }
    }

    #[test]
    fn the_mean_of_a_line_is_its_middle() {
        let curve = Curve::fit(&points(|age| 10.0 + 2.0 * age));
        assert!((curve.mean(100.0) / curve.at(50.0) - 1.0).abs() < 1e-3);
    }
}
