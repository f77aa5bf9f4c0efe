//! Types: what they are called, how their instances are laid out, and what stands where in them.
//!
//! Layout: `Include/cpython/object.h` (`PyTypeObject`, `PyHeapTypeObject`), flags: `Include/object.h`.

use super::dicts;
use super::memory::Memory;
use super::offsets::Offsets;
use super::strings::read_str;
use std::borrow::Cow;

/// Longest name of a static type or member that is read, in bytes.
const MAX_NAME: usize = 512;
/// Longest chain of bases that is followed.
const MAX_BASES: usize = 64;
/// Most members of one type that are read.
const MAX_MEMBERS: u64 = 4096;
/// Instances and items larger than this are not believed.
const MAX_SIZE: u64 = 1 << 24;

/// `tp_flags`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TypeFlags(pub u64);

impl TypeFlags {
    /// Reads the flags of the type at an address.
    pub fn read(memory: &dyn Memory, offsets: &Offsets, ty: u64) -> Option<Self> {
        memory.word(ty.checked_add(offsets.types.flags)?).map(Self)
    }

    /// `Py_TPFLAGS_INLINE_VALUES`: the values of attributes follow the instance (3.13+).
    pub const fn inline_values(self, offsets: &Offsets) -> bool {
        offsets.at_least(13) && self.has(2)
    }

    /// `Py_TPFLAGS_MANAGED_WEAKREF` (3.12+).
    pub const fn managed_weakref(self, offsets: &Offsets) -> bool {
        offsets.at_least(12) && self.has(3)
    }

    /// `Py_TPFLAGS_MANAGED_DICT` (3.11+).
    pub const fn managed_dict(self, offsets: &Offsets) -> bool {
        offsets.at_least(11) && self.has(4)
    }

    /// Whether two words stand before the collector's header: pointers to the dict and to weak references.
    pub const fn preheader(self, offsets: &Offsets) -> bool {
        self.managed_weakref(offsets) || self.managed_dict(offsets)
    }

    /// `Py_TPFLAGS_HEAPTYPE`: made by a class statement or `PyType_FromSpec`.
    pub const fn heap_type(self) -> bool {
        self.has(9)
    }

    /// `Py_TPFLAGS_HAVE_GC`: instances begin with a `PyGC_Head`.
    pub const fn gc(self) -> bool {
        self.has(14)
    }

    /// `Py_TPFLAGS_UNICODE_SUBCLASS`: instances are strings.
    pub const fn string(self) -> bool {
        self.has(28)
    }

    /// `Py_TPFLAGS_TYPE_SUBCLASS`: instances are types.
    pub const fn metatype(self) -> bool {
        self.has(31)
    }

    const fn has(self, bit: u32) -> bool {
        self.0 >> bit & 1 == 1
    }
}

/// The builtin type that a type is or derives from, and whose struct its instances begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named like the builtin types")]
pub enum Builtin {
    Type,
    Code,
    Function,
    Dict,
    List,
    Tuple,
    Set,
    Str,
    Bytes,
    Int,
    Float,
    Cell,
    Weakref,
}

impl Builtin {
    fn of_name(static_name: &str) -> Option<Self> {
        Some(match static_name {
            "type" => Self::Type,
            "code" => Self::Code,
            "function" => Self::Function,
            "dict" => Self::Dict,
            "list" => Self::List,
            "tuple" => Self::Tuple,
            "set" | "frozenset" => Self::Set,
            "str" => Self::Str,
            "bytes" => Self::Bytes,
            "int" => Self::Int,
            "float" => Self::Float,
            "cell" => Self::Cell,
            // The later name since 3.12.
            "weakref" | "weakref.ReferenceType" => Self::Weakref,
            _ => return None,
        })
    }
}

/// A member of an instance that has a name: an entry of `__slots__`, or of a C type's `tp_members`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// As Python spells it.
    pub name: String,
    /// Bytes from the start of the object.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

/// The attributes that instances of a type have in common (`ht_cached_keys`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// Their names, in the order of the values.
    pub names: Vec<String>,
    /// How many values there is room for.
    pub room: u64,
}

/// What is read of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeInfo {
    /// Where the type is.
    pub address: u64,
    /// `module.QualName`; `QualName` alone in `builtins`; `tp_name` of a static type.
    pub name: String,
    /// `tp_basicsize`: bytes of an instance without its items.
    pub basicsize: u64,
    /// `tp_itemsize`: bytes of an item, zero where all instances have one size.
    pub itemsize: u64,
    /// `tp_flags`
    pub flags: TypeFlags,
    /// The builtin type it is or derives from.
    pub builtin: Option<Builtin>,
    /// Named members, its own before those of its bases.
    pub slots: Vec<Slot>,
    /// Attributes of its instances, where they share their keys.
    pub attributes: Option<Attributes>,
}

impl TypeInfo {
    /// Reads the type at an address. `None` if what stands there is no type.
    pub fn read(memory: &dyn Memory, offsets: &Offsets, address: u64) -> Option<Self> {
        let metatype = memory.word(address.checked_add(8)?)?;
        if !TypeFlags::read(memory, offsets, metatype)?.metatype() {
            return None;
        }
        let word = |offset: u64| memory.word(address.checked_add(offset)?);
        let small = |offset: u64| word(offset).filter(|size| *size < MAX_SIZE);
        let flags = TypeFlags::read(memory, offsets, address)?;
        let mut info = Self {
            address,
            name: name(memory, offsets, address, flags)?,
            basicsize: small(offsets.types.basicsize)?,
            itemsize: small(offsets.types.itemsize)?,
            flags,
            builtin: None,
            slots: Vec::new(),
            attributes: None,
        };
        info.add_managed(&word, offsets);
        info.add_bases(memory, offsets);
        if flags.heap_type() {
            let keys = word(offsets.types.cached_keys).filter(|keys| *keys != 0);
            info.attributes = keys.and_then(|keys| dicts::shared_names(memory, offsets, keys));
        }
        Some(info)
    }

    /// Bytes in front of an instance: the collector's header, and the pre-header before that.
    pub fn header_bytes(&self, offsets: &Offsets) -> u64 {
        header_bytes(self.flags, offsets)
    }

    /// The dict and the list of weak references, where instances keep pointers to them.
    fn add_managed(&mut self, word: &dyn Fn(u64) -> Option<u64>, offsets: &Offsets) {
        let types = &offsets.types;
        for (at, name) in [(types.dictoffset, "__dict__"), (types.weaklistoffset, "__weakref__")] {
            if let Some(offset) = word(at).filter(|offset| (16..MAX_SIZE).contains(offset)) {
                self.slots.push(Slot { name: name.into(), offset, size: 8 });
            }
        }
    }

    fn add_bases(&mut self, memory: &dyn Memory, offsets: &Offsets) {
        let mut ty = self.address;
        for _ in 0..MAX_BASES {
            members(memory, offsets, ty, &mut self.slots);
            if self.builtin.is_none() {
                self.builtin = static_name(memory, offsets, ty).as_deref().and_then(Builtin::of_name);
            }
            match memory.word(ty.wrapping_add(offsets.types.base)) {
                Some(base) if base != 0 => ty = base,
                _ => return,
            }
        }
    }
}

/// Bytes in front of instances of a type with these flags.
pub(super) fn header_bytes(flags: TypeFlags, offsets: &Offsets) -> u64 {
    16 * u64::from(flags.gc()) + 16 * u64::from(flags.preheader(offsets))
}

fn name(memory: &dyn Memory, offsets: &Offsets, ty: u64, flags: TypeFlags) -> Option<String> {
    let pointer = |offset: u64| memory.word(ty.checked_add(offset)?);
    if !flags.heap_type() {
        return memory.c_string(pointer(offsets.types.name)?, MAX_NAME);
    }
    let qualname = read_str(memory, offsets, pointer(offsets.types.qualname)?)?;
    let module = pointer(offsets.types.dict)
        .and_then(|dict| dicts::get(memory, offsets, dict, "__module__"))
        .filter(|module| is_string(memory, offsets, *module))
        .and_then(|module| read_str(memory, offsets, module));
    Some(match module.as_deref() {
        None | Some("builtins") => qualname,
        Some(module) => format!("{module}.{qualname}"),
    })
}

fn is_string(memory: &dyn Memory, offsets: &Offsets, object: u64) -> bool {
    let ty = object.checked_add(8).and_then(|at| memory.word(at));
    ty.and_then(|ty| TypeFlags::read(memory, offsets, ty)).is_some_and(TypeFlags::string)
}

/// `tp_name`, unless a program may have chosen it.
fn static_name(memory: &dyn Memory, offsets: &Offsets, ty: u64) -> Option<String> {
    if TypeFlags::read(memory, offsets, ty)?.heap_type() {
        return None;
    }
    memory.c_string(memory.word(ty.checked_add(offsets.types.name)?)?, MAX_NAME)
}

/// Appends the entries of `tp_members`, which a `PyMemberDef` without name ends. A heap type's are
/// those of `PyHeapType_GET_MEMBERS`: its slots.
fn members(memory: &dyn Memory, offsets: &Offsets, ty: u64, slots: &mut Vec<Slot>) {
    let definition = &offsets.structs.member_def;
    let Some(mut at) =
        offsets.structs.type_object.offset("tp_members").and_then(|m| memory.word(ty.wrapping_add(m)))
    else {
        return;
    };
    let field = |at: u64, name: &str| definition.offset(name).map(|offset| at.wrapping_add(offset));
    for _ in 0..MAX_MEMBERS {
        let Some(text) = field(at, "name").and_then(|at| memory.word(at)).filter(|text| *text != 0) else {
            return;
        };
        let slot = (|| {
            let name = memory.c_string(text, MAX_NAME)?;
            let offset = memory.word(field(at, "offset")?).filter(|offset| *offset < MAX_SIZE)?;
            let size = member_bytes(memory.half(field(at, "type")?)?);
            Some(Slot { name: python_name(&name).into_owned(), offset, size })
        })();
        slots.extend(slot);
        at = at.wrapping_add(definition.size.into());
    }
}

/// Members that only say where a pointer is, named as what it points to.
fn python_name(member: &str) -> Cow<'_, str> {
    match member {
        "__dictoffset__" => "__dict__".into(),
        "__weaklistoffset__" => "__weakref__".into(),
        "__vectorcalloffset__" => "vectorcall".into(),
        _ => member.into(),
    }
}

/// Bytes of a member by its type code (`Include/structmember.h`: `T_SHORT` 0 to `T_NONE` 20).
const fn member_bytes(code: u32) -> u64 {
    match code {
        7 | 8 | 9 | 14 => 1,
        0 | 10 => 2,
        1 | 3 | 11 => 4,
        _ => 8,
    }
}
