use super::print;
use crate::runtimes::toy::lang::parser::parse;
use std::path::Path;

#[track_caller]
fn check(source: &str, expected: &str) {
    let printed = print(source).unwrap_or_else(|error| panic!("{error}\n{source}"));
    assert_eq!(printed, expected);
    assert_eq!(print(&printed).unwrap(), printed, "printing twice is printing once");
}

#[test]
fn spaces_stand_where_they_belong() {
    check(
        "let a=-1+2*(3-b)%-4;let c=not a==b or f (x) [ 1 ].y and g()()!=nil;a [0]=[ 1,2, ];b.c={x:1,y:{}};",
        "let a = -1 + 2 * (3 - b) % -4;\nlet c = not a == b or f(x)[1].y and g()() != nil;\na[0] = [1, 2];\nb.c = {x: 1, y: {}};\n",
    );
    check("for i in 0 .. len( x ) {  }", "for i in 0..len(x) {}\n");
    check(
        "import   \"a.toy\" as b ;\nstep x in zygote{return;}",
        "import \"a.toy\" as b;\nstep x in zygote {\n    return;\n}\n",
    );
    check("", "");
}

#[test]
fn blocks_take_lines_and_short_functions_do_not() {
    check(
        "if a {b();} else if c {d();} else {e();}",
        "if a {\n    b();\n} else if c {\n    d();\n} else {\n    e();\n}\n",
    );
    check("fn f(a, b) { return a + b; }", "fn f(a, b) { return a + b; }\n");
    check("fn f(a, b) {\n return a + b; }", "fn f(a, b) {\n    return a + b;\n}\n");
    check("fn f() { if a { b(); } }", "fn f() {\n    if a {\n        b();\n    }\n}\n");
    check("each(x, fn(y) { a(); b(); });", "each(x, fn(y) {\n    a();\n    b();\n});\n");
    check("{ let a = {\n x: 1}; }", "{\n    let a = {\n        x: 1,\n    };\n}\n");
    check("while fn() { return a; }() { b(); }", "while fn() { return a; }() {\n    b();\n}\n");
}

#[test]
fn comments_and_single_blank_lines_stay() {
    check(
        "// head\n\n\n\nlet a = 1; // one\n// two\nlet b = [ // open\n 1, // first\n // own\n 2\n // end\n];\nfn f() { // why\n\n  a(); // last\n\n\n  // tail\n\n}\n\n// end\n",
        "// head\n\nlet a = 1; // one\n// two\nlet b = [ // open\n    1, // first\n    // own\n    2,\n    // end\n];\nfn f() { // why\n    a(); // last\n\n    // tail\n}\n\n// end\n",
    );
    check("let a = // why\n  1 // more\n ;", "// why\n// more\nlet a = 1;\n");
    check("if a {\n} // no\nelse { // yes\n}", "// no\nif a {} else { // yes\n}\n");
    check("a[ // x\n 1];", "// x\na[1];\n");
}

#[test]
fn long_lines_are_broken_where_it_binds_least() {
    let name = "a".repeat(40);
    check(
        &format!("let x = {name} * 2 + {name} * 3 + 4 * {name};"),
        &format!("let x = {name} * 2\n    + {name} * 3\n    + 4 * {name};\n"),
    );
    check(
        &format!("call({name}, {name}, [{name}]);"),
        &format!("call(\n    {name},\n    {name},\n    [{name}],\n);\n"),
    );
    check(
        &format!("assert {name} == {name}, {name} + {name};"),
        &format!("assert {name} == {name},\n    {name} + {name};\n"),
    );
}

/// The syntax tree without positions, as text.
fn tree(source: &str) -> String {
    let shown = format!("{:?}", parse(source).map_err(|error| error.to_string()).unwrap());
    let mut pieces = shown.split("Position {");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| text + piece.split_once('}').map_or("", |(_, rest)| rest))
}

#[test]
fn what_is_shipped_is_printed_and_means_the_same() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = 0;
    for folder in ["workloads/toy", "src/runtimes/toy/library"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|ending| ending != "toy") {
                continue;
            }
            let source = std::fs::read_to_string(&path).unwrap();
            let printed = print(&source).unwrap();
            assert_eq!(tree(&printed), tree(&source), "{}", path.display());
            assert_eq!(printed, source, "{}: run forkprint toy --format", path.display());
            assert!(printed.lines().all(|line| line.chars().count() <= 100), "{}", path.display());
            files += 1;
        }
    }
    assert!(files >= 7, "{files}");
}
