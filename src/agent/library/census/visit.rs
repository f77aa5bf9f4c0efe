//! The walk: breadth first over the objects, in the order in which they were added.

use super::layout::{DICT_KEYS, LIST_ITEMS, OB_TYPE, Version, word};
use super::memory::{Array, prefetch};
use super::paths::Paths;
use super::plans::{Known, Look, Plan};
use super::seen::Seen;
use super::sizes;
use super::table::Census;
use super::text::Text;
use super::types::Types;
use crate::heap::dicts::Entries;
use crate::wire::{CensusObject, MOST_OBJECTS};
use core::ffi::{c_int, c_void};

type Traverse = unsafe extern "C" fn(*mut c_void, Visitor, *mut c_void) -> c_int;
type Visitor = unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int;
type IsGc = unsafe extern "C" fn(*mut c_void) -> c_int;

/// Objects ahead that are asked for, and those of which what they own is asked for.
const FAR: usize = 24;
const NEAR: usize = 8;
/// A kind for the walk alone: an object, a dict, whose entries were looked at.
pub const WALKED: u32 = 7;

/// The state of the walk.
pub struct Visit {
    pub census: Census,
    pub version: Version,
    pub paths: Paths,
    pub types: Types,
    pub seen: Seen,
    /// Number of the page that was last found to be readable.
    pub readable_page: u64,
    queue: Array<CensusObject>,
    done: usize,
    dropped: u64,
    /// Whose references the running traversal reports.
    node: u32,
    /// All of them share one node.
    items: bool,
}

impl Visit {
    /// # Safety
    ///
    /// `modules` must be null or a live dict of modules.
    pub unsafe fn new(census: Census, version: Version, modules: u64) -> Option<Self> {
        let mut known = Known::new(version);
        // SAFETY: promised by the caller.
        unsafe { known.learn(modules) };
        Some(Self {
            census,
            version,
            paths: Paths::new(census)?,
            types: Types::new(census, version, known)?,
            seen: Seen::new()?,
            readable_page: 0,
            queue: Array::new(MOST_OBJECTS)?,
            done: 0,
            dropped: 0,
            node: 0,
            items: false,
        })
    }

    /// Objects and buffers so far.
    pub fn objects(&self) -> u64 {
        self.queue.len() as u64
    }

    /// The name of an object that is a string.
    ///
    /// # Safety
    ///
    /// `object` must be null or live.
    pub unsafe fn text(&self, object: u64) -> Option<Text> {
        // SAFETY: promised by the caller.
        unsafe { Text::of(object, self.version) }
    }

    /// The entries of a dict.
    ///
    /// # Safety
    ///
    /// `dict` must be a live dict.
    pub unsafe fn entries(&self, dict: u64) -> Entries {
        // SAFETY: promised by the caller; nobody changes a dict in this process.
        unsafe { Entries::of(dict, self.version.minor) }
    }

    /// Adds an object that no module leads to, if it is new.
    pub fn orphan(&mut self, object: u64) {
        if self.seen.is_new(object) {
            let root = self.paths.root(b"(no module)");
            // SAFETY: the collector lists live objects.
            let Some(ty) = (unsafe { self.types.index(word(object, OB_TYPE)) }) else { return };
            let node = self.paths.native(root, self.types.name(ty));
            self.add(object, node);
        }
    }

    /// Adds an object, if it is new.
    pub fn add(&mut self, object: u64, node: u32) {
        self.add_as(object, node, CensusObject::OBJECT);
    }

    /// Adds an object as one of a kind; false if it is not new.
    pub fn add_as(&mut self, object: u64, node: u32, kind: u32) -> bool {
        if object == 0 || !self.seen.add(object) {
            return false;
        }
        // SAFETY: whoever refers to an object keeps it alive.
        unsafe {
            let Some(ty) = self.types.index(word(object, OB_TYPE)) else {
                self.dropped += 1;
                return false;
            };
            let plan = self.types.plan(ty);
            let size = sizes::size_of(object, plan, self.version).saturating_add(plan.prefix);
            self.push(CensusObject::new(object - u64::from(plan.prefix), size, ty, node, kind));
        }
        true
    }

    /// Adds a buffer, if it is new: keys are shared by dicts.
    pub fn add_buffer(&mut self, start: u64, bytes: u64, ty: u32, node: u32, kind: u32) {
        if start != 0 && bytes != 0 && self.seen.add(start) {
            let size = u32::try_from(bytes).unwrap_or(u32::MAX);
            self.push(CensusObject::new(start, size, ty, node, kind));
        }
    }

    fn push(&mut self, entry: CensusObject) {
        if !self.queue.push(entry) {
            self.dropped += 1;
        }
    }

    /// Looks into every object that was added, and into those that this adds.
    pub fn follow_all(&mut self) {
        while let Some(entry) = self.queue.get(self.done) {
            self.look_ahead();
            self.done += 1;
            let plan = self.types.plan(entry.ty());
            if matches!(entry.kind(), CensusObject::OBJECT | WALKED) && !plan.is_leaf() {
                // SAFETY: an object that a live object refers to is live.
                unsafe { self.follow(&entry, plan) };
            }
        }
    }

    /// Asks the processor for what the next objects will be read for.
    fn look_ahead(&self) {
        if let Some(far) = self.queue.get(self.done + FAR)
            && !self.types.plan(far.ty()).is_leaf()
        {
            prefetch(object_of(&far, self.types.plan(far.ty())));
        }
        if let Some(near) = self.queue.get(self.done + NEAR)
            && near.kind() == CensusObject::OBJECT
        {
            let plan = self.types.plan(near.ty());
            let object = object_of(&near, plan);
            // SAFETY: a live object of that type.
            match plan.look {
                Look::List => prefetch(unsafe { word(object, LIST_ITEMS) }),
                Look::Dict => prefetch(unsafe { word(object, DICT_KEYS) }),
                _ => {}
            }
        }
    }

    /// Asks the object itself for what it refers to.
    ///
    /// # Safety
    ///
    /// `object` must be live and of the type of the plan.
    pub unsafe fn traverse(&mut self, object: u64, node: u32, plan: &Plan) {
        // SAFETY: as the collector does: only objects that it may track, with the GIL held.
        unsafe {
            let is_gc = plan.is_gc;
            if is_gc != 0 && core::mem::transmute::<u64, IsGc>(is_gc)(object as *mut c_void) == 0 {
                return;
            }
            (self.node, self.items) = (node, matches!(plan.look, Look::Set | Look::Deque));
            let visitor: *mut Self = self;
            let traverse = core::mem::transmute::<u64, Traverse>(plan.traverse);
            traverse(object as *mut c_void, on_visit, visitor.cast());
        }
    }

    /// Hands the objects over in the order of their addresses, and says that the census is whole.
    pub fn finish(mut self, reached: u64, begun: u64) -> Option<()> {
        let count = self.queue.len();
        let sorted = self.census.objects(count)?;
        let ranked = self.seen.count() == Some(count as u64);
        for (index, entry) in self.queue.as_slice().iter().enumerate() {
            let is_object = matches!(entry.kind(), CensusObject::OBJECT | WALKED);
            let plan = self.types.plan(entry.ty());
            let address = if is_object { object_of(entry, plan) } else { entry.start() };
            let kind = if is_object { CensusObject::OBJECT } else { entry.kind() };
            let rank = if ranked { self.seen.rank(address) as usize } else { index };
            *sorted.get_mut(rank)? =
                CensusObject::new(entry.start(), entry.size(), entry.ty(), entry.node(), kind);
        }
        if !sorted.is_sorted_by_key(CensusObject::start) {
            sorted.sort_unstable_by_key(CensusObject::start);
        }
        self.census.finish(count as u64, count as u64 - reached, self.dropped, begun);
        Some(())
    }
}

/// The object itself, behind what stands in front of it.
pub fn object_of(entry: &CensusObject, plan: &Plan) -> u64 {
    entry.start() + u64::from(plan.prefix)
}

unsafe extern "C" fn on_visit(object: *mut c_void, visit: *mut c_void) -> c_int {
    // SAFETY: `traverse` passes itself, and waits for the traversal.
    let visit = unsafe { &mut *visit.cast::<Visit>() };
    if !visit.seen.is_new(object as u64) {
        return 0;
    }
    // SAFETY: a live object refers to live objects.
    let Some(ty) = (unsafe { visit.types.index(word(object as u64, OB_TYPE)) }) else { return 0 };
    let node = if visit.items {
        visit.paths.shared(visit.node, b"[*]")
    } else {
        visit.paths.native(visit.node, visit.types.name(ty))
    };
    visit.add(object as u64, node);
    0
}
