//! What the report rests on: the rung, the reconciliation, and the kernel's totals beside ours.

use super::super::second_method::{checks, difference, last_step, worst_check};
use super::super::summary::grouped;
use super::super::text::equation;
use crate::family::Witness;
use crate::family::recording::Recording;
use crate::units::Bytes;
use minijinja::{Value, context};

/// The section of evidence.
pub(super) fn context(recording: &Recording) -> Value {
    let about = &recording.about;
    let last = last_step(recording)
        .into_iter()
        .flat_map(|step| checks(step).into_iter().map(move |check| (step, check)));
    let worst = worst_check(recording);
    let differs = worst.is_some();
    let rows: Vec<Value> = last
        .chain(worst)
        .map(|(step, check)| {
            context! {
                step => step.name.clone(), name => format!("{}, {}", check.name, check.field),
                kernel => Bytes(check.kernel).to_string(), ours => Bytes(check.ours).to_string(),
                difference => difference(check.kernel, check.ours),
            }
        })
        .collect();
    context! {
        rung => about.rung.name(), explanation => about.rung.explanation(), equation => equation(&recording.reconciliation),
        witness => about.witness.name(), witness_explanation => about.witness.explanation(), lost => lost(recording),
        checks => rows, worst => differs,
        zygote => format!("process {}, {} private, {} resident", recording.zygote.pid, Bytes::of_pages(recording.zygote.private_pages), Bytes(recording.zygote.rss_bytes)),
        runtime => about.runtime_shown(),
        measured => date(about.created_unix),
    }
}

/// What is said of break events that were counted, where there is a witness.
fn lost(recording: &Recording) -> Option<String> {
    let lost = recording.reconciliation.lost_samples;
    (recording.about.witness != Witness::None).then(|| match lost {
        0 => "No event was lost: the kernel's counter agrees with what was delivered.".to_owned(),
        lost => format!(
            "The kernel counted {} more events than it delivered: their pages are unexplained.",
            grouped(lost)
        ),
    })
}

/// The UTC date of seconds since 1970 (days to civil date after Howard Hinnant); empty for 0.
pub(in crate::report) fn date(unix: u64) -> String {
    if unix == 0 {
        return String::new();
    }
    let days = unix / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(86_400), "1970-01-02");
        assert_eq!(date(1_709_164_800), "2024-02-29");
        assert_eq!(date(1_760_000_000), "2025-10-09");
        assert_eq!(date(4_102_444_799), "2099-12-31");
    }
}
