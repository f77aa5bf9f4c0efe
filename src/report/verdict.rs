//! What happened, in sentences that need no knowledge of memory management.

use super::summary::{End, LONGEST_NAME, Split, Summary, clipped, nothing_was_run, shown_percent};
use crate::family::recording::Recording;
use crate::units::Bytes;

/// The verdict, in two parts that need no knowledge of memory management.
pub fn verdict(recording: &Recording) -> [String; 2] {
    if nothing_was_run(recording) {
        let found = match recording.findings.len() {
            0 => "the configuration alone gives nothing to remark on".to_owned(),
            1 => "the finding below comes from the configuration alone".to_owned(),
            count => format!("the {count} findings below come from the configuration alone"),
        };
        return [
            format!("Nothing was run: {found}."),
            "Run it without --no-run to measure what its workers stop sharing.".into(),
        ];
    }
    let Some(summary) = Summary::of(recording) else {
        return [
            "No worker lived long enough to be measured.".into(),
            "The findings say what happened.".into(),
        ];
    };
    [sharing(&summary), [worth(&summary), unmapped(&summary.end)].concat()]
}

fn sharing(summary: &Summary) -> String {
    let Summary { step, workers, inherited, split, .. } = summary;
    let size = |pages| Bytes::of_pages(summary.per_worker(pages));
    let who = if *workers == 1 { "the worker".to_owned() } else { format!("each of the {workers} workers") };
    let when = if step == "fork" {
        "right after the fork".to_owned()
    } else {
        format!("after “{}”", clipped(step, LONGEST_NAME))
    };
    let when = if summary.end.later { format!("At the worst, {when}") } else { capitalized(&when) };
    if split.broken() == 0 {
        let what = if summary.gone == 0 { "all" } else { "all that it has kept" };
        return format!("{when}, {who} still shares {what} of the {} it inherited.", size(*inherited));
    }
    format!(
        "{when}, {who} has stopped sharing {} of the {} it inherited ({}).",
        size(split.broken()),
        size(*inherited),
        shown_percent(split.broken(), *inherited)
    )
}

/// What the workers' copies hold, with the base of the percentage.
fn worth(summary: &Summary) -> String {
    let Summary { split, .. } = summary;
    let size = |pages| Bytes::of_pages(pages);
    if split.broken() == 0 {
        return format!("The family holds {} of private memory in all.", size(summary.distinct_frames));
    }
    if split.copied() == 0 {
        return "The workers copied nothing: every one of these pages was written by the zygote.".into();
    }
    let compared = split.compared();
    if compared == 0 {
        return "Whether these copies hold anything new was not to be measured here.".into();
    }
    let who = if summary.workers == 1 { "the worker" } else { "the workers together" };
    let could = if split.uncompared == 0 { "" } else { " and that could be compared" };
    if split.ghost == 0 {
        let new = size(split.differs);
        return format!("Of the {new} {who} copied{could}, nothing still holds the bytes of the fork.");
    }
    format!(
        "{} of the {} {who} copied{could} ({}) still hold the very bytes of the fork.",
        size(split.ghost),
        size(compared),
        shown_percent(split.ghost, compared)
    )
}

/// The broken pages that the verdict's percentage leaves out, where they are a notable part.
pub fn rest_of(split: &Split) -> String {
    if (split.zygote + split.uncompared) * 20 < split.broken() {
        return String::new();
    }
    let parts = [(split.zygote, "by the zygote alone"), (split.uncompared, "not compared")];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(pages, _)| *pages > 0)
        .map(|(pages, what)| format!("{} {what}", Bytes::of_pages(pages)))
        .collect();
    parts.join(", ")
}

fn unmapped(end: &End) -> String {
    if !end.notable() {
        return String::new();
    }
    let who = if end.workers == 1 { "the worker" } else { "each worker" };
    format!(
        " By the end of “{}”, {who} had unmapped {} of what it inherited ({}).",
        clipped(&end.step, LONGEST_NAME),
        Bytes::of_pages(end.gone / end.workers.max(1)),
        shown_percent(end.gone, end.inherited)
    )
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::recording::{Step, WorkerStep};

    /// A family of one worker: (broken by the worker, ghosts, by the zygote alone, gone) at each step.
    fn family(steps: &[(&str, [u64; 4])]) -> Recording {
        let step = |(name, [copied, ghost, zygote, gone]): &(&str, [u64; 4])| Step {
            name: (*name).into(),
            workers: vec![WorkerStep {
                inherited: 25_600,
                broken: copied + zygote,
                broken_by_worker: *copied,
                broken_by_zygote: *zygote,
                ghost: *ghost,
                gone: *gone,
                ..WorkerStep::default()
            }],
            ..Step::default()
        };
        let mut recording = Recording { steps: steps.iter().map(step).collect(), ..Recording::default() };
        recording.about.complete = true;
        recording.zygote.pid = 1;
        recording
    }

    #[test]
    fn the_verdict_is_that_of_the_worst_step_and_says_what_was_unmapped() {
        let unmapped = family(&[("serve", [12_800, 2560, 0, 0]), ("shutdown", [256, 0, 0, 25_000])]);
        assert_eq!(Summary::of(&unmapped).unwrap().index, 0);
        assert_eq!(
            verdict(&unmapped).join("|").replace('\u{a0}', " "),
            "At the worst, after “serve”, the worker has stopped sharing 50.0 MiB of the 100.0 MiB it inherited (50 %).\
             |10.0 MiB of the 50.0 MiB the worker copied (20 %) still hold the very bytes of the fork. \
             By the end of “shutdown”, the worker had unmapped 97.7 MiB of what it inherited (98 %)."
        );
        let about_equal = family(&[("a", [1000, 0, 0, 0]), ("b", [991, 0, 0, 0])]);
        assert_eq!(Summary::of(&about_equal).unwrap().index, 1);
        assert!(verdict(&about_equal)[0].starts_with("After “b”"));
    }

    #[test]
    fn the_base_of_the_percentage_and_the_rest_are_named() {
        let recording = family(&[("serve", [1280, 1024, 256, 0])]);
        assert_eq!(
            verdict(&recording)[1].replace('\u{a0}', " "),
            "4.0 MiB of the 5.0 MiB the worker copied (80 %) still hold the very bytes of the fork."
        );
        let rest = |recording: &Recording| rest_of(&Summary::of(recording).unwrap().split);
        assert_eq!(rest(&recording), "1.0 MiB by the zygote alone");
        assert_eq!(rest(&family(&[("serve", [1280, 1024, 5, 0])])), "");
    }

    #[test]
    fn a_configuration_that_was_only_read_is_told_so() {
        let mut recording = family(&[]);
        recording.zygote.pid = 0;
        assert!(nothing_was_run(&recording));
        assert!(verdict(&recording)[0].contains("nothing to remark on"));
    }
}
