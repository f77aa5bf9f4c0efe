//! Limits as people write them: `20MiB`, `5%`.

use crate::units::Bytes;
use std::fmt;
use std::str::FromStr;

/// The most that is allowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// So many bytes.
    Bytes(Bytes),
    /// A share of what the measure is a part of.
    Share(Percent),
}

impl Limit {
    /// The most bytes that are allowed of so many pages.
    pub fn bytes(self, whole: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.0,
            Self::Share(percent) => percent.of(Bytes::of_pages(whole).0),
        }
    }
}

/// A percentage, zero or more.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Percent(f64);

impl Percent {
    /// This part of a number of bytes, rounded down.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bytes of memory stay below 2^52, and a cast saturates"
    )]
    pub fn of(self, bytes: u64) -> u64 {
        (bytes as f64 * self.0 / 100.0).floor() as u64
    }
}

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || format!("'{text}' is not a percentage; write it like 10%");
        let number = text.trim().strip_suffix('%').ok_or_else(refuse)?;
        let value: f64 = number.trim().parse().map_err(|_| refuse())?;
        if (0.0..=1.0e6).contains(&value) { Ok(Self(value)) } else { Err(refuse()) }
    }
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim_end().ends_with('%') {
            return text.parse().map(Self::Share);
        }
        let wrong = |_| format!("'{text}' is neither a size nor a percentage; write it like 20MiB or 5%");
        text.parse().map(Self::Bytes).map_err(wrong)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => bytes.fmt(f),
            Self::Share(percent) => percent.fmt(f),
        }
    }
}
