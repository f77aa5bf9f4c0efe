//! What stood at an address at the fork: which object and which field of it, whose data, whose stack.
//!
//! Areas of files, stacks and the C heap are told by where they are; objects by two sources, the
//! memory itself as it was at the fork, and the census that was taken shortly before. Where both
//! speak they must agree: what one of them contradicts is [`Place::Unknown`].

mod areas;
mod chunks;
mod frames;
mod free_lists;
mod malloc;
mod python;
mod stacks;
mod thread_local;
mod types;

use super::Place;
use super::symbols::Symbolizer;
use super::toy::{Collector, ToyMemory};
use crate::cpython::census::Census;
use crate::cpython::memory::Memory;
use crate::cpython::offsets::Offsets;
use crate::family::{Region, Vma};
use areas::{Areas, Home};
use chunks::FreeChunks;
use malloc::Malloc;
use python::Python;
use stacks::Stacks;
use std::borrow::Cow;
use std::sync::Arc;

/// The memory of a zygote as it was at the fork.
pub struct Heap<'a> {
    memory: &'a dyn Memory,
    symbolizer: &'a Symbolizer,
    toy: ToyMemory<'a>,
    areas: Areas<'a>,
    stacks: Stacks,
    python: Option<Python<'a>>,
    malloc: Malloc,
    free: Option<FreeChunks>,
}

/// What stood at an address at the fork.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// What it means to write there.
    pub place: Place,
    /// Type of the object, or of the owner of the buffer: `str`, `shop.Product`. File name of the
    /// library whose data it is.
    pub ty: Option<Arc<str>>,
    /// Field of the object or buffer: `ob_refcnt`, `.price`, `items`. Symbol of a library's data.
    pub field: Option<Cow<'static, str>>,
    /// Index of the owner of the object in the census: [`Census::node`].
    pub node: Option<u32>,
}

impl Site {
    const fn nameless(place: Place) -> Self {
        Self { place, ty: None, field: None, node: None }
    }
}

impl<'a> Heap<'a> {
    /// Over the memory of one moment.
    ///
    /// `memory` must give the bytes of the fork (those of the frozen sibling); `areas` are those of
    /// the zygote at the fork, by address. `python` are the layouts of its `CPython`, if it runs one.
    /// `regions` is memory that a toy runtime named itself; [`Heap::with_collector`] says what its
    /// collector does.
    pub fn new(
        memory: &'a dyn Memory,
        areas: &'a [Vma],
        symbolizer: &'a Symbolizer,
        python: Option<Offsets>,
        census: Option<&'a Census>,
        regions: &'a [Region],
    ) -> Self {
        let python = python.map(|offsets| Python::new(memory, &offsets, census));
        let interpreter = python.as_ref().and_then(Python::home);
        Self {
            memory,
            symbolizer,
            toy: ToyMemory::new(regions, Collector::default()),
            areas: Areas::new(areas, interpreter),
            stacks: Stacks::find(memory, areas),
            python,
            malloc: Malloc::default(),
            free: None,
        }
    }

    /// The same, for the memory of a toy runtime whose collector does this to objects.
    #[must_use]
    pub fn with_collector(mut self, collector: Collector) -> Self {
        self.toy.set_collector(collector);
        self
    }

    /// What stood at an address.
    pub fn locate(&mut self, address: u64) -> Site {
        if let Some(site) = self.in_region(address) {
            return site;
        }
        let Some((area, home)) = self.areas.at(address) else { return Site::nameless(Place::Unknown) };
        match home {
            Home::File(file) => self.in_file(file, address),
            Home::Tail(file) => {
                self.in_tail(file, address).unwrap_or_else(|| self.in_anonymous_memory(area, address))
            }
            Home::Anonymous => self.in_anonymous_memory(area, address),
            Home::Heap => self.in_c_heap(area, address),
            Home::Stack => Site::nameless(Place::Stack),
            Home::Other => Site::nameless(Place::Unknown),
        }
    }

    fn in_region(&mut self, address: u64) -> Option<Site> {
        let memory = self.memory;
        let toy = self.toy.place(address, |address, buffer: &mut [u8]| memory.read(address, buffer))?;
        Some(Site { place: toy.place, ty: toy.ty.map(Arc::from), field: toy.field, node: None })
    }

    /// Data of a library or program; of the interpreter's, perhaps an object.
    fn in_file(&mut self, file: usize, address: u64) -> Site {
        let symbol = self.symbolizer.at(address).name;
        self.in_library(file, address, symbol)
    }

    /// Behind a file, where its `.bss` is. `None` beyond that.
    fn in_tail(&mut self, file: usize, address: u64) -> Option<Site> {
        let symbol = self.symbolizer.at(address);
        (!symbol.library.is_empty()).then(|| self.in_library(file, address, symbol.name))
    }

    fn in_library(&mut self, file: usize, address: u64, symbol: String) -> Site {
        let library = self.areas.library(file);
        let place = if library.interpreter { Place::InterpreterData } else { Place::LibraryData };
        let object = self.python.as_mut().and_then(|python| python.listed_at(address));
        if let Some(object) = object.filter(|object| object.ty.is_some()) {
            return Site { place, ..object };
        }
        let field = (!symbol.is_empty()).then_some(symbol.into());
        Site { place, ty: Some(library.name.clone()), field, node: None }
    }

    fn in_anonymous_memory(&mut self, area: &Vma, address: u64) -> Site {
        if self.stacks.contain(address) {
            return Site::nameless(Place::Stack);
        }
        if let Some(python) = &mut self.python
            && let Some(site) = python.in_pool(address).or_else(|| python.listed_at(address))
        {
            return site;
        }
        if self.malloc.in_heap(self.memory, address) {
            return self.unnamed_chunk();
        }
        let python = &mut self.python;
        let in_pool = &mut |page| python.as_mut().is_some_and(|python| python.is_in_pool(page));
        if let Some(chunk) = self.malloc.mapped_chunk(self.memory, area, address, in_pool) {
            let keys = self.python.as_ref().and_then(|python| python.keys_in_chunk(&chunk, address));
            return keys.unwrap_or_else(|| self.unnamed_chunk());
        }
        if self.python.as_mut().is_some_and(|python| python.keeps_frames_at(area, address)) {
            return Site::nameless(Place::Stack);
        }
        if thread_local::contains(self.memory, area, address) {
            return Site { field: Some("thread-local".into()), ..Site::nameless(Place::LibraryData) };
        }
        Site::nameless(Place::Unknown)
    }

    fn in_c_heap(&mut self, heap: &Vma, address: u64) -> Site {
        let object = self.python.as_mut().and_then(|python| python.listed_at(address));
        let free = self.free.get_or_insert_with(|| FreeChunks::of_heap(self.memory, heap)).offset(address);
        match (object, free) {
            (Some(object), None) => object,
            (None, Some(offset)) => Site::nameless(Place::FreeBlock { offset }),
            (None, None) => self.unnamed_chunk(),
            (Some(_), Some(_)) => Site::nameless(Place::Unknown),
        }
    }

    /// Memory of malloc's in which no object is known: where all objects are known, there is none.
    fn unnamed_chunk(&self) -> Site {
        let native = self.python.as_ref().is_none_or(Python::knows_all_objects);
        Site::nameless(if native { Place::NativeHeap } else { Place::UnknownBlock })
    }
}
