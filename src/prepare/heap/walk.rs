//! The walk: every object that the roots lead to, once.
//!
//! A reference that was not seen before goes into a short queue, and its memory is asked for; when it
//! comes out of the queue, it is there. An object that refers to others then waits on a stack, from
//! which it is followed a few items at a time, so that the stack stays small for the longest list. Where
//! the stack is full all the same, a bit is kept for the object instead.

use super::dicts::Entries;
use super::layout::{DICT_KEYS, LIST_ITEMS, MODULE_DICT, OB_TYPE, TP_FLAGS, TP_VERSION_TAG, word};
use super::memory::Memory;
use super::plans::{Kind, Plan, Plans, Rules, is_type};
use super::seen::Seen;
use super::system::prefetch;
use super::warm::hash;
use super::{Counts, IMMORTALISE, WARM};

/// References that wait for their memory.
const QUEUE: usize = 16;
/// Objects on the stack, beyond which those that a bit can stand for are put off.
const STACK_USED: usize = 1 << 14;
/// Objects above the one that is taken from the stack: what was asked for has time to come.
const DELAY: usize = 8;
const STACK_ROOM: usize = 1 << 20;
/// In place of a position: an object that nobody looked at yet.
const UNTOUCHED: u64 = u64::MAX;
/// `_Py_IMMORTAL_REFCNT` of 3.12 and 3.13 (`Include/object.h`).
const IMMORTAL: u64 = 0xffff_ffff;
/// The sign of its lower half, by which it is told.
const IMMORTAL_SIGN: u64 = 1 << 31;

/// An object that is being followed, and from where.
#[derive(Clone, Copy)]
struct Entry {
    object: u64,
    from: u64,
}

/// The state of the walk.
pub struct Walk {
    pub memory: Memory,
    pub rules: Rules,
    pub counts: Counts,
    seen: Seen,
    /// Objects that the caller excludes, if any.
    left_alone: Option<Seen>,
    plans: Plans,
    queue: [u64; QUEUE],
    next: usize,
    stack: *mut Entry,
    depth: usize,
    warm: bool,
    immortalise: bool,
    /// A list of Python, for what immortal objects keep from going; 0: nobody asks.
    pub held: u64,
    /// Memory ran out: the walk ends, and what it did stays done.
    failed: bool,
}

impl Walk {
    /// # Safety
    ///
    /// What the rules exclude must be live.
    pub unsafe fn new(mut memory: Memory, rules: Rules, flags: u32) -> Option<Self> {
        let (items, count) = rules.excluded;
        let mut left_alone = None;
        for index in 0..count {
            // SAFETY: promised by the caller.
            let object = unsafe { word(items, index as usize * 8) };
            // SAFETY: as above.
            if !unsafe { is_type(object) } {
                if left_alone.is_none() {
                    left_alone = Some(Seen::new(&mut memory)?);
                }
                left_alone.as_mut()?.add(object, &mut memory)?;
            }
        }
        let seen = Seen::new(&mut memory)?;
        let plans = Plans::new(&mut memory)?;
        let stack = memory.mapping(STACK_ROOM * size_of::<Entry>())?.cast();
        Some(Self {
            memory,
            rules,
            counts: Counts::default(),
            seen,
            left_alone,
            plans,
            queue: [0; QUEUE],
            next: 0,
            stack,
            depth: 0,
            warm: flags & WARM != 0,
            immortalise: flags & IMMORTALISE != 0,
            held: 0,
            failed: false,
        })
    }

    /// Takes a reference.
    ///
    /// # Safety
    ///
    /// It must be null or a live object, which stays so until the walk is over.
    #[inline]
    pub unsafe fn visit(&mut self, object: u64) {
        if object == 0 || !object.is_multiple_of(8) || !self.is_new(object) {
            return;
        }
        prefetch(object);
        // What stands in front of an object: where its attributes are, and the list of the collector.
        prefetch(object - 32);
        let at = self.next % QUEUE;
        self.next += 1;
        let due = core::mem::replace(&mut self.queue[at], object);
        if due != 0 {
            // SAFETY: promised for every reference taken.
            unsafe { self.handle(due) };
        }
    }

    /// Takes the immortal objects that a module names: others go with the names.
    ///
    /// # Safety
    ///
    /// As for [`Self::visit`].
    pub unsafe fn visit_names(&mut self, module: u64) {
        // SAFETY: promised by the caller; a module has a dict, or null.
        unsafe {
            if word(module, OB_TYPE) != self.rules.api.module_type || !is_immortal(module) {
                return;
            }
            let dict = word(module, MODULE_DICT);
            if dict != 0 && self.is_new(module) && self.is_new(dict) {
                for (_, value) in Entries::of(dict, self.rules.minor) {
                    if is_immortal(value) {
                        self.visit(value);
                    }
                }
            }
        }
    }

    fn is_new(&mut self, object: u64) -> bool {
        let is_new = self.seen.add(object, &mut self.memory);
        self.failed |= is_new.is_none();
        is_new == Some(true)
    }

    /// Follows all that was taken. False: memory ran out.
    ///
    /// # Safety
    ///
    /// As for [`Self::visit`].
    pub unsafe fn run(&mut self) -> bool {
        while !self.failed {
            if let Some(entry) = self.pop() {
                // SAFETY: promised for every reference taken.
                unsafe {
                    match entry.from {
                        UNTOUCHED => self.handle(entry.object),
                        from => self.follow(entry.object, from),
                    }
                }
                continue;
            }
            // SAFETY: as above.
            if unsafe { self.empty_queue() } {
                continue;
            }
            let (stack, depth) = (self.stack, &mut self.depth);
            let resumed = self.seen.resume(|object| {
                // SAFETY: the stack is empty, and has room for the bits of one word.
                unsafe { stack.add(*depth).write(Entry { object, from: 0 }) };
                *depth += 1;
            });
            if !resumed {
                break;
            }
        }
        self.counts.pages_written = self.seen.pages_written();
        self.counts.peak_bytes = self.memory.touched();
        !self.failed
    }

    /// # Safety
    ///
    /// As for [`Self::visit`].
    unsafe fn empty_queue(&mut self) -> bool {
        let mut any = false;
        for _ in 0..QUEUE {
            let at = self.next % QUEUE;
            self.next += 1;
            let due = core::mem::take(&mut self.queue[at]);
            if due != 0 {
                any = true;
                // SAFETY: promised for every reference taken.
                unsafe { self.handle(due) };
            }
        }
        any
    }

    /// The plan of a type, which is itself an object to look at.
    ///
    /// # Safety
    ///
    /// `ty` must be a live type.
    pub unsafe fn plan(&mut self, ty: u64) -> Option<&'static Plan> {
        if let Some(plan) = self.plans.find(ty) {
            return Some(plan);
        }
        // SAFETY: promised by the caller.
        let plan = unsafe { self.plans.make(ty, &self.rules, &mut self.memory) };
        self.failed |= plan.is_none();
        if self.is_new(ty) {
            self.push(ty, UNTOUCHED);
        }
        plan
    }

    pub fn push(&mut self, object: u64, from: u64) {
        if self.depth >= STACK_USED && from == 0 && object.is_multiple_of(16) {
            self.failed |= self.seen.postpone(object, &mut self.memory).is_none();
        } else if self.depth < STACK_ROOM {
            // SAFETY: below the room of the stack.
            unsafe { self.stack.add(self.depth).write(Entry { object, from }) };
            self.depth += 1;
        } else {
            self.failed = true;
        }
    }

    fn pop(&mut self) -> Option<Entry> {
        self.depth = self.depth.checked_sub(1)?;
        // SAFETY: both are below what was pushed.
        unsafe {
            let mut older = self.depth.saturating_sub(DELAY);
            if (*self.stack.add(older)).from != 0 {
                // The rest of a long list waits until what came of its beginning was followed.
                older = self.depth;
            }
            let entry = self.stack.add(older).read();
            self.stack.add(older).copy_from(self.stack.add(self.depth), 1);
            Some(entry)
        }
    }

    /// Does to an object itself what is to be done.
    ///
    /// # Safety
    ///
    /// It must be live.
    unsafe fn handle(&mut self, object: u64) {
        // SAFETY: promised by the caller; every object has a type.
        unsafe {
            // An entry of a free list, which `_asyncio` shows to those who traverse it. Referring to it and
            // letting go would free it again, and the list would never end.
            if word(object, 0) == 0 {
                return;
            }
            let Some(plan) = self.plan(word(object, OB_TYPE)) else { return };
            if plan.is_guard(object) {
                return;
            }
            if self.held != 0 && !is_immortal(object) && (!plan.is_entered() || plan.has_finalizer(object)) {
                self.rules.api.append(self.held, object);
            }
            let skipped = match plan.kind {
                Kind::Running => Some(&mut self.counts.skipped_running),
                Kind::Resource => Some(&mut self.counts.skipped_resources),
                Kind::Excluded => Some(&mut self.counts.excluded),
                _ if self.left_alone.as_ref().is_some_and(|set| set.has(object)) => {
                    Some(&mut self.counts.excluded)
                }
                _ => None,
            };
            if let Some(skipped) = skipped {
                *skipped += 1;
                return;
            }
            self.counts.objects += 1;
            self.counts.bytes += plan.bytes(object, self.rules.minor);
            if self.immortalise {
                self.immortalise(object, plan);
            }
            if self.warm {
                self.warm(object, plan);
            }
            match plan.kind {
                Kind::List => prefetch(word(object, LIST_ITEMS)),
                Kind::Dict => prefetch(word(object, DICT_KEYS)),
                Kind::Traverse if plan.has_values => prefetch(word(object - 24, 0)),
                _ => {}
            }
            if plan.is_followed() {
                self.push(object, 0);
            }
        }
    }

    /// # Safety
    ///
    /// `object` must be live and of the plan's type.
    #[inline]
    unsafe fn immortalise(&mut self, object: u64, plan: &Plan) {
        // SAFETY: promised by the caller. The count is the first word of every object.
        unsafe {
            if is_immortal(object) {
                self.counts.already_immortal += 1;
            } else if plan.has_finalizer(object) {
                self.counts.skipped_finalizers += 1;
            } else if plan.has_callback(object) {
                self.counts.skipped_weakrefs += 1;
            } else {
                (object as *mut u64).write(IMMORTAL);
                self.counts.immortalised += 1;
                self.wrote(object);
            }
        }
    }

    /// # Safety
    ///
    /// `object` must be live and of the plan's type.
    #[inline]
    unsafe fn warm(&mut self, object: u64, plan: &Plan) {
        // SAFETY: promised by the caller.
        unsafe {
            if let Some(at) = plan.hash {
                if word(object, usize::from(at.get())) == u64::MAX && hash(object) {
                    self.counts.hashed += 1;
                    self.wrote(object + u64::from(at.get()));
                }
            } else if plan.kind == Kind::Type {
                let (tagged, looked_up) = self.rules.warm_type(object);
                if tagged {
                    self.counts.tagged_types += 1;
                    self.wrote(object + TP_FLAGS as u64);
                    self.wrote(object + TP_VERSION_TAG as u64);
                }
                self.counts.looked_up += looked_up;
            }
        }
    }

    fn wrote(&mut self, address: u64) {
        self.seen.written(address, &mut self.memory);
    }
}

/// # Safety
///
/// `object` must be live, and the version know immortal objects.
unsafe fn is_immortal(object: u64) -> bool {
    // SAFETY: promised by the caller.
    unsafe { word(object, 0) & IMMORTAL_SIGN != 0 }
}
