//! Who witnesses the writes of a family: the agent where it gets in, else the kernel's rings.

use super::options::MeasureOptions;
use super::trace::{self, Trace};
use crate::error::Result;
use crate::family::Witness;
use crate::kernel::Caps;
use crate::kernel::agent::{Agent, Refused};

/// The witness that a zygote is started for.
#[derive(Debug)]
pub(super) struct Watch {
    witness: Witness,
    /// The user asked for it: no other will do.
    asked: bool,
    agent: Option<Agent>,
    notes: Vec<String>,
}

impl Watch {
    /// Chooses a witness, and prepares the agent. Under the ring it only lists the objects.
    ///
    /// Errors: the witness asked for does not work here.
    pub fn prepare(options: &MeasureOptions) -> Result<Self> {
        let (witness, weaker) = options.choose_witness(Caps::get())?;
        let notes = weaker.into_iter().collect();
        let mut watch = Self { witness, asked: options.witness.is_some(), agent: None, notes };
        if witness != Witness::None {
            match Agent::prepare().and_then(Agent::that_can_be_named) {
                Ok(agent) => watch.agent = Some(agent),
                Err(error) => watch.go_without(&error.in_one_line(), None)?,
            }
        }
        Ok(watch)
    }

    /// The agent to preload, and whether it is the witness.
    pub fn agent(&self) -> Option<(&Agent, Witness)> {
        self.agent.as_ref().map(|agent| (agent, self.witness))
    }

    /// The witness, as things stand.
    pub const fn witness(&self) -> Witness {
        self.witness
    }

    /// Why the agent did not arm itself in a process, if it said so.
    pub fn refusal(&mut self, pid: u32) -> Result<Option<Refused>> {
        Ok(self.agent.as_mut().map(|agent| agent.take_refusal(pid)).transpose()?.flatten())
    }

    /// Adds a remark for the reader of the report.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Does without the agent, which is of no use in the zygote.
    pub fn go_without(&mut self, why: &str, fix: Option<String>) -> Result<()> {
        self.agent = None;
        if self.witness == Witness::Sigtrap {
            return self.fall_back(why, fix);
        }
        self.note(format!("objects have no owners, because {why}"));
        Ok(())
    }

    /// Takes the best witness that needs nothing of ours in the workers. `fix` is the least that would
    /// help. Errors: the user asked for the agent.
    pub fn fall_back(&mut self, why: &str, fix: Option<String>) -> Result<()> {
        if self.asked {
            return Err(trace::refused(self.witness, why.to_owned(), fix));
        }
        let given_up = std::mem::replace(&mut self.witness, Caps::get().best_witness(false));
        let raise = fix.map(|fix| format!("; to raise it: {fix}")).unwrap_or_default();
        self.note(format!("witness '{}' instead of '{given_up}', because {why}{raise}", self.witness));
        Ok(())
    }

    /// Begins to watch a zygote that is about to fork its first worker.
    pub fn begin(mut self, zygote: u32) -> Result<Trace> {
        if let Some(agent) = &mut self.agent {
            agent.started();
        }
        let mut trace = match (self.witness, self.agent) {
            (Witness::Sigtrap, Some(agent)) => Trace::agent(agent),
            (Witness::Ring, agent) => Trace::ring(zygote, agent)?,
            _ => Trace::none(),
        };
        for note in self.notes {
            trace.note(note);
        }
        Ok(trace)
    }
}
