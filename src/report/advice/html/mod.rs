//! Advice as one HTML file: the verdict, the waterfall, maps before and after, every variant, the rules.
//!
//! Rows of bars are drawn as SVG in percent of their width, so that text keeps its size on a phone.

mod bars;

use super::words::{
    baseline, ghosts, groups, interval, size, startup_change, throughput_change, throughput_part, title,
    verdict, worth,
};
use super::{Advice, Estimate, Recommendation, RuleStanding, VariantResult, Verdict};
use crate::error::Result;
use crate::report::html::{PAIR_SCRIPT, Pair, date, page, style};
use crate::report::palette::Role;
use bars::Scale;
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;

const TEMPLATE: &str = include_str!("advice.html");
const STYLE: &str = concat!(include_str!("../../html/style.css"), include_str!("advice.css"));
const PAGE_SCRIPT: &str = include_str!("../../html/page.js");
const COPY_SCRIPT: &str = include_str!("copy.js");
/// Where the packed pages belong in the rendered document.
const SLOT: &str = "<!--page-data-->";
/// The folder in which every remedy is documented.
const DOCUMENTED: &str = "docs/remedies/";

/// One row of a chart: a name, a drawing, a figure.
#[derive(Serialize)]
struct Row {
    name: String,
    detail: String,
    svg: String,
    figure: String,
    class: &'static str,
}

/// One variant in the tables.
#[derive(Serialize)]
struct Tried {
    name: String,
    titles: String,
    worth: &'static str,
    class: &'static str,
    failure: Option<String>,
    recommended: bool,
    saving: String,
    interval: String,
    whisker: String,
    broken: String,
    family: String,
    split: String,
    groups: Vec<String>,
    startup: String,
    throughput: String,
    rounds: u32,
}

/// The advice as a self-contained HTML document.
pub fn render(advice: &Advice) -> Result<String> {
    let pair = Pair::of(advice.before.as_deref(), advice.after.as_deref());
    let script = format!(
        "'use strict';\n(() => {{\n{PAGE_SCRIPT}{COPY_SCRIPT}{}}})();",
        if pair.is_some() { PAIR_SCRIPT } else { "" }
    );
    let [first, second] = verdict(advice);
    let document = page(
        "advice.html",
        TEMPLATE,
        context! {
            style => style(STYLE),
            script => Value::from_safe_string(script),
            advice => Value::from(Serde(advice)),
            first, second,
            ghosts => size(ghosts(advice)),
            stats => advice.recommended.as_ref().map(stats),
            best => advice.recommended.as_ref().map(|best| context! { lines => best.diff.lines().map(diff_line).collect::<Vec<_>>() }),
            fall => Value::from(Serde(fall(advice))),
            limit => size(advice.waterfall.limit),
            limit_at => limit_at(advice),
            maps => pair.map(Pair::context),
            variants => Value::from(Serde(tried(advice))),
            axis => Value::from_safe_string(axis(advice)),
            keys => groups(&super::Split::default()).map(|(name, role, _)| context! { name, role => role.css_name() }).to_vec(),
            rules => Value::from(Serde(rules(advice))),
            rung => advice.rung.map(|rung| (rung.name(), rung.explanation())),
            date => date(advice.created_unix),
            seconds => format!("{:.0}", advice.seconds),
        },
    )?;
    let data = pair.map(Pair::data).unwrap_or_default();
    Ok(match document.rfind(SLOT) {
        Some(at) => [&document[..at], &data, &document[at + SLOT.len()..]].concat(),
        None => document,
    })
}

/// A line of a diff with the class that colours it.
fn diff_line(line: &str) -> (&'static str, String) {
    let class = match line.as_bytes() {
        [b'+', b'+', b'+', ..] | [b'-', b'-', b'-', ..] | [b'@', ..] => "around",
        [b'+', ..] => "added",
        [b'-', ..] => "removed",
        _ => "same",
    };
    (class, line.to_owned())
}

/// Figures below the verdict: value and name.
fn stats(best: &Recommendation) -> Vec<(String, String)> {
    let startup = format!("{:+.2} s", best.startup_seconds).replace('-', "−");
    let (throughput, of_today) = throughput_part(best.throughput);
    vec![
        (size(best.saving.mean), format!("given back by the family, {}", interval(best.saving))),
        (format!("{:.0} %", best.of_ghosts * 100.0), "of the copies that hold nothing new".to_owned()),
        (startup, "start-up until the first fork".to_owned()),
        (throughput, of_today.to_owned()),
    ]
}

fn fall(advice: &Advice) -> Vec<Row> {
    let fall = &advice.waterfall;
    if fall.today <= 0.0 {
        return Vec::new();
    }
    let scale = Scale::of(0.0, fall.today.max(fall.remaining));
    let limit = fall.limit.clamp(0.0, fall.today);
    let whole = |bytes: f64| {
        let real = limit.min(bytes);
        scale.bar(&[(Role::Differs, 0.0, real), (Role::Ghost, real, bytes)], limit)
    };
    let row = |name: String, detail: String, svg: String, figure: String, class| Row {
        name,
        detail,
        svg,
        figure,
        class,
    };
    let mut rows = vec![row(
        "Today".into(),
        "copied by all workers".into(),
        whole(fall.today),
        size(fall.today),
        "whole",
    )];
    let mut level = fall.today;
    for step in &fall.steps {
        let after = level - step.saving.mean;
        let role = if step.saving.mean >= 0.0 { Role::Fresh } else { Role::Copies };
        let svg = scale.bar(&[(role, after.min(level), after.max(level))], limit);
        let titles: Vec<&str> = step.label.split(" + ").filter_map(|code| title(advice, code)).collect();
        rows.push(row(step.label.clone(), titles.join(", "), svg, size(-step.saving.mean), "step"));
        level = after;
    }
    let remaining = fall.remaining.max(0.0);
    rows.push(row(
        "What remains".into(),
        "with all of them".into(),
        whole(remaining),
        size(remaining),
        "whole",
    ));
    rows
}

/// Where the limit stands in the rows of the waterfall, in percent, with room for its name.
fn limit_at(advice: &Advice) -> f64 {
    let fall = &advice.waterfall;
    let at = fall.limit.max(0.0) / fall.today.max(fall.remaining).max(1.0) * 100.0;
    (at.clamp(0.0, 100.0) * 100.0).round() / 100.0
}

/// The scale of savings, with zero on it.
fn savings(advice: &Advice) -> Scale {
    let measured = || advice.variants.iter().filter(|one| one.verdict != Verdict::Failed);
    let low = measured().map(|one| one.saving.low).fold(0.0, f64::min);
    let high = measured().map(|one| one.saving.high).fold(0.0, f64::max);
    let room = (high - low).max(1.0) * 0.04;
    Scale::of(low - room, high + room)
}

fn axis(advice: &Advice) -> String {
    savings(advice).axis()
}

fn tried(advice: &Advice) -> Vec<Tried> {
    let scale = savings(advice);
    let most = advice.variants.iter().map(|one| one.broken.mean).fold(0.0, f64::max);
    let base = baseline(advice);
    let one = |variant: &VariantResult| {
        let parts = groups(&variant.split);
        let titles: Vec<&str> = variant.codes.iter().filter_map(|code| title(advice, code)).collect();
        let is_base = variant.verdict == Verdict::Baseline;
        Tried {
            name: variant.name.clone(),
            titles: titles.join(", "),
            worth: worth(variant),
            class: match variant.verdict {
                Verdict::Baseline => "base",
                Verdict::Helps => "helps",
                Verdict::DoesNotHelp => "useless",
                Verdict::Harms => "harms",
                Verdict::Failed => "failed",
            },
            failure: (variant.verdict == Verdict::Failed)
                .then(|| variant.failure.clone().unwrap_or_else(|| "no reason was given".to_owned())),
            recommended: advice
                .recommended
                .as_ref()
                .is_some_and(|best| best.codes == variant.codes && !is_base),
            saving: if is_base { "–".into() } else { size(variant.saving.mean) },
            interval: if is_base { String::new() } else { interval(variant.saving) },
            whisker: if is_base { scale.empty() } else { scale.whisker(variant.saving, variant.verdict) },
            broken: size(variant.broken.mean),
            family: size(variant.family.mean),
            split: Scale::of(0.0, most).stacked(&parts),
            groups: parts.iter().map(|part| size(part.2)).collect(),
            startup: startup_change(variant, base),
            throughput: throughput_change(variant, base),
            rounds: variant.rounds,
        }
    };
    advice.variants.iter().map(one).collect()
}

/// A rule as the report shows it.
#[derive(Serialize)]
struct Standing<'a> {
    /// Where it is documented.
    page: Option<String>,
    gain: Option<String>,
    rule: &'a RuleStanding,
}

/// The rules, those that apply first.
fn rules(advice: &Advice) -> Vec<Standing<'_>> {
    let (apply, others): (Vec<_>, Vec<_>) = advice.rules.iter().partition(|rule| rule.applies);
    apply.into_iter().chain(others).map(standing).collect()
}

fn standing(rule: &RuleStanding) -> Standing<'_> {
    let is_plain = !rule.code.is_empty() && rule.code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let told = |saving: Estimate| {
        if saving.low <= 0.0 && saving.high >= 0.0 {
            format!("gave back nothing that the rounds can show ({})", interval(saving))
        } else if saving.mean < 0.0 {
            format!("cost {} ({})", size(-saving.mean), interval(saving))
        } else {
            format!("gave back {} ({})", size(saving.mean), interval(saving))
        }
    };
    Standing {
        page: is_plain.then(|| format!("{DOCUMENTED}{}.md", rule.code)),
        gain: rule.saving.map(told),
        rule,
    }
}
