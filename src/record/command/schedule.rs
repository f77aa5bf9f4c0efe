//! When a recorded family is looked at: at ages that double, and before workers end.

use std::time::{Duration, Instant};

/// Looks at ages; from the last on a worker has seen what it will see.
const MOST_AGES: u32 = 10;
/// Looks before workers end. Families whose workers come and go are not slowed down for ever.
const MOST_ENDS: u32 = 16;
/// Workers that begin, or end, within this time of each other are looked at together.
pub const TOGETHER: Duration = Duration::from_millis(50);

/// Due looks at a family.
#[derive(Debug)]
pub struct Schedule {
    began: Instant,
    interval: Duration,
    ages: u32,
    ends: u32,
}

impl Schedule {
    /// Begins when the first worker is forked.
    pub fn new(interval: Duration) -> Self {
        Self { began: Instant::now(), interval, ages: 0, ends: 0 }
    }

    /// The age that is due now, as a step's name.
    pub fn due(&mut self) -> Option<String> {
        let age = self.next_age()?;
        (self.began.elapsed() >= age).then(|| {
            self.ages += 1;
            format!("{} s", age.as_secs_f64())
        })
    }

    /// How long until the next look.
    pub fn until_due(&self) -> Option<Duration> {
        self.next_age().map(|age| age.saturating_sub(self.began.elapsed()))
    }

    fn next_age(&self) -> Option<Duration> {
        (self.ages < MOST_AGES).then(|| self.interval.saturating_mul(1 << self.ages))
    }

    /// Whether the family may still be looked at before a worker ends; counts it.
    pub fn may_look_at_end(&mut self) -> bool {
        self.ends += 1;
        self.ends <= MOST_ENDS
    }

    /// Ends that were not looked at.
    pub const fn ends_missed(&self) -> u32 {
        self.ends.saturating_sub(MOST_ENDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_double_and_end() {
        let mut schedule = Schedule::new(Duration::from_nanos(1));
        let names: Vec<String> = std::iter::from_fn(|| schedule.due()).collect();
        assert_eq!(names.len(), MOST_AGES as usize);
        assert_eq!((names[0].as_str(), names[2].as_str()), ("0.000000001 s", "0.000000004 s"));
        assert!(schedule.until_due().is_none());
        assert!(Schedule::new(Duration::from_secs(60)).due().is_none());
    }

    #[test]
    fn ends_are_looked_at_so_often_and_then_counted() {
        let mut schedule = Schedule::new(Duration::from_secs(1));
        assert_eq!((0..MOST_ENDS + 3).filter(|_| schedule.may_look_at_end()).count(), MOST_ENDS as usize);
        assert_eq!(schedule.ends_missed(), 3);
    }
}
