//! Programs that close what they did not open, and open something else under its number.

use crate::bench::Bench;
use crate::target::{measure, source};
use crate::witness;

#[test]
fn a_worker_that_closes_everything() {
    let body = "
dirty(0, 500)
os.closerange(3, 10000)
FILES = [open(f'{__file__}.{number}', 'w+') for number in range(700)]
if os.fork() == 0:
    dirty(500, 1000)
    os._exit(0)
os.wait()
dirty(500, 1000)
print('went on')
";
    for witness in ["sigtrap", "none"] {
        if witness != "none" && !witness::can_be_had() {
            continue;
        }
        let bench = Bench::new();
        let found = measure(&bench, &source("", body), &["--witness", witness]);
        assert_eq!(found.outcome.status.code(), Some(2));
        found.says("went on");
        found.says("the program closes descriptors that it did not open");
        assert_eq!((&found.fate()["kind"], &found.fate()["code"]), (&"exited".into(), &97.into()));
        for number in 0..700 {
            let file = std::fs::read(bench.path(&format!("target.py.{number}"))).unwrap();
            assert!(file.is_empty(), "file {number}: {}", String::from_utf8_lossy(&file));
        }
    }
}

#[test]
fn a_module_that_closes_everything_while_it_is_loaded() {
    let bench = Bench::new();
    let module = "
os.closerange(3, 10000)
FILES = [open(f'{__file__}.{number}', 'w+') for number in range(20)]
";
    std::fs::write(bench.path("target.py"), source(module, "pass")).unwrap();
    let outcome = bench.forkprint(&["run", "target.py"]);
    assert_eq!(outcome.status.code(), Some(2));
    assert!(outcome.stderr.contains("the program closes descriptors that it did not open"), "{outcome:?}");
    for number in 0..20 {
        assert_eq!(std::fs::read(bench.path(&format!("target.py.{number}"))).unwrap(), b"");
    }
}
