//! Random object graphs, changed and collected under every policy, against a model of the same graph
//! in Rust.

use super::Roots;
use super::heap::Heap;
use super::object::{Header, Kind, LIST_ARRAY, LIST_COUNT, SHAPE_TAG};
use super::plan::Reason;
use crate::runtimes::toy::memory::words::Words;
use crate::runtimes::toy::vm::value::Value;
use crate::runtimes::toy::{AllocOrder, AtFork, GcPolicy, ToyOptions};
use std::collections::HashMap;

const ROOTS: usize = 12;
/// Of this room, an array is too large for the nursery.
const LARGE: u64 = 20_000;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Item {
    Int(i64),
    Node(usize),
}

/// What an object holds: fields of a record, or items of a list.
struct Node {
    is_list: bool,
    items: Vec<Item>,
}

/// A heap and what it should hold.
struct Graph {
    heap: Heap,
    stack: Words,
    globals: Words,
    nodes: Vec<Node>,
    roots: [Item; ROOTS],
    state: u64,
}

impl Graph {
    fn new(options: &ToyOptions, seed: u64) -> Self {
        let mut stack = Words::map(8, "test").unwrap();
        (0..ROOTS).for_each(|root| stack.set(root, int(0).0));
        Self {
            heap: Heap::new(options).unwrap(),
            stack,
            globals: Words::map(8, "test").unwrap(),
            nodes: Vec::new(),
            roots: [Item::Int(0); ROOTS],
            state: seed.wrapping_mul(2) + 1,
        }
    }

    fn below(&mut self, count: usize) -> usize {
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.state >> 33) % count as u64).unwrap()
    }

    fn collect(&mut self, reason: Reason) {
        let mut roots = Roots { stack: &mut self.stack, registers: 0..ROOTS, globals: &mut self.globals };
        self.heap.collect(&mut roots, reason);
    }

    fn prepare_fork(&mut self, at_fork: AtFork) {
        let mut roots = Roots { stack: &mut self.stack, registers: 0..ROOTS, globals: &mut self.globals };
        self.heap.prepare_fork(at_fork, &mut roots).unwrap();
    }

    fn allocate(&mut self, header: Header) -> u64 {
        if let Ok(address) = self.heap.allocate(header) {
            return address;
        }
        self.collect(Reason::Full);
        self.heap.allocate(header).unwrap()
    }

    fn set_root(&mut self, root: usize, value: Value, item: Item) {
        let old = Value(self.stack.get(root));
        self.stack.set(root, value.0);
        self.roots[root] = item;
        if self.heap.is_counting() {
            self.heap.retain(value);
            self.heap.release(old);
        }
    }

    fn root(&mut self) -> (Value, Item) {
        let root = self.below(ROOTS);
        (Value(self.stack.get(root)), self.roots[root])
    }

    fn new_record(&mut self) {
        let count = self.below(5);
        let record = self.allocate(Header::new(Kind::Record, u16::try_from(count).unwrap(), SHAPE_TAG));
        let mut items = Vec::new();
        for index in 0..count {
            let (value, item) = self.root();
            self.heap.init_slot(record, index as u64, value);
            items.push(item);
        }
        self.keep(record, Node { is_list: false, items });
    }

    fn new_list(&mut self) {
        let room = if self.below(40) == 0 { LARGE } else { 1 + self.below(6) as u64 };
        // Collect now, so that nothing is moved between the two allocations.
        let array = self.allocate(Header::new(Kind::Array, 0, u32::try_from(room).unwrap()));
        let Ok(list) = self.heap.allocate(Header::new(Kind::List, 0, 0)) else { return };
        self.heap.store(list, LIST_COUNT, 0);
        self.heap.init_owned(list, LIST_ARRAY, array);
        self.keep(list, Node { is_list: true, items: Vec::new() });
    }

    fn keep(&mut self, address: u64, node: Node) {
        self.nodes.push(node);
        let root = self.below(ROOTS);
        self.set_root(root, Value(address), Item::Node(self.nodes.len() - 1));
    }

    /// Writes a slot, pushes or pops.
    fn change(&mut self) {
        let ((object, item), (value, new)) = (self.root(), self.root());
        let Item::Node(node) = item else { return };
        let count = self.nodes[node].items.len();
        let index = self.below(count.max(1));
        if !self.nodes[node].is_list {
            if count > 0 {
                self.heap.set_slot(object.0, index as u64, value);
                self.nodes[node].items[index] = new;
            }
            return;
        }
        let array = self.heap.load(object.0, LIST_ARRAY);
        let room = u64::from(self.heap.header(array).upper());
        match self.below(3) {
            0 if count > 0 => {
                self.heap.set_list_item(object.0, index as u64, value);
                self.nodes[node].items[index] = new;
            }
            1 if count > 0 => {
                let last = self.heap.list_item(object.0, count as u64 - 1);
                self.heap.store(object.0, LIST_COUNT, count as u64 - 1);
                self.heap.forget_item(object.0, count as u64 - 1);
                if self.heap.is_counting() {
                    self.heap.release(last);
                }
                self.nodes[node].items.pop();
            }
            _ if (count as u64) < room => {
                self.heap.init_list_item(object.0, count as u64, value);
                self.heap.store(object.0, LIST_COUNT, count as u64 + 1);
                self.nodes[node].items.push(new);
            }
            _ => {
                let header = Header::new(Kind::Array, 0, u32::try_from(2 * room.min(LARGE)).unwrap());
                let Ok(larger) = self.heap.allocate(header) else { return };
                self.heap.move_items(array, larger, count as u64);
                self.heap.set_owned(object.0, LIST_ARRAY, larger);
            }
        }
    }

    /// Descends from a root: what it held is replaced by one of its items.
    fn descend(&mut self) {
        let (object, item) = self.root();
        let Item::Node(node) = item else { return };
        let items = &self.nodes[node].items;
        let (count, is_list) = (items.len(), self.nodes[node].is_list);
        if count == 0 {
            return;
        }
        let (index, root) = (self.below(count), self.below(ROOTS));
        let value = self.value(object.0, is_list, index);
        self.set_root(root, value, self.nodes[node].items[index]);
    }

    fn value(&self, object: u64, is_list: bool, index: usize) -> Value {
        if is_list { self.heap.list_item(object, index as u64) } else { self.heap.slot(object, index as u64) }
    }

    fn step(&mut self, number: i64) {
        match self.below(100) {
            0..20 => self.new_record(),
            20..35 => self.new_list(),
            35..80 => self.change(),
            80..88 => self.descend(),
            88..98 => {
                let root = self.below(ROOTS);
                self.set_root(root, int(number), Item::Int(number));
            }
            _ => {
                let reason = [Reason::Due, Reason::Full, Reason::Due, Reason::Asked][self.below(4)];
                self.collect(reason);
                self.check();
            }
        }
    }

    /// Every object that the roots lead to holds what it should, and is one object.
    fn check(&mut self) {
        let mut places: HashMap<usize, u64> = HashMap::new();
        let mut waiting: Vec<(Value, Item)> =
            (0..ROOTS).map(|root| (Value(self.stack.get(root)), self.roots[root])).collect();
        while let Some((value, item)) = waiting.pop() {
            let node = match item {
                Item::Int(expected) => {
                    assert_eq!(value.as_small_int(), Some(expected));
                    continue;
                }
                Item::Node(node) => node,
            };
            if let Some(known) = places.insert(node, value.0) {
                assert_eq!(known, value.0, "one object, one address");
                continue;
            }
            let Node { is_list, items } = &self.nodes[node];
            let header = self.heap.header(value.0);
            assert_eq!(header.kind(), if *is_list { Kind::List } else { Kind::Record });
            let count = if *is_list { self.heap.list_len(value.0) } else { header.count() };
            assert_eq!(count, items.len() as u64);
            waiting.extend(
                items.iter().enumerate().map(|(index, item)| (self.value(value.0, *is_list, index), *item)),
            );
        }
        let roots = Roots { stack: &mut self.stack, registers: 0..ROOTS, globals: &mut self.globals };
        assert!(self.heap.miscounted(&roots).is_empty() || !self.heap.is_counting());
    }
}

fn int(value: i64) -> Value {
    Value::small_int(value).unwrap()
}

#[test]
fn graphs_stay_what_they_are_under_every_policy() {
    for gc in GcPolicy::ALL {
        for (seed, at_fork) in (0..).zip(AtFork::ALL.iter().cycle().take(8)) {
            let options = ToyOptions {
                gc: *gc,
                at_fork: *at_fork,
                alloc: AllocOrder::SizeClass,
                heap_limit: 64 << 20,
                ..ToyOptions::default()
            };
            let mut graph = Graph::new(&options, seed);
            for number in 0..2_000 {
                graph.step(number);
            }
            graph.prepare_fork(*at_fork);
            graph.check();
            for number in 0..2_000 {
                graph.step(number);
            }
            graph.collect(Reason::Asked);
            graph.check();
        }
    }
}
