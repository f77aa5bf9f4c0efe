//! From the trials to an [`Advice`].

use super::choose::{judged, recommended, waterfall};
use super::experiment::{Experiment, Trial};
use super::patch::unified_diff;
use super::plan;
use super::program::Program;
use super::rules::{Judgement, Rule};
use super::sample::{Sample, scaled, whole};
use super::statistics::{difference, estimate};
use crate::family::Witness;
use crate::report::advice::{Advice, Estimate, Recommendation, RuleStanding, SCHEMA_VERSION, VariantResult};

/// A rule and what it said of the program.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The rule.
    pub rule: &'static Rule,
    /// What it said.
    pub judgement: Judgement,
}

/// Says what the trials showed. The recommended trial's index comes with it.
pub fn assemble(
    program: &Program,
    experiment: &Experiment<'_>,
    judgements: &[Judged],
) -> (Advice, Option<usize>) {
    let trials = &experiment.trials;
    let chosen = recommended(trials);
    let about = &experiment.today.recording.about;
    let advice = Advice {
        schema_version: SCHEMA_VERSION,
        forkprint_version: about.forkprint_version.clone(),
        title: about.title.clone(),
        file: program.file.display().to_string(),
        runtime_version: about.runtime_version.clone(),
        kernel: about.kernel.clone(),
        machine: about.machine.clone(),
        created_unix: about.created_unix,
        rung: Some(about.rung),
        workers: u32::try_from(experiment.today.recording.workers.len()).unwrap_or(u32::MAX),
        rounds: u32::try_from(trials[0].measured()).unwrap_or(u32::MAX),
        rules: judgements.iter().map(|judged| standing(judged, trials)).collect(),
        variants: (0..trials.len()).map(|index| result(trials, index)).collect(),
        waterfall: waterfall(trials, chosen),
        recommended: chosen.map(|index| recommendation(program, trials, index)),
        notes: notes(experiment),
        ..Advice::default()
    };
    (advice, chosen)
}

fn standing(judged_rule: &Judged, trials: &[Trial]) -> RuleStanding {
    let rule = judged_rule.rule;
    let (applies, evidence) = match &judged_rule.judgement {
        Judgement::Applies { evidence, .. } => (true, evidence),
        Judgement::DoesNot(why) => (false, why),
    };
    let saving = own_saving(rule.code, trials);
    RuleStanding {
        code: rule.code.into(),
        title: rule.title.into(),
        applies,
        evidence: evidence.clone(),
        saving,
        caveats: rule.caveats.iter().map(|&caveat| caveat.into()).collect(),
    }
}

/// What a remedy gives back alone; where it was tried on top of preloading only, what it adds to that.
fn own_saving(code: &'static str, trials: &[Trial]) -> Option<Estimate> {
    let find = |codes: &[&'static str]| {
        let wanted = |trial: &&Trial| trial.first.is_some() && trial.codes.iter().eq(codes);
        trials.iter().find(wanted)
    };
    let against = |before: &Trial, after: &Trial| {
        let (before, after) = before.paired(after, |sample| sample.family);
        difference(&before, &after)
    };
    let alone = find(&[code]).map(|alone| against(&trials[0], alone));
    alone.or_else(|| Some(against(find(&[plan::PRELOAD])?, find(&[plan::PRELOAD, code])?)))
}

fn result(trials: &[Trial], index: usize) -> VariantResult {
    let trial = &trials[index];
    let (saving, verdict) = judged(trials, index);
    let of = |figure: fn(&Sample) -> f64| estimate(&trial.figures(figure));
    let a_worker = |figure: fn(&Sample) -> f64| {
        let workers = trial.figures(|sample| sample.workers);
        let each =
            trial.figures(figure).into_iter().zip(workers).map(|(all, workers)| all / workers.max(1.0));
        estimate(&each.collect::<Vec<_>>())
    };
    let broken = a_worker(|sample| sample.broken);
    // Causes come from the first run; the rounds say how much there is of all of them.
    let parts = whole(&trial.split);
    let split = if parts > 0.0 { scaled(trial.split, broken.mean / parts) } else { trial.split };
    VariantResult {
        name: plan::name(&trial.codes),
        codes: trial.codes.iter().map(|&code| code.into()).collect(),
        rounds: u32::try_from(trial.measured()).unwrap_or(u32::MAX),
        family: of(|sample| sample.family),
        saving,
        broken,
        fresh: a_worker(|sample| sample.fresh),
        split,
        startup_seconds: of(|sample| sample.startup),
        throughput: of(|sample| sample.throughput),
        verdict,
        failure: trial.failure.clone(),
    }
}

fn recommendation(program: &Program, trials: &[Trial], index: usize) -> Recommendation {
    let (today, trial) = (&trials[0], &trials[index]);
    let saving: Estimate = judged(trials, index).0;
    let ghosts = estimate(&today.figures(|sample| sample.ghosts)).mean;
    let mean = |trial: &Trial, of: fn(&Sample) -> f64| estimate(&trial.figures(of)).mean;
    let (after, before) = trial.paired(today, |sample| sample.startup);
    let throughput = mean(today, |sample| sample.throughput);
    let source = program.source.text();
    let file = program.file.display().to_string();
    Recommendation {
        codes: trial.codes.iter().map(|&code| code.into()).collect(),
        diff: trial.variant.text.as_ref().map_or_else(String::new, |text| unified_diff(&file, source, text)),
        environment: trial
            .variant
            .environment
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect(),
        saving,
        of_ghosts: if ghosts > 0.0 { (saving.mean / ghosts).clamp(0.0, 1.0) } else { 0.0 },
        startup_seconds: difference(&after, &before).mean,
        throughput: if throughput > 0.0 { mean(trial, |sample| sample.throughput) / throughput } else { 1.0 },
    }
}

fn notes(experiment: &Experiment<'_>) -> Vec<String> {
    let about = &experiment.today.recording.about;
    let mut notes = about.notes.clone();
    let rounds = experiment.trials[0].measured();
    notes.push(match rounds {
        0 => "no round was measured to its end: the figures are those of one run with witnesses, and no variant can be said to help".into(),
        1 => "one round alone shows no interval: no variant can be said to help".into(),
        _ => format!("savings are differences within a round, {rounds} rounds, with Student's 95 % intervals; a remedy helps if its whole interval lies above zero, and its mean above what the program varies by itself and above half a percent of its memory"),
    });
    if about.witness == Witness::None {
        notes.push("writes had no witness: the split by causes tells only ghosts from real writes".into());
    } else {
        notes.push("causes are those of one run with witnesses, scaled to the mean of the rounds; memory, start-up and throughput are of rounds without".into());
    }
    match experiment.trials.iter().filter(|trial| trial.failure.is_some()).count() {
        0 => {}
        1 => notes.push("one variant did not work and was measured no further".into()),
        failed => notes.push(format!("{failed} variants did not work and were measured no further")),
    }
    notes
}
