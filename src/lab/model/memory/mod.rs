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

    /// Nothing refers to the object any more.
    fn die(&mut self, _ordinal: usize) {}

    /// The first fork comes, with these objects alive, in the order in which a breadth-first trace
    /// meets them.
    fn fork(&mut self, alive: &Ordinals, order: &[u32], at_fork: AtFork);

    /// The address of an object, and the region it is in.
    fn place_of(&self, ordinal: usize) -> Option<(&'static str, u64)>;

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
        deaths: 0..profile.older_deaths,
        collections: 0..profile.older_collections,
    };
    run(memory.as_mut(), profile, before);
    memory.fork(&profile.alive, &profile.order, spec.at_fork);
    profile.steps.iter().map(|step| run_step(memory.as_mut(), profile, step)).collect()
}

fn policy(profile: &Profile, spec: PolicySpec) -> Box<dyn Memory> {
    match spec.gc {
        GcPolicy::Copying => Box::new(copying::Copying::default()),
        GcPolicy::Compacting => Box::new(compacting::Compacting::default()),
        GcPolicy::Generational => Box::new(generational::Generational::new(profile)),
        _ => Box::new(still::Still::new(profile, spec)),
    }
}

fn run_step(memory: &mut dyn Memory, profile: &Profile, step: &StepProfile) -> Vec<(&'static str, u64)> {
    memory.written().by_worker(!step.in_zygote);
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
        deaths: step.deaths.clone(),
        collections: step.collections.clone(),
    };
    run(memory, profile, events);
    memory.visit(&step.visited);
    memory.written().counts().collect()
}

/// What happens between two moments, as indexes into the profile.
struct Events {
    made: Range<usize>,
    deaths: Range<usize>,
    collections: Range<usize>,
}

/// Makes objects, lets them die and collects, in the order of the profile.
fn run(memory: &mut dyn Memory, profile: &Profile, Events { made, deaths, collections }: Events) {
    let mut due = profile.collections[collections].iter().peekable();
    let mut dying = profile.deaths[deaths].iter().peekable();
    for ordinal in made {
        while let Some(death) = dying.next_if(|death| death.at <= ordinal) {
            memory.die(death.ordinal);
        }
        while let Some(collection) = due.next_if(|collection| collection.at <= ordinal) {
            memory.collect(collection);
        }
        memory.make(ordinal, profile.objects[ordinal]);
    }
    dying.for_each(|death| memory.die(death.ordinal));
    due.for_each(|collection| memory.collect(collection));
}
