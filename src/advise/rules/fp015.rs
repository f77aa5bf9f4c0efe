//! FP015: a zygote that does nothing after the fork.

use super::measured::Measured;
use super::{Change, Edit, Evidence, Judgement, Rule, Target};
use crate::units::Bytes;

pub(super) static RULE: Rule = Rule {
    code: "FP015",
    title: "Keep the zygote quiet",
    summary: "Lets the process that forked do nothing more: what it writes after the fork, it copies, and each worker keeps the old page for itself.",
    caveats: &[
        "without its control socket, gunicornc cannot talk to gunicorn",
        "what the master must do, it can do before the fork: import and build there what it needs later",
    ],
    judge,
};

/// From this version on gunicorn's master serves a control socket, and imports asyncio for it after
/// its first fork.
const CONTROL_SOCKET: (u32, u32) = (25, 1);

fn judge(evidence: &Evidence<'_>) -> Judgement {
    let measured = match Measured::witnessed(evidence) {
        Ok(measured) => measured,
        Err(why) => return Judgement::DoesNot(why),
    };
    let written = measured.by_zygote();
    let pages = measured.per_worker(written.pages());
    let shown = Bytes::of_pages(pages);
    if !measured.matters(pages) {
        return Judgement::does_not(format!("the zygote wrote only {shown} of what a worker shared with it"));
    }
    // Nobody witnesses the zygote's own writes line by line.
    let seen =
        format!("the zygote wrote {shown} of what each of {} shared with it", measured.workers_shown());
    match evidence.target {
        Target::Gunicorn { settings, text, .. }
            if version(&settings.gunicorn_version) >= Some(CONTROL_SOCKET)
                && !text.contains("control_socket_disable") =>
        {
            let off = Edit::Set { name: "control_socket_disable", value: "True".into() };
            Judgement::applies(seen, Change::edit(off))
        }
        _ => Judgement::by_hand(seen),
    }
}

/// The first two numbers of a version.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert!(version("27.0.1") >= Some(CONTROL_SOCKET) && version("25.1.0") >= Some(CONTROL_SOCKET));
        assert!(version("25.0.3") < Some(CONTROL_SOCKET) && version("9.9") < Some(CONTROL_SOCKET));
        assert_eq!(version("dev"), None);
    }
}
