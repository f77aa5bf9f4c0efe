use super::Generator;

const FIELDS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const LITERALS: [&str; 5] = ["nil", "true", "false", "\"x\"", "\"long string\""];
/// Where the encoding of integers changes, and where they end.
const LARGE: [&str; 3] = ["4611686018427387903", "-4611686018427387904", "9223372036854775807"];
/// The last ones are objects.
const FLOATS: [&str; 9] =
    ["0.0", "1.0", "2.5", "-0.75", "9007199254740993.0", "1e60", "-0.0", "1e300", "1e-300"];

impl Generator {
    pub(super) fn field(&mut self) -> &'static str {
        self.pick(&FIELDS)
    }

    pub(super) fn expression(&mut self, depth: u32) -> String {
        match self.below(if depth == 0 { 4 } else { 18 }) {
            0 if !self.variables.is_empty() => self.variable(),
            0..=2 => self.number(depth),
            3 => self.pick(&LITERALS).to_owned(),
            4 => self.list(depth - 1),
            5 => self.record(),
            6 if self.below(9) == 0 => format!("{}.{}", self.record(), self.field()),
            6 => format!("{}.a", self.record()),
            7 => self.call(depth - 1),
            8 => self.closure(depth - 1),
            9 => format!("str({}) + \"s\"", self.expression(depth - 1)),
            10 if self.below(2) == 0 => {
                let operator = self.pick(&["<", "<=", ">", ">=", "==", "!="]);
                format!("({} {operator} {})", self.number(1), self.number(1))
            }
            10 => format!("({} == {})", self.expression(depth - 1), self.expression(depth - 1)),
            11 => format!("({} or {})", self.expression(depth - 1), self.expression(depth - 1)),
            12 => format!("(not {} and {})", self.expression(depth - 1), self.expression(depth - 1)),
            13 => self.map(),
            14 => format!("get({}, {}, {})", self.map(), self.key(), self.expression(depth - 1)),
            15 => format!("{}({})", self.pick(&["type", "str"]), self.expression(depth - 1)),
            16 if self.below(6) == 0 => format!("{}[{}]", self.map(), self.key()),
            16 => format!("len(keys({}))", self.map()),
            _ => format!("len({})", self.list(depth - 1)),
        }
    }

    /// An integer or a float, or an error now and then.
    pub(super) fn number(&mut self, depth: u32) -> String {
        if depth == 0 {
            return match self.below(16) {
                0 => self.pick(&LARGE).to_owned(),
                1..=4 => self.pick(&FLOATS).to_owned(),
                _ => self.below(9).to_string(),
            };
        }
        let (left, right) = (self.number(depth - 1), self.number(depth - 1));
        match self.below(90) / 3 {
            0..=2 => format!("({left} + {right})"),
            3 | 4 => format!("({left} - {right})"),
            5 | 6 => format!("({left} * {right})"),
            7 => format!("({left} / {right})"),
            8 => format!("({left} % {right})"),
            9 if self.below(4) == 0 => format!("({left} < {right})"),
            10 => format!("-({left})"),
            11 => format!("{}({left})", self.pick(&["float", "sqrt", "float", "int"])),
            _ => left,
        }
    }

    pub(super) fn list(&mut self, depth: u32) -> String {
        let items: Vec<String> = (0..self.below(4)).map(|_| self.expression(depth.min(1))).collect();
        format!("[{}]", items.join(", "))
    }

    pub(super) fn map(&mut self) -> String {
        let entries: Vec<String> =
            (0..self.below(4)).map(|_| format!("{}: {}", self.key(), self.expression(0))).collect();
        if entries.is_empty() { "[:]".to_owned() } else { format!("[{}]", entries.join(", ")) }
    }

    pub(super) fn key(&mut self) -> String {
        match self.below(40) {
            0 => self.expression(0),
            1 => self.pick(&LARGE).to_owned(),
            2..=15 => self.below(9).to_string(),
            _ => self.pick(&["true", "false", "\"x\"", "\"a\"", "\"a\" + \"b\"", "\"ab\""]).to_owned(),
        }
    }

    /// A record that has the field `a`, in one of many shapes.
    pub(super) fn record(&mut self) -> String {
        let count = FIELDS.len() as u64;
        let first = self.below(count);
        let mut fields: Vec<String> = (0..=self.below(count))
            .map(|index| FIELDS[usize::try_from((first + index) % count).unwrap()])
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
