//! Verbs with two letters swapped, which clap's own measure of likeness does not find.

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Letters that may be wrong, missing, superfluous or swapped with their neighbour.
const MOST_TYPOS: usize = 2;

/// Adds the verb that was meant to the error about one that does not exist.
pub fn suggest_verb(mut error: clap::Error, command: &Command) -> clap::Error {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return error;
    }
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand) else { return error };
    if typed.chars().count() == 1 {
        // A letter is like every verb that holds it.
        error.remove(ContextKind::SuggestedSubcommand);
        return error;
    }
    if error.get(ContextKind::SuggestedSubcommand).is_some() {
        return error;
    }
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set()).map(Command::get_name);
    let nearest = verbs.map(|verb| (strsim::osa_distance(typed, verb), verb)).min_by_key(|&(typos, _)| typos);
    if let Some((typos, verb)) = nearest
        && typos <= MOST_TYPOS
        && typos < typed.chars().count()
    {
        let verb = ContextValue::Strings(vec![verb.to_owned()]);
        error.insert(ContextKind::SuggestedSubcommand, verb);
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(verb: &str) -> String {
        let mut command = super::super::command();
        let error = command.try_get_matches_from_mut(["forkprint", verb]).unwrap_err();
        suggest_verb(error, &command).to_string()
    }

    #[test]
    fn a_verb_with_swapped_letters_is_recognized() {
        assert!(told("rnu").contains("'run'"), "{}", told("rnu"));
        assert!(told("anaylze").contains("'analyze'"), "{}", told("anaylze"));
    }

    #[test]
    fn a_word_like_no_verb_is_not() {
        assert!(!told("juggle").contains("similar"), "{}", told("juggle"));
        assert!(!told("x").contains("similar"), "{}", told("x"));
    }
}
