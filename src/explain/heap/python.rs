//! Objects of `CPython`, and the buffers that they own.

use super::Site;
use super::frames;
use super::free_lists::waits_for_use;
use super::types::Types;
use crate::cpython::blocks::{Block, Pools};
use crate::cpython::census::{Census, Entry, Kind};
use crate::cpython::dicts;
use crate::cpython::fields::{
    Field, FieldClass, before_values, dict_keys_field, field_of, items_field, values_field,
};
use crate::cpython::memory::Memory;
use crate::cpython::object::{ObjectAt, find_object};
use crate::cpython::offsets::Offsets;
use crate::cpython::types::{Builtin, TypeFlags};

use crate::explain::Place;
use crate::family::Vma;
use crate::units::PAGE_SIZE;
use std::ops::Range;

/// Sizes in a census end here: larger ones are not known.
const GREATEST_SIZE: u64 = u32::MAX as u64;
/// Bytes that malloc puts in front of a chunk's contents.
const CHUNK_HEADER: u64 = 16;
/// No keys are shared by more dicts.
const MAX_SHARERS: u64 = 1 << 32;
/// So many types of types are followed to `type`, which is its own type.
const MAX_METATYPES: usize = 8;

/// The objects of one process at one moment.
pub(super) struct Python<'a> {
    memory: &'a dyn Memory,
    offsets: Offsets,
    census: Option<&'a Census>,
    types: Types,
    pools: Pools,
}

impl<'a> Python<'a> {
    pub fn new(memory: &'a dyn Memory, offsets: &Offsets, census: Option<&'a Census>) -> Self {
        let pools = Pools::new(offsets.version);
        Self { memory, offsets: *offsets, census, types: Types::default(), pools }
    }

    /// The address of `type`, which is in the interpreter's own data.
    pub fn home(&self) -> Option<u64> {
        let mut ty = self.census?.type_address(0)?;
        for _ in 0..MAX_METATYPES {
            let metatype = self.memory.word(ty.checked_add(8)?)?;
            if metatype == ty {
                return Some(ty);
            }
            ty = metatype;
        }
        None
    }

    /// Whether a census lists them all.
    pub fn knows_all_objects(&self) -> bool {
        self.census.is_some_and(|census| census.counts().dropped == 0)
    }

    /// Whether an address is in a pool of pymalloc.
    pub fn is_in_pool(&mut self, address: u64) -> bool {
        self.pools.block_of(self.memory, address).is_some()
    }

    /// What stood at an address in a pool of pymalloc; `None` elsewhere.
    pub fn in_pool(&mut self, address: u64) -> Option<Site> {
        Some(match self.pools.block_of(self.memory, address)? {
            Block::Header => Site::nameless(Place::PoolHeader),
            Block::Used { start, size } => self.in_used_block((start, size), address),
            Block::Free { start, size } => match self.entry_in((start, size), address) {
                None => Site::nameless(Place::FreeBlock { offset: address - start }),
                Some(_) => Site::nameless(Place::Unknown),
            },
        })
    }

    /// The object or buffer that the census has at an address outside of the pools.
    pub fn listed_at(&mut self, address: u64) -> Option<Site> {
        let entry = self.census?.at(address).filter(|entry| entry.size < GREATEST_SIZE)?;
        if entry.kind == Kind::Object && !self.confirms(&entry) {
            return Some(Site::nameless(Place::Unknown));
        }
        Some(self.site_of(&entry, address))
    }

    /// The keys of a dict that fill a chunk of malloc with a mapping of its own. The census does not
    /// reach the dict of all interned strings.
    pub fn keys_in_chunk(&self, chunk: &Range<u64>, address: u64) -> Option<Site> {
        let start = chunk.start + CHUNK_HEADER;
        let offset = address.checked_sub(start)?;
        let bytes = dicts::keys_bytes(self.memory, &self.offsets, start)?;
        let fills =
            start.checked_add(bytes)? <= chunk.end && chunk.end - start - bytes < PAGE_SIZE + CHUNK_HEADER;
        let used = self.memory.word(start).is_some_and(|count| (1..MAX_SHARERS).contains(&count));
        (fills && used).then(|| {
            let (field, into_field) = dict_keys_field(&self.offsets, offset);
            let place = Place::Buffer { class: field.class, into_field };
            Site { place, ty: Some("dict".into()), field: Some(field.name), node: None }
        })
    }

    /// Whether the frames of a thread are kept at an address in an anonymous area.
    pub fn keeps_frames_at(&mut self, area: &Vma, address: u64) -> bool {
        let Self { memory, offsets, types, .. } = self;
        let mut is_code = |object: u64| {
            let ty = object.checked_add(8).and_then(|at| memory.word(at));
            let ty = ty.and_then(|ty| types.get(*memory, offsets, ty));
            ty.is_some_and(|ty| ty.info.builtin == Some(Builtin::Code))
        };
        frames::contain(*memory, offsets, area, address, &mut is_code)
    }

    fn in_used_block(&mut self, block: (u64, u64), address: u64) -> Site {
        match self.entry_in(block, address) {
            Some(entry) if self.fits(&entry, block) => self.site_of(&entry, address),
            Some(_) => Site::nameless(Place::Unknown),
            None => self.in_unlisted_block(block, address),
        }
    }

    /// The entry of the census that begins in a block, of several the innermost at the address. Some
    /// objects are larger than the census knows.
    fn entry_in(&self, (start, size): (u64, u64), address: u64) -> Option<Entry> {
        let begins_here = |entry: &Entry| (start..start + size).contains(&entry.start);
        let census = self.census?;
        census.at(address).filter(begins_here).or_else(|| census.at(start).filter(begins_here))
    }

    /// Whether memory does not contradict the census.
    fn fits(&self, entry: &Entry, (start, size): (u64, u64)) -> bool {
        if entry.kind == Kind::Object {
            return self.confirms(entry);
        }
        let fills_it = entry.start == start && entry.size <= size;
        fills_it && self.find((start, size)).is_none_or(|object| !object.alive)
    }

    /// Whether memory says as well that an object of the type stands there, and lives.
    fn confirms(&self, entry: &Entry) -> bool {
        let word = |offset| entry.object.checked_add(offset).and_then(|at| self.memory.word(at));
        let ty = self.census.and_then(|census| census.type_address(entry.ty));
        ty.is_some() && word(8) == ty && word(0).is_some_and(|count| count != 0)
    }

    /// A block of which only memory tells.
    fn in_unlisted_block(&mut self, block: (u64, u64), address: u64) -> Site {
        match self.find(block) {
            Some(found) if found.alive => self.object(found.object, found.ty, address, None),
            None if !waits_for_use(self.memory, &self.offsets, block) => Site::nameless(Place::UnknownBlock),
            _ => Site::nameless(Place::FreeBlock { offset: address - block.0 }),
        }
    }

    fn find(&self, block: (u64, u64)) -> Option<ObjectAt> {
        let is_type = |address: u64| match self.census {
            Some(census) => census.is_type(address),
            None => self.looks_like_type(address).unwrap_or(false),
        };
        find_object(self.memory, &self.offsets, block, &is_type)
    }

    fn looks_like_type(&self, address: u64) -> Option<bool> {
        let metatype = self.memory.word(address.checked_add(8)?)?;
        TypeFlags::read(self.memory, &self.offsets, metatype).map(TypeFlags::metatype)
    }

    fn site_of(&mut self, entry: &Entry, address: u64) -> Site {
        let Some(ty) = self.census.and_then(|census| census.type_address(entry.ty)) else {
            return Site::nameless(Place::Unknown);
        };
        if entry.kind == Kind::Object {
            return self.object(entry.object, ty, address, Some(entry.node));
        }
        self.buffer(entry, ty, address)
    }

    fn object(&mut self, object: u64, ty: u64, address: u64, node: Option<u32>) -> Site {
        let Some(ty) = self.types.get(self.memory, &self.offsets, ty) else {
            return Site::nameless(Place::Unknown);
        };
        let offset = address.wrapping_sub(object).cast_signed();
        let (field, into_field) = field_of(self.memory, &self.offsets, &ty.info, object, offset);
        let place = Place::Object { class: field.class, into_field };
        Site { place, ty: Some(ty.name.clone()), field: Some(field.name), node }
    }

    fn buffer(&mut self, entry: &Entry, owner: u64, address: u64) -> Site {
        let Some(ty) = self.types.get(self.memory, &self.offsets, owner) else {
            return Site::nameless(Place::Unknown);
        };
        let body = |name: &'static str| Field { name: name.into(), class: FieldClass::Body };
        let offset = address - entry.start;
        let (field, into_field) = match entry.kind {
            Kind::Items => (body("items"), items_field(offset).1),
            Kind::Keys => dict_keys_field(&self.offsets, offset),
            Kind::Values => match before_values(self.memory, &self.offsets, entry.start) {
                Some(before) => values_field(&ty.info, before, offset),
                None => (body("values"), offset),
            },
            Kind::Table => (body("table"), offset % 8),
            Kind::Bytes | Kind::Object => (body("buffer"), offset),
        };
        let place = Place::Buffer { class: field.class, into_field };
        Site { place, ty: Some(ty.name.clone()), field: Some(field.name), node: Some(entry.node) }
    }
}
