//! One colour for each state and cause, the same in every chart, in light and in dark.
//!
//! Hues are those of Okabe and Ito, which people with any common colour blindness tell apart.
//! Charts are drawn with a placeholder for each role, which [`themed`] turns into a CSS variable.

use plotters::style::RGBColor;

/// What a colour stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Text.
    Ink,
    /// Secondary text.
    Muted,
    /// Lines and empty tracks.
    Grid,
    /// Pages still shared.
    Shared,
    /// Copies whose bytes are still equal.
    Ghost,
    /// Copies whose bytes differ.
    Differs,
    /// Copies whose fork-time bytes could not be read.
    Uncompared,
    /// Pages that only the zygote wrote.
    Zygote,
    /// Pages no longer mapped.
    Gone,
    /// Pages made after the fork.
    Fresh,
    /// Copies of any content.
    Copies,
    /// Page tables.
    PageTables,
    /// The n-th cause of `CAUSES`.
    Cause(u8),
    /// The same where the copy bought nothing.
    Pale(u8),
}

/// (role, CSS variable, light, dark)
const COLOURS: [(Role, &str, &str, &str); 12] = [
    (Role::Ink, "ink", "#1b2127", "#e8eaec"),
    (Role::Muted, "muted", "#5c6670", "#9aa4ad"),
    (Role::Grid, "grid", "#e3e5e4", "#2b3138"),
    (Role::Shared, "shared", "#d3dade", "#38424b"),
    (Role::Ghost, "ghost", "#e69f00", "#e69f00"),
    (Role::Differs, "differs", "#0072b2", "#2b8fd0"),
    (Role::Uncompared, "uncompared", "#343a40", "#d5dade"),
    (Role::Zygote, "zygote", "#cc79a7", "#cc79a7"),
    (Role::Gone, "gone", "#a3a9ae", "#7d858c"),
    (Role::Fresh, "fresh", "#009e73", "#00a87b"),
    (Role::Copies, "copies", "#d55e00", "#e0701a"),
    (Role::PageTables, "page-tables", "#b8a900", "#f0e442"),
];

/// Causes in the order of their numbers with their colours in light and in dark.
///
/// Every two of them, and those of shared and unmapped pages, are told apart with common colour
/// blindness: at least 5 % of the scale of `OKLab` apart as deuteranopes and protanopes see them.
const CAUSES: [(&str, &str, &str); 16] = [
    ("refcount", "#d55e00", "#d55e00"),
    ("gc_header", "#f5a300", "#f5a300"),
    ("lazy_cache", "#f5e04a", "#f5e04a"),
    ("specialize", "#825922", "#935412"),
    ("allocator", "#56b4e9", "#56b4e9"),
    ("object_body", "#0067b0", "#2f7be7"),
    ("interpreter", "#a772d8", "#a87cc2"),
    ("native_data", "#703a82", "#9b4bb7"),
    ("stack", "#9ac66d", "#9ac66d"),
    ("kernel_write", "#2f2f35", "#f2f2f2"),
    ("jit_code", "#0b5345", "#387362"),
    ("jit_data", "#2e9342", "#339442"),
    ("gc_mark", "#249698", "#39b09f"),
    ("gc_move", "#71cfcd", "#74ded8"),
    ("floor", "#ffc8a0", "#ffc8a0"),
    ("unexplained", "#667078", "#5a6480"),
];

/// Index of the last cause.
#[expect(clippy::cast_possible_truncation, reason = "there are fewer than 256 causes")]
const UNEXPLAINED: u8 = CAUSES.len() as u8 - 1;

impl Role {
    /// The role of a cause.
    pub fn cause(name: &str) -> Self {
        let index = (0..).zip(CAUSES).find(|(_, (known, ..))| *known == name).map(|(index, _)| index);
        Self::Cause(index.unwrap_or(UNEXPLAINED))
    }

    /// The role of ghosts of a cause.
    pub fn pale(name: &str) -> Self {
        match Self::cause(name) {
            Self::Cause(index) => Self::Pale(index),
            role => role,
        }
    }

    /// The CSS variable that holds the role's colour, without its dashes.
    pub fn css_name(self) -> String {
        match self {
            Self::Cause(index) => {
                format!("cause-{}", CAUSES[usize::from(index) % CAUSES.len()].0.replace('_', "-"))
            }
            Self::Pale(index) => format!("{}-pale", Self::Cause(index).css_name()),
            role => COLOURS[role.index()].1.to_owned(),
        }
    }

    fn index(self) -> usize {
        COLOURS.iter().position(|(role, ..)| *role == self).unwrap_or(0)
    }

    /// A colour that no chart uses otherwise, to be replaced by [`themed`].
    #[expect(clippy::cast_possible_truncation, reason = "there are fewer than 128 roles")]
    pub(super) fn placeholder(self) -> RGBColor {
        match self {
            Self::Cause(index) => RGBColor(0xFE, 0xCA, 0x80 + index),
            Self::Pale(index) => RGBColor(0xFE, 0xCB, 0x80 + index),
            role => RGBColor(0xFE, 0xCA, role.index() as u8),
        }
    }
}

fn all_roles() -> impl Iterator<Item = Role> {
    let causes = || (0..).take(CAUSES.len());
    COLOURS.iter().map(|(role, ..)| *role).chain(causes().map(Role::Cause)).chain(causes().map(Role::Pale))
}

/// Replaces the placeholders of a drawing by CSS variables.
pub(super) fn themed(svg: &str) -> String {
    all_roles().fold(svg.to_owned(), |svg, role| {
        let RGBColor(red, green, blue) = role.placeholder();
        let name = role.css_name();
        ["fill", "stroke"].iter().fold(svg, |svg, property| {
            svg.replace(
                &format!("{property}=\"#{red:02X}{green:02X}{blue:02X}\""),
                &format!("style=\"{property}:var(--{name})\""),
            )
        })
    })
}

/// The declarations of every colour, for light and for dark.
pub(super) fn css_variables() -> (String, String) {
    use std::fmt::Write;
    let (mut light, mut dark) = (String::new(), String::new());
    for (role, name, in_light, in_dark) in COLOURS {
        debug_assert_eq!(role.css_name(), name);
        let _ = write!(light, "--{name}:{in_light};");
        let _ = write!(dark, "--{name}:{in_dark};");
    }
    for (cause, in_light, in_dark) in CAUSES {
        let name = Role::cause(cause).css_name();
        for (sheet, colour) in [(&mut light, in_light), (&mut dark, in_dark)] {
            let _ = write!(sheet, "--{name}:{colour};--{name}-ink:{};", ink_on(colour));
            let _ = write!(sheet, "--{name}-pale:color-mix(in srgb,{colour} 45%,var(--paper));");
        }
    }
    (light, dark)
}

/// Black or white, whichever reads better on a colour (contrast as WCAG 2 defines it).
fn ink_on(colour: &str) -> &'static str {
    let channel = |at: usize| {
        let value = colour.get(at..at + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok()).unwrap_or(0);
        let value = f64::from(value) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    let luminance = 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
    if luminance > 0.179 { "#101418" } else { "#ffffff" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_has_a_placeholder_and_a_variable_of_its_own() {
        let roles: Vec<Role> = all_roles().collect();
        for (index, role) in roles.iter().enumerate() {
            for other in &roles[..index] {
                assert_ne!(role.placeholder(), other.placeholder());
                assert_ne!(role.css_name(), other.css_name());
            }
        }
    }

    /// A colour in `OKLab` (Ottosson 2020), seen through a matrix on its linear channels.
    fn seen(colour: &str, through: [[f64; 3]; 3]) -> [f64; 3] {
        let times = |matrix: [[f64; 3]; 3], v: [f64; 3]| {
            matrix.map(|row| row.iter().zip(v).map(|(factor, value)| factor * value).sum::<f64>())
        };
        let linear = [1, 3, 5].map(|at| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055_f64).powf(2.4) }
        });
        let seen = times(through, linear).map(|value| value.clamp(0.0, 1.0));
        let cones = times(
            [
                [0.412_221_470_8, 0.536_332_536_3, 0.051_445_992_9],
                [0.211_903_498_2, 0.680_699_545_1, 0.107_396_956_6],
                [0.088_302_461_9, 0.281_718_837_6, 0.629_978_700_5],
            ],
            seen,
        );
        times(
            [
                [0.210_454_255_3, 0.793_617_785_0, -0.004_072_046_8],
                [1.977_998_495_1, -2.428_592_205_0, 0.450_593_709_9],
                [0.025_904_037_1, 0.782_771_766_2, -0.808_675_766_0],
            ],
            cones.map(f64::cbrt),
        )
    }

    #[test]
    fn no_two_causes_look_alike_with_any_common_colour_blindness() {
        let normal = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        // Machado, Oliveira and Fernandes 2009, severity 1.
        let deuteranope = [
            [0.367_322, 0.860_646, -0.227_968],
            [0.280_085, 0.672_501, 0.047_413],
            [-0.011_820, 0.042_940, 0.968_881],
        ];
        let protanope = [
            [0.152_286, 1.052_583, -0.204_868],
            [0.114_503, 0.786_281, 0.099_216],
            [-0.003_882, -0.048_116, 1.051_998],
        ];
        let beside = |role: Role| COLOURS[role.index()];
        for dark in [false, true] {
            let pick = |light: &'static str, in_dark: &'static str| if dark { in_dark } else { light };
            let on_the_map = [Role::Shared, Role::Gone].map(beside).map(|(_, name, a, b)| (name, pick(a, b)));
            let colours: Vec<_> =
                CAUSES.iter().map(|&(name, a, b)| (name, pick(a, b))).chain(on_the_map).collect();
            for (eyes, least) in [(normal, 0.08), (deuteranope, 0.05), (protanope, 0.05)] {
                for (index, (name, colour)) in colours.iter().enumerate() {
                    for (other, like) in &colours[..index] {
                        let (a, b) = (seen(colour, eyes), seen(like, eyes));
                        let apart = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
                        assert!(
                            apart >= least,
                            "{name} {colour} and {other} {like}: {apart:.3}, dark: {dark}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn placeholders_become_variables() {
        let RGBColor(r, g, b) = Role::Ghost.placeholder();
        assert_eq!(
            themed(&format!("<rect fill=\"#{r:02X}{g:02X}{b:02X}\"/>")),
            "<rect style=\"fill:var(--ghost)\"/>"
        );
    }

    #[test]
    fn an_unknown_cause_is_coloured_as_unexplained() {
        assert_eq!(Role::cause("cosmic rays"), Role::cause("unexplained"));
    }
}
