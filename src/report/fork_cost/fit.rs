//! A straight line by least squares.

use serde::Serialize;

/// `slope * pages + intercept`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Line {
    /// Nanoseconds a page.
    pub slope: f64,
    /// Nanoseconds of a process without pages.
    pub intercept: f64,
    /// Part of the variance that the line explains.
    pub r_squared: f64,
}

impl Line {
    /// The line with the least squared distance. None below two different positions.
    pub fn through(points: &[(f64, f64)]) -> Option<Self> {
        let count: f64 = points.iter().map(|_| 1.0).sum();
        let mean_x = points.iter().map(|point| point.0).sum::<f64>() / count;
        let mean_y = points.iter().map(|point| point.1).sum::<f64>() / count;
        let sum =
            |of: fn(f64, f64) -> f64| points.iter().map(|&(x, y)| of(x - mean_x, y - mean_y)).sum::<f64>();
        let (xx, xy, yy) = (sum(|x, _| x * x), sum(|x, y| x * y), sum(|_, y| y * y));
        if points.is_empty() || xx <= 0.0 {
            return None;
        }
        let slope = xy / xx;
        let r_squared = if yy > 0.0 { xy * xy / (xx * yy) } else { 1.0 };
        Some(Self { slope, intercept: mean_y - slope * mean_x, r_squared })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_again_under_symmetric_noise() {
        let noisy = |x: f64| [(x, 3.0 * x + 7.0 - 2.0), (x, 3.0 * x + 7.0 + 2.0)];
        let points: Vec<_> = [1.0, 2.0, 4.0, 8.0].into_iter().flat_map(noisy).collect();
        let line = Line::through(&points).unwrap();
        assert!((line.slope - 3.0).abs() < 1e-9 && (line.intercept - 7.0).abs() < 1e-9, "{line:?}");
        assert!((0.9..1.0).contains(&line.r_squared));
        assert!(Line::through(&[(1.0, 2.0), (1.0, 3.0)]).is_none() && Line::through(&[]).is_none());
    }
}
