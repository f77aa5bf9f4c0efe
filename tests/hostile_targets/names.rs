//! Names that were chosen to break out of whatever they are printed in.

use crate::bench::Bench;
use crate::target::{Measured, measure};
use crate::witness;
use serde_json::Value;

/// Types, modules, attributes, functions, files and steps of each name, each the first to write somewhere.
const PROGRAM: &str = r#"
"""</script><img src=x onerror=alert(1)> `\x1b[31m` \u202e"""
import forkprint, sys, types
NAMES = [
    "</script><img src=x onerror=alert(1)>",
    "two\nlines\r\x1b[31mred\x1b]0;title\x07\x9b2J",
    "\ud800 alone \udfff",
    "turned \u202e around \u2066",
    "long " * 2_000_000,
    "'\"`$(exit)`;|&amp;\t,\\",
    "nothing\0after",
]
WORK = []
def init(self, value): self.value = value
for name in NAMES:
    body = {"__slots__": ("value",), "__module__": name, "__init__": init}
    try:
        cls = type(name, (), body)
    except (ValueError, UnicodeEncodeError):
        cls = type("Cls", (), body)
        cls.__qualname__ = name
    data = [cls(number) for number in range(10_000)]
    module = types.ModuleType(name)
    setattr(module, name, data)
    sys.modules[name] = module
    scope = {}
    exec("def writes(data):\n  for item in data:\n    item.value = 7.5\n", scope)
    code = scope["writes"].__code__
    more = {"co_qualname": name} if sys.version_info >= (3, 11) else {}
    scope["writes"].__code__ = code.replace(co_name=name, co_filename="/srv/" + name, **more)
    WORK.append((scope["writes"], data))
def only():
    for writes, data in WORK:
        writes(data)
only.__name__ = only.__qualname__ = NAMES[0] + NAMES[1] + NAMES[3]
step = forkprint.step(only)
"#;

/// What no terminal may be sent: controls, and marks that turn the direction of writing.
fn steers(c: char) -> bool {
    c.is_control() && c != '\n'
        || ('\u{202a}'..='\u{202e}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)
}

fn hostile(bench: &Bench) -> Measured {
    let found = measure(bench, PROGRAM, &[]);
    assert!(found.outcome.status.success(), "{}", found.outcome.stderr);
    found
}

#[test]
fn hostile_names_stay_names_in_every_output() {
    if !witness::can_be_had() {
        return;
    }
    let bench = Bench::new();
    let found = hostile(&bench);
    let breaks = &found.recording.breaks;
    for part in ["<img src=x", "\u{1b}[31mred", "alone", "long long", "$(exit)"] {
        let functions = breaks.functions.iter().filter(|function| function.name.contains(part));
        assert_eq!(functions.filter(|function| function.file.contains(part)).count(), 1, "{part}");
    }
    let longest = breaks.functions.iter().map(|function| function.name.len()).max().unwrap();
    assert!(longest <= 4 * 4096, "{longest}");
    assert!(std::fs::metadata(bench.path("out.json")).unwrap().len() < 2 << 20);
    text(&bench);
    html(&bench);
    folded(&bench);
    speedscope(&bench);
}

fn export(bench: &Bench, arguments: &[&str]) -> String {
    let outcome = bench.forkprint(arguments);
    assert!(outcome.status.success(), "{outcome:?}");
    outcome.stdout
}

fn text(bench: &Bench) {
    let screen = export(bench, &["report", "out.forkprint"]);
    assert_eq!(screen.chars().find(|c| steers(*c)), None, "{screen}");
    let longest = screen.lines().map(|line| line.chars().count()).max();
    assert!(longest < Some(200), "{screen}");
}

fn html(bench: &Bench) {
    export(bench, &["report", "out.forkprint", "-o", "out.html"]);
    let document = std::fs::read_to_string(bench.path("out.html")).unwrap();
    assert!(document.len() < 4 << 20, "{} bytes", document.len());
    assert!(!document.contains("<img"), "an element was smuggled in");
    assert_eq!(document.matches("<script").count(), document.matches("</script").count());
    assert_eq!(document.chars().find(|c| c.is_control() && !"\n\r\t".contains(*c)), None);
}

fn folded(bench: &Bench) {
    let stacks = export(bench, &["export", "out.forkprint", "-f", "folded"]);
    for line in stacks.lines() {
        let (stack, bytes) = line.rsplit_once(' ').unwrap();
        assert!(bytes.parse::<u64>().is_ok(), "{line}");
        assert_eq!(stack.chars().find(|c| c.is_control()), None, "{line}");
    }
    assert!(stacks.contains("<img src=x onerror=alert(1)>"));
}

fn speedscope(bench: &Bench) {
    let profile: Value =
        serde_json::from_str(&export(bench, &["export", "out.forkprint", "-f", "speedscope"])).unwrap();
    let frames = profile["shared"]["frames"].as_array().unwrap();
    let named = |part: &str| frames.iter().any(|frame| frame["name"].as_str().unwrap().contains(part));
    assert!(named("<img src=x onerror=alert(1)>") && named("\u{1b}[31mred"));
}

/// Errors that quote the program, and files of such names, are printed too.
#[test]
fn hostile_names_of_files_and_in_exceptions() {
    let bench = Bench::new();
    let name = "a<img src=x onerror=alert(1)>\u{202e}\u{1b}[31m\n.py";
    let source = "import forkprint\n@forkprint.step\ndef only():\n    raise ValueError('\\x1b[31m\\x9b2J\\u202e<img>')\n";
    std::fs::write(bench.path(name), source).unwrap();
    let outcome = bench.forkprint(&["run", name, "-w", "1", "-o", "out.html"]);
    assert_eq!(outcome.status.code(), Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("ValueError"), "{outcome:?}");
    let document = std::fs::read_to_string(bench.path("out.html")).unwrap();
    assert!(!document.contains("<img"), "an element was smuggled in");
    let screen = bench.forkprint(&["run", name, "-w", "1"]);
    let printed = screen.stdout + &screen.stderr;
    assert_eq!(printed.chars().find(|c| steers(*c) && *c != '\t'), None, "{printed}");
}
