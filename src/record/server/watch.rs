//! Who witnesses the writes of a server's workers: the agent where it gets in, else the kernel's rings.

use crate::cpython::offsets::Offsets;
use crate::error::{Error, Result};
use crate::family::Witness;
use crate::kernel::Caps;
use crate::kernel::agent::Agent;
use crate::record::MeasureOptions;
use crate::record::trace::Trace;
use crate::servers::gunicorn::{Settings, Watcher};

/// The witness a server is started for.
#[derive(Debug)]
pub struct Watch {
    witness: Witness,
    /// Whether the user asked for it, so that no other will do.
    asked: bool,
    agent: Option<Agent>,
    notes: Vec<String>,
}

impl Watch {
    /// Chooses a witness, and prepares the agent where it is to be preloaded.
    ///
    /// Errors: the witness asked for does not work here.
    pub fn prepare(options: &MeasureOptions) -> Result<Self> {
        let (witness, weaker) = options.choose_witness(Caps::get())?;
        let mut watch = Self {
            witness,
            asked: options.witness.is_some(),
            agent: None,
            notes: weaker.into_iter().collect(),
        };
        if witness != Witness::None {
            match Agent::prepare().and_then(Agent::that_can_be_named) {
                Ok(agent) => watch.agent = Some(agent),
                Err(error) => watch.go_without(error.what(), &error)?,
            }
        }
        Ok(watch)
    }

    /// The agent to preload.
    pub const fn agent(&self) -> Option<&Agent> {
        self.agent.as_ref()
    }

    /// Begins to watch a master that is about to fork its first worker, given what the agent says of itself.
    pub fn begin(mut self, master: u32, agent: Watcher, settings: &Settings) -> Result<Trace> {
        let python = (settings.python.0, settings.python.1);
        if self.agent.is_some() {
            let (major, minor) = python;
            let why = match agent {
                Watcher::NotPreloaded => {
                    "the agent could not be preloaded (a static interpreter, or a folder for temporary files that is mounted noexec)".to_owned()
                }
                Watcher::UnknownPython => {
                    format!("the agent does not know {} {major}.{minor}", settings.implementation)
                }
                Watcher::NoFrames | Watcher::Ready => String::new(),
            };
            if !why.is_empty() {
                let error = Error::new(format!("witness '{}' does not work here", Witness::Sigtrap));
                self.go_without(&why, &error.why(&why).fix("leave out --witness, or say --witness ring"))?;
            }
        }
        let mut trace = match (self.witness, self.agent) {
            (Witness::None, _) | (Witness::Sigtrap, None) => Trace::none(),
            (Witness::Sigtrap, Some(mut agent)) => {
                agent.started();
                Trace::agent(agent)
            }
            (Witness::Ring, mut agent) => {
                agent.iter_mut().for_each(Agent::started);
                Trace::ring(master, agent)?
            }
        };
        match Offsets::of_version(python) {
            Ok(offsets) => trace.read_python_with(offsets),
            Err(error) => self.notes.push(format!("lines and objects have no names: {}", error.what())),
        }
        if agent == Watcher::NoFrames && trace.witness() == Witness::Sigtrap {
            self.notes.push(
                "breaks have no lines: the agent finds frames elsewhere than this Python says they are"
                    .into(),
            );
        }
        for note in self.notes {
            trace.note(note);
        }
        Ok(trace)
    }

    /// Under the ring the agent only lists the objects. Otherwise falls back to the best witness that
    /// needs nothing of ours in the workers.
    fn go_without(&mut self, why: &str, error: &Error) -> Result<()> {
        self.agent = None;
        if self.witness == Witness::Ring {
            self.notes.push(format!("objects have no owners, because {why}"));
            return Ok(());
        }
        if self.asked {
            return Err(error.clone());
        }
        let given_up = std::mem::replace(&mut self.witness, Caps::get().best_witness(false));
        self.notes.push(format!("witness '{}' instead of '{given_up}', because {why}", self.witness));
        Ok(())
    }
}
