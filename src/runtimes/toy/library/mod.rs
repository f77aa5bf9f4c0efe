//! The standard library, written in the toy language and carried along in the binary.

/// Names and texts of its modules.
pub(super) const NAMES: [(&str, &str); 2] = [
    ("persistent_map", include_str!("persistent_map.toy")),
    ("persistent_vector", include_str!("persistent_vector.toy")),
];

/// The text of a module.
pub(super) fn source(name: &str) -> Option<&'static str> {
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}
