//! What rings on a gunicorn cost it, as requests a second with and without them on one running server.

use crate::bounds::{Bounds, Cost, Round};
use forkprint::kernel::perf::RingWitness;
use forkprint::kernel::spawn::ProcessGroup;
use forkprint::servers::load::{Driver, Plan};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Requests of one window, and pairs of windows.
const REQUESTS: u64 = 100;
const ROUNDS: usize = 41;
const COLD_ROUNDS: usize = 9;
/// 0.97 of the requests a second.
const BOUND: f64 = 1.0 / 0.97;
const PATIENCE: Duration = Duration::from_secs(60);

/// The gunicorn shop: pairs of windows with rings and without.
pub fn serve(bounds: &mut Bounds) {
    let python = crate::interpreter();
    println!("\nthe gunicorn shop, {REQUESTS} requests a window");
    if !imports(&python, "gunicorn, flask") {
        return println!("  skipped  {} has no gunicorn and flask", python.display());
    }
    let mut shop = Shop::start(&python);
    let cold =
        (0..COLD_ROUNDS).map(|_| (shop.fresh_workers(true), shop.fresh_workers(false))).collect::<Vec<_>>();
    let steady = pairs(|watched| shop.window(watched));
    bounds.busy_at_most("time a request, rung B / untraced", BOUND, &steady);
    bounds.tell("the first requests of new workers, rung B / untraced", &cold);
}

/// Windows with rings and without, after two to warm up. Which of a pair comes first changes.
fn pairs(mut window: impl FnMut(bool) -> Cost) -> Vec<Round> {
    let pair = |round: usize| {
        let first_is_watched = round.is_multiple_of(2);
        let (first, second) = (window(first_is_watched), window(!first_is_watched));
        if first_is_watched { (first, second) } else { (second, first) }
    };
    (0..=ROUNDS).map(pair).skip(1).collect()
}

/// A running gunicorn. It ends when dropped.
struct Shop {
    master: ProcessGroup,
    driver: Driver,
}

impl Shop {
    fn start(python: &Path) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads/servers/gunicorn_shop");
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
        let address: SocketAddr = free.expect("a free port");
        let mut command = Command::new(python);
        command.args(["-m", "gunicorn", "-c"]).arg(folder.join("gunicorn.conf.py"));
        command.args(["--bind", &address.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let master = ProcessGroup::spawn(command, Vec::new()).expect("gunicorn");
        let plan = Plan::read(&folder.join("load.toml")).expect("a load");
        let shop = Self { master, driver: Driver::new(plan, address, PATIENCE) };
        wait_until(|| TcpStream::connect(address).is_ok());
        wait_until(|| shop.workers().len() == 3);
        shop
    }

    /// One window, with rings on every worker and on the master, or without.
    fn window(&mut self, watched: bool) -> Cost {
        let pids = self.workers().into_iter().chain([self.master.pid()]);
        let rings: Vec<_> = pids.filter(|_| watched).map(attach).collect();
        let cost = self.drive();
        rings.iter().for_each(check);
        cost
    }

    /// One window of workers that the master has just forked, with rings on it or without.
    fn fresh_workers(&mut self, watched: bool) -> Cost {
        let ring = watched.then(|| attach(self.master.pid()));
        let old = self.workers();
        kill(Pid::from_raw(self.master.pid().cast_signed()), Signal::SIGHUP).expect("a master");
        wait_until(|| self.workers().len() == 3 && self.workers().is_disjoint(&old));
        let cost = self.drive();
        ring.iter().for_each(check);
        cost
    }

    /// Time that passed, and processor time of the workers.
    fn drive(&mut self) -> Cost {
        let (start, busy) = (Instant::now(), self.busy());
        let sent = self.driver.tally().sent;
        self.driver.run_until(sent + REQUESTS, |_| Ok(())).expect("driven");
        assert_eq!(self.driver.tally().failed(), 0, "{:?}", self.driver.tally().first_failure);
        Cost { wall: start.elapsed().as_secs_f64(), cpu: self.busy() - busy }
    }

    fn workers(&self) -> BTreeSet<u32> {
        let master = self.master.pid();
        let children =
            fs::read_to_string(format!("/proc/{master}/task/{master}/children")).expect("its children");
        children.split_whitespace().map(|pid| pid.parse().expect("a pid")).collect()
    }

    fn busy(&self) -> f64 {
        let of = |pid| fs::read_to_string(format!("/proc/{pid}/schedstat")).expect("its times");
        let nanos = |text: String| text.split(' ').next().and_then(|nanos| nanos.parse().ok());
        self.workers().into_iter().map(|pid| nanos(of(pid)).unwrap_or(0.0) / 1e9).sum()
    }
}

fn attach(pid: u32) -> RingWitness {
    RingWitness::attach(pid).expect("a ring")
}

fn check(ring: &RingWitness) {
    let delivered = ring.delivered();
    assert!(ring.counted().expect("a counter") >= delivered && delivered == ring.take().len() as u64);
}

fn wait_until(mut reached: impl FnMut() -> bool) {
    let start = Instant::now();
    while !reached() {
        assert!(start.elapsed() < PATIENCE, "gunicorn is not ready");
        sleep(Duration::from_millis(20));
    }
}

fn imports(python: &PathBuf, modules: &str) -> bool {
    let tried =
        Command::new(python).args(["-c", &format!("import {modules}")]).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}
