//! The measuring side: starts a family, moves it through its phases, and asks every rung.

use crate::cases::{Before, Case, Kind, PHASES};
use crate::expect::{Answer as Expected, answer, lost_its_trace, state_without_sibling};
use crate::laws;
use crate::skip::skip;
use crate::zygote::{Answer, Order, Sockets, serve};
use forkprint::family::recording::{About, Recording, Step};
use forkprint::family::{PageState, Rung};
use forkprint::kernel::Caps;
use forkprint::kernel::spawn::ProcessGroup;
use forkprint::kernel::stop::StandStill;
use forkprint::record::{Baseline, MeasureOptions, Measurement, Trace};
use forkprint::supervisor::protocol::{Channel, Frozen, ranges};
use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

const SOCKETS: &str = "FORKPRINT_ORACLE_SOCKETS";
/// Any test will do to get into [`Family::start`], which then never returns.
const ENTRY: &str = "anonymous_pages_get_exact_verdicts";

/// What is measured.
#[derive(Debug, Clone)]
pub struct Experiment {
    pub kind: Kind,
    pub cases: Vec<Case>,
    pub workers: usize,
}

/// A family that stands still.
pub struct Family {
    zygote: ProcessGroup,
    control: Channel,
    workers: Vec<(u32, Channel)>,
    sockets: Vec<Channel>,
    pub first_page: u64,
    pub huge_pages: u64,
    pub swapped_pages: u64,
}

impl Family {
    /// Starts the zygote: this very program again, which turns into it right here.
    pub fn start(experiment: &Experiment) -> Self {
        if let Ok(sockets) = std::env::var(SOCKETS) {
            serve(&serde_json::from_str(&sockets).unwrap());
        }
        let pair = || {
            let (ours, theirs) = UnixStream::pair().unwrap();
            (Channel::new(ours), Channel::new(theirs))
        };
        let (control, zygotes_end) = pair();
        let (sockets, theirs): (Vec<_>, Vec<_>) = (0..experiment.workers).map(|_| pair()).unzip();
        let inherited =
            Sockets { control: zygotes_end.fd(), workers: theirs.iter().map(Channel::fd).collect() };
        let program = std::env::current_exe().unwrap();
        // Pages of a file just written count as `Private_Dirty` until they are written back.
        std::fs::File::open(&program).unwrap().sync_all().unwrap();
        let mut command = Command::new(program);
        command.args([ENTRY, "--exact", "--nocapture"]).stdin(Stdio::null()).stdout(Stdio::null());
        command.env(SOCKETS, serde_json::to_string(&inherited).unwrap());
        let keep = inherited.workers.iter().copied().chain([inherited.control]).collect();
        let zygote = ProcessGroup::spawn(command, keep).unwrap();
        let mut family = Self {
            zygote,
            control,
            workers: Vec::new(),
            sockets,
            first_page: 0,
            huge_pages: 0,
            swapped_pages: 0,
        };
        family.sockets.reverse();
        family.control.send(&Order::Map(experiment.kind, experiment.cases.clone())).unwrap();
        let Answer::Mapped { first_page, huge_pages, swapped_pages } = family.control.receive().unwrap()
        else {
            panic!("not mapped")
        };
        family.first_page = first_page;
        (family.huge_pages, family.swapped_pages) = (huge_pages, swapped_pages);
        family
    }

    pub fn pid(&self) -> u32 {
        self.zygote.pid()
    }

    pub fn freeze(&mut self, track: bool) -> Frozen {
        self.control.send(&Order::Freeze { track }).unwrap();
        let Answer::Frozen(frozen) = self.control.receive().unwrap() else { panic!("not frozen") };
        frozen
    }

    pub fn fork(&mut self) -> u32 {
        self.control.send(&Order::Fork(self.workers.len())).unwrap();
        let Answer::Forked { pid } = self.control.receive().unwrap() else { panic!("not forked") };
        let mut channel = self.sockets.pop().unwrap();
        assert!(matches!(channel.receive(), Ok(Answer::Done)));
        self.workers.push((pid, channel));
        pid
    }

    pub fn write_between(&mut self) {
        self.control.send(&Order::WriteBetween).unwrap();
        assert!(matches!(self.control.receive(), Ok(Answer::Done)));
    }

    /// Everybody acts, one after the other.
    pub fn act(&mut self, phase: usize) {
        let members = self.workers.iter_mut().map(|(_, channel)| channel);
        for channel in std::iter::once(&mut self.control).chain(members) {
            channel.send(&Order::Act(phase)).unwrap();
            assert!(matches!(channel.receive(), Ok(Answer::Done)));
        }
    }

    /// Turns a worker into another program, and returns when that runs.
    pub fn exec(&mut self, worker: usize) {
        let channel = &mut self.workers[worker].1;
        channel.send(&Order::Exec).unwrap();
        channel.send(&"echo").unwrap();
        assert_eq!(channel.receive::<String>().unwrap(), "echo");
    }
}

/// The rungs with page detail that work for this user on this kernel.
fn rungs() -> Vec<Rung> {
    let works = |rung: &Rung| match Caps::get().supports(*rung) {
        Ok(()) => true,
        Err(why) => {
            skip(format!("rung {}: {why}", rung.name()));
            false
        }
    };
    let rungs: Vec<Rung> = [Rung::Pfn, Rung::Scan, Rung::Exclusive].into_iter().filter(works).collect();
    assert!(!rungs.is_empty());
    rungs
}

/// One measurement of the family a rung, all at the same moments.
pub struct Measurements(Vec<Measurement>);

impl Measurements {
    pub fn begin(family: &Family, frozen: &Frozen, rungs: &[Rung]) -> Self {
        let begin = |&rung: &Rung| {
            let tracked = if rung == Rung::Scan { ranges(&frozen.tracked) } else { Vec::new() };
            let baseline = Baseline {
                zygote_pid: family.pid(),
                reference_pid: Some(frozen.pid),
                instrument: ranges(&frozen.instrument),
                tracked,
                ..Baseline::default()
            };
            let options = MeasureOptions { rung: Some(rung), code_in_worker: true, witness: None };
            Measurement::begin(About::default(), baseline, &options, Trace::none()).unwrap()
        };
        Self(rungs.iter().map(begin).collect())
    }

    pub fn add_worker(&mut self, pid: u32) {
        self.0.iter_mut().for_each(|measurement| measurement.add_still_worker(pid).unwrap());
    }

    pub fn snapshot(&mut self, name: &str) {
        self.0.iter_mut().for_each(|measurement| measurement.snapshot(name, None).unwrap());
    }

    pub fn finish(self) -> Vec<Recording> {
        self.0.into_iter().map(|measurement| measurement.finish(true)).collect()
    }
}

/// Runs an experiment through its phases on every rung, and checks every page and every law.
///
/// Shorter sequences of acts are cases of their own, so the pages are checked at the end only.
pub fn check(experiment: &Experiment) {
    let mut family = Family::start(experiment);
    if experiment.kind == Kind::Huge && family.huge_pages < experiment.cases.len() as u64 {
        return skip(format!("{} of {} pages are huge", family.huge_pages, experiment.cases.len()));
    }
    let to_swap = experiment.cases.iter().filter(|case| case.before == Before::Swapped).count() as u64;
    if family.swapped_pages < to_swap {
        return skip(format!("{} of {to_swap} pages are in swap", family.swapped_pages));
    }
    let written_between = experiment.cases.iter().any(|case| case.before == Before::WrittenBetween);
    let mut rungs = rungs();
    if to_swap > 0 || written_between {
        // Bit 56 alone cannot tell a page that was read back from swap from one that was written,
        // nor a page that zygote and first worker share from one that zygote and second worker share.
        rungs.retain(|&rung| rung != Rung::Exclusive);
    }
    let frozen = family.freeze(rungs.contains(&Rung::Scan));
    let mut measurements = Measurements::begin(&family, &frozen, &rungs);
    for worker in 0..experiment.workers {
        measurements.add_worker(family.fork());
        if worker == 0 && written_between {
            family.write_between();
        }
    }
    measurements.snapshot("fork");
    for phase in 0..PHASES {
        family.act(phase);
        measurements.snapshot("phase");
        measurements.snapshot("the same again");
    }
    let recordings = measurements.finish();
    let exceptions =
        laws::Exceptions { shared_memory: experiment.kind == Kind::SharedAnonymous, swap: to_swap > 0 };
    laws::check(&recordings, exceptions);
    for recording in &recordings {
        check_pages(experiment, family.first_page, recording);
    }
}

/// A server's family: nobody of it is frozen, and nobody but the worker keeps the fork-time frames.
pub fn check_without_sibling(experiment: &Experiment) {
    let mut family = Family::start(experiment);
    if let Err(why) = Caps::get().supports(Rung::Pfn) {
        return skip(format!("rung pfn: {why}"));
    }
    let baseline = Baseline { zygote_pid: family.pid(), ..Baseline::default() };
    let options = MeasureOptions { rung: Some(Rung::Pfn), code_in_worker: false, witness: None };
    let mut measurement = Measurement::begin(About::default(), baseline, &options, Trace::none()).unwrap();
    measurement.add_worker(family.fork());
    measurement.snapshot("fork", None).unwrap();
    for phase in 0..PHASES {
        family.act(phase);
        measurement.snapshot("phase", None).unwrap();
        measurement.snapshot("the same again", None).unwrap();
    }
    let recording = measurement.finish(true);
    laws::check(std::slice::from_ref(&recording), laws::Exceptions::default());
    let runs = recording.pages.runs.iter().flat_map(|run| run.first..run.first + u64::from(run.len));
    let mut written_in_place = 0;
    for (page, cell) in runs.zip(&recording.pages.workers[0].cells) {
        let case = page.checked_sub(family.first_page).and_then(|index| experiment.cases.get(index as usize));
        let Some((case, (state, in_place))) =
            case.and_then(|case| Some((case, state_without_sibling(case)?)))
        else {
            continue;
        };
        let copied = in_place && cell.state == PageState::BrokenByBoth;
        assert!(cell.state == state || copied, "{:?} found, {state:?} expected, {case:?}", cell.state);
        written_in_place += u32::from(in_place && !copied);
    }
    assert!(written_in_place > 0);
}

/// One worker becomes another program; the other stays as it is.
pub fn check_exec(experiment: &Experiment) {
    let mut family = Family::start(experiment);
    let rungs = rungs();
    let frozen = family.freeze(rungs.contains(&Rung::Scan));
    let mut measurements = Measurements::begin(&family, &frozen, &rungs);
    for _ in 0..experiment.workers {
        measurements.add_worker(family.fork());
    }
    measurements.snapshot("fork");
    family.exec(1);
    // The other program has answered, but need not have come to its next read.
    let _still = StandStill::of(&[family.workers[1].0]);
    measurements.snapshot("exec");
    measurements.snapshot("the same again");
    let recordings = measurements.finish();
    laws::check(&recordings, laws::Exceptions::default());
    for recording in &recordings {
        let all_gone = |worker: usize| {
            recording.pages.workers[worker].cells.iter().all(|cell| cell.state == PageState::Gone)
        };
        assert!(!all_gone(0) && all_gone(1), "rung {}", recording.about.rung.name());
        let last = recording.steps.last().unwrap();
        let written = |step: &Step| step.workers[0].broken_by_worker;
        assert_eq!(written(last), written(&recording.steps[0]), "the other worker did nothing");
        assert!(last.workers[1].fresh > 10, "another program has pages of its own");
    }
}

/// Compares every page of the test mapping with its right answer.
fn check_pages(experiment: &Experiment, first_page: u64, recording: &Recording) {
    let inherited: BTreeMap<u64, usize> = recording
        .pages
        .runs
        .iter()
        .flat_map(|run| run.first..run.first + u64::from(run.len))
        .enumerate()
        .map(|(index, page)| (page, index))
        .collect();
    let mut wrong = Vec::new();
    for (worker, pages) in recording.pages.workers.iter().enumerate() {
        let fresh = |page: u64| {
            pages.fresh.iter().any(|&(first, len)| (first..first + u64::from(len)).contains(&page))
        };
        for (index, case) in experiment.cases.iter().enumerate() {
            let page = first_page + index as u64;
            let got = match inherited.get(&page) {
                Some(&cell) => {
                    let cell = pages.cells[cell];
                    Expected::Inherited(cell.state, cell.content, cell.bytes_changed)
                }
                None => Expected::NotInherited { fresh: fresh(page) },
            };
            let expected = answer(experiment.kind, index, case, worker);
            if !(got == expected
                || got.broken() && expected.broken() && lost_its_trace(case, experiment.workers, worker))
            {
                wrong.push(format!(
                    "page {index} of worker {worker}: {expected:?} expected, {got:?} found; {case:?}"
                ));
            }
        }
    }
    let shown = wrong.iter().take(25).cloned().collect::<Vec<_>>().join("\n");
    assert!(
        wrong.is_empty(),
        "rung {}: {} of {} verdicts are wrong:\n{shown}",
        recording.about.rung.name(),
        wrong.len(),
        experiment.cases.len() * experiment.workers,
    );
}
