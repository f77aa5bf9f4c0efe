//! Runs the variants of a program: each once with witnesses, to learn what broke its pages and whether
//! it works at all, then all of them in turn, round after round, for the figures.
//!
//! What the first runs gave back decides only which combinations are tried. Verdicts rest on the rounds
//! alone, which no choice has looked at, and in which no witness takes time.

use super::plan::{self, Codes, Remedy};
use super::program::{Measured, Program, Purpose, trouble};
use super::sample::{self, Sample};
use super::statistics::noise;
use crate::capture;
use crate::error::{Error, Result};
use crate::record::progress::Progress;
use crate::report::advice::Split;
use crate::variant::Variant;
use std::path::PathBuf;

/// How much to measure.
#[derive(Debug, Clone, Default)]
pub struct Effort {
    /// How often each variant is measured.
    pub rounds: usize,
    /// Folder in which the first measurement of each variant is kept.
    pub captures: Option<PathBuf>,
    /// Replace what is kept there.
    pub force: bool,
}

/// One variant and what was measured of it.
#[derive(Debug, Clone, Default)]
pub struct Trial {
    /// The remedies in it; none in the first trial.
    pub codes: Codes,
    /// The program with them.
    pub variant: Variant,
    /// The first run, with witnesses.
    pub first: Option<Sample>,
    /// What broke the pages of one worker in the first run.
    pub split: Split,
    /// The runs of the rounds, by the number of the round.
    pub rounds: Vec<Option<Sample>>,
    /// Why it is measured no further.
    pub failure: Option<String>,
}

impl Trial {
    /// A figure of this trial and of another, of every round in which both were measured; of the first
    /// runs where there is no such round.
    pub fn paired(&self, other: &Self, of: fn(&Sample) -> f64) -> (Vec<f64>, Vec<f64>) {
        let both = |pair: (Option<&Sample>, Option<&Sample>)| Some((of(pair.0?), of(pair.1?)));
        let rounds = self.rounds.iter().zip(&other.rounds);
        let mut pairs: Vec<(f64, f64)> =
            rounds.filter_map(|(own, theirs)| both((own.as_ref(), theirs.as_ref()))).collect();
        if pairs.is_empty() {
            pairs.extend(both((self.first.as_ref(), other.first.as_ref())));
        }
        pairs.into_iter().unzip()
    }

    /// A figure of every round; of the first run where there is no round.
    pub fn figures(&self, of: fn(&Sample) -> f64) -> Vec<f64> {
        self.paired(self, of).0
    }

    /// Rounds that were measured to their end.
    pub fn measured(&self) -> usize {
        self.rounds.iter().flatten().count()
    }
}

/// Experiments with one program.
#[derive(Debug)]
pub struct Experiment<'a> {
    program: &'a Program,
    effort: &'a Effort,
    progress: &'a Progress,
    /// The program as it is, with every page.
    pub today: Measured,
    /// All variants; the first is the program as it is.
    pub trials: Vec<Trial>,
}

impl<'a> Experiment<'a> {
    /// Measures the program as it is. Fails where that cannot be done.
    pub fn begin(program: &'a Program, effort: &'a Effort, progress: &'a Progress) -> Result<Self> {
        progress.stage("today");
        let today = program.measure(&Variant::default(), Purpose::Causes, progress)?;
        let Some(first) = Sample::of(&today.recording, &today.course) else {
            return Err(Error::new("no worker lived to be measured").path(&program.file));
        };
        let split = sample::split(&today.recording);
        let trial = Trial { first: Some(first), split, ..Trial::default() };
        let experiment = Self { program, effort, progress, today, trials: vec![trial] };
        experiment.keep(&experiment.today, "today")?;
        Ok(experiment)
    }

    /// Tries every remedy alone, then combinations, then all that work in turn. Fails when interrupted, or
    /// when the program as it is fails; what was measured stays.
    ///
    /// Other remedies may apply only to a program that preloads: where [`plan::PRELOAD`] works, `look_again`
    /// judges that variant, and what it finds is tried on top.
    pub fn run(
        &mut self,
        remedies: &[Remedy],
        look_again: impl FnOnce(&Variant, &Measured) -> Vec<Remedy>,
    ) -> Result<()> {
        let mut remedies = remedies.to_vec();
        let mut preloaded = None;
        for remedy in &remedies {
            let measured = self.first_run(&remedies, Codes::from([remedy.rule.code]))?;
            preloaded = preloaded.or(measured.filter(|_| remedy.rule.code == plan::PRELOAD));
        }
        let (nothing, preload) = (Codes::new(), Codes::from([plan::PRELOAD]));
        let mut bases = vec![nothing];
        if let (Some(measured), Some(trial)) = (preloaded, self.trial(&preload)) {
            let more = look_again(&trial.variant.clone(), &measured);
            let codes: Vec<&'static str> = more.iter().map(|remedy| remedy.rule.code).collect();
            remedies.extend(more);
            for code in codes {
                self.first_run(&remedies, Codes::from([plan::PRELOAD, code]))?;
            }
            bases.push(preload);
        }
        for base in bases {
            for codes in plan::combinations(&self.works_on(&base), self.worthwhile()) {
                let codes: Codes = codes.union(&base).copied().collect();
                if self.trial(&codes).is_none() {
                    self.first_run(&remedies, codes)?;
                }
            }
        }
        (0..self.effort.rounds).try_for_each(|round| self.round(round))
    }

    fn trial(&self, codes: &Codes) -> Option<&Trial> {
        self.trials.iter().find(|trial| trial.codes == *codes)
    }

    /// Runs a variant once more, with witnesses.
    pub fn again(&self, trial: &Trial) -> Result<Measured> {
        self.progress.stage(plan::name(&trial.codes));
        self.program.measure(&trial.variant, Purpose::Causes, self.progress)
    }

    /// Remedies that work on top of others, with what their first run gave back more than those did.
    fn works_on(&self, base: &Codes) -> Vec<(&'static str, f64)> {
        let family = |trial: &Trial| trial.first.map(|first| first.family);
        let before = self.trial(base).and_then(family);
        let works = self.trials.iter().filter(|trial| trial.failure.is_none());
        let one_more =
            works.filter(|trial| trial.codes.len() == base.len() + 1 && trial.codes.is_superset(base));
        let saved = |trial: &Trial| Some((*trial.codes.difference(base).next()?, before? - family(trial)?));
        one_more.filter_map(saved).collect()
    }

    /// What a remedy has to give back to be tried together with others.
    fn worthwhile(&self) -> f64 {
        noise(&self.trials[0].figures(|sample| sample.family))
    }

    /// Runs a variant for the first time. Gives what was measured, if it works.
    fn first_run(&mut self, remedies: &[Remedy], codes: Codes) -> Result<Option<Measured>> {
        let name = plan::name(&codes);
        let number = self.trials.len();
        self.progress.stage(format!("trying {name} ({number})"));
        let mut trial = Trial { codes, ..Trial::default() };
        let mut found = None;
        match plan::variant(&self.program.source, remedies, &trial.codes) {
            Err(error) => trial.failure = Some(shortly(&error)),
            Ok(variant) => {
                trial.variant = variant;
                match self.sample(&trial.variant, Purpose::Causes)? {
                    Err(why) => trial.failure = Some(why),
                    Ok((sample, measured)) => {
                        self.keep(&measured, &name)?;
                        trial.first = Some(sample);
                        trial.split = sample::split(&measured.recording);
                        found = Some(measured);
                    }
                }
            }
        }
        self.trials.push(trial);
        Ok(found)
    }

    /// Measures every variant once, beginning each round with another one.
    fn round(&mut self, round: usize) -> Result<()> {
        let count = self.trials.len();
        for index in (0..count).map(|position| (position + round) % count) {
            if self.trials[index].failure.is_some() {
                continue;
            }
            let name = plan::name(&self.trials[index].codes);
            self.progress.stage(format!("round {} of {}, {name}", round + 1, self.effort.rounds));
            let sample = self.sample(&self.trials[index].variant, Purpose::Figures)?;
            let trial = &mut self.trials[index];
            match sample {
                Ok((sample, _)) => {
                    trial.rounds.resize(round, None);
                    trial.rounds.push(Some(sample));
                }
                Err(why) if index == 0 => {
                    return Err(Error::new("the program as it is failed in a later round").why(why));
                }
                Err(why) => trial.failure = Some(why),
            }
        }
        Ok(())
    }

    /// Runs a variant. The inner error says why it does not work; the outer one that the user wants to stop.
    fn sample(&self, variant: &Variant, purpose: Purpose) -> Result<Result<(Sample, Measured), String>> {
        let measured = match self.program.measure(variant, purpose, self.progress) {
            Ok(measured) => measured,
            Err(error) if error.is_interrupt() => return Err(error),
            Err(error) => return Ok(Err(shortly(&error))),
        };
        if let Some(why) = trouble(&measured.recording, &self.today.recording) {
            return Ok(Err(why));
        }
        let sample = Sample::of(&measured.recording, &measured.course);
        Ok(sample.map(|sample| (sample, measured)).ok_or_else(|| "no worker lived to be measured".into()))
    }

    fn keep(&self, measured: &Measured, name: &str) -> Result<()> {
        let Some(folder) = &self.effort.captures else { return Ok(()) };
        let file = name.replace(" + ", "_");
        capture::write(&measured.recording, &folder.join(format!("{file}.forkprint")), self.effort.force)
    }
}

/// What went wrong, in one line.
fn shortly(error: &Error) -> String {
    error.reason().map_or_else(|| error.what().to_owned(), |why| format!("{}: {why}", error.what()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rounds_in_which_both_were_measured_are_compared() {
        let sample = |family| Some(Sample { family, ..Sample::default() });
        let today =
            Trial { first: sample(9.0), rounds: vec![sample(1.0), None, sample(3.0)], ..Trial::default() };
        let other = Trial { first: sample(8.0), rounds: vec![sample(5.0), sample(6.0)], ..Trial::default() };
        assert_eq!(today.paired(&other, |sample| sample.family), (vec![1.0], vec![5.0]));
        assert_eq!((today.measured(), today.figures(|sample| sample.family)), (2, vec![1.0, 3.0]));
        let untried = Trial { first: sample(7.0), ..Trial::default() };
        assert_eq!(today.paired(&untried, |sample| sample.family), (vec![9.0], vec![7.0]));
    }
}
