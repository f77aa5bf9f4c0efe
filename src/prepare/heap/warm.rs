//! What the interpreter would find out, and write down, later: hashes, version tags, where attributes of
//! types are found. Nothing here runs code of the program.

use super::api::{Hash, Object};
use super::dicts::Entries;
use super::layout::{
    FLAG_READY, OB_SIZE, OB_TYPE, TP_DICT, TP_FLAGS, TP_HASH, TP_MRO, TP_VERSION_TAG, TUPLE_ITEMS, word,
};
use super::plans::Rules;

/// `Py_TPFLAGS_VALID_VERSION_TAG`, up to 3.12.
const FLAG_VALID_TAG: u64 = 1 << 19;

/// Lets a string, bytes or a frozenset find out its hash: what is in a frozenset was hashed when it
/// came there.
///
/// # Safety
///
/// `object` must be live and of one of these types themselves.
pub unsafe fn hash(object: u64) -> bool {
    // SAFETY: promised by the caller; these types have a hash.
    unsafe {
        let hash = word(word(object, OB_TYPE), TP_HASH);
        hash != 0 && core::mem::transmute::<u64, Hash>(hash)(object as Object) != -1
    }
}

impl Rules {
    /// Gives a type its version tag, and looks up each name of its own. Returns whether the tag is new,
    /// and how many names were looked up.
    ///
    /// # Safety
    ///
    /// `ty` must be a live type.
    pub unsafe fn warm_type(&self, ty: u64) -> (bool, u64) {
        // SAFETY: promised by the caller.
        unsafe {
            if word(ty, TP_FLAGS) & FLAG_READY == 0 || !self.lookups_compare_strings(ty) {
                return (false, 0);
            }
            let before = self.has_tag(ty);
            self.api.assign_tag(ty);
            let mut looked_up = 0;
            let dict = self.api.type_dict(ty, word(ty, TP_DICT));
            if dict != 0 {
                for (name, _) in Entries::of(dict, self.minor) {
                    looked_up += u64::from(self.api.look_up(ty, name));
                }
            }
            (!before && self.has_tag(ty), looked_up)
        }
    }

    /// # Safety
    ///
    /// `ty` must be a live type.
    unsafe fn has_tag(&self, ty: u64) -> bool {
        // SAFETY: promised by the caller; the tag has four bytes.
        unsafe {
            let tag = word(ty, TP_VERSION_TAG) & 0xffff_ffff;
            tag != 0 && (self.minor >= 13 || word(ty, TP_FLAGS) & FLAG_VALID_TAG != 0)
        }
    }

    /// Whether all names of a type and its bases are strings themselves: others could be compared by code
    /// of the program.
    ///
    /// # Safety
    ///
    /// `ty` must be a live type.
    unsafe fn lookups_compare_strings(&self, ty: u64) -> bool {
        // SAFETY: promised by the caller; the order is a tuple of types.
        unsafe {
            let order = word(ty, TP_MRO);
            order != 0
                && (0..word(order, OB_SIZE)).all(|index| {
                    let base = word(order + TUPLE_ITEMS as u64, index as usize * 8);
                    let dict = self.api.type_dict(base, word(base, TP_DICT));
                    dict == 0 || {
                        let entries = Entries::of(dict, self.minor);
                        let by_kind = self.minor >= 11 && entries.keys.only_strings();
                        by_kind || { entries }.all(|(key, _)| word(key, OB_TYPE) == self.api.str_type)
                    }
                })
        }
    }
}
