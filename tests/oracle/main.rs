//! The copy-on-write oracle: every mix of what zygote and workers do with a page, before and after
//! the fork, against the answer that the definitions demand. (After the idea of CRIU's `cow00`.)
//!
//! All rungs that work here judge the same families at the same moments.

mod cases;
mod expect;
mod family;
mod laws;
mod ordinary_user;
#[path = "../common/skip.rs"]
mod skip;
mod swap_file;
mod zygote;

use cases::{Before, Kind, every_mix, huge_mixes};
use family::{Experiment, check, check_exec, check_without_sibling};

const PASTS: [Before; 3] = [Before::Untouched, Before::Read, Before::Written];

#[test]
fn anonymous_pages_get_exact_verdicts() {
    check(&Experiment { kind: Kind::Anonymous, cases: every_mix(&PASTS, 1), workers: 1 });
}

#[test]
fn anonymous_pages_of_three_workers_get_exact_verdicts() {
    check(&Experiment { kind: Kind::Anonymous, cases: every_mix(&PASTS, 3), workers: 3 });
}

#[test]
fn private_file_pages_get_exact_verdicts() {
    check(&Experiment { kind: Kind::PrivateFile, cases: every_mix(&PASTS, 1), workers: 1 });
}

#[test]
fn private_file_pages_of_three_workers_get_exact_verdicts() {
    check(&Experiment { kind: Kind::PrivateFile, cases: every_mix(&PASTS, 3), workers: 3 });
}

#[test]
fn shared_memory_is_never_inherited_nor_fresh() {
    check(&Experiment { kind: Kind::SharedAnonymous, cases: every_mix(&PASTS, 3), workers: 3 });
}

#[test]
fn pages_written_after_the_freezing_get_exact_verdicts() {
    let pasts = [Before::Written, Before::WrittenLate];
    check(&Experiment { kind: Kind::Anonymous, cases: every_mix(&pasts, 3), workers: 3 });
}

#[test]
fn pages_written_between_two_forks_get_exact_verdicts() {
    let pasts = [Before::Written, Before::WrittenBetween];
    check(&Experiment { kind: Kind::Anonymous, cases: every_mix(&pasts, 3), workers: 3 });
}

#[test]
fn huge_pages_get_exact_verdicts() {
    check(&Experiment { kind: Kind::Huge, cases: huge_mixes(), workers: 3 });
}

#[test]
fn without_a_sibling_the_last_sharer_writes_in_place() {
    let cases = every_mix(&[Before::Written], 1);
    check_without_sibling(&Experiment { kind: Kind::Anonymous, cases, workers: 1 });
}

#[test]
fn all_that_a_worker_inherited_is_gone_after_exec() {
    check_exec(&Experiment { kind: Kind::Anonymous, cases: every_mix(&PASTS, 1), workers: 2 });
}

/// Frames are hidden from ordinary users; the other rungs must answer the same.
#[test]
fn ordinary_users_get_the_same_verdicts() {
    if nix::unistd::geteuid().is_root() {
        ordinary_user::run_all_tests_but("ordinary_users_get_the_same_verdicts");
    } else {
        skip::skip("this is an ordinary user; the other tests are the same");
    }
}

#[test]
fn swapped_pages_get_exact_verdicts() {
    let experiment = Experiment {
        kind: Kind::Anonymous,
        cases: every_mix(&[Before::Swapped, Before::Written], 3),
        workers: 3,
    };
    let _swap = match swap_file::SwapFile::new() {
        Ok(swap) => swap,
        Err(why) => return skip::skip(format!("no swap file: {why}")),
    };
    check(&experiment);
}
