//! What the compiler makes passes; what was changed by hand or at random is refused, or harmless.
#![allow(unsafe_code, reason = "forks, to survive what a wrong program does")]

#[path = "../../../../../tests/toy_generator/mod.rs"]
#[allow(missing_docs, reason = "shared with integration tests")]
mod toy_generator;

use super::super::bytecode::{Arithmetic, Function, Op, Program};
use super::super::{compiler, parser};
use super::verify;
use crate::runtimes::toy::vm::Vm;
use crate::runtimes::toy::{JitMode, ToyOptions};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use std::panic::{AssertUnwindSafe, catch_unwind};
use toy_generator::Generator;

fn compiled(source: &str) -> Program {
    compiler::compile(&parser::parse(source).unwrap()).unwrap()
}

/// Why a program is refused after one of its functions was changed.
fn refused(source: &str, name: &str, change: impl FnOnce(&mut Function)) -> String {
    let mut program = compiled(source);
    verify(&program).unwrap();
    change(program.functions.iter_mut().find(|function| &*function.name == name).unwrap());
    verify(&program).expect_err("the change is noticed").message
}

#[test]
fn everything_the_compiler_makes_passes() {
    for seed in 0..500 {
        let source = Generator::new(seed).program();
        assert_eq!(verify(&compiled(&source)), Ok(()), "{source}");
    }
}

#[test]
fn every_kind_of_mistake_is_named_with_its_place() {
    let source = "fn f(a) { for x in a { let c = fn() { return x; }; } return [a]; }";
    let at = |op: fn(&Op) -> bool, new: Op| {
        refused(source, "f", |f| {
            let pc = f.code.iter().position(op).unwrap();
            f.code[pc] = new;
        })
    };
    let message = at(|op| matches!(op, Op::CheckList { .. }), Op::Move { to: 1, from: 200 });
    assert_eq!(
        message,
        "the bytecode is wrong: the function 'f', instruction 1, Move { to: 1, from: 200 }: register 200 is \
         outside of the frame of 6; this is an error of forkprint"
    );
    let (check, next, cell) = (
        |op: &Op| matches!(op, Op::CheckList { .. }),
        |op: &Op| matches!(op, Op::NextItem { .. }),
        |op: &Op| matches!(op, Op::NewCell { .. }),
    );
    for (place, new, why) in [
        (check as fn(&Op) -> bool, Op::Not { to: 1, from: 1 }, "register 1 holds Value here, not List"),
        (check, Op::Jump { target: 999 }, "jump to 999 of"),
        (check, Op::Jump { target: 0 }, "the jump goes the wrong way"),
        (check, Op::Loop { target: 3 }, "the jump goes the wrong way"),
        (check, Op::GetGlobal { to: 1, index: 0 }, "variable 0 of 0"),
        (check, Op::Constant { to: 1, index: 7 }, "constant 7 of 0"),
        (check, Op::GetCapture { to: 1, index: 0 }, "capture 0 of 0"),
        (check, Op::NewRecord { to: 1, first: 0, shape: 0 }, "shape 0 of 0"),
        (check, Op::GetField { to: 1, object: 0, name: 0 }, "name 0 of 0"),
        (check, Op::CallFunction { slot: 1, function: 50 }, "function 50 of 3"),
        (check, Op::CallFunction { slot: 1, function: 2 }, "1 captures is called without a closure"),
        (check, Op::CallBuiltin { slot: 1, arguments: 1, builtin: 99 }, "builtin 99 of"),
        (check, Op::CallBuiltin { slot: 1, arguments: 1, builtin: 2 }, "1 arguments, not 2"),
        (check, Op::Immediate { to: 1, bits: 16 }, "no value that stands in an instruction"),
        (check, Op::Immediate { to: 1, bits: 0x7f34 }, "no value that stands in an instruction"),
        (check, Op::Call { slot: 0, arguments: 0 }, "register 1 holds Nothing here, not List"),
        (check, Op::Call { slot: 4, arguments: 1 }, "register 4 holds Nothing here, not Value"),
        (next, Op::Not { to: 3, from: 5 }, "register 5 holds Nothing here, not Value"),
        (next, Op::GetCell { to: 3, cell: 0 }, "register 0 holds Value here, not Cell"),
        (next, Op::Append { list: 0, from: 0 }, "register 0 holds Value here, not List"),
        (cell, Op::Not { to: 4, from: 3 }, "register 5 holds Value here, not Cell"),
    ] {
        let message = at(place, new);
        assert!(message.contains(why), "{new:?}: {message}");
    }
}

#[test]
fn frames_ends_and_positions_are_checked() {
    let source = "fn f(a) { return a; }";
    for (change, why) in [
        ((|f| f.code.truncate(1)) as fn(&mut Function), "positions for 1 instructions"),
        (|f| f.frame = 999, "999 registers"),
        (|f| f.frame = 0, "0 registers, 1 parameters"),
        (|f| (f.code, f.positions) = (Vec::new(), Vec::new()), "the code runs over its end"),
        (|f| f.code[2] = Op::Not { to: 0, from: 0 }, "the code runs over its end"),
        (|f| f.captures = 1, "the function 'f'"),
    ] {
        let message = refused(&format!("{source} f(1);"), "f", change);
        let is_about_the_call = message.contains("called without a closure");
        assert!(message.contains(why) || is_about_the_call, "{message}");
    }
    let step = refused("step s { }", "step s", |f| f.parameters = 1);
    assert!(step.contains("without parameters and captures"), "{step}");
}

/// Changes one operand of one instruction, or the whole of it.
fn mutate(program: &mut Program, random: &mut Generator) {
    let mut below = |limit: usize| usize::try_from(random.below(limit as u64)).unwrap();
    let function = below(program.functions.len());
    let pc = below(program.functions[function].code.len());
    let other = program.functions[function].code[below(program.functions[function].code.len())];
    let register = u8::try_from(below(12)).unwrap();
    let wide = u32::try_from(below(20)).unwrap();
    let code = &mut program.functions[function].code;
    match &mut code[pc] {
        Op::Move { from: changed, .. }
        | Op::GetCell { cell: changed, .. }
        | Op::SetCell { cell: changed, .. }
        | Op::NewClosure { first: changed, .. }
        | Op::NewRecord { first: changed, .. }
        | Op::Call { slot: changed, .. }
        | Op::CallFunction { slot: changed, .. }
        | Op::CallBuiltin { slot: changed, .. }
        | Op::Append { list: changed, .. }
        | Op::NextItem { state: changed, .. }
        | Op::NextNumber { state: changed, .. }
        | Op::GetCapture { index: changed, .. }
        | Op::CaptureCell { index: changed, .. }
            if wide % 2 == 0 =>
        {
            *changed = register;
        }
        Op::Immediate { bits: changed, .. } => *changed = i32::try_from(wide).unwrap() * 4 - 20,
        Op::Constant { index: changed, .. }
        | Op::GetGlobal { index: changed, .. }
        | Op::NewClosure { function: changed, .. }
        | Op::NewRecord { shape: changed, .. }
        | Op::GetField { name: changed, .. }
        | Op::CallFunction { function: changed, .. }
        | Op::Jump { target: changed }
        | Op::Loop { target: changed }
        | Op::JumpIfFalse { target: changed, .. }
        | Op::NextItem { exit: changed, .. } => *changed = wide,
        changed if wide < 3 => {
            *changed = Op::Arithmetic { operator: Arithmetic::Add, to: register, left: 0, right: register };
        }
        changed => *changed = other,
    }
}

/// What the verifier lets pass may be wrong, or run for ever, but breaks nothing.
#[test]
fn mutated_programs_are_refused_or_run_without_a_crash() {
    let (mut refusals, mut endless, mut ended) = (0, 0, 0);
    for seed in 0..3_000 {
        let mut program = compiled(&Generator::new(seed % 150).program());
        let mut random = Generator::new(seed + 5_000_000);
        for _ in 0..=random.below(2) {
            mutate(&mut program, &mut random);
        }
        if verify(&program).is_err() {
            refusals += 1;
            continue;
        }
        match in_a_child(|| run(program)) {
            WaitStatus::Exited(_, 0) => ended += 1,
            WaitStatus::Signaled(_, Signal::SIGVTALRM, _) => endless += 1,
            crash => panic!("seed {seed}: {crash:?}"),
        }
    }
    println!("{refusals} refused, {ended} ended, {endless} were stopped");
    assert!(refusals > 600 && ended > 600 && endless < 200);
}

fn run(program: Program) {
    let steps: Vec<u32> = program.steps.iter().map(|step| step.function).collect();
    let options =
        ToyOptions { jit: JitMode::Off, heap_limit: 1 << 20, collect_every: 20, ..ToyOptions::default() };
    let Ok(mut vm) = Vm::new(program, &options, Box::new(std::io::sink())) else { return };
    for function in std::iter::once(0).chain(steps) {
        let _ = vm.run(function);
    }
}

/// Runs something that may crash, or go on for ever: it is stopped when it used its processor time.
fn in_a_child(run: impl FnOnce()) -> WaitStatus {
    let time = libc::timeval { tv_sec: 0, tv_usec: 300_000 };
    // SAFETY: the child runs code of this test alone and leaves without unwinding into the harness.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => waitpid(child, None).unwrap(),
        ForkResult::Child => {
            let timer = libc::itimerval { it_interval: time, it_value: time };
            // SAFETY: the timer is initialised, and nobody wants the old one.
            unsafe { libc::setitimer(libc::ITIMER_VIRTUAL, &raw const timer, std::ptr::null_mut()) };
            // The hook stays: another thread may have held its lock at the fork.
            let result = catch_unwind(AssertUnwindSafe(run));
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(i32::from(result.is_err())) }
        }
    }
}
