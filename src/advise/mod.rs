//! Remedies: coded rules that say when one applies and what to change, and experiments that prove what
//! each gives back.
//!
//! [`program`] measures a variant of a program, [`rules`] judge what was measured today, [`plan`] makes
//! variants with the help of [`patch`], [`experiment`] measures them in turn, [`choose`] compares, and
//! [`assemble()`] says it.

pub mod assemble;
pub mod choose;
pub mod experiment;
pub mod patch;
pub mod plan;
pub mod program;
pub mod rules;
pub mod sample;
pub mod statistics;

use self::assemble::{Judged, assemble};
use self::experiment::{Effort, Experiment};
use self::plan::Remedy;
use self::program::{Measured, Program};
use self::rules::{Evidence, Judgement, Rule};
use crate::error::{Error, Result};
use crate::record::progress::Progress;
use crate::report::advice::Advice;
use crate::variant::Variant;
use std::time::Instant;

/// What was found out, and why it ended early if it did.
#[derive(Debug)]
pub struct AdviseOutcome {
    /// Everything up to the end or the failure.
    pub advice: Advice,
    /// The failure.
    pub error: Option<Error>,
}

/// Measures a program, has the rules judge it, tries the remedies that apply, and says which to use.
///
/// `wanted` tells the rules whose remedies may be tried; all of them judge.
///
/// Errors: the program as it is could not be measured. What happens later ends the experiments, but
/// keeps what they found.
pub fn advise(
    program: &Program,
    rules: &[&'static Rule],
    wanted: impl Fn(&Rule) -> bool,
    effort: &Effort,
    progress: &Progress,
) -> Result<AdviseOutcome> {
    let began = Instant::now();
    let mut experiment = Experiment::begin(program, effort, progress)?;
    let mut judgements = judge(rules, &program.evidence(&experiment.today));
    let first = remedies(&judgements, &wanted);
    let look_again = |variant: &Variant, measured: &Measured| {
        let Ok(preloaded) = program.with_settings_of(variant) else { return Vec::new() };
        judge_again(&mut judgements, &preloaded.evidence(measured));
        let tried = |remedy: &Remedy| first.iter().any(|first| first.rule.code == remedy.rule.code);
        remedies(&judgements, &wanted).into_iter().filter(|remedy| !tried(remedy)).collect()
    };
    let error = experiment.run(&first, look_again).err();
    let (mut advice, chosen) = assemble(program, &experiment, &judgements);
    if let Some(index) = chosen.filter(|_| error.is_none()) {
        match experiment.again(&experiment.trials[index]) {
            Ok(measured) => advice.after = Some(Box::new(measured.recording)),
            Err(error) => advice.notes.push(format!("there is no map of it: {}", error.in_one_line())),
        }
    }
    advice.before = Some(Box::new(experiment.today.recording));
    advice.complete = error.is_none();
    advice.seconds = began.elapsed().as_secs_f64();
    Ok(AdviseOutcome { advice, error })
}

fn judge(rules: &[&'static Rule], evidence: &Evidence<'_>) -> Vec<Judged> {
    rules.iter().map(|&rule| Judged { rule, judgement: (rule.judge)(evidence) }).collect()
}

/// Has rules that do not apply today judge the program once it preloads.
fn judge_again(judgements: &mut [Judged], evidence: &Evidence<'_>) {
    for judged in judgements.iter_mut().filter(|judged| matches!(judged.judgement, Judgement::DoesNot(_))) {
        if let Judgement::Applies { evidence, change } = (judged.rule.judge)(evidence) {
            let evidence = format!("once {} is done: {evidence}", plan::PRELOAD);
            judged.judgement = Judgement::Applies { evidence, change };
        }
    }
}

/// What can be tried.
fn remedies(judgements: &[Judged], wanted: &impl Fn(&Rule) -> bool) -> Vec<Remedy> {
    let changes = judgements.iter().filter(|judged| wanted(judged.rule)).filter_map(|judged| {
        let Judgement::Applies { change: Some(change), .. } = &judged.judgement else { return None };
        Some(Remedy { rule: judged.rule, change: change.clone() })
    });
    changes.collect()
}
