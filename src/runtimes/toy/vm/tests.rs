//! What programs print, in every way of running them.

mod guesses;

use crate::runtimes::Runtime;
use crate::runtimes::toy::{GcPolicy, JitMode, ToyOptions, ToyRuntime};
use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::Write;
use std::rc::Rc;

#[derive(Clone, Default)]
struct Captured(Rc<RefCell<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Output of a program and its steps, then its error if there is one.
fn run(source: &str, options: ToyOptions) -> String {
    let captured = Captured::default();
    let loaded = ToyRuntime::load_with_output("t", source, options, Box::new(captured.clone()));
    let failure = match loaded {
        Err(error) => error
            .to_string()
            .lines()
            .skip(1)
            .map(|line| line.trim_start()[7..].to_owned())
            .collect::<Vec<_>>()
            .join(" "),
        Ok(mut runtime) => {
            runtime.prepare_fork().unwrap();
            let failure = (0..runtime.steps().len()).find_map(|step| runtime.run_step(step).err());
            assert_eq!(runtime.miscounted_objects(), 0, "{source}");
            failure.map(|failure| failure.message).unwrap_or_default()
        }
    };
    let output = String::from_utf8(captured.0.borrow().clone()).unwrap();
    output + &failure
}

fn every_way() -> impl Iterator<Item = ToyOptions> {
    let small = ToyOptions { heap_limit: 16 << 20, ..ToyOptions::default() };
    let interpreted = [
        ToyOptions { jit: JitMode::Off, ..small.clone() },
        ToyOptions { jit: JitMode::Off, gc: GcPolicy::MarkHeader, collect_every: 1, ..small.clone() },
        ToyOptions { jit: JitMode::Off, gc: GcPolicy::Refcount, ..small.clone() },
        ToyOptions { jit: JitMode::Off, gc: GcPolicy::RefcountSide, collect_every: 1, ..small.clone() },
        ToyOptions { jit: JitMode::Off, gc: GcPolicy::Copying, collect_every: 1, ..small.clone() },
        ToyOptions { jit: JitMode::Off, gc: GcPolicy::Compacting, collect_every: 1, ..small.clone() },
        ToyOptions { jit: JitMode::Off, gc: GcPolicy::Generational, collect_every: 1, ..small.clone() },
        ToyOptions { jit: JitMode::Off, gc: GcPolicy::Generational, ..small.clone() },
        ToyOptions { jit: JitMode::Off, gc: GcPolicy::None, ..small.clone() },
    ];
    let compiled = JitMode::ALL.iter().filter(|jit| **jit != JitMode::Off).flat_map(move |jit| {
        let early = ToyOptions { jit: *jit, hot_calls: 1, ..small.clone() };
        [
            ToyOptions { hot_calls: 3, ..early.clone() },
            ToyOptions { gc: GcPolicy::MarkHeader, collect_every: 3, ..early.clone() },
            ToyOptions { collect_every: 1, ..early.clone() },
            ToyOptions { deopt_every: 1, ..early.clone() },
            ToyOptions { deopt_every: 7, collect_every: 5, ..early.clone() },
            ToyOptions { gc: GcPolicy::Refcount, collect_every: 3, ..early.clone() },
            ToyOptions { gc: GcPolicy::RefcountSide, ..early.clone() },
            ToyOptions { gc: GcPolicy::Copying, collect_every: 1, ..early.clone() },
            ToyOptions { gc: GcPolicy::Compacting, collect_every: 1, ..early.clone() },
            ToyOptions { gc: GcPolicy::Generational, collect_every: 1, ..early.clone() },
            early,
        ]
    });
    interpreted.into_iter().chain(compiled)
}

fn check(source: &str, expected: &str) {
    for options in every_way() {
        assert_eq!(run(source, options.clone()), expected, "{options:?}\n{source}");
    }
}

#[test]
fn integers_are_64_bits_and_checked() {
    check("print(7 / -2, 7 % -2, -7 % 2, 2 + 3 * 4 - -1);", "-3 1 -1 15\n");
    check(
        "print(9223372036854775807 - 1 + 1, -9223372036854775807 - 1);",
        "9223372036854775807 -9223372036854775808\n",
    );
    check(
        "let a = 4611686018427387904; print(a - 1, a, a == a + 1 - 1, -a - 1 < -a);",
        "4611686018427387903 4611686018427387904 true true\n",
    );
    check("let a = 9223372036854775807;\nprint(a + 1);", "t:2:9 the result does not fit into 64 bits");
    check(
        "fn f(a) { return a * a; } print(f(3037000499)); print(f(3037000500));",
        "9223372030926249001\nt:1:20 the result does not fit into 64 bits",
    );
    check("print((-9223372036854775807 - 1) / -1);", "t:1:34 the result does not fit into 64 bits");
    check("print(1 / 0);", "t:1:9 division by zero");
}

#[test]
fn floats_are_those_of_the_processor() {
    check(
        "print(1.5 + 1, 7 / 2, 7 / 2.0, 7.5 % 2, -7.5 % 2.0, 2.0 * 3, -(1.5));",
        "2.5 3 3.5 1.5 -1.5 6.0 -1.5\n",
    );
    check(
        "print(1 / 0.0, -1 / 0.0, 0.0 / 0.0, -0.0, 1e100, 1e16, 0.1 + 0.2);",
        "inf -inf nan -0.0 1e100 1e16 0.30000000000000004\n",
    );
    check(
        "print(1e200 * 1e100, 1e-200 * 1e-100, 1e-300 / 1e300, [1e300, 5e-324]);",
        "1e300 1e-300 0.0 [1e300, 5e-324]\n",
    );
    check(
        "print(type(1.0), type(1e300), int(-3.99), int(7), float(3), sqrt(2), sqrt(-1.0));",
        "float float -3 7 3.0 1.4142135623730951 nan\n",
    );
    check(
        "print(int(1e18), int(-9223372036854775808.0), 1.0 or 2);",
        "1000000000000000000 -9223372036854775808 1.0\n",
    );
}

#[test]
fn integers_and_floats_compare_exactly() {
    check(
        "print(1 == 1.0, 1.0 == 1, 0.0 == -0.0, 1 < 1.5, 2 > 1.5, 1e300 == 1e300, 1e300 > 1);",
        "true true true true true true true\n",
    );
    check(
        "let n = 0.0 / 0.0; print(n == n, n != n, n < n, n >= 1, 1 <= n, [n] == [n]);",
        "false true false false false false\n",
    );
    check(
        "print(9007199254740993 == 9007199254740992.0, 9007199254740993 > 9007199254740992.0);
         print(9223372036854775807 < 9223372036854775808.0, 9223372036854775807 == 9223372036854775808.0);",
        "false true\ntrue false\n",
    );
}

#[test]
fn maps_keep_the_order_of_insertion() {
    check(
        r#"let m = ["a": 1, 2: "b", true: nil,]; m["a"] = 3; m[false] = [:]; m[9223372036854775807] = 1.5;
         print(m, len(m), keys(m), [:], type(m));
         print(remove(m, 2), remove(m, 2), has(m, 2), has(m, "a"), get(m, true, 7), get(m, 2, 7), len(m));
         m[2] = 0; print(m, m["a" + ""], m[9223372036854775806 + 1], m == m, [1: 2] == [1: 2], m[2]);"#,
        r#"["a": 3, 2: "b", true: nil, false: [:], 9223372036854775807: 1.5] 5 ["a", 2, true, false, 9223372036854775807] [:] map
true false false true nil 7 4
["a": 3, true: nil, false: [:], 9223372036854775807: 1.5, 2: 0] 3 1.5 true false 0
"#,
    );
    check("let m = [:]; m[0] = m; print(len(str(m)) < 100); print([1: 1, 1: 2]);", "true\n[1: 2]\n");
}

/// The oracle is a plain list of pairs, searched from its start.
#[test]
fn maps_are_what_a_list_of_pairs_is() {
    let (mut source, mut pairs) = ("let m = [:];\n".to_owned(), Vec::<(String, u32)>::new());
    for number in 0..2_000_u32 {
        let random = number.wrapping_mul(0x9e37_79b9).rotate_left(7).wrapping_mul(0x85eb_ca6b) >> 16;
        let key = if random & 1 == 0 { format!("{}", random % 120) } else { format!("\"k{}\"", random % 90) };
        let place = pairs.iter().position(|(known, _)| *known == key);
        if random % 5 < 3 - number / 1_000 {
            let _ = writeln!(source, "m[{key}] = {number};");
            match place {
                Some(place) => pairs[place].1 = number,
                None => pairs.push((key, number)),
            }
        } else {
            let _ = writeln!(source, "assert remove(m, {key}) == {};", place.is_some());
            place.map(|place| pairs.remove(place));
        }
    }
    let keys: Vec<&str> = pairs.iter().map(|(key, _)| &**key).collect();
    let entries: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}: {value}")).collect();
    assert!(keys.len() > 20);
    source += "print(len(m), keys(m), m);";
    check(&source, &format!("{} [{}] [{}]\n", keys.len(), keys.join(", "), entries.join(", ")));
}

#[test]
fn values_are_shown_as_people_write_them() {
    check(
        r#"let r = {a: 1, b: ["x\n", nil, true]}; print(r, "x", [], {}, print, fn() {});"#,
        "{a: 1, b: [\"x\\n\", nil, true]} x [] {} <builtin print> <fn fn at 1:69>\n",
    );
    check(
        "let a = [1]; push(a, a); print(len(str(a)) < 100, type(a), type(a[0]), type(nil));",
        "true list int nil\n",
    );
}

#[test]
fn control_flow_goes_where_it_should() {
    check(
        "let out = []; for i in 0..10 { if i == 3 { continue; } if i > 5 { break; } push(out, i); } print(out);
         let n = 5; while n > 0 { n = n - 1; if n == 2 { break; } } print(n);
         for x in [1, 2] { for y in [x, x * 10] { push(out, y); } } print(out);
         let sum = 0; for i in -3..3 { sum = sum * 10 + i; } print(sum);
         for i in 4611686018427387902..4611686018427387903 { print(i); }
         print(nil or 3, false and 1, 0 and 2, not nil, not not 0);",
        "[0, 1, 2, 4, 5]\n2\n[0, 1, 2, 4, 5, 1, 10, 2, 20]\n-320988\n4611686018427387902\n3 false 2 true true\n",
    );
}

#[test]
fn closures_share_what_they_capture() {
    check(
        "fn counter() { let n = 0; return {up: fn() { n = n + 1; return n; }, get: fn() { return n; }}; }
         let a = counter(); let b = counter(); a.up(); a.up(); b.up(); print(a.get(), b.get());
         let all = []; for i in 0..3 { push(all, fn() { return i * 10; }); } print(all[0](), all[1](), all[2]());
         fn outer(x) { fn middle() { fn inner() { x = x + 1; return x; } return inner; } return middle()() + x; }
         print(outer(1));
         fn fact(n) { fn go(k) { if k < 2 { return 1; } return k * go(k - 1); } return go(n); } print(fact(10));",
        "2 1\n0 10 20\n4\n3628800\n",
    );
}

#[test]
fn steps_see_globals_and_functions_are_values() {
    check(
        "let total = 0; fn add(n) { total = total + n; }
         step first { let f = add; f(5); print(total); } step second { add(1); print(total, add); }",
        "5\n6 <fn add>\n",
    );
    check("print(twice(4)); fn twice(n) { return n * 2; }", "8\n");
    check(
        "fn f() { return later; } print(f()); let later = 1;",
        "t:1:17 'later' is used before its 'let' has run",
    );
}

#[test]
fn records_of_many_shapes_meet_at_one_place() {
    check(
        "fn x(r) { return r.x; } fn set(r, v) { r.x = v; }
         let all = [{x: 1}, {y: 0, x: 2}, {z: 0, y: 0, x: 3}, {x: 4, a: 1}, {b: 1, x: 5}, {c: 1, x: 6}];
         for round in 0..5 { let sum = 0; for r in all { set(r, x(r) + round); sum = sum + x(r); } print(sum); }
         print(x({y: 1}));",
        "21\n27\n39\n57\n81\nt:1:19 the record has no field 'x'",
    );
}

#[test]
fn calls_through_values_notice_other_functions() {
    check(
        "fn a(n) { return n + 1; } fn b(n) { return n * 2; } fn apply(f, n) { return f(n); }
         let out = []; for i in 0..6 { push(out, apply(a, i)); push(out, apply(b, i)); push(out, apply(str, i)); }
         print(out); apply(fn() {}, 1);",
        "[1, 0, \"0\", 2, 2, \"1\", 3, 4, \"2\", 4, 6, \"3\", 5, 8, \"4\", 6, 10, \"5\"]\nt:1:78 the function takes 0 arguments, not 1",
    );
}

#[test]
fn mistakes_are_errors_with_a_place() {
    for (source, expected) in [
        ("[1][1];", "t:1:4 the index 1 is outside of 0..1"),
        ("[1][-1];", "t:1:4 the index -1 is outside of 0..1"),
        ("[1][nil];", "t:1:4 an index is an int, not nil"),
        ("nil[0];", "t:1:4 cannot index nil"),
        ("nil.x;", "t:1:4 cannot take the field 'x' of nil"),
        ("nil.x = 1;", "t:1:4 cannot take the field 'x' of nil"),
        ("1();", "t:1:2 cannot call an int"),
        ("1 + \"a\";", "t:1:3 cannot add an int and a string"),
        ("1 < \"a\";", "t:1:3 cannot order an int and a string"),
        ("-nil;", "t:1:1 cannot negate nil"),
        ("for x in 5 {}", "t:1:10 'for' goes over a list, not an int"),
        ("for x in 1..nil {}", "t:1:10 a range goes from int to int, not nil"),
        ("[\"a\": 1][\"b\"];", "t:1:9 the map has no key \"b\""),
        ("[1.0: 1];", "t:1:2 a key is an int, a string or a bool, not a float"),
        ("has([:], nil);", "t:1:4 a key is an int, a string or a bool, not nil"),
        ("get([], 0, 0);", "t:1:4 'get' takes a map, not a list"),
        ("for k in [:] {}", "t:1:10 'for' goes over a list, not a map"),
        ("[1, 2: 3];", "t:1:6 expected ',', found ':'"),
        ("[1: 2, 3];", "t:1:9 expected ':', found ']'"),
        ("[:, 1];", "t:1:3 expected ']', found ','"),
        ("for x in 1..2.0 {}", "t:1:10 a range goes from int to int, not a float"),
        ("[1][0.0];", "t:1:4 an index is an int, not a float"),
        ("int(1e19);", "t:1:4 1e19 does not fit into an int"),
        ("int(0.0 / 0.0);", "t:1:4 nan does not fit into an int"),
        ("float(nil);", "t:1:6 'float' takes a number, not nil"),
        ("1.5 + \"a\";", "t:1:5 cannot add a float and a string"),
        ("assert 1 == 2;", "t:1:1 assertion failed"),
        ("assert nil, \"why \" + str(3);", "t:1:1 assertion failed: why 3"),
        ("pop([]);", "t:1:4 cannot pop from an empty list"),
        ("push(1, 2);", "t:1:5 'push' takes a list, not an int"),
        ("len(5);", "t:1:4 an int has no length"),
        ("list(-1, 0);", "t:1:5 a list cannot have -1 items"),
        ("list(1073741824, 0);", "t:1:5 a string or list cannot be longer than 1073741823"),
        ("x;", "t:1:1 'x' is not defined"),
        ("len();", "t:1:4 the function takes 1 arguments, not 0"),
        ("fn f(a) {} f();", "t:1:13 the function takes 1 arguments, not 0"),
        ("fn f() {} f = 1;", "t:1:11 'f' is a function and cannot be assigned to"),
        ("break;", "t:1:1 'break' stands outside of a loop"),
        ("let a = 1; let a = 2;", "t:1:12 'a' is defined already"),
        ("{ let a = 1; let a = 2; }", "t:1:14 'a' is defined in this block already"),
    ] {
        check(source, expected);
    }
}

#[test]
fn a_box_holds_what_every_process_understands() {
    check(
        "let b = box(1); b.value = b.value + 1; print(b, b.value, type(b), b == b, b == box(2), fetch_add(b, 40)); print(b);
         for v in [nil, true, false, -5] { b.value = v; assert b.value == v; }
         fn up(x) { x.value = x.value + 1; return x.value; } let c = box(0); for i in 0..200 { up(c); } print(up(c));",
        "box(42) 2 box true false 2\nbox(42)\n201\n",
    );
    for (source, expected) in [
        ("box([]);", "t:1:4 a box holds an int, a float, a bool or nil, not a list"),
        (
            "let b = box(0);\nb.value = \"x\";",
            "t:2:2 a box holds an int, a float, a bool or nil, not a string",
        ),
        ("box(4611686018427387904);", "t:1:4 a box holds ints between -(2^62) and 2^62 - 1"),
        ("box(1).size;", "t:1:7 cannot take the field 'size' of a box"),
        ("fetch_add(1, 1);", "t:1:10 'fetch_add' takes a box, not an int"),
        ("fetch_add(box(nil), 1);", "t:1:10 'fetch_add' adds an int to an int, not nil"),
        ("for i in 0..70000 { box(i); }", "t:1:24 there are 65535 boxes already, and no room for more"),
    ] {
        check(source, expected);
    }
}

#[test]
fn endless_recursion_and_endless_allocation_end() {
    let too_deep = "the calls are nested deeper than 10000; is this an endless recursion?";
    check("fn f(n) {\n return f(n + 1) + 1; }\nf(0);", &format!("t:2:10 {too_deep}"));
    check(
        "fn even(n) { return odd(n + 1); }\nfn odd(n) { let f = even; return f(n + 1); } even(0);",
        &format!("t:1:24 {too_deep}"),
    );
    check(
        "fn a(n) { return go(n); } fn b(n) { return go(n); } fn c(n) { return go(n); } fn d(n) { return go(n); }
         fn e(n) { return go(n); } fn f(n) { return go(n); } let all = [a, b, c, d, e, f];
         fn go(n) { return all[n % 6](n + 1); }\ngo(0);",
        &format!("t:3:38 {too_deep}"),
    );
    for options in every_way().filter(|options| options.collect_every == 0) {
        let full = "out of memory: the heap limit of 16.0 MiB is reached";
        for source in
            ["let a = [];\nwhile true { push(a, [1]); }", "let s = \"x\";\nwhile true { s = s + s; }"]
        {
            let end = run(source, options.clone());
            assert!(end.starts_with("t:2:") && end.ends_with(full), "{end}");
        }
    }
}

#[test]
fn a_heap_larger_than_the_address_space_is_refused() {
    let options = ToyOptions { heap_limit: u64::MAX, ..ToyOptions::default() };
    assert!(ToyRuntime::load_source("t", "", options).is_err());
    let options = ToyOptions { heap_limit: 0, ..ToyOptions::default() };
    assert!(ToyRuntime::load_source("t", "", options).is_ok());
}

#[test]
fn garbage_is_collected_while_a_program_runs() {
    check(
        "fn chain(n) { let last = nil; for i in 0..n { last = {next: last, n: i, name: \"n\" + str(i)}; } return last; }
         let keep = chain(100); let sum = 0;
         for round in 0..8 { chain(100); }
         let at = keep; while at { sum = sum + at.n + len(at.name); at = at.next; } print(sum);",
        "5240\n",
    );
}

#[test]
fn counted_garbage_is_freed_at_once_and_cycles_when_the_heap_is_full() {
    for gc in [GcPolicy::Refcount, GcPolicy::RefcountSide] {
        for hot_calls in [1, 1_000_000] {
            let options = ToyOptions { gc, hot_calls, heap_limit: 1 << 20, ..ToyOptions::default() };
            let acyclic = "fn make(n) { return {id: n, name: \"n\" + str(n), list: [n, [n]]}; }
                let kept = nil; for n in 0..30000 { kept = make(n); } assert kept.list[1][0] == 29999;";
            let mut runtime = ToyRuntime::load_source("t", acyclic, options.clone()).unwrap();
            assert_eq!((runtime.collections(), runtime.miscounted_objects()), (0, 0));
            let cyclic = "fn make(n) { let a = {id: n, self: nil}; a.self = a; return a; }
                for n in 0..60000 { let a = make(n); assert a.self.id == n; }
                let list = [[1], [2], [[3]]]; let last = pop(list);
                assert last[0][0] == 3 and pop(list)[0] == 2; last = nil;";
            let mut runtime = ToyRuntime::load_source("t", cyclic, options.clone()).unwrap();
            assert!((1..5).contains(&runtime.collections()), "{}", runtime.collections());
            assert_eq!(runtime.miscounted_objects(), 0);
            let failing = "fn f(a) { let b = [a]; return b[a]; } step s { let a = [[1]]; f([a]); }";
            let mut runtime = ToyRuntime::load_source("t", failing, options).unwrap();
            assert!(runtime.run_step(0).is_err());
            assert_eq!(runtime.miscounted_objects(), 0);
        }
    }
}

/// The callee has fewer registers than the caller fills after the collection.
#[test]
fn registers_filled_after_a_collection_in_a_callee_are_cleared_too() {
    let source = "fn f() { collect(); } step s { f(); print([1], [2], [3], [4], [5], [6], nil.x); }";
    for options in every_way().filter(|options| options.collect_every == 0) {
        let mut runtime = ToyRuntime::load_source("t", source, options.clone()).unwrap();
        assert!(runtime.run_step(0).is_err());
        assert_eq!(runtime.miscounted_objects(), 0, "{options:?}");
    }
}
