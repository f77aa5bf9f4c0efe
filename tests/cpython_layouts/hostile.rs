//! Memory that lies: everything that reads it ends soon, and never panics.

use forkprint::cpython::blocks::Pools;
use forkprint::cpython::code::CodeObject;
use forkprint::cpython::dicts;
use forkprint::cpython::fields::{before_values, dict_keys_field, field_of, values_field};
use forkprint::cpython::object::find_object;
use forkprint::cpython::offsets::{Offsets, debug};
use forkprint::cpython::strings::{read_bytes, read_str};
use forkprint::cpython::types::TypeInfo;
use proptest::prelude::*;

/// Whatever the target says, no more is asked for at once.
const MOST_READ: usize = 16 << 20;

/// Every address has a word; which one, the seed decides: small, huge, an address, or bits of a flag word.
fn lying_word(seed: u64, address: u64) -> u64 {
    let mixed = ((address / 8) ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    match mixed >> 61 {
        0 | 1 => mixed & 0xff,
        2 => u64::MAX - (mixed & 0xff),
        3 => (mixed & 0xffff) | 1 << 31 | (mixed & 1) << 9,
        4 => 0,
        _ => (mixed >> 17) & !7,
    }
}

fn lying_memory(seed: u64) -> impl Fn(u64, &mut [u8]) -> bool {
    move |address, buffer| {
        assert!(buffer.len() <= MOST_READ);
        if buffer.len() > 1 << 16 {
            return false;
        }
        for (at, byte) in buffer.iter_mut().enumerate() {
            let address = address.wrapping_add(at as u64);
            *byte = lying_word(seed, address).to_le_bytes()[(address % 8) as usize];
        }
        true
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn nothing_that_is_read_can_break_the_reader(seed: u64, address: u64, minor in 9_u8..14, offset in -64_i64..2048) {
        let memory = lying_memory(seed);
        let offsets = Offsets::of_version((3, minor)).unwrap();
        if let Some(text) = read_str(&memory, &offsets, address) {
            prop_assert!(text.chars().count() <= 4096);
        }
        if let Some(bytes) = read_bytes(&memory, &offsets, address) {
            prop_assert!(bytes.len() <= MOST_READ);
        }
        if let Some(code) = CodeObject::read(&memory, &offsets, address) {
            code.line_at(address);
        }
        dicts::get(&memory, &offsets, address, "__module__");
        find_object(&memory, &offsets, (address, 64), &|_| true);
        Pools::new((3, minor)).block_of(&memory, address);
        let _ = Offsets::read(&memory, address);
        if let Some(info) = TypeInfo::read(&memory, &offsets, address) {
            field_of(&memory, &offsets, &info, address, offset);
            let before = before_values(&memory, &offsets, address).unwrap_or(offset.unsigned_abs() / 2);
            values_field(&info, before, offset.unsigned_abs());
        }
        dict_keys_field(&offsets, offset.unsigned_abs());
    }

    #[test]
    fn no_published_offsets_can_break_the_reader(seed: u64, minor in 13_u8..15, words in prop::collection::vec((0_usize..90, any::<u64>()), 0..20)) {
        let mut bytes = vec![0; debug::BYTES];
        bytes[..8].copy_from_slice(b"xdebugpy");
        bytes[8..12].copy_from_slice(&[0xf0, 0, minor, 3]);
        for (index, word) in words {
            bytes[index * 8..index * 8 + 8].copy_from_slice(&word.to_le_bytes());
        }
        if let Ok(offsets) = Offsets::parse_debug(&bytes) {
            CodeObject::read(&lying_memory(seed), &offsets, seed);
            TypeInfo::read(&lying_memory(seed), &offsets, seed);
        }
    }
}
