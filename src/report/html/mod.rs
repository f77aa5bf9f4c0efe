//! The report as one HTML file that needs nothing else: no network, no fonts, no server.
//!
//! The template, the style and the script are files beside this one. Every text from a measured
//! program passes through the template's escaping or `json_for_script`.

mod evidence;
mod explained;
mod flame;
mod map;
mod map_breaks;
mod map_pair;
mod sections;

pub(super) use evidence::date;
pub(super) use map_pair::{Pair, SCRIPT as PAIR_SCRIPT};

use super::palette::css_variables;
use super::summary;
use crate::error::{Context, Result};
use crate::family::recording::Recording;
use minijinja::value::Serde;
use minijinja::{Environment, HtmlEscape, Value, context};
use std::fmt::Write;
use std::thread;

const TEMPLATE: &str = include_str!("report.html");
const EXPLAINED: &str = include_str!("explained.html");
const STYLE: &str = concat!(include_str!("style.css"), include_str!("explained.css"));
/// One function, so that its parts share names and the page's other scripts do not.
const SCRIPT: &str = concat!(
    "'use strict';\n(() => {\n",
    include_str!("page.js"),
    include_str!("flame.js"),
    include_str!("map_states.js"),
    include_str!("map_layout.js"),
    include_str!("map_breaks.js"),
    include_str!("map_paint.js"),
    include_str!("map_input.js"),
    "})();",
);

/// Bytes up to which an option stays on one line; a longer one may not fit.
const LONGEST_OPTION: usize = 30;

/// Where the packed data belongs in the rendered document.
const SLOT: &str = "<!--page-data-->";

/// The recording as a self-contained HTML document.
pub fn render(recording: &Recording) -> Result<String> {
    let map = map::Map::of(recording);
    let (document, data) = thread::scope(|scope| {
        let data = scope.spawn(|| map.data());
        (around(recording, &map), data.join().unwrap_or_default())
    });
    let mut document = document?;
    if let Some(at) = document.rfind(SLOT) {
        document.replace_range(at..at + SLOT.len(), &data);
    }
    Ok(document)
}

/// The document without the packed data.
fn around(recording: &Recording, map: &map::Map) -> Result<String> {
    let view = context! {
        about => Value::from(Serde(&recording.about)),
        verdict => super::verdict::verdict(recording),
        style => style(STYLE),
        script => Value::from_safe_string(SCRIPT.to_owned()),
        map => map.context(),
        only_read => summary::nothing_was_run(recording),
        ..sections::context(recording)?
    };
    page("report.html", TEMPLATE, view)
}

/// Renders a template with escaping.
pub(super) fn page(name: &str, template: &str, view: Value) -> Result<String> {
    let mut environment = Environment::new();
    environment.add_filter("grouped", summary::grouped);
    environment.add_filter("prose", prose);
    environment.add_filter("unbroken", |text: &str| Value::from_safe_string(unbroken(text)));
    environment.add_template("explained.html", EXPLAINED).doing("cannot read the report's template")?;
    environment.add_template(name, template).doing("cannot read the report's template")?;
    let template = environment.get_template(name).doing("cannot read the report's template")?;
    let document = template.render(view).doing("cannot render the report")?;
    Ok(document.replace(not_in_html, "\u{fffd}"))
}

/// Control characters other than blanks: HTML has no way to write them (13.1.4, "Character references").
fn not_in_html(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\t' | '\r')
}

/// Text in which `backquoted` words are code, as docstrings write them.
fn prose(text: &str) -> Value {
    let parts = text.split('`').map(unbroken);
    let closed = text.matches('`').count().is_multiple_of(2);
    let html: String = if closed {
        parts
            .enumerate()
            .map(|(index, part)| if index % 2 == 1 { format!("<code>{part}</code>") } else { part })
            .collect()
    } else {
        unbroken(text)
    };
    Value::from_safe_string(html)
}

/// Text as HTML in which no line ends inside an option like `--no-run`.
fn unbroken(text: &str) -> String {
    let words = text.split(' ').map(|word| match HtmlEscape(word) {
        escaped if word.starts_with("--") && word.len() <= LONGEST_OPTION => {
            format!("<span class=\"option\">{escaped}</span>")
        }
        escaped => escaped.to_string(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A style sheet with the colours of the palette before it.
pub(super) fn style(sheet: &str) -> Value {
    let (light, dark) = css_variables();
    Value::from_safe_string(format!(
        ":root{{color-scheme:light dark;{light}}}\n@media (prefers-color-scheme:dark){{:root{{{dark}}}}}\n:root[data-theme=light]{{color-scheme:light;{light}}}\n:root[data-theme=dark]{{color-scheme:dark;{dark}}}\n{sheet}"
    ))
}

/// JSON that cannot end the script element around it.
fn json_for_script(value: &impl serde::Serialize) -> String {
    let json = serde_json::to_string(value).unwrap_or_default();
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            // Line separators end a line of a script, and other controls are not allowed in HTML.
            '<' | '>' | '&' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(escaped, "\\u{:04x}", u32::from(c));
            }
            c => escaped.push(c),
        }
    }
    escaped
}
