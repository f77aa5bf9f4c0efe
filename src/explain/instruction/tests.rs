use super::*;
use proptest::prelude::*;
use std::process::Command;

/// Registers with one number each that no other has, so that a mix-up shows.
const REGISTERS: [u64; 16] = {
    let mut all = [0; 16];
    let mut number = 0;
    while number < 16 {
        all[number] = 0x7f00_0000_0000 + (number as u64) * 0x1_0000;
        number += 1;
    }
    all
};
const RAX: usize = 0;
const RBX: usize = 3;
const RBP: usize = 5;
const RSI: usize = 6;

fn decode(code: &[u8], address: u64) -> Decoded {
    Store::decode(code, 0x40_0000, address, Some(&REGISTERS), None).unwrap()
}

/// Decodes with one register changed, over a word that held `old`.
fn over(code: &[u8], address: u64, register: usize, value: u64, old: u64) -> Decoded {
    let mut registers = REGISTERS;
    registers[register] = value;
    let mut bytes = [0xee; 16];
    bytes[(address & 7) as usize..][..8].copy_from_slice(&old.to_le_bytes());
    Store::decode(code, 0x40_0000, address, Some(&registers), Some(&bytes)).unwrap()
}

#[test]
fn reads_the_reference_counting_of_cpython_3_9_to_3_11() {
    // add qword [rsi], 1: PyList_Append of libpython3.11, 0x185090.
    let incref = decode(&[0x48, 0x83, 0x06, 0x01], REGISTERS[RSI]);
    assert_eq!((incref.store, incref.width, incref.covers), (Store::Add(Some(1)), 8, Some(true)));
    assert_eq!(incref.delta, Some(1));
    // sub qword [rbp+0], 1: the same function, 0x185160.
    let decref = decode(&[0x48, 0x83, 0x6d, 0x00, 0x01], REGISTERS[RBP]);
    assert_eq!((decref.store, decref.width, decref.delta), (Store::Add(Some(-1)), 8, Some(-1)));
    // inc and dec qword [rax]; lock add and lock sub qword [rax], 1; add qword [rax], -1.
    for (code, amount) in [
        (&[0x48, 0xff, 0x00][..], 1),
        (&[0x48, 0xff, 0x08], -1),
        (&[0xf0, 0x48, 0x83, 0x00, 0x01], 1),
        (&[0xf0, 0x48, 0x83, 0x28, 0x01], -1),
        (&[0x48, 0x83, 0x00, 0xff], -1),
    ] {
        let decoded = decode(code, REGISTERS[RAX]);
        assert_eq!((decoded.store, decoded.width), (Store::Add(Some(amount)), 8), "{code:x?}");
    }
}

#[test]
fn reads_the_reference_counting_of_cpython_3_12_and_3_13() {
    let object = 0x7fff_1230;
    // mov [rsi], eax after inc eax: PyList_Append of libpython3.12, 0x1a0d8f.
    let mut registers = REGISTERS;
    (registers[RSI], registers[RAX]) = (object, 6);
    let old = [5, 0, 0, 0, 9, 9, 9, 9, 0, 0, 0, 0, 0, 0, 0, 0];
    let incref = Store::decode(&[0x89, 0x06], 0, object, Some(&registers), Some(&old)).unwrap();
    assert_eq!((incref.store, incref.width, incref.delta), (Store::Value(Some(6)), 4, Some(1)));
    // mov [rbp+0], rax after sub rax, 1: the same function, 0x1a0e7c.
    (registers[RBP], registers[RAX]) = (object, 4);
    let old = [5, 0, 0, 0, 0, 0, 0, 0, 0xee, 0, 0, 0, 0, 0, 0, 0];
    let decref = Store::decode(&[0x48, 0x89, 0x45, 0x00], 0, object, Some(&registers), Some(&old)).unwrap();
    assert_eq!((decref.width, decref.delta), (8, Some(-1)));
    // add dword [rdi], 1.
    let decoded = decode(&[0x83, 0x07, 0x01], REGISTERS[7]);
    assert_eq!((decoded.store, decoded.width), (Store::Add(Some(1)), 4));
}

#[test]
fn a_store_without_registers_has_a_width_and_no_value() {
    let decoded = Store::decode(&[0x89, 0x06], 0, 0x1000, None, Some(&[0; 16])).unwrap();
    assert_eq!(decoded.store, Store::Value(None));
    assert_eq!((decoded.width, decoded.covers, decoded.lead, decoded.delta), (4, None, 0, None));
    // mov qword [rax], 1 needs no register for its value.
    let constant = [0x48, 0xc7, 0x00, 0x01, 0x00, 0x00, 0x00];
    let decoded = Store::decode(&constant, 0, 0x1000, None, None).unwrap();
    assert_eq!((decoded.store, decoded.width), (Store::Value(Some(1)), 8));
}

#[test]
fn knows_every_part_of_a_register() {
    let value = 0x1122_3344_5566_7788;
    let at = REGISTERS[RBX];
    for (code, part, width) in [
        (&[0x48, 0x89, 0x03][..], value, 8),   // mov [rbx], rax
        (&[0x89, 0x03], 0x5566_7788, 4),       // mov [rbx], eax
        (&[0x66, 0x89, 0x03], 0x7788, 2),      // mov [rbx], ax
        (&[0x88, 0x03], 0x88, 1),              // mov [rbx], al
        (&[0x88, 0x23], 0x77, 1),              // mov [rbx], ah
        (&[0x48, 0x87, 0x03], value, 8),       // xchg [rbx], rax
        (&[0x48, 0x0f, 0xc3, 0x03], value, 8), // movnti [rbx], rax
    ] {
        let decoded = over(code, at, RAX, value, 0);
        assert_eq!((decoded.store, decoded.width), (Store::Value(Some(part)), width), "{code:x?}");
    }
    // mov [rbx], bh and mov [rbx], r9b and mov [rbx], sil.
    assert_eq!(decode(&[0x88, 0x3b], at).store, Store::Value(Some(at >> 8 & 0xff)));
    assert_eq!(over(&[0x44, 0x88, 0x0b], at, 9, 0x1ff, 0).store, Store::Value(Some(0xff)));
    assert_eq!(over(&[0x40, 0x88, 0x33], at, RSI, 0x2aa, 0).store, Store::Value(Some(0xaa)));
}

#[test]
fn computes_addresses_and_notices_a_store_elsewhere() {
    // mov [rax+r12*8], rsi: PyList_Append, 0x1a0da7.
    let code = [0x4a, 0x89, 0x34, 0xe0];
    let mut registers = REGISTERS;
    (registers[RAX], registers[12]) = (0x1_0000, 0x10);
    let covers = |address| Store::decode(&code, 0, address, Some(&registers), None).unwrap().covers;
    assert_eq!(covers(0x1_0080), Some(true));
    assert_eq!(covers(0x1_0087), Some(true));
    assert_eq!(covers(0x1_0088), Some(false));
    assert_eq!(covers(0x1_007f), Some(false));
    // add qword [rip+0x100], 1 of 8 bytes at 0x400000.
    let code = [0x48, 0x83, 0x05, 0x00, 0x01, 0x00, 0x00, 0x01];
    assert_eq!(decode(&code, 0x40_0108).covers, Some(true));
    assert_eq!(decode(&code, 0x40_0100).covers, Some(false));
    // mov qword fs:[0x10], rax: where fs points is not known.
    let thread_local = [0x64, 0x48, 0x89, 0x04, 0x25, 0x10, 0x00, 0x00, 0x00];
    assert_eq!(decode(&thread_local, 0x5000).covers, None);
}

#[test]
fn a_store_over_the_end_of_a_page_begins_before_the_byte_that_faults() {
    // mov [rbx], rax, three bytes in front of a page.
    let decoded = over(&[0x48, 0x89, 0x03], 0x8000, RBX, 0x7ffd, 0);
    assert_eq!((decoded.covers, decoded.lead, decoded.delta), (Some(true), 3, None));
}

#[test]
fn names_vectors_runs_pushes_and_bit_operations() {
    let at = REGISTERS[RBX];
    // movups [rbx-16], xmm0: PyTuple_New of libpython3.10, 0x11f28f.
    let vector = decode(&[0x0f, 0x11, 0x43, 0xf0], at - 16);
    assert_eq!((vector.store, vector.width, vector.covers), (Store::Vector, 16, Some(true)));
    // vmovdqu [rbx], ymm0; movq [rbx], xmm0; movss [rbx], xmm0.
    assert_eq!(decode(&[0xc5, 0xfe, 0x7f, 0x03], at).width, 32);
    assert_eq!(decode(&[0x66, 0x0f, 0xd6, 0x03], at).width, 8);
    assert_eq!(decode(&[0xf3, 0x0f, 0x11, 0x03], at).store, Store::Vector);
    // or qword [rbx], 2; bts qword [rbx], 3; lock cmpxchg [rbx], rcx; neg qword [rbx].
    for code in [
        &[0x48, 0x83, 0x0b, 0x02][..],
        &[0x48, 0x0f, 0xba, 0x2b, 0x03],
        &[0xf0, 0x48, 0x0f, 0xb1, 0x0b],
        &[0x48, 0xf7, 0x1b],
    ] {
        let decoded = decode(code, at);
        assert_eq!((decoded.store, decoded.width), (Store::Change, 8), "{code:x?}");
    }
    // lock xadd [rbx], rax adds what rax holds.
    let xadd = over(&[0xf0, 0x48, 0x0f, 0xc1, 0x03], at, RAX, u64::MAX, 7);
    assert_eq!((xadd.store, xadd.delta), (Store::Add(Some(-1)), Some(-1)));
    // push rax; call +0; push qword [rax].
    let top = REGISTERS[4] - 8;
    for code in [&[0x50][..], &[0xe8, 0, 0, 0, 0], &[0xff, 0x30]] {
        let decoded = decode(code, top);
        assert_eq!((decoded.store, decoded.width, decoded.covers), (Store::Push, 8, Some(true)));
    }
}

#[test]
fn string_stores_cover_what_is_left_of_them() {
    let mut registers = REGISTERS;
    (registers[RAX], registers[1], registers[7]) = (0, 0x20, 0x9000);
    let run = |code: &[u8], address| Store::decode(code, 0, address, Some(&registers), None).unwrap();
    // rep stosq; rep movsb; stosq.
    let fill = run(&[0xf3, 0x48, 0xab], 0x9000);
    assert_eq!((fill.store, fill.width, fill.covers), (Store::Run, 0x100, Some(true)));
    let copy = run(&[0xf3, 0xa4], 0x901f);
    assert_eq!((copy.store, copy.width, copy.covers, copy.lead), (Store::Run, 0x20, Some(true), 0x1f));
    assert_eq!(run(&[0xf3, 0xa4], 0x8fff).covers, None, "the direction is not known");
    assert_eq!(run(&[0x48, 0xab], 0x9000).store, Store::Value(Some(0)));
}

#[test]
fn what_only_reads_writes_nothing() {
    // mov rax, [rbx]; cmp [rbx], rax; test byte [rbx], 1; lea rax, [rbx]; nop; prefetcht0 [rbx].
    for code in [
        &[0x48, 0x8b, 0x03][..],
        &[0x48, 0x39, 0x03],
        &[0xf6, 0x03, 0x01],
        &[0x48, 0x8d, 0x03],
        &[0x90],
        &[0x0f, 0x18, 0x0b],
    ] {
        let decoded = decode(code, REGISTERS[RBX]);
        assert!(!decoded.writes(), "{code:x?}");
        assert_eq!(decoded.covers, Some(false));
    }
    assert_eq!(Store::decode(&[0x48, 0x83], 0, 0, None, None), None, "cut off");
    assert_eq!(Store::decode(&[], 0, 0, None, None), None);
}

/// The disassembly of the start of a real libpython by binutils: address, bytes, text (AT&T).
fn disassembly() -> Option<Vec<(u64, Vec<u8>, String)>> {
    let library = crate::explain::symbols::tests::libpython()?;
    let output = Command::new("sh")
        .args(["-c", "objdump -d -w -j .text \"$0\" | head -n 200000"])
        .arg(library)
        .output()
        .ok()
        .filter(|output| output.status.success() && !output.stdout.is_empty())?;
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(
        lines
            .lines()
            .filter_map(|line| {
                let mut parts = line.split('\t');
                let address = u64::from_str_radix(parts.next()?.trim().strip_suffix(':')?, 16).ok()?;
                let bytes = parts.next()?.split_whitespace().map(|byte| u8::from_str_radix(byte, 16));
                Some((address, bytes.collect::<Result<_, _>>().ok()?, parts.next()?.trim().to_owned()))
            })
            .collect(),
    )
}

#[test]
fn agrees_with_binutils_about_a_real_libpython() {
    let Some(lines) = disassembly() else {
        eprintln!("skipped: no libpython or no objdump");
        return;
    };
    let (mut steps, mut moves, mut reads) = (0, 0, 0);
    for (address, code, text) in &lines {
        let Some(decoded) = Store::decode(code, *address, 0, None, None) else { continue };
        let (mnemonic, operands) = text.trim_start_matches("lock ").split_once(' ').unwrap_or((text, ""));
        let operands = operands.split('#').next().unwrap().trim();
        let width = match mnemonic.chars().last() {
            Some('q') => 8,
            Some('l') => 4,
            Some('w') => 2,
            _ => 1,
        };
        let to_memory = operands.ends_with(')');
        match mnemonic {
            "addq" | "addl" | "addw" | "addb" if operands.starts_with("$0x1,") => {
                assert_eq!((decoded.store, decoded.width), (Store::Add(Some(1)), width), "{text}");
                steps += 1;
            }
            "subq" | "subl" | "subw" | "subb" if operands.starts_with("$0x1,") => {
                assert_eq!((decoded.store, decoded.width), (Store::Add(Some(-1)), width), "{text}");
                steps += 1;
            }
            "movq" | "movl" | "movw" | "movb" if to_memory && operands.starts_with('$') => {
                assert!(matches!(decoded.store, Store::Value(Some(_))), "{text}");
                assert_eq!(decoded.width, width, "{text}");
                moves += 1;
            }
            "mov" if to_memory => {
                assert_eq!(decoded.store, Store::Value(None), "{text}");
                moves += 1;
            }
            "mov" | "lea" | "cmpq" | "cmpl" | "cmpb" | "testb" | "test" | "jmp" | "ret" => {
                assert!(!decoded.writes(), "{text}: {decoded:?}");
                reads += 1;
            }
            _ => {}
        }
    }
    assert!(steps > 100 && moves > 5_000 && reads > 50_000, "{steps} {moves} {reads}");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        code in prop::collection::vec(any::<u8>(), 0..18),
        ip: u64,
        address: u64,
        registers in prop::option::of(any::<[u64; 16]>()),
        old in prop::option::of(prop::collection::vec(any::<u8>(), 0..17)),
    ) {
        if let Some(decoded) = Store::decode(&code, ip, address, registers.as_ref(), old.as_deref()) {
            prop_assert!(decoded.covers != Some(true) || decoded.writes());
            prop_assert!(decoded.lead == 0 || decoded.lead < decoded.width);
        }
    }

    /// A wrong value would be taken for the truth: what is stored is what an adder makes of it.
    #[test]
    fn an_addition_and_a_move_of_its_sum_give_the_same_difference(old: u64, amount: i8, shift in 0u64..9) {
        let address = 0x6000 + shift;
        #[expect(clippy::cast_sign_loss)]
        let sum = old.wrapping_add(i64::from(amount) as u64);
        let mut registers = REGISTERS;
        (registers[RBX], registers[RAX]) = (address, sum);
        let mut bytes = [0; 16];
        let first = (address & 7) as usize;
        bytes[first..first + 8].copy_from_slice(&old.to_le_bytes());
        let add = [0x48, 0x83, 0x03, amount.cast_unsigned()];
        let moved = [0x48, 0x89, 0x03];
        let of = |code: &[u8]| Store::decode(code, 0, address, Some(&registers), Some(&bytes)).unwrap().delta;
        prop_assert_eq!(of(&add), Some(i64::from(amount)));
        prop_assert_eq!(of(&moved), Some(i64::from(amount)));
    }
}
