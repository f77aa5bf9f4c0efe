//! The units every table of this crate is counted in: pages, frames, addresses and bytes.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Bytes in a base page. Pagemap entries, PFNs and all counts are in this unit.
///
/// x86-64 has no other base page size; machines that differ are refused at the start.
pub const PAGE_SIZE: u64 = 4096;

/// A virtual page number: a virtual address divided by [`PAGE_SIZE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Vpn(pub u64);

impl Vpn {
    /// The page that holds a virtual address.
    pub const fn of_address(address: u64) -> Self {
        Self(address / PAGE_SIZE)
    }

    /// The address of the page's first byte.
    pub const fn address(self) -> u64 {
        self.0 * PAGE_SIZE
    }
}

impl fmt::Display for Vpn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.address())
    }
}

/// A page frame number: which physical page backs a virtual one. Zero when the kernel hides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pfn(pub u64);

/// A number of bytes, printed with a binary unit and parsed from `80MiB`, `1.5 GiB`, `4096`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

impl Bytes {
    /// The bytes of a number of base pages.
    pub const fn of_pages(pages: u64) -> Self {
        Self(pages * PAGE_SIZE)
    }
}

const BINARY_UNITS: [(&str, u64); 4] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match BINARY_UNITS.iter().find(|(_, size)| self.0 >= *size) {
            #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
            Some((unit, size)) => format!("{:.1} {unit}", self.0 as f64 / *size as f64),
            None => format!("{} B", self.0),
        };
        f.pad(&text)
    }
}

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim_end();
        let unit = text[digits.len()..].trim();
        let refuse = || format!("'{text}' is not a size; write it like 80MiB, 1.5GiB or 4096");
        let factor = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kb" | "kib" => 1 << 10,
            "m" | "mb" | "mib" => 1 << 20,
            "g" | "gb" | "gib" => 1 << 30,
            "t" | "tb" | "tib" => 1_u64 << 40,
            _ => return Err(refuse()),
        };
        let value: f64 = digits.parse().map_err(|_| refuse())?;
        #[expect(clippy::cast_precision_loss, reason = "the unit is a power of two")]
        let bytes = value * factor as f64;
        if !(0.0..=9.0e18).contains(&bytes) {
            return Err(refuse());
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "range checked")]
        Ok(Self(bytes.round() as u64))
    }
}

/// `part` of `whole` in percent, zero of nothing.
#[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
pub fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_back_what_they_print() {
        for (text, bytes) in [("80MiB", 80 << 20), ("1.5 GiB", 3 << 29), ("4096", 4096), ("2k", 2048)] {
            assert_eq!(text.parse::<Bytes>().unwrap().0, bytes);
        }
        assert_eq!(Bytes(80 << 20).to_string(), "80.0 MiB");
        assert_eq!(Bytes(12).to_string(), "12 B");
    }

    #[test]
    fn sizes_that_are_no_sizes_are_refused() {
        for text in ["", "MiB", "-3", "3 parsecs", "NaN", "1e300GiB"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
    }
}
