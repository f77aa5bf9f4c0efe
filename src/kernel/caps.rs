//! What this kernel lets this user see: every capability is tried, none is guessed.

use super::pagemap::Pagemap;
use super::perf::probe as perf;
use super::perf::refusal::Refusal;
use super::scan::{Category, scan};
use super::uffd::WriteTracker;
use crate::error::{Error, Result};
use crate::family::{Rung, Witness};
use crate::units::{PAGE_SIZE, Vpn};
use std::fs;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::OnceLock;

/// The outcome of one probe: what was seen, or why it was refused.
pub type Probe = std::result::Result<String, String>;

/// The capabilities of this process on this kernel.
#[derive(Debug, Clone)]
pub struct Caps {
    /// `/proc/self/pagemap` can be read and tells private pages.
    pub pagemap: Probe,
    /// It shows frame numbers (rung `pfn`).
    pub frames: Probe,
    /// `PAGEMAP_SCAN` works.
    pub pagemap_scan: Probe,
    /// userfaultfd with `WP_ASYNC` may be opened (rung `scan`).
    pub write_tracking: Probe,
    /// Bit 56 tells exclusively mapped pages (rung `exclusive`).
    pub exclusive: Probe,
    /// `/proc/kpageflags` can be read.
    pub kpageflags: Probe,
    /// Memory of other processes of ours can be read.
    pub remote_memory: Probe,
    /// `/proc/PID/smaps_rollup` exists.
    pub smaps_rollup: Probe,
    /// Tried when first asked for: one of the probes forks.
    witnesses: OnceLock<Witnesses>,
}

#[derive(Debug, Clone)]
struct Witnesses {
    sigtrap: perf::Outcome,
    ring: perf::Outcome,
}

impl Caps {
    /// Probes once a process; later calls return the same answer.
    pub fn get() -> &'static Self {
        static CAPS: OnceLock<Caps> = OnceLock::new();
        CAPS.get_or_init(Self::probe)
    }

    fn probe() -> Self {
        let written = vec![1_u8; 3 * 4096];
        let page = Vpn::of_address(std::hint::black_box(&written).as_ptr() as u64 + PAGE_SIZE);
        let entry = own_pagemap().and_then(|map| {
            let mut entries = Vec::new();
            map.read_into(page, 1, &mut entries).map_err(|error| error.to_string())?;
            Ok(entries[0])
        });
        let of_entry =
            |holds: bool, yes: &str, no: &str| if holds { Ok(yes.to_owned()) } else { Err(no.to_owned()) };
        Self {
            pagemap: entry.clone().and_then(|e| {
                of_entry(
                    e.private(),
                    "private pages are told from file pages",
                    "a page just written does not read as private",
                )
            }),
            frames: entry.clone().and_then(|e| {
                of_entry(
                    e.pfn().is_some(),
                    "page frame numbers are visible",
                    "page frame numbers read as zero",
                )
            }),
            exclusive: entry.and_then(|e| {
                of_entry(
                    e.exclusive(),
                    "bit 56 is set on a page of our own",
                    "bit 56 is not set on a page of our own",
                )
            }),
            pagemap_scan: probe_scan(page),
            write_tracking: WriteTracker::probe()
                .map(|()| "userfaultfd opens with WP_ASYNC".into())
                .map_err(|errno| format!("userfaultfd: {errno}")),
            kpageflags: probe_read("/proc/kpageflags"),
            remote_memory: probe_remote(&written),
            smaps_rollup: probe_read("/proc/self/smaps_rollup"),
            witnesses: OnceLock::new(),
        }
    }

    /// The best rung that works here for processes that run our code after the fork (`true`), or
    /// for any process of ours (`false`).
    pub fn best_rung(&self, code_in_worker: bool) -> Rung {
        [Rung::Pfn, Rung::Scan, Rung::Exclusive]
            .into_iter()
            .find(|&rung| (code_in_worker || rung != Rung::Scan) && self.supports(rung).is_ok())
            .unwrap_or(Rung::Rollup)
    }

    /// Whether a rung works here, or what forbids it.
    pub fn supports(&self, rung: Rung) -> std::result::Result<(), String> {
        let needs: &[&Probe] = match rung {
            Rung::Pfn => &[&self.pagemap, &self.frames],
            Rung::Scan => &[&self.pagemap, &self.pagemap_scan, &self.write_tracking],
            Rung::Exclusive => &[&self.pagemap, &self.exclusive],
            Rung::Rollup => &[&self.smaps_rollup],
        };
        needs.iter().find_map(|probe| probe.as_ref().err()).map_or(Ok(()), |why| Err(why.clone()))
    }

    /// The least thing that would make a rung work, where something would.
    pub fn raise(&self, rung: Rung) -> Option<&'static str> {
        match rung {
            _ if self.supports(rung).is_ok() => None,
            Rung::Pfn => Some(
                "run as root, or with CAP_SYS_ADMIN in the initial user namespace (a container: --cap-add SYS_ADMIN; user namespaces cannot)",
            ),
            Rung::Scan if self.pagemap_scan.is_err() => Some("Linux 6.7 or later"),
            Rung::Scan => {
                Some("allow the userfaultfd system call (containers: a seccomp profile that permits it)")
            }
            Rung::Exclusive => Some("Linux 4.2 or later, and a /proc that shows our own page map"),
            Rung::Rollup => Some("Linux 4.14 or later"),
        }
    }

    /// Page faults send signals to their threads (witness `sigtrap`).
    pub fn sigtrap(&self) -> &perf::Outcome {
        &self.witnesses().sigtrap
    }

    /// Page faults arrive in perf rings (witness `ring`).
    pub fn ring(&self) -> &perf::Outcome {
        &self.witnesses().ring
    }

    fn witnesses(&self) -> &Witnesses {
        self.witnesses.get_or_init(|| Witnesses { sigtrap: perf::sigtrap(), ring: perf::ring() })
    }

    /// The best witness of single writes that works here for processes that run our code after the
    /// fork (`true`), or for any process of ours (`false`).
    pub fn best_witness(&self, code_in_worker: bool) -> Witness {
        Witness::ALL
            .into_iter()
            .find(|&witness| {
                (code_in_worker || witness != Witness::Sigtrap) && self.supports_witness(witness).is_ok()
            })
            .unwrap_or(Witness::None)
    }

    /// Whether a witness works here, or what forbids it.
    pub fn supports_witness(&self, witness: Witness) -> std::result::Result<(), String> {
        self.refusal(witness).map_or(Ok(()), |refusal| Err(refusal.why().to_owned()))
    }

    /// The least thing that would make a witness work, where something would.
    pub fn raise_witness(&self, witness: Witness) -> Option<String> {
        self.refusal(witness)?.raise().map(str::to_owned)
    }

    fn refusal(&self, witness: Witness) -> Option<&Refusal> {
        match witness {
            Witness::Sigtrap => self.sigtrap().as_ref().err(),
            Witness::Ring => self.ring().as_ref().err(),
            Witness::None => None,
        }
    }
}

/// Refuses machines whose base page is not [`PAGE_SIZE`].
pub fn ensure_page_size() -> Result<()> {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(0);
    if u64::try_from(size) == Ok(PAGE_SIZE) {
        return Ok(());
    }
    Err(Error::new("cannot measure on this machine")
        .why(format!("its pages have {size} bytes, not {PAGE_SIZE}")))
}

/// The kernel's name and release, as `uname -sr`.
pub fn kernel_release() -> String {
    nix::sys::utsname::uname().map_or_else(
        |_| "unknown kernel".into(),
        |uname| format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy()),
    )
}

/// Architecture, processors and memory of this machine.
pub fn machine() -> String {
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let kib: u64 = text
            .lines()
            .find(|line| line.starts_with("MemTotal:"))?
            .split_whitespace()
            .nth(1)?
            .parse()
            .ok()?;
        Some(crate::units::Bytes(kib * 1024).to_string())
    });
    format!(
        "{}, {processors} processors, {} memory",
        std::env::consts::ARCH,
        memory.unwrap_or_else(|| "unknown".into())
    )
}

fn own_pagemap() -> std::result::Result<Pagemap, String> {
    Pagemap::open(Path::new("/proc"), std::process::id()).map_err(|error| error.to_string())
}

fn probe_scan(page: Vpn) -> Probe {
    let map = own_pagemap()?;
    let mut found = Vec::new();
    scan(map.as_fd(), &(page..Vpn(page.0 + 1)), Category::POPULATED, &mut found)
        .map_err(|error| error.to_string())?;
    if found.len() == 1 {
        Ok("PAGEMAP_SCAN finds a page just written".into())
    } else {
        Err("PAGEMAP_SCAN does not find a page just written".into())
    }
}

fn probe_read(path: &str) -> Probe {
    let mut byte = [0; 8];
    let read = fs::File::open(path).and_then(|mut file| std::io::Read::read(&mut file, &mut byte));
    read.map(|_| format!("{path} can be read")).map_err(|error| format!("{path}: {error}"))
}

fn probe_remote(bytes: &[u8]) -> Probe {
    let mut copy = [0; 1];
    super::remote::SharedMemory::open(std::process::id())
        .and_then(|memory| memory.read_bytes(bytes.as_ptr() as u64, &mut copy))
        .map(|()| "/proc/PID/mem can be read".into())
        .map_err(|error| format!("/proc/PID/mem: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::perf::refusal::{Request, Surroundings};
    use nix::errno::Errno;

    #[test]
    fn the_best_rung_is_one_that_is_supported() {
        let caps = Caps::get();
        assert!(caps.supports(caps.best_rung(true)).is_ok());
        assert!(caps.best_rung(true) <= caps.best_rung(false));
    }

    #[test]
    fn the_best_witness_is_one_that_is_supported_and_needs_no_code_where_there_is_none() {
        let here = Surroundings { paranoid: Some(3), seccomp: false };
        let refused = || Err(Refusal::of(Request::Open, Errno::EACCES, here));
        let works = || Ok("seen".to_owned());
        let with = |sigtrap, ring| {
            let witnesses = OnceLock::from(Witnesses { sigtrap, ring });
            Caps { witnesses, ..Caps::get().clone() }
        };
        let best = |caps: &Caps| (caps.best_witness(true), caps.best_witness(false));
        assert_eq!(best(&with(works(), works())), (Witness::Sigtrap, Witness::Ring));
        assert_eq!(best(&with(refused(), works())), (Witness::Ring, Witness::Ring));
        assert_eq!(best(&with(works(), refused())), (Witness::Sigtrap, Witness::None));
        let forbidden = with(refused(), refused());
        assert_eq!(best(&forbidden), (Witness::None, Witness::None));
        assert!(forbidden.supports_witness(Witness::Ring).unwrap_err().contains("EACCES"));
        let raise = forbidden.raise_witness(Witness::Ring).unwrap();
        assert!(raise.contains("perf_event_paranoid=2 (it is 3 now)"), "{raise}");
        assert_eq!(forbidden.raise_witness(Witness::None), None);
    }

    #[test]
    fn root_in_the_initial_namespace_sees_frames() {
        if nix::unistd::geteuid().is_root() && Caps::get().frames.is_ok() {
            assert_eq!(Caps::get().best_rung(true), Rung::Pfn);
            assert_eq!(Caps::get().raise(Rung::Pfn), None);
        }
    }
}
