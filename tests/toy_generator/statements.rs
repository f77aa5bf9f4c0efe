use super::Generator;
use std::fmt::Write as _;

impl Generator {
    pub(super) fn statements(&mut self, source: &mut String, depth: u32, most: u64) {
        for _ in 0..=self.below(most) {
            self.statement(source, depth);
        }
    }

    fn statement(&mut self, source: &mut String, depth: u32) {
        match self.below(if depth == 0 { 8 } else { 16 }) {
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
            5 | 6 if !self.variables.is_empty() => self.mutation(source),
            7 => {
                let value = self.expression(2);
                let _ = writeln!(source, "({value});");
            }
            8 | 9 => {
                let condition = self.expression(2);
                let _ = writeln!(source, "if {condition} {{");
                self.scoped(|this| this.statements(source, depth - 1, 3));
                source.push_str("} else {\n");
                self.scoped(|this| this.statements(source, depth - 1, 2));
                source.push_str("}\n");
            }
            10 | 11 if self.loops < 2 => self.counted_loop(source, depth),
            12 => self.local_function(source, depth),
            13 if self.loops < 2 => self.list_of_closures(source),
            14 if self.loops < 2 => self.grown_map(source),
            _ => {
                let (value, shown) = (self.number(2), self.expression(1));
                let _ = writeln!(source, "if {value} > 3 {{ print(\"big\", {shown}); }}");
            }
        }
    }

    /// A type test stands around most mutations, so that not every program ends in an error.
    fn mutation(&mut self, source: &mut String) {
        let (name, value, field) = (self.variable(), self.expression(2), self.field());
        let is_list = format!("if type({name}) == \"list\" and len({name})");
        let is_map = format!("if type({name}) == \"map\"");
        let _ = match self.below(10) {
            0 => writeln!(source, "{is_list} < 40 {{ push({name}, {value}); }}"),
            1 => writeln!(source, "{is_list} > 0 {{ {name}[len({name}) - 1] = {value}; }}"),
            2 => writeln!(source, "{is_list} > 1 {{ print(pop({name})); push({name}, {name}[0]); }}"),
            3 => {
                let x = self.name();
                writeln!(
                    source,
                    "{is_list} > 0 {{ for {x} in {name} {{ if len({name}) > 9 {{ break; }} push({name}, {x}); }} }}"
                )
            }
            4 | 5 => {
                let key = self.key();
                writeln!(source, "{is_map} {{ {name}[{key}] = {value}; print(len({name})); }}")
            }
            6 => {
                let (gone, kept) = (self.key(), self.key());
                writeln!(source, "{is_map} {{ print(remove({name}, {gone}), has({name}, {kept}), {name}); }}")
            }
            7 => writeln!(source, "if type({name}) == \"record\" {{ {name}.{field} = {value}; }}"),
            _ => {
                let records: Vec<String> = (0..2 + self.below(5)).map(|_| self.record()).collect();
                let x = self.name();
                writeln!(source, "for {x} in [{}] {{ {x}.a = {value}; print({x}.a); }}", records.join(", "))
            }
        };
    }

    fn counted_loop(&mut self, source: &mut String, depth: u32) {
        let name = self.name();
        let _ = match self.below(4) {
            0 => writeln!(source, "for {name} in 0..{} {{", 1 + self.below(6)),
            1 => {
                let items = self.list(1);
                writeln!(source, "for {name} in {items} {{")
            }
            2 => {
                let map = self.map();
                writeln!(source, "for {name} in keys({map}) {{")
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
                let (condition, word) = (this.expression(1), this.pick(&["break", "continue"]));
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

    /// Closures over the variable of a loop and one outside of it, called after it ended.
    fn list_of_closures(&mut self, source: &mut String) {
        let (all, round, total, f) = (self.name(), self.name(), self.name(), self.name());
        self.variables.push(round.clone());
        let value = self.expression(1);
        self.variables.pop();
        let step = self.number(1);
        let _ = writeln!(
            source,
            "let {total} = {step}; let {all} = [];
for {round} in 0..{} {{ push({all}, fn(x) {{ {total} = [{total}, {round}]; {round} = x; return {value}; }}); }}
for {f} in {all} {{ print({f}({f} == {all}[0])); }}\nprint(len(str({total})) < 999);",
            1 + self.below(4)
        );
        self.variables.extend([all, total]);
    }

    fn grown_map(&mut self, source: &mut String) {
        let (map, round) = (self.name(), self.name());
        let start = self.map();
        self.variables.push(round.clone());
        let value = self.expression(1);
        self.variables.pop();
        let key = self.pick(&["round", "round % 5", "str(round)", "round * 4611686018427387904 % 7919"]);
        let key = key.replace("round", &round);
        let _ = writeln!(
            source,
            "let {map} = {start};\nfor {round} in 0..{} {{ {map}[{key}] = {value}; if {round} % 3 == 0 {{ remove({map}, {round} - 3); }} }}
print({map}, keys({map}));",
            2 + self.below(20)
        );
        self.variables.push(map);
    }
}
