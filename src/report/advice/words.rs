//! The sentences and figures that every form of an advice opens with.

use super::{Advice, Estimate, Split, VariantResult, Verdict};
use crate::report::palette::Role;
use crate::report::summary::{LONGEST_NAME, clipped};
use crate::units::Bytes;

/// A step that hardly does anything any more is so many times as fast; how many exactly says nothing.
const MOST_TIMES: f64 = 100.0;

/// Bytes below which a saving is called nothing.
const NOTHING: f64 = 64.0 * 1024.0;

/// Two sentences: what to do and what it gives, then what does not help or what is left.
pub(in crate::report) fn verdict(advice: &Advice) -> [String; 2] {
    [first(advice), second(advice)]
}

fn first(advice: &Advice) -> String {
    let ghosts = ghosts(advice);
    let Some(best) = &advice.recommended else {
        let tried = advice.variants.iter().filter(|one| one.verdict != Verdict::Baseline).count();
        return match tried {
            0 => "No remedy was measured: no rule applies to this program.".to_owned(),
            1 => "The one remedy that was measured gives no memory back.".to_owned(),
            tried => format!("None of the {tried} variants that were measured gives memory back."),
        };
    };
    let what = names(advice, &best.codes);
    let gives = if best.codes.len() > 1 { "together give back" } else { "gives back" };
    let of = match ghosts {
        NOTHING.. if best.saving.mean >= ghosts => format!(", more than all {} of ghosts", size(ghosts)),
        NOTHING.. => format!(" of {} of ghosts", size(ghosts)),
        _ => String::new(),
    };
    format!("{what} {gives} {}{of} ({}).", size(best.saving.mean), interval(best.saving))
}

fn second(advice: &Advice) -> String {
    let alone = |one: &&VariantResult| one.codes.len() == 1;
    let useless = advice.variants.iter().filter(alone).filter(|one| one.verdict == Verdict::DoesNotHelp);
    let useless: Vec<String> = useless.map(|one| one.codes[0].clone()).collect();
    if let (Some(_), Some((last, rest))) = (&advice.recommended, useless.split_last()) {
        let gives = if rest.is_empty() { "alone gives" } else { "alone give" };
        let names = match rest {
            [] => names(advice, std::slice::from_ref(last)),
            rest => format!("{} and {last}", rest.join(", ")),
        };
        return format!("{names} {gives} nothing that the rounds can show.");
    }
    let fall = &advice.waterfall;
    if fall.today <= 0.0 {
        return "The workers broke no page that could be given back.".to_owned();
    }
    let kept = if advice.recommended.is_some() { fall.remaining } else { fall.today };
    format!(
        "Of {} that the workers copy {}, {} hold new data and must be copied.",
        size(kept),
        if advice.recommended.is_some() { "with it" } else { "today" },
        size(fall.limit.min(kept))
    )
}

/// What could be given back at most: pages copied today whose bytes are still equal.
pub(super) fn ghosts(advice: &Advice) -> f64 {
    (advice.waterfall.today - advice.waterfall.limit).max(0.0)
}

/// Remedies with their titles: `FP002 (freeze the heap before the fork) and FP005 (warm up before the fork)`.
pub(super) fn names(advice: &Advice, codes: &[String]) -> String {
    let named: Vec<String> = codes.iter().map(|code| name(advice, code)).collect();
    match named.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => "The recommended configuration".to_owned(),
    }
}

fn name(advice: &Advice, code: &str) -> String {
    let Some(title) = title(advice, code) else { return code.to_owned() };
    let mut letters = title.chars();
    let title: String = letters.next().into_iter().flat_map(char::to_lowercase).chain(letters).collect();
    format!("{code} ({})", clipped(&title, LONGEST_NAME))
}

/// The title of a rule.
pub(super) fn title<'a>(advice: &'a Advice, code: &str) -> Option<&'a str> {
    let rule = advice.rules.iter().find(|rule| rule.code == code)?;
    (!rule.title.is_empty()).then_some(rule.title.as_str())
}

/// A number of bytes; a loss has a minus.
pub(super) fn size(bytes: f64) -> String {
    let sign = if bytes < -0.5 { "−" } else { "" };
    format!("{sign}{}", whole(bytes.abs()))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sizes are far below 2^63")]
fn whole(bytes: f64) -> Bytes {
    Bytes(bytes.max(0.0).round() as u64)
}

/// The interval of a saving, in words.
pub(super) fn interval(estimate: Estimate) -> String {
    format!("95 % CI {} to {}", size(estimate.low), size(estimate.high))
}

/// What a variant is worth, in words.
pub(super) fn worth(variant: &VariantResult) -> &'static str {
    match variant.verdict {
        Verdict::Baseline => "as it is",
        Verdict::Helps => "helps",
        Verdict::DoesNotHelp => "does not help",
        Verdict::Harms => "costs memory",
        Verdict::Failed => "failed",
    }
}

/// The groups of causes in a split: name, colour, bytes. The order is that of every chart and table.
pub(super) fn groups(split: &Split) -> [(&'static str, Role, f64); 5] {
    [
        ("collector", Role::cause("gc_header"), split.collector),
        ("reference counts", Role::cause("refcount"), split.refcount),
        ("caches", Role::cause("lazy_cache"), split.caches),
        ("other identical copies", Role::cause("allocator"), split.other),
        ("new data", Role::Differs, split.real),
    ]
}

/// The program as it is.
pub(super) fn baseline(advice: &Advice) -> Option<&VariantResult> {
    advice.variants.iter().find(|one| one.verdict == Verdict::Baseline)
}

/// A change against the program as it is: `+0.41 s`, `−3 %`.
pub(super) fn startup_change(variant: &VariantResult, baseline: Option<&VariantResult>) -> String {
    match baseline {
        Some(base) if variant.verdict != Verdict::Baseline => {
            format!("{:+.2} s", variant.startup_seconds.mean - base.startup_seconds.mean).replace('-', "−")
        }
        _ => format!("{:.2} s", variant.startup_seconds.mean),
    }
}

/// Throughput of the recommendation against today's: a figure, and what it is of.
pub(super) fn throughput_part(factor: f64) -> (String, &'static str) {
    if factor > MOST_TIMES {
        (format!("over {MOST_TIMES} times"), "today's throughput")
    } else {
        (format!("{:.0} %", factor * 100.0), "of today's throughput")
    }
}

/// Throughput, or its change against the program as it is.
pub(super) fn throughput_change(variant: &VariantResult, baseline: Option<&VariantResult>) -> String {
    match baseline {
        Some(base) if variant.verdict != Verdict::Baseline && base.throughput.mean > 0.0 => {
            let factor = variant.throughput.mean / base.throughput.mean;
            if factor > MOST_TIMES {
                return format!("over {MOST_TIMES} times");
            }
            format!("{:+.1} %", (factor - 1.0) * 100.0).replace('-', "−")
        }
        _ if variant.throughput.mean >= 10.0 => format!("{:.0}/s", variant.throughput.mean),
        _ => format!("{:.2}/s", variant.throughput.mean),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::advice::{Recommendation, RuleStanding, Waterfall};

    fn variant(verdict: Verdict, throughput: f64) -> VariantResult {
        let throughput = Estimate { low: throughput, mean: throughput, high: throughput };
        VariantResult { throughput, verdict, ..VariantResult::default() }
    }

    #[test]
    fn a_throughput_that_says_nothing_any_more_is_capped() {
        let today = variant(Verdict::Baseline, 2.0);
        assert_eq!(throughput_change(&variant(Verdict::Helps, 3.0), Some(&today)), "+50.0 %");
        assert_eq!(throughput_change(&variant(Verdict::Helps, 1e4), Some(&today)), "over 100 times");
        assert_eq!(throughput_part(1.5).0, "150 %");
        assert_eq!(throughput_part(5e3), ("over 100 times".to_owned(), "today's throughput"));
    }

    #[test]
    fn a_saving_beyond_the_ghosts_is_not_called_a_part_of_them() {
        let saving = |mean| Estimate { low: mean, mean, high: mean };
        let advice = |mean| Advice {
            waterfall: Waterfall { today: 300e6, limit: 100e6, ..Waterfall::default() },
            recommended: Some(Recommendation {
                codes: vec!["FP003".into()],
                saving: saving(mean),
                ..Recommendation::default()
            }),
            rules: vec![RuleStanding {
                code: "FP003".into(),
                title: "Make it immortal".into(),
                ..RuleStanding::default()
            }],
            ..Advice::default()
        };
        let [said, _] = verdict(&advice(150e6));
        assert!(
            said.starts_with("FP003 (make it immortal) gives back 143.1 MiB of 190.7 MiB of ghosts ("),
            "{said}"
        );
        let [said, _] = verdict(&advice(210e6));
        assert!(
            said.starts_with(
                "FP003 (make it immortal) gives back 200.3 MiB, more than all 190.7 MiB of ghosts"
            ),
            "{said}"
        );
    }
}
