//! What each memory policy writes, from the sizes, lives and uses of objects.

mod compacting;
mod copying;
mod generational;
mod still;
#[cfg(test)]
mod tests;

use super::pages::Written;
use crate::lab::policy::PolicySpec;
use crate::runtimes::toy::{AtFork, Collection, GcPolicy, ObjectProfile, Ordinals, Profile, StepProfile};
use std::ops::Range;

/// Bytes before an object's own data; the second half of them is the collector's word.
const COLLECTOR_WORD: u64 = 8;
/// Where the room of an object is that has none.
const NOWHERE: u64 = u64::MAX;
/// Everything that holds objects, for policies with one region of them.
const HEAP: &str = "object heap";
const STARTS: &str = "allocation bitmap";
const MARKS: &str = "mark bitmap";

/// One memory policy. Objects are made by ascending ordinal.
trait Memory {
    /// An object was made and filled.
    fn make(&mut self, ordinal: usize, object: ObjectProfile);

    /// A collection found these objects alive.
    fn collect(&mut self, collection: &Collection);

    /// The first fork comes, with these objects alive.
    fn fork(&mut self, profile: &Profile, at_fork: AtFork);

    /// The address of an object, and the region it is in.
    fn place_of(&self, ordinal: usize) -> Option<(&'static str, u64)>;

    /// An object that only the zygote makes: it has no room in a worker.
    fn pass_over(&mut self, object: ObjectProfile);

    /// Nothing refers to an object any more; where references are counted, its room is free.
    fn die(&mut self, _ordinal: usize) {}

    /// Objects a reference to which came or went.
    fn visit(&mut self, _visited: &Ordinals) {}

    /// Older objects that were given a reference to a younger one.
    fn link(&mut self, _linked: &Ordinals) {}

    /// What the worker has written.
    fn written(&mut self) -> &mut Written;
}

/// Pages of each region of objects and of the tables beside them, after each step.
pub(super) fn predict(profile: &Profile, spec: PolicySpec) -> Vec<Vec<(&'static str, u64)>> {
    let mut memory = policy(profile, spec);
    let before = Events {
        made: 0..profile.older,
        collections: 0..profile.older_collections,
        deaths: 0..profile.older_deaths,
    };
    run(memory.as_mut(), profile, before);
    memory.fork(profile, spec.at_fork);
    memory.written().begin();
    profile.steps.iter().map(|step| run_step(memory.as_mut(), profile, step)).collect()
}

fn policy(profile: &Profile, spec: PolicySpec) -> Box<dyn Memory> {
    match spec.gc {
        GcPolicy::Copying => Box::new(copying::Copying::default()),
        GcPolicy::Compacting => Box::new(compacting::Compacting::default()),
        GcPolicy::Generational => Box::new(generational::Generational::new(profile)),
        _ => Box::new(still::Still::new(profile.objects.len(), spec)),
    }
}

fn run_step(memory: &mut dyn Memory, profile: &Profile, step: &StepProfile) -> Vec<(&'static str, u64)> {
    if step.in_zygote {
        step.made.clone().for_each(|ordinal| memory.pass_over(profile.objects[ordinal]));
        return memory.written().counts().collect();
    }
    // Stores come before the step's collections: what they do to old objects is the same either way,
    // unless the collection moves them.
    for &(ordinal, word) in &step.stored {
        if let Some((region, address)) = memory.place_of(ordinal as usize) {
            memory.written().write(region, address + u64::from(word) * 8, 8);
        }
    }
    memory.visit(&step.visited);
    memory.link(&step.linked);
    let events = Events {
        made: step.made.clone(),
        collections: step.collections.clone(),
        deaths: step.deaths.clone(),
    };
    run(memory, profile, events);
    memory.visit(&step.visited);
    memory.written().counts().collect()
}

/// A part of what a profile tells.
struct Events {
    made: Range<usize>,
    collections: Range<usize>,
    deaths: Range<usize>,
}

/// Makes objects, buries them and collects, in the order of the profile.
fn run(memory: &mut dyn Memory, profile: &Profile, events: Events) {
    let mut collections = profile.collections[events.collections].iter().peekable();
    let mut deaths = profile.deaths[events.deaths].iter().peekable();
    for ordinal in events.made {
        while let Some(death) = deaths.next_if(|death| death.at <= ordinal) {
            memory.die(death.ordinal);
        }
        while let Some(collection) = collections.next_if(|collection| collection.at <= ordinal) {
            memory.collect(collection);
        }
        memory.make(ordinal, profile.objects[ordinal]);
    }
    deaths.for_each(|death| memory.die(death.ordinal));
    collections.for_each(|collection| memory.collect(collection));
}
