//! What compiled code guesses, and what happens where the guess is wrong.

use super::check;

#[test]
fn guesses_that_stop_to_hold_change_no_result() {
    check(
        "fn sum(items, start) { let sum = start; for item in items { sum = sum + item; } return sum; }
         let ints = list(300, 2); let floats = list(300, 0.5);
         print(sum(ints, 0), sum(floats, 0.0), sum(ints, 0.5), sum(floats, 1), sum([\"a\", \"b\"], \"\"));
         ints[200] = 0.25; floats[200] = 1; print(sum(ints, 0), sum(floats, 0.0)); ints[100] = nil; sum(ints, 0);",
        "600 150.0 600.5 151.0 ab\n598.25 150.5\nt:1:71 cannot add an int and nil",
    );
    check(
        "fn grow(n) { let x = 1; let i = 0; while i < n { x = x * 2; i = i + 1; } return x; }
         print(grow(61), grow(62)); grow(400);",
        "2305843009213693952 4611686018427387904\nt:1:56 the result does not fit into 64 bits",
    );
    check(
        "fn at(items, n) { let last = nil; let i = 0; while i < n { last = items[i % 7]; i = i + 1; } return last; }
         print(at([1, 2, 3, 4, 5, 6, 7], 500), at(\"abcdefg\", 500)); at([1, 2, 3], 500);",
        "3 99\nt:1:72 the index 3 is outside of 0..3",
    );
}

#[test]
fn division_by_constants_rounds_like_any_other() {
    check(
        "fn f(n) { return [n / 7, n % 7, n / -7, n % -7, n / 8, n % 8, n / 1, n % 1000000007]; }
         fn g(n) { return [n / -1, n % -1]; } let big = 4611686018427387903;
         for i in 0..3 { f(i); g(i); } print(f(100), f(-100), f(big), f(-big - 1)); print(g(5), g(-big - 1));
         fn h(n, d) { return [n / d, n % d]; } print(h(-100, 7), h(big, -9), h(2147483648, 3)); h(1, 0);",
        "[14, 2, -14, 2, 12, 4, 100, 100] [-14, -2, 14, -2, -12, -4, -100, -100] \
[658812288346769700, 3, -658812288346769700, 3, 576460752303423487, 7, 4611686018427387903, 145586001] \
[-658812288346769700, -4, 658812288346769700, -4, -576460752303423488, 0, -4611686018427387904, -145586002]\n\
[-5, 0] [4611686018427387904, 0]\n[-14, -2] [-512409557603043100, 3] [715827882, 2]\nt:4:33 division by zero",
    );
}

#[test]
fn floats_in_loops_reach_what_no_word_holds() {
    check(
        "fn power(x, n) { let y = 1.0; for i in 0..n { y = y * x; } return y; }
         print(power(10.0, 300), power(10.0, 400), power(0.1, 400), power(-0.1, 401), power(2.0, 256));
         fn sink(n) { let x = 0.0; let out = []; for i in 0..n { x = x / -3.0; if i % 100 == 0 { push(out, x); } } return out; }
         print(sink(300)); let nan = power(10.0, 400) - power(10.0, 400);
         fn count(x, n) { let c = 0; for i in 0..n { if x < 1.0 or x == x or x >= 1.0 { c = c + 1; } if x != x { c = c + 2; } } return c; }
         print(count(nan, 300), count(0.5, 300), -nan == nan);",
        "1.0000000000000002e300 inf 0.0 -0.0 1.157920892373162e77\n[-0.0, -0.0, -0.0]\n600 300 false\n",
    );
}

#[test]
fn deep_calls_that_leave_compiled_code_end_like_others() {
    check(
        "fn deep(n, x) { if n == 0 { return x; } return deep(n - 1, x) + x; }
         print(deep(3000, 1), deep(3000, 0.5), deep(2000, 1)); deep(20000, 0.5);",
        "3001 1500.5 2001\nt:1:52 the calls are nested deeper than 10000; is this an endless recursion?",
    );
}
