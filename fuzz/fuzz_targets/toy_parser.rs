//! Any text is a program, which is compiled and verified, or an error. Nothing of it runs.
#![no_main]

use forkprint::runtimes::toy::ToyRuntime;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = ToyRuntime::check("t", text) {
        let message = error.to_string();
        assert!(message.contains("t:") && !message.contains("error of forkprint"), "{message}");
    }
});
