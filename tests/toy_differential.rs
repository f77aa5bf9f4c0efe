//! Generated programs must print the same in every way of running them: interpreted or compiled,
//! with either collector policy, and with a collection after every few allocations.

use forkprint::runtimes::Runtime;
use forkprint::runtimes::toy::{GcPolicy, JitMode, ToyOptions, ToyRuntime};
use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::Write;
use std::rc::Rc;

/// Programs in a default run; `FORKPRINT_TOY_PROGRAMS` asks for more.
const PROGRAMS: u64 = 600;

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

/// Everything that a program prints, and the error that ended it.
fn run(source: &str, options: ToyOptions) -> String {
    let captured = Captured::default();
    let end = match ToyRuntime::load_with_output("t", source, options, Box::new(captured.clone())) {
        Err(error) => error.to_string(),
        Ok(mut runtime) => {
            let failure = (0..runtime.steps().len()).find_map(|step| runtime.run_step(step).err());
            assert_eq!(runtime.miscounted_objects(), 0, "{source}");
            failure.map_or_else(|| "finished".to_owned(), |failure| failure.message)
        }
    };
    let printed = String::from_utf8(captured.0.borrow().clone()).unwrap();
    printed + &end
}

fn every_way() -> Vec<ToyOptions> {
    let interpreted = ToyOptions { jit: JitMode::Off, heap_limit: 64 << 20, ..ToyOptions::default() };
    let compiled = ToyOptions { jit: JitMode::Patch, hot_calls: 1, ..interpreted.clone() };
    vec![
        interpreted.clone(),
        ToyOptions { gc: GcPolicy::MarkHeader, collect_every: 5, ..interpreted.clone() },
        ToyOptions { gc: GcPolicy::Refcount, collect_every: 1, ..interpreted.clone() },
        ToyOptions { gc: GcPolicy::RefcountSide, collect_every: 3, ..interpreted },
        compiled.clone(),
        ToyOptions { hot_calls: 3, ..compiled.clone() },
        ToyOptions { gc: GcPolicy::MarkHeader, collect_every: 3, ..compiled.clone() },
        ToyOptions { gc: GcPolicy::Refcount, ..compiled.clone() },
        ToyOptions { gc: GcPolicy::Refcount, collect_every: 3, ..compiled.clone() },
        ToyOptions { gc: GcPolicy::RefcountSide, hot_calls: 2, collect_every: 1, ..compiled.clone() },
        ToyOptions { collect_every: 1, ..compiled },
    ]
}

#[test]
fn generated_programs_run_alike_in_every_way() {
    let programs = std::env::var("FORKPRINT_TOY_PROGRAMS").ok().and_then(|text| text.parse().ok());
    let (mut finished, mut total) = (0, 0);
    for seed in 0..programs.unwrap_or(PROGRAMS) {
        let source = Generator::new(seed).program();
        let mut ways = every_way().into_iter();
        let expected = run(&source, ways.next().unwrap());
        finished += u64::from(expected.ends_with("finished"));
        total += 1;
        for options in ways {
            let found = run(&source, options.clone());
            assert_eq!(found, expected, "seed {seed}, {options:?}\n{source}");
        }
        assert!(!expected.contains("malformed"), "seed {seed}: {expected}\n{source}");
    }
    println!("{total} programs, {finished} of them without an error");
    assert!(finished * 3 > total, "too few programs run to their end: {finished} of {total}");
}

/// A program with pieces left out, doubled and swapped is an error or runs, but nothing else.
#[test]
fn mangled_programs_never_crash() {
    for seed in 0..2_000 {
        let source = Generator::new(seed % 50).program();
        let mut pieces: Vec<&str> = source.split_inclusive([' ', '(', ')', ',', ';']).collect();
        let mut random = Generator::new(seed + 1_000_000);
        for _ in 0..=random.below(3) {
            let mut place = || usize::try_from(random.below(pieces.len() as u64)).unwrap();
            let (from, to) = (place(), place());
            match seed % 3 {
                0 => pieces.swap(from, to),
                1 => drop(pieces.remove(from)),
                _ => pieces.insert(to, pieces[from]),
            }
        }
        let options = ToyOptions { heap_limit: 4 << 20, hot_calls: 1, ..ToyOptions::default() };
        let mangled = pieces.concat();
        let interpreted = ToyOptions { jit: JitMode::Off, ..options.clone() };
        if !mangled.contains("while") {
            assert_eq!(run(&mangled, options), run(&mangled, interpreted), "{mangled}");
        }
    }
}

/// Writes programs that end: functions call only earlier ones, loops are counted.
struct Generator {
    state: u64,
    functions: Vec<usize>,
    /// Names in scope, which may hold anything.
    variables: Vec<String>,
    fresh: usize,
    loops: u32,
}

const FIELDS: [&str; 4] = ["a", "b", "c", "d"];

impl Generator {
    fn new(seed: u64) -> Self {
        let state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self { state, functions: Vec::new(), variables: Vec::new(), fresh: 0, loops: 0 }
    }

    /// A number below the limit (xorshift64*).
    fn below(&mut self, limit: u64) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }

    fn name(&mut self) -> String {
        self.fresh += 1;
        format!("v{}", self.fresh)
    }

    fn program(&mut self) -> String {
        let mut source = String::new();
        for index in 0..2 + self.below(3) {
            self.function(&mut source, usize::try_from(index).unwrap());
        }
        let globals = 2 + self.below(3);
        for _ in 0..globals {
            let value = self.expression(2);
            let name = self.name();
            let _ = writeln!(source, "let {name} = {value};");
            self.variables.push(name);
        }
        self.statements(&mut source, 2, 4);
        for step in 0..2 {
            let _ = writeln!(source, "step s{step} {{");
            self.scoped(|this| this.statements(&mut source, 2, 5));
            source.push_str("}\n");
        }
        source
    }

    fn function(&mut self, source: &mut String, index: usize) {
        let parameters = usize::try_from(self.below(3)).unwrap();
        let names: Vec<String> = (0..parameters).map(|_| self.name()).collect();
        let _ = writeln!(source, "fn f{index}({}) {{", names.join(", "));
        let outer = std::mem::replace(&mut self.variables, names);
        self.statements(source, 2, 4);
        let value = self.expression(2);
        let _ = writeln!(source, "return {value};\n}}");
        self.variables = outer;
        self.functions.push(parameters);
    }

    fn scoped(&mut self, write: impl FnOnce(&mut Self)) {
        let known = self.variables.len();
        write(self);
        self.variables.truncate(known);
    }

    fn statements(&mut self, source: &mut String, depth: u32, most: u64) {
        for _ in 0..1 + self.below(most) {
            self.statement(source, depth);
        }
    }

    fn statement(&mut self, source: &mut String, depth: u32) {
        let choice = self.below(if depth == 0 { 7 } else { 13 });
        match choice {
            0 | 1 => {
                let value = self.expression(2);
                let _ = writeln!(source, "print({value});");
            }
            2 | 3 => {
                let value = self.expression(3);
                let name = self.name();
                let _ = writeln!(source, "let {name} = {value};");
                self.variables.push(name);
            }
            4 if !self.variables.is_empty() => {
                let (name, value) = (self.variable(), self.expression(2));
                let _ = writeln!(source, "{name} = {value};");
            }
            5 if !self.variables.is_empty() => self.mutation(source),
            6 => {
                let value = self.expression(2);
                let _ = writeln!(source, "({value});");
            }
            7 | 8 => {
                let condition = self.expression(2);
                let _ = writeln!(source, "if {condition} {{");
                self.scoped(|this| this.statements(source, depth - 1, 3));
                source.push_str("} else {\n");
                self.scoped(|this| this.statements(source, depth - 1, 2));
                source.push_str("}\n");
            }
            9 | 10 if self.loops < 2 => self.counted_loop(source, depth),
            11 => self.local_function(source, depth),
            _ => {
                let (value, shown) = (self.integer(2), self.expression(1));
                let _ = writeln!(source, "if {value} > 3 {{ print(\"big\", {shown}); }}");
            }
        }
    }

    /// A type test stands around most mutations, so that not every program ends in an error.
    fn mutation(&mut self, source: &mut String) {
        let (name, value, field) = (self.variable(), self.expression(2), self.field());
        let _ = match self.below(5) {
            0 => writeln!(source, "if type({name}) == \"list\" {{ push({name}, {value}); }}"),
            1 => {
                writeln!(source, "if type({name}) == \"list\" and len({name}) > 0 {{ {name}[0] = {value}; }}")
            }
            2 => {
                writeln!(source, "if type({name}) == \"list\" and len({name}) > 1 {{ print(pop({name})); }}")
            }
            3 => writeln!(source, "if type({name}) == \"record\" {{ {name}.{field} = {value}; }}"),
            _ => {
                let (fields, x) = (self.record(), self.name());
                writeln!(
                    source,
                    "for {x} in [{fields}, {fields}, {fields}] {{ {x}.a = {value}; print({x}.a); }}"
                )
            }
        };
    }

    fn counted_loop(&mut self, source: &mut String, depth: u32) {
        let name = self.name();
        let _ = match self.below(3) {
            0 => writeln!(source, "for {name} in 0..{} {{", 1 + self.below(6)),
            1 => {
                let items = self.list(1);
                writeln!(source, "for {name} in {items} {{")
            }
            _ => {
                let counter = self.name();
                writeln!(
                    source,
                    "let {counter} = 0; while {counter} < 4 {{ {counter} = {counter} + 1; let {name} = {counter};"
                )
            }
        };
        self.loops += 1;
        self.scoped(|this| {
            this.variables.push(name);
            this.statements(source, depth - 1, 3);
            if this.below(4) == 0 {
                let condition = this.expression(1);
                let word = if this.below(2) == 0 { "break" } else { "continue" };
                let _ = writeln!(source, "if {condition} {{ {word}; }}");
            }
        });
        self.loops -= 1;
        source.push_str("}\n");
    }

    fn local_function(&mut self, source: &mut String, depth: u32) {
        let (function, parameter) = (self.name(), self.name());
        let loops = std::mem::replace(&mut self.loops, 0);
        let _ = writeln!(source, "fn {function}({parameter}) {{");
        self.scoped(|this| {
            this.variables.push(parameter);
            this.statements(source, depth - 1, 2);
            let value = this.expression(2);
            let _ = writeln!(source, "return {value};");
        });
        let (first, second) = (self.expression(1), self.expression(1));
        self.loops = loops;
        let _ = writeln!(source, "}}\nprint({function}({first}), {function}({second}));");
    }

    fn variable(&mut self) -> String {
        let index = usize::try_from(self.below(self.variables.len() as u64)).unwrap();
        self.variables[index].clone()
    }

    fn field(&mut self) -> &'static str {
        FIELDS[usize::try_from(self.below(4)).unwrap()]
    }

    fn expression(&mut self, depth: u32) -> String {
        match self.below(if depth == 0 { 4 } else { 14 }) {
            0 if !self.variables.is_empty() => self.variable(),
            0..=2 => self.integer(depth),
            3 => ["nil", "true", "false", "\"x\"", "\"long string\""]
                [usize::try_from(self.below(5)).unwrap()]
            .to_owned(),
            4 => self.list(depth - 1),
            5 => self.record(),
            6 if self.below(9) == 0 => format!("{}.{}", self.record(), self.field()),
            6 => format!("{}.a", self.record()),
            7 => self.call(depth - 1),
            8 => self.closure(depth - 1),
            9 => format!("str({}) + \"s\"", self.expression(depth - 1)),
            10 if self.below(2) == 0 => {
                let operator = ["<", "<=", ">", ">=", "==", "!="][usize::try_from(self.below(6)).unwrap()];
                format!("({} {operator} {})", self.integer(1), self.integer(1))
            }
            10 => format!("({} == {})", self.expression(depth - 1), self.expression(depth - 1)),
            11 => format!("({} or {})", self.expression(depth - 1), self.expression(depth - 1)),
            12 => format!("(not {} and {})", self.expression(depth - 1), self.expression(depth - 1)),
            _ => format!("len({})", self.list(depth - 1)),
        }
    }

    fn integer(&mut self, depth: u32) -> String {
        if depth == 0 {
            return match self.below(12) {
                0 => "4611686018427387903".to_owned(),
                1 => "-4611686018427387904".to_owned(),
                2 => "9223372036854775807".to_owned(),
                _ => self.below(9).to_string(),
            };
        }
        let (left, right) = (self.integer(depth - 1), self.integer(depth - 1));
        match self.below(80) / 3 {
            0..=2 => format!("({left} + {right})"),
            3 | 4 => format!("({left} - {right})"),
            5 => format!("({left} * {right})"),
            6 => format!("({left} / {right})"),
            7 => format!("({left} % {right})"),
            8 if self.below(4) == 0 => format!("({left} < {right})"),
            9 => format!("-({left})"),
            _ => left,
        }
    }

    fn list(&mut self, depth: u32) -> String {
        let items: Vec<String> = (0..self.below(4)).map(|_| self.expression(depth.min(1))).collect();
        format!("[{}]", items.join(", "))
    }

    /// A record that has the field `a`, in one of many shapes.
    fn record(&mut self) -> String {
        let first = self.below(4);
        let mut fields: Vec<String> = (0..=self.below(4))
            .map(|index| FIELDS[usize::try_from((first + index) % 4).unwrap()])
            .filter(|field| *field != "a")
            .map(|field| format!("{field}: {}", self.expression(0)))
            .collect();
        let place = usize::try_from(self.below(fields.len() as u64 + 1)).unwrap();
        fields.insert(place, format!("a: {}", self.expression(0)));
        format!("{{{}}}", fields.join(", "))
    }

    fn call(&mut self, depth: u32) -> String {
        if self.functions.is_empty() {
            return self.closure(depth);
        }
        let index = usize::try_from(self.below(self.functions.len() as u64)).unwrap();
        let arguments: Vec<String> =
            (0..self.functions[index]).map(|_| self.expression(depth.min(1))).collect();
        match self.below(3) {
            0 => format!("[f{index}][0]({})", arguments.join(", ")),
            _ => format!("f{index}({})", arguments.join(", ")),
        }
    }

    /// A function made and called on the spot, over whatever is in scope.
    fn closure(&mut self, depth: u32) -> String {
        let parameter = self.name();
        let argument = self.expression(0);
        self.variables.push(parameter.clone());
        let (shown, value) = (self.expression(0), self.expression(depth.min(1)));
        let target = self.variable();
        self.variables.pop();
        format!("fn({parameter}) {{ {target} = {shown}; return {value}; }}({argument})")
    }
}
