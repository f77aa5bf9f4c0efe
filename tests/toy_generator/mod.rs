//! Writes toy programs that end, for tests that run one program in many ways.
//!
//! Functions call only earlier ones, recursion and loops are counted, and a type test stands around most
//! of what could fail, so that not every program ends in an error. Which program it is depends on a
//! seed, or on bytes that a fuzzer chooses.

mod expressions;
mod statements;

use std::collections::VecDeque;
use std::fmt::Write as _;

pub struct Generator {
    choices: Choices,
    functions: Vec<usize>,
    /// Names in scope, which may hold anything.
    variables: Vec<String>,
    fresh: usize,
    loops: u32,
}

#[allow(dead_code, reason = "tests choose one way, the fuzz target the other")]
enum Choices {
    /// State of a xorshift64* generator.
    Seed(u64),
    /// What is left of them; zero for ever after the last.
    Bytes(VecDeque<u8>),
}

impl Generator {
    #[allow(dead_code, reason = "for tests, not for the fuzz target")]
    pub fn new(seed: u64) -> Self {
        Self::choosing(Choices::Seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1))
    }

    /// Every byte decides on one thing.
    #[allow(dead_code, reason = "for the fuzz target")]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self::choosing(Choices::Bytes(bytes.iter().copied().collect()))
    }

    fn choosing(choices: Choices) -> Self {
        Self { choices, functions: Vec::new(), variables: Vec::new(), fresh: 0, loops: 0 }
    }

    /// A number below the limit.
    pub fn below(&mut self, limit: u64) -> u64 {
        match &mut self.choices {
            Choices::Seed(state) => {
                *state ^= *state >> 12;
                *state ^= *state << 25;
                *state ^= *state >> 27;
                (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
            }
            Choices::Bytes(bytes) => u64::from(bytes.pop_front().unwrap_or(0)) % limit,
        }
    }

    /// A whole program of functions, globals, statements and two steps.
    pub fn program(&mut self) -> String {
        let mut source = String::new();
        for _ in 0..2 + self.below(3) {
            if self.below(3) == 0 { self.recursion(&mut source) } else { self.function(&mut source) }
        }
        for _ in 0..2 + self.below(3) {
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

    fn function(&mut self, source: &mut String) {
        let parameters = usize::try_from(self.below(3)).unwrap();
        let names: Vec<String> = (0..parameters).map(|_| self.name()).collect();
        let _ = writeln!(source, "fn f{}({}) {{", self.functions.len(), names.join(", "));
        let outer = std::mem::replace(&mut self.variables, names);
        self.statements(source, 2, 4);
        let value = self.expression(2);
        let _ = writeln!(source, "return {value};\n}}");
        self.variables = outer;
        self.functions.push(parameters);
    }

    /// A function that calls itself, directly or through a value, and works on its way back.
    ///
    /// One that runs out of calls makes no objects before: a collection for every one of them, each
    /// with all those calls for roots, would take for ever.
    fn recursion(&mut self, source: &mut String) {
        let index = self.functions.len();
        let depth = match self.below(80) {
            0 => 20_000,
            deep @ 1..=6 => 50 * deep,
            _ => 1 + self.below(20),
        };
        let is_endless = depth == 20_000;
        let callees = ["self", "[self][0]", "fn(p, q) { return self(p, q); }"];
        let callee = self.pick(&callees[..if is_endless { 1 } else { 3 }]);
        let callee = callee.replace("self", &format!("g{index}"));
        let (left, last) = (self.name(), self.name());
        let outer = std::mem::replace(&mut self.variables, vec![left.clone(), last.clone()]);
        let next = if is_endless { last.clone() } else { self.expression(1) };
        let result = self.expression(1);
        self.variables = outer;
        let _ = writeln!(
            source,
            "fn g{index}({left}, {last}) {{\nif {left} < 1 {{ return [{last}]; }}
let rest = {callee}({left} - 1, {next});\nif type(rest) == \"list\" and len(rest) < 9 {{ push(rest, {result}); }}
return rest;\n}}\nfn f{index}(x) {{ return g{index}({depth}, x); }}"
        );
        self.functions.push(1);
    }

    fn name(&mut self) -> String {
        self.fresh += 1;
        format!("v{}", self.fresh)
    }

    fn variable(&mut self) -> String {
        let index = usize::try_from(self.below(self.variables.len() as u64)).unwrap();
        self.variables[index].clone()
    }

    fn pick(&mut self, words: &[&'static str]) -> &'static str {
        words[usize::try_from(self.below(words.len() as u64)).unwrap()]
    }

    fn scoped(&mut self, write: impl FnOnce(&mut Self)) {
        let known = self.variables.len();
        write(self);
        self.variables.truncate(known);
    }
}
