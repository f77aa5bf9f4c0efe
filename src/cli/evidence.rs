//! `--rung` and `--witness`: what a measurement shall rest on.

use crate::error::{Error, Result};
use crate::family::{Rung, Witness};
use clap::builder::{PossibleValuesParser, TypedValueParser};

/// One value of `--rung`: pages and single writes have a ladder each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// Of pages.
    Pages(Rung),
    /// Of single writes.
    Writes(Witness),
}

/// Witnesses that are rungs: `none` is the lack of one.
const WITNESSES: [Witness; 2] = [Witness::Sigtrap, Witness::Ring];

/// Reads the rungs that a verb can use, and no others.
pub fn parser(pages: &[Rung]) -> impl TypedValueParser<Value = Evidence> + use<> {
    let names = WITNESSES.iter().map(|witness| witness.name()).chain(pages.iter().map(|rung| rung.name()));
    PossibleValuesParser::new(names).try_map(|name| {
        let writes = name.parse().map(Evidence::Writes);
        writes.or_else(|_| name.parse().map(Evidence::Pages)).map_err(Error::new)
    })
}

/// Reads a rung with pages.
pub fn page_rungs() -> impl TypedValueParser<Value = Rung> {
    PossibleValuesParser::new([Rung::Pfn, Rung::Scan, Rung::Exclusive].map(Rung::name))
        .try_map(|name| name.parse::<Rung>().map_err(Error::new))
}

/// Reads a witness of single writes, or none.
pub fn witnesses() -> impl TypedValueParser<Value = Witness> {
    PossibleValuesParser::new(Witness::ALL.map(Witness::name))
        .try_map(|name| name.parse::<Witness>().map_err(Error::new))
}

/// The evidence of pages and that of writes, from all that the command line says of them.
///
/// Errors: it says two different things of one.
pub fn choose(rungs: &[Evidence], witness: Option<Witness>) -> Result<(Option<Rung>, Option<Witness>)> {
    let pages = rungs.iter().filter_map(|rung| match rung {
        Evidence::Pages(rung) => Some(*rung),
        Evidence::Writes(_) => None,
    });
    let writes = rungs.iter().filter_map(|rung| match rung {
        Evidence::Writes(witness) => Some(*witness),
        Evidence::Pages(_) => None,
    });
    Ok((only(pages, Rung::name)?, only(writes.chain(witness), Witness::name)?))
}

fn only<T: Copy + PartialEq>(
    mut said: impl Iterator<Item = T>,
    name: fn(T) -> &'static str,
) -> Result<Option<T>> {
    let Some(first) = said.next() else { return Ok(None) };
    match said.find(|other| *other != first) {
        None => Ok(Some(first)),
        Some(other) => Err(Error::new(format!(
            "cannot measure on rungs '{}' and '{}' at once",
            name(first),
            name(other)
        ))
        .fix("choose one for pages (pfn, scan, exclusive) and one for single writes (sigtrap, ring)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_and_writes_are_chosen_apart() {
        let (pages, writes) = (Evidence::Pages(Rung::Scan), Evidence::Writes(Witness::Ring));
        assert_eq!(choose(&[], None).unwrap(), (None, None));
        assert_eq!(choose(&[writes, pages], None).unwrap(), (Some(Rung::Scan), Some(Witness::Ring)));
        assert_eq!(choose(&[writes], Some(Witness::Ring)).unwrap(), (None, Some(Witness::Ring)));
        let error = choose(&[writes], Some(Witness::None)).unwrap_err().to_string();
        assert!(error.contains("'ring' and 'none'"), "{error}");
        assert!(choose(&[pages, Evidence::Pages(Rung::Pfn)], None).is_err());
    }
}
