//! A program as an experiment changes it: another text under the same name, and another environment.

use serde::{Deserialize, Serialize};
use std::process::Command;

/// Libraries that the dynamic linker loads before all others, separated by colons.
pub const PRELOAD: &str = "LD_PRELOAD";

/// What is changed for one experiment. The user's own files stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Variant {
    /// Text to run instead of what the file holds. It is compiled under the file's own name, so that
    /// tracebacks, `__file__` and lines are those of the user.
    pub text: Option<String>,
    /// Variables to set for the zygote before it starts.
    pub environment: Vec<(String, String)>,
}

impl Variant {
    /// Whether nothing is changed.
    pub fn is_unchanged(&self) -> bool {
        *self == Self::default()
    }

    /// Sets the variables for a command. What the user has the dynamic linker preload stays.
    pub fn set_environment(&self, command: &mut Command) {
        for (name, value) in &self.environment {
            let users = std::env::var(PRELOAD).ok().filter(|users| name == PRELOAD && !users.is_empty());
            match users {
                Some(users) => command.env(name, format!("{value}:{users}")),
                None => command.env(name, value),
            };
        }
    }
}

/// What a command's dynamic linker would preload: what was set for it, or what we were started with.
pub fn preloads_of(command: &Command) -> std::ffi::OsString {
    let set = command.get_envs().find(|(name, _)| *name == PRELOAD);
    match set {
        Some((_, value)) => value.map(ToOwned::to_owned).unwrap_or_default(),
        None => std::env::var_os(PRELOAD).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_for_a_command_is_what_it_would_preload() {
        let mut command = Command::new("true");
        let environment = vec![("A".into(), "1".into()), (PRELOAD.into(), "/lib/x.so".into())];
        let variant = Variant { text: None, environment };
        variant.set_environment(&mut command);
        assert!(preloads_of(&command).to_string_lossy().starts_with("/lib/x.so"));
        assert!(
            command.get_envs().any(|(name, value)| name == "A" && value.is_some_and(|value| value == "1"))
        );
        assert!(!variant.is_unchanged() && Variant::default().is_unchanged());
    }
}
