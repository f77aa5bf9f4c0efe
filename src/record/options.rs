//! What a measurement is given: the zygote at the fork, and the evidence to use.

use crate::error::{Error, Result};
use crate::explain::toy::Collector;
use crate::family::{PageRanges, Region, Rung, Witness};
use crate::kernel::Caps;

/// The zygote at the moment of the fork, before the first worker exists.
#[derive(Debug, Clone, Default)]
pub struct Baseline {
    /// The process that forks.
    pub zygote_pid: u32,
    /// A process forked from it that has been frozen since.
    pub reference_pid: Option<u32>,
    /// Memory the runtime can name. Disjoint, in any order.
    pub regions: Vec<Region>,
    /// What the collector of a toy runtime does to objects.
    pub collector: Collector,
    /// Pages that exist only for the measurement.
    pub instrument: PageRanges,
    /// Areas whose writes zygote and workers track (rung `scan`).
    pub tracked: PageRanges,
    /// Version of the `CPython` inside, for the names of its arenas.
    pub python: Option<(u8, u8)>,
}

/// How to measure.
#[derive(Debug, Clone, Default)]
pub struct MeasureOptions {
    /// Evidence to use; the best one otherwise.
    pub rung: Option<Rung>,
    /// How to witness breaks; the best way otherwise.
    pub witness: Option<Witness>,
    /// The workers run our code after the fork and track their own writes.
    pub code_in_worker: bool,
}

impl MeasureOptions {
    /// The rung that will be used, and a remark when it is not the best there is.
    ///
    /// Errors: the rung asked for does not work here (says what forbids it, and what would allow it).
    pub fn choose_rung(&self, caps: &Caps) -> Result<Rung> {
        let rung = self.rung.unwrap_or_else(|| caps.best_rung(self.code_in_worker));
        let refuse = |why: String| {
            let error = Error::new(format!("rung '{}' does not work here", rung.name())).why(why);
            // Where only totals can be read, the least rung with pages is what to ask for.
            let wanted = if rung == Rung::Rollup { Rung::Exclusive } else { rung };
            Err(caps.raise(wanted).map_or(error.clone(), |fix| error.fix(fix)))
        };
        if rung == Rung::Scan && !self.code_in_worker {
            return refuse("these workers do not track their own writes".into());
        }
        if rung == Rung::Rollup {
            return refuse("totals alone give no pages".into());
        }
        caps.supports(rung).map_or_else(refuse, |()| Ok(rung))
    }

    /// The witness that will be used, and why it is not the best there is.
    ///
    /// Errors: the witness asked for does not work here (says what forbids it, and what would allow it).
    pub fn choose_witness(&self, caps: &Caps) -> Result<(Witness, Option<String>)> {
        if let Some(witness) = self.witness {
            let refuse = |why| Err(super::trace::refused(witness, why, caps.raise_witness(witness)));
            return caps.supports_witness(witness).map_or_else(refuse, |()| Ok((witness, None)));
        }
        let (witness, best) = (caps.best_witness(true), Witness::ALL[0]);
        let note = caps.supports_witness(best).err().map(|why| {
            let raise = caps.raise_witness(best).map(|fix| format!("; to raise it: {fix}"));
            format!("witness '{witness}' instead of '{best}', because {why}{}", raise.unwrap_or_default())
        });
        Ok((witness, note))
    }

    /// Why the evidence is weaker than the best there is, and what would raise it.
    pub(super) fn weaker_than_best(&self, rung: Rung) -> Option<String> {
        let best = Rung::ALL[0];
        let (caps, raise) = (Caps::get(), Caps::get().raise(best)?);
        let why = caps.supports(best).err()?;
        self.rung.is_none().then(|| {
            format!(
                "evidence '{}' instead of '{}', because {why}; to raise it: {raise}",
                rung.name(),
                best.name()
            )
        })
    }
}
