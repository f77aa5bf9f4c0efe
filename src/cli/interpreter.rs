//! The interpreter that runs a server, where none is named.

use clap::Command;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The interpreter of last resort.
pub const ON_PATH: &str = "python3";

/// Verbs with an option `--python`.
const VERBS: [&str; 3] = ["advise", "analyze", "demo"];

/// Puts the default that applies to this process into the options, so that their help shows it.
pub fn with_default(command: Command, self_command: &[OsString]) -> Command {
    let python = default(self_command, std::env::var_os("VIRTUAL_ENV").as_deref());
    VERBS.into_iter().fold(command, |command, verb| {
        command.mut_subcommand(verb, |verb| {
            verb.mut_arg("python", |option| option.default_value(python.clone().into_os_string()))
        })
    })
}

/// The interpreter the package was started from; for the binary, that of the virtual environment.
fn default(self_command: &[OsString], virtual_env: Option<&OsStr>) -> PathBuf {
    if let [python, option, module] = self_command
        && option == "-m"
        && module == "forkprint"
    {
        return python.into();
    }
    let of_environment = virtual_env.map(|folder| Path::new(folder).join("bin/python"));
    of_environment.filter(|python| python.exists()).unwrap_or_else(|| ON_PATH.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(Into::into).collect()
    }

    #[test]
    fn the_package_uses_the_interpreter_it_is_installed_in() {
        let package = words(&["/srv/venv/bin/python", "-m", "forkprint"]);
        assert_eq!(default(&package, Some(OsStr::new("/"))), Path::new("/srv/venv/bin/python"));
    }

    #[test]
    fn the_binary_uses_the_virtual_environment_where_there_is_one() {
        let binary = words(&["/usr/bin/forkprint"]);
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(default(&binary, None), Path::new(ON_PATH));
        assert_eq!(default(&binary, Some(folder.path().as_os_str())), Path::new(ON_PATH));
        std::fs::create_dir(folder.path().join("bin")).unwrap();
        std::fs::write(folder.path().join("bin/python"), "").unwrap();
        let found = default(&binary, Some(folder.path().as_os_str()));
        assert_eq!(found, folder.path().join("bin/python"));
    }

    #[test]
    fn the_help_shows_the_default_that_applies() {
        let package = words(&["/srv/venv/bin/python", "-m", "forkprint"]);
        for verb in VERBS {
            let mut command = with_default(super::super::command(), &package);
            let help = command.find_subcommand_mut(verb).unwrap().render_help().to_string();
            // However the terminal wraps it.
            let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(help.contains("[default: /srv/venv/bin/python]"), "{help}");
        }
    }
}
