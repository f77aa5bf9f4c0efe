//! The form of a version table: structs by name, their fields by name and offset.

/// One field of a struct.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// As in the header file.
    pub name: &'static str,
    /// Bytes from the start of the struct.
    pub offset: u16,
    /// Bytes of the field.
    pub size: u16,
}

/// For the tables: one field.
pub(super) const fn member(name: &'static str, offset: u16, size: u16) -> Member {
    Member { name, offset, size }
}

/// One struct of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Struct {
    /// `sizeof`, in bytes.
    pub size: u16,
    /// Its fields, as far as they are of use; the header of every object (`ob_refcnt`, `ob_type`) is left out.
    pub members: &'static [Member],
}

impl Struct {
    /// Offset of the field of that name, in bytes.
    pub fn offset(&self, name: &str) -> Option<u64> {
        self.members.iter().find(|member| member.name == name).map(|member| u64::from(member.offset))
    }

    /// The field that covers a byte.
    pub fn member_at(&self, offset: u64) -> Option<&'static Member> {
        self.members.iter().find(|member| {
            let start = u64::from(member.offset);
            (start..start + u64::from(member.size)).contains(&offset)
        })
    }
}

/// All structs of a version that are looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Structs {
    /// `PyTypeObject`
    pub type_object: Struct,
    /// `PyHeapTypeObject`, the fields behind its `PyTypeObject`.
    pub heap_type: Struct,
    /// `PyMemberDef`
    pub member_def: Struct,
    /// `PyCodeObject`
    pub code: Struct,
    /// `PyFunctionObject`
    pub function: Struct,
    /// `PyDictObject`
    pub dict: Struct,
    /// `PyDictKeysObject`, up to its hash table.
    pub keys: Struct,
    /// `PyListObject`
    pub list: Struct,
    /// `PyTupleObject`
    pub tuple: Struct,
    /// `PySetObject`
    pub set: Struct,
    /// `PyCellObject`
    pub cell: Struct,
    /// `PyWeakReference`
    pub weakref: Struct,
    /// `PyASCIIObject`
    pub ascii: Struct,
    /// `PyCompactUnicodeObject`, the fields behind its `PyASCIIObject`.
    pub compact: Struct,
    /// `PyUnicodeObject`, the field behind its `PyCompactUnicodeObject`.
    pub unicode: Struct,
    /// `PyBytesObject`
    pub bytes: Struct,
    /// `PyLongObject`
    pub long: Struct,
    /// `PyFloatObject`
    pub float: Struct,
}
