//! The index page of a gallery: one card for each report.

use super::advice::{self, Advice};
use super::forecast;
use super::html::{page, style};
use super::matrix::{Matrix, legend};
use super::palette::Role;
use super::ranking::headline;
use super::summary::{Summary, shown_percent};
use super::verdict::verdict;
use crate::error::Result;
use crate::family::recording::Recording;
use crate::forecast::Forecast;
use crate::units::{Bytes, percent};
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;

/// One report in a gallery.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    href: String,
    title: String,
    description: String,
    runtime: String,
    verdict: [String; 2],
    headline: Option<String>,
    command: String,
    parts: Vec<Part>,
    figures: String,
}

#[derive(Debug, Clone, Serialize)]
struct Part {
    role: String,
    name: &'static str,
    percent: f64,
    shown: String,
}

impl Entry {
    /// The card of a recording whose report is at `href`, relative to the gallery.
    pub fn of(recording: &Recording, href: impl Into<String>) -> Self {
        let about = &recording.about;
        let summary = Summary::of(recording);
        Self {
            href: href.into(),
            title: about.title.clone(),
            description: about.description.clone(),
            runtime: about.runtime_shown(),
            verdict: verdict(recording),
            headline: headline(recording),
            command: about.command.clone(),
            figures: summary.as_ref().map(figures).unwrap_or_default(),
            parts: summary.as_ref().map(parts).unwrap_or_default(),
        }
    }

    /// The card of a matrix whose report is at `href`.
    pub fn of_matrix(matrix: &Matrix, title: &str, href: impl Into<String>) -> Self {
        let mut sentences = legend::verdict(matrix).into_iter();
        let mut next = || sentences.next().unwrap_or_default();
        Self {
            href: href.into(),
            title: title.to_owned(),
            description: "The same toy programs under every memory and code policy.".to_owned(),
            runtime: "toy".to_owned(),
            verdict: [next(), next()],
            headline: None,
            command: matrix.command.clone(),
            figures: format!("{} programs × {} policies", matrix.programs.len(), matrix.policies.len()),
            parts: Vec::new(),
        }
    }

    /// The card of an advice whose report is at `href`.
    pub fn of_advice(advice: &Advice, href: impl Into<String>) -> Self {
        let tried = advice.variants.len().saturating_sub(1);
        Self {
            href: href.into(),
            title: advice.title.clone(),
            description: "What each remedy gives back, measured.".to_owned(),
            runtime: advice.runtime_version.clone(),
            verdict: advice::verdict(advice),
            headline: None,
            command: advice.command.clone(),
            figures: format!("{tried} variants × {} rounds · {} workers", advice.rounds, advice.workers),
            parts: Vec::new(),
        }
    }

    /// The card of a forecast whose report is at `href`.
    pub fn of_forecast(forecast: &Forecast, href: impl Into<String>) -> Self {
        let sizes = || forecast.families.iter().map(|family| family.workers);
        Self {
            href: href.into(),
            title: forecast.title.clone(),
            description: "What a family of workers will hold, and when.".to_owned(),
            runtime: String::new(),
            verdict: forecast::verdict(forecast),
            headline: None,
            command: forecast.command.clone(),
            figures: format!(
                "{} to {} workers",
                sizes().min().unwrap_or_default(),
                sizes().max().unwrap_or_default()
            ),
            parts: Vec::new(),
        }
    }
}

fn figures(summary: &Summary) -> String {
    let workers = if summary.workers == 1 { "worker" } else { "workers" };
    format!(
        "{} {workers} · {} inherited · after “{}”",
        summary.workers,
        Bytes::of_pages(summary.per_worker(summary.inherited)),
        summary.step
    )
}

fn parts(summary: &Summary) -> Vec<Part> {
    let rest = summary.split.uncompared + summary.split.zygote;
    let parts = [
        (Role::Shared, "shared", summary.shared()),
        (Role::Ghost, "identical copies", summary.split.ghost),
        (Role::Differs, "new data", summary.split.differs),
        (Role::Zygote, "other", rest),
        (Role::Gone, "unmapped", summary.gone),
    ];
    let part = |(role, name, pages): (Role, &'static str, u64)| Part {
        role: role.css_name(),
        name,
        percent: percent(pages, summary.inherited),
        shown: shown_percent(pages, summary.inherited),
    };
    parts.into_iter().filter(|(_, _, pages)| *pages > 0).map(part).collect()
}

/// The gallery as a self-contained HTML document.
pub fn render(entries: &[Entry]) -> Result<String> {
    let sheet = concat!(include_str!("html/style.css"), include_str!("html/gallery.css"));
    page(
        "gallery.html",
        include_str!("html/gallery.html"),
        context! { style => style(sheet), entries => Value::from(Serde(entries)) },
    )
}
