//! What every policy writes: registers and global variables.

use super::pages::PageSet;
use crate::runtimes::toy::{Profile, StepProfile};

/// Bytes of one register or variable.
const WORD: u64 = 8;

/// Pages of the stack and of the global variables, after each step.
pub(super) fn predict(profile: &Profile, moves: bool) -> Vec<Vec<(&'static str, u64)>> {
    let (mut stack, mut globals) = (PageSet::default(), PageSet::default());
    let mut after = |step: &StepProfile| {
        if step.in_zygote {
            return vec![("vm stack", stack.len()), ("global variables", globals.len())];
        }
        // The words at the bottom say how deep calls are: every step writes them.
        stack.insert(0, step.stack_words.max(1) * WORD);
        step.globals.iter().for_each(|index| globals.insert(u64::from(*index) * WORD, WORD));
        if moves && !step.collections.is_empty() {
            // Constants are references to objects, and those have new addresses.
            globals.insert(0, u64::from(profile.globals) * WORD);
        }
        vec![("vm stack", stack.len()), ("global variables", globals.len())]
    };
    profile.steps.iter().map(&mut after).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_writes_the_registers_it_uses_and_the_variables_it_assigns() {
        let step = |stack_words, global| StepProfile {
            stack_words,
            globals: [global].into(),
            collections: 0..1,
            ..StepProfile::default()
        };
        let profile =
            Profile { globals: 2000, steps: vec![step(100, 3), step(600, 1000)], ..Profile::default() };
        let counts = |moves| predict(&profile, moves).into_iter().map(|step| (step[0].1, step[1].1));
        assert_eq!(counts(false).collect::<Vec<_>>(), [(1, 1), (2, 2)]);
        assert_eq!(counts(true).collect::<Vec<_>>(), [(1, 4), (2, 4)]);
    }
}
