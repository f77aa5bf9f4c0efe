//! Who witnesses the writes of a workload's workers: the agent in them, else the kernel's rings.

use super::options::MeasureOptions;
use super::trace::{self, Trace};
use crate::cpython::offsets::Offsets;
use crate::error::Result;
use crate::family::Witness;
use crate::kernel::Caps;
use crate::kernel::agent::Agent;
use crate::kernel::remote::SharedMemory;
use crate::supervisor::protocol::Watching;

/// The witness that a workload is started for.
#[derive(Debug)]
pub(super) struct Watch {
    witness: Witness,
    /// The user asked for it: no other will do.
    asked: bool,
    agent: Option<Agent>,
    notes: Vec<String>,
}

impl Watch {
    /// Chooses a witness, and prepares the agent.
    ///
    /// Errors: the witness asked for does not work here.
    pub fn prepare(options: &MeasureOptions) -> Result<Self> {
        let (witness, weaker) = options.choose_witness(Caps::get())?;
        let notes = weaker.into_iter().collect();
        let mut watch = Self { witness, asked: options.witness.is_some(), agent: None, notes };
        if witness != Witness::None {
            match Agent::prepare() {
                Ok(agent) => watch.agent = Some(agent),
                Err(error) if witness == Witness::Sigtrap => watch.give_up(&error.in_one_line(), None)?,
                Err(error) => watch.notes.push(format!("objects have no owners: {}", error.what())),
            }
        }
        Ok(watch)
    }

    /// The agent to preload, and whether it is to watch.
    pub fn agent(&self) -> Option<(&Agent, Witness)> {
        self.agent.as_ref().map(|agent| (agent, self.witness))
    }

    /// The witness of a zygote that is about to fork its first worker, given what became of the agent in it.
    pub fn begin(mut self, zygote: u32, watched: &Watching, python: Option<(u8, u8)>) -> Result<Trace> {
        if let Some(agent) = &mut self.agent {
            agent.started();
        }
        if self.witness == Witness::Sigtrap {
            self.hold_to(zygote, watched)?;
        }
        let mut trace = match (self.witness, self.agent) {
            (Witness::Sigtrap, Some(agent)) => Trace::agent(agent),
            (Witness::Ring, agent) => Trace::ring(zygote, agent)?,
            _ => Trace::none(),
        };
        self.notes.into_iter().for_each(|note| trace.note(note));
        let Some(version) = python else { return Ok(trace) };
        let offsets = match watched {
            Watching::Since { python: Some(Err(why)), .. } => Err(why.clone()),
            Watching::Since { python: Some(Ok(runtime)), .. } => offsets(zygote, version, *runtime),
            _ => offsets(zygote, version, None),
        };
        match offsets {
            Ok(offsets) => trace.read_python_with(offsets),
            Err(why) => trace.note(format!("lines and objects have no names: {why}")),
        }
        Ok(trace)
    }

    /// Gives the agent up where it does not watch.
    fn hold_to(&mut self, zygote: u32, watched: &Watching) -> Result<()> {
        match watched {
            Watching::Since { refused: false, .. } | Watching::NotAsked => Ok(()),
            Watching::NotPreloaded => self.give_up(
                "the agent could not be preloaded (is the folder for temporary files mounted noexec?)",
                Some("name another folder: TMPDIR=…".into()),
            ),
            Watching::Since { refused: true, .. } => {
                let refused =
                    self.agent.as_mut().map(|agent| agent.take_refusal(zygote)).transpose()?.flatten();
                let why = refused.map_or_else(|| "the agent gave up".into(), |refused| refused.why());
                self.give_up(&why, refused.and_then(|refused| refused.raise()))
            }
        }
    }

    /// Falls back to the best witness that needs nothing of ours in the workers.
    fn give_up(&mut self, why: &str, fix: Option<String>) -> Result<()> {
        if self.asked {
            return Err(trace::refused(self.witness, why.to_owned(), fix));
        }
        let given_up = std::mem::replace(&mut self.witness, Caps::get().best_witness(false));
        let raise = fix.map(|fix| format!("; to raise it: {fix}")).unwrap_or_default();
        self.notes.push(format!("witness '{}' instead of '{given_up}', because {why}{raise}", self.witness));
        Ok(())
    }
}

/// How the `CPython` of a zygote is laid out, given the address of its `_PyRuntime`.
fn offsets(zygote: u32, version: (u8, u8), runtime: Option<u64>) -> Result<Offsets, String> {
    let memory = SharedMemory::open(zygote).map_err(|error| error.to_string())?;
    Offsets::of_process(version, &memory, runtime).map_err(|error| error.what().to_owned())
}
