//! Points over time in bounded memory: when there are too many, two neighbours become one.

/// Points that can become one.
pub trait Merge {
    /// Takes in the point that follows.
    fn merge(&mut self, later: Self);
}

/// A bounded series.
#[derive(Debug, Clone, PartialEq)]
pub struct Series<T> {
    points: Vec<T>,
    /// How many points of the source one of these holds.
    every: u32,
    /// How many the last one holds.
    in_last: u32,
    most: usize,
}

impl<T: Merge> Series<T> {
    /// A series of at most so many points, but at least two.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { points: Vec::new(), every: 1, in_last: 1, most: most.max(2) }
    }

    /// Adds a point.
    pub fn push(&mut self, point: T) {
        match self.points.last_mut() {
            Some(last) if self.in_last < self.every => {
                last.merge(point);
                self.in_last += 1;
                return;
            }
            _ => {}
        }
        if self.points.len() >= self.most {
            self.halve();
        }
        self.points.push(point);
        self.in_last = 1;
    }

    /// Makes one point of each two.
    pub fn halve(&mut self) {
        let mut halved: Vec<T> = Vec::with_capacity(self.points.len() / 2 + 1);
        for (nth, point) in std::mem::take(&mut self.points).into_iter().enumerate() {
            match halved.last_mut() {
                Some(last) if nth % 2 == 1 => last.merge(point),
                _ => halved.push(point),
            }
        }
        self.points = halved;
        self.every = self.every.saturating_mul(2);
        self.in_last = self.every;
    }

    /// The points, the oldest first.
    #[must_use]
    pub fn points(&self) -> &[T] {
        &self.points
    }

    /// How many points of the source one of these holds at most.
    #[must_use]
    pub const fn every(&self) -> u32 {
        self.every
    }

    /// The points are said to hold so many of the source each, as those of a file do.
    pub(super) fn thinned(&mut self, every: u32) {
        self.every = every.max(1);
        self.in_last = self.every;
    }

    /// Puts back points that were read from a file.
    pub(super) fn restore(&mut self, points: Vec<T>, every: u32) {
        self.points = points;
        self.thinned(every);
        while self.points.len() > self.most {
            self.halve();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq)]
    struct Sum(u64);

    impl Merge for Sum {
        fn merge(&mut self, later: Self) {
            self.0 += later.0;
        }
    }

    #[test]
    fn nothing_is_lost_and_the_bound_holds() {
        let mut series = Series::new(7);
        for _ in 0..1000 {
            series.push(Sum(1));
            assert!(series.points().len() <= 7);
        }
        assert_eq!(series.points().iter().map(|point| point.0).sum::<u64>(), 1000);
        // None holds more than it may.
        let every = u64::from(series.every());
        assert!(series.points().iter().all(|point| point.0 <= every), "{:?}", series.points());
    }
}
