//! The flat form of a compiled message: what the decoder runs for every payload.

use nodedata_core::{LeafId, ListId};

use crate::{
    compile::{Branch, Items, Member, Node, NodeKind, Scalar, TimeKind},
    definition::Extensibility,
};

/// One step of decoding. A body follows its operation directly and ends before `end`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Op {
    /// `n` consecutive columns of one number each.
    Numbers1 {
        first: LeafId,
        n: usize,
    },
    Numbers2 {
        first: LeafId,
        n: usize,
    },
    Numbers4 {
        first: LeafId,
        n: usize,
    },
    Numbers8 {
        first: LeafId,
        n: usize,
    },
    Bool(LeafId),
    /// Seconds and nanoseconds as one int64; `true`: signed.
    Time {
        leaf: LeafId,
        signed: (bool, bool),
    },
    /// One half of a time whose halves are framed apart; 0: seconds, 1: nanoseconds.
    TimePart {
        leaf: LeafId,
        part: usize,
    },
    Text(LeafId),
    WideText(LeafId),
    Blob(LeafId),
    /// A fixed array of numbers. `framed`: XCDR2 puts its byte length in front.
    Array {
        leaf: LeafId,
        width: usize,
        n: usize,
        framed: bool,
    },
    Bools {
        leaf: LeafId,
        n: usize,
    },
    /// A list of numbers.
    List {
        list: ListId,
        leaf: LeafId,
        width: usize,
        framed: bool,
    },
    ListOfBools {
        list: ListId,
        leaf: LeafId,
    },
    ListOfTexts {
        list: ListId,
        leaf: LeafId,
    },
    /// A list of anything else: the body once per item, each at least `bytes_min` long.
    Each {
        items: Items,
        end: usize,
        bytes_min: usize,
        framed: bool,
    },
    /// A fixed array of anything else.
    Repeat {
        n: usize,
        end: usize,
        bytes_min: usize,
        framed: bool,
    },
    /// A struct that may be framed; index into [`Program::structs`].
    Struct {
        idx: usize,
        end: usize,
    },
    /// A discriminator and one of several values; index into [`Program::unions`].
    Union {
        idx: usize,
        end: usize,
    },
    /// A member that may be absent; index into [`Program::optionals`].
    Optional {
        idx: usize,
        end: usize,
    },
    /// Marks the item just decoded as present.
    Valid(LeafId),
    /// The byte of a struct without fields.
    Dummy,
}

#[derive(Debug, Default)]
pub(crate) struct Program {
    pub(crate) ops: Vec<Op>,
    /// The field each operation decodes, for errors.
    pub(crate) names: Vec<Box<str>>,
    pub(crate) structs: Vec<Struct>,
    pub(crate) optionals: Vec<Absent>,
    pub(crate) unions: Vec<Union>,
    pub(crate) has_wide_text: bool,
}

#[derive(Debug)]
pub(crate) struct Struct {
    pub(crate) extensibility: Option<Extensibility>,
    /// Whether it is the message itself, whose extensibility the payload's header tells.
    pub(crate) is_root: bool,
    pub(crate) members: Vec<StructMember>,
}

#[derive(Debug)]
pub(crate) struct StructMember {
    pub(crate) id: u32,
    /// Operations of its value, without the flag of an optional member.
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Index into [`Program::optionals`].
    pub(crate) optional: Option<usize>,
}

#[derive(Debug)]
pub(crate) struct Union {
    pub(crate) extensibility: Option<Extensibility>,
    /// Bytes of the discriminator, whose operations come first.
    pub(crate) width: usize,
    /// Whether it may be negative.
    pub(crate) signed: bool,
    pub(crate) branches: Vec<UnionBranch>,
}

#[derive(Debug)]
pub(crate) struct UnionBranch {
    pub(crate) labels: Vec<i128>,
    pub(crate) is_default: bool,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Index into [`Program::optionals`].
    pub(crate) optional: usize,
}

/// What to push for an absent member.
#[derive(Debug, Default)]
pub(crate) struct Absent {
    pub(crate) leaves: Vec<LeafId>,
    pub(crate) lists: Vec<ListId>,
    /// Bytes the columns grow by.
    pub(crate) n_bytes: usize,
}

/// Which structs get an operation of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Only those declared appendable or mutable: payloads whose header says plain CDR.
    Declared,
    /// All: payloads whose header says delimited or parameter list.
    All,
}

impl Program {
    pub(crate) fn new(root: &Node, framing: Framing) -> Self {
        let mut builder = Builder { program: Self::default(), framing, n_joinable_from: 0, n_optional: 0 };
        if let NodeKind::Struct { members, extensibility } = &root.kind {
            if framing == Framing::All {
                builder.framed_struct(root, *extensibility, members, true);
            } else {
                builder.inline_struct(root, members);
            }
        }
        builder.program
    }
}

struct Builder {
    program: Program,
    framing: Framing,
    /// Operations before this one are in another body and must not grow.
    n_joinable_from: usize,
    /// How many optional members are around.
    n_optional: usize,
}

impl Builder {
    fn push(&mut self, op: Op, node: &Node) -> usize {
        self.program.ops.push(op);
        self.program.names.push(node.name.as_str().into());
        self.n_ops() - 1
    }

    fn n_ops(&self) -> usize {
        self.program.ops.len()
    }

    /// A body starts or ends here.
    fn boundary(&mut self) -> usize {
        self.n_joinable_from = self.n_ops();
        self.n_joinable_from
    }

    fn lower(&mut self, node: &Node) {
        match &node.kind {
            NodeKind::Scalar { leaf, scalar } => self.scalar(node, *leaf, *scalar),
            NodeKind::Array { n, item } => self.array(node, *n as usize, item),
            NodeKind::List { items, item } => self.list(node, *items, item),
            NodeKind::Struct { extensibility, members } => {
                if self.is_framed(*extensibility) {
                    self.framed_struct(node, *extensibility, members, false);
                } else {
                    self.inline_struct(node, members);
                }
            }
            NodeKind::Union { extensibility, discriminator, signed, branches } => {
                let width = bytes_min(discriminator);
                let union =
                    Union { extensibility: *extensibility, width, signed: *signed, branches: Vec::new() };
                self.union(node, union, discriminator, branches);
            }
        }
    }

    fn union(&mut self, node: &Node, union: Union, discriminator: &Node, branches: &[Branch]) {
        let idx = self.program.unions.len();
        self.program.unions.push(union);
        let op = self.push(Op::Union { idx, end: 0 }, node);
        self.boundary();
        self.lower(discriminator);
        let mut lowered = Vec::with_capacity(branches.len());
        for Branch { labels, is_default, node } in branches {
            let mut absent = Absent::default();
            absent.collect(node, 1);
            let optional = self.program.optionals.len();
            self.program.optionals.push(absent);
            let start = self.boundary();
            self.n_optional += 1;
            self.lower(node);
            self.n_optional -= 1;
            self.valid(node);
            let (labels, is_default, end) = (labels.clone(), *is_default, self.boundary());
            lowered.push(UnionBranch { labels, is_default, start, end, optional });
        }
        let end = self.boundary();
        self.program.unions[idx].branches = lowered;
        self.program.ops[op] = Op::Union { idx, end };
    }

    fn is_framed(&self, extensibility: Option<Extensibility>) -> bool {
        self.framing == Framing::All
            || matches!(extensibility, Some(Extensibility::Appendable | Extensibility::Mutable))
    }

    fn scalar(&mut self, node: &Node, leaf: LeafId, scalar: Scalar) {
        let op = match scalar {
            Scalar::Number(width) | Scalar::Enum(width) => return self.number(node, leaf, width),
            Scalar::Bool => Op::Bool(leaf),
            Scalar::Time(TimeKind::Message(extensibility)) => {
                if self.is_framed(extensibility) {
                    return self.framed_time(node, leaf, extensibility);
                }
                Op::Time { leaf, signed: (true, false) }
            }
            Scalar::Time(TimeKind::Ros1Time) => Op::Time { leaf, signed: (false, false) },
            Scalar::Time(TimeKind::Ros1Duration) => Op::Time { leaf, signed: (true, true) },
            Scalar::Text => Op::Text(leaf),
            Scalar::WideText => {
                self.program.has_wide_text = true;
                Op::WideText(leaf)
            }
            Scalar::Blob => Op::Blob(leaf),
        };
        self.push(op, node);
    }

    /// Joins a number to the run before it when their columns are neighbours.
    fn number(&mut self, node: &Node, leaf: LeafId, width: usize) {
        if self.n_joinable_from < self.n_ops() {
            let run = match (self.program.ops.last_mut(), width) {
                (Some(Op::Numbers1 { first, n }), 1)
                | (Some(Op::Numbers2 { first, n }), 2)
                | (Some(Op::Numbers4 { first, n }), 4)
                | (Some(Op::Numbers8 { first, n }), 8) => Some((first.0, n)),
                _ => None,
            };
            if let Some((first, n)) = run
                && first + *n == leaf.0
            {
                *n += 1;
                return;
            }
        }
        let (first, n) = (leaf, 1);
        let op = match width {
            1 => Op::Numbers1 { first, n },
            2 => Op::Numbers2 { first, n },
            4 => Op::Numbers4 { first, n },
            _ => Op::Numbers8 { first, n },
        };
        self.push(op, node);
    }

    fn array(&mut self, node: &Node, n: usize, item: &Node) {
        match item.kind {
            NodeKind::Scalar { leaf, scalar: Scalar::Number(width) } => {
                self.push(Op::Array { leaf, width, n, framed: false }, node);
            }
            NodeKind::Scalar { leaf, scalar: Scalar::Enum(width) } => {
                self.push(Op::Array { leaf, width, n, framed: true }, node);
            }
            NodeKind::Scalar { leaf, scalar: Scalar::Bool } => {
                self.push(Op::Bools { leaf, n }, node);
            }
            _ => {
                let bytes_min = bytes_min(item);
                let op = self.push(Op::Repeat { n, end: 0, bytes_min, framed: true }, node);
                self.boundary();
                self.lower(item);
                let end = self.boundary();
                self.program.ops[op] = Op::Repeat { n, end, bytes_min, framed: true };
            }
        }
    }

    fn list(&mut self, node: &Node, items: Items, item: &Node) {
        // Items of a list inside an optional member carry validity: only the general form pushes it.
        if let (Items::In(list), NodeKind::Scalar { leaf, scalar }, 0) = (items, &item.kind, self.n_optional)
        {
            let leaf = *leaf;
            let op = match *scalar {
                Scalar::Number(width) => Some(Op::List { list, leaf, width, framed: false }),
                Scalar::Enum(width) => Some(Op::List { list, leaf, width, framed: true }),
                Scalar::Bool => Some(Op::ListOfBools { list, leaf }),
                Scalar::Text => Some(Op::ListOfTexts { list, leaf }),
                Scalar::Time(_) | Scalar::WideText | Scalar::Blob => None,
            };
            if let Some(op) = op {
                self.push(op, node);
                return;
            }
        }
        let bytes_min = bytes_min(item);
        let framed = !matches!(item.kind, NodeKind::Scalar { scalar: Scalar::Number(_) | Scalar::Bool, .. });
        let op = self.push(Op::Each { items, end: 0, bytes_min, framed }, node);
        self.boundary();
        self.lower(item);
        if self.n_optional > 0 {
            self.valid(item);
        }
        let end = self.boundary();
        self.program.ops[op] = Op::Each { items, end, bytes_min, framed };
    }

    /// Marks the columns of `node` as present, except those that a nearer optional member marks.
    fn valid(&mut self, node: &Node) {
        match &node.kind {
            NodeKind::Scalar { leaf, .. } => {
                self.push(Op::Valid(*leaf), node);
            }
            NodeKind::Array { item, .. } => self.valid(item),
            NodeKind::List { items: Items::Counted(leaf), .. } => {
                self.push(Op::Valid(*leaf), node);
            }
            NodeKind::List { items: Items::In(_), .. } => {}
            NodeKind::Struct { members, .. } => {
                members.iter().filter(|it| !it.optional).for_each(|it| self.valid(&it.node));
            }
            // The branch that is there marks itself.
            NodeKind::Union { discriminator, .. } => self.valid(discriminator),
        }
    }

    fn inline_struct(&mut self, node: &Node, members: &[Member]) {
        if members.is_empty() {
            self.push(Op::Dummy, node);
        }
        for member in members {
            if member.optional {
                self.member(member);
            } else {
                self.lower(&member.node);
            }
        }
    }

    fn framed_struct(
        &mut self,
        node: &Node,
        extensibility: Option<Extensibility>,
        members: &[Member],
        is_root: bool,
    ) {
        let idx = self.program.structs.len();
        self.program.structs.push(Struct { extensibility, is_root, members: Vec::new() });
        let op = self.push(Op::Struct { idx, end: 0 }, node);
        if members.is_empty() {
            self.push(Op::Dummy, node);
        }
        let members = members.iter().map(|it| self.member(it)).collect();
        let end = self.boundary();
        self.program.structs[idx].members = members;
        self.program.ops[op] = Op::Struct { idx, end };
    }

    /// A time whose struct is framed: its halves may come in any order.
    fn framed_time(&mut self, node: &Node, leaf: LeafId, extensibility: Option<Extensibility>) {
        let idx = self.program.structs.len();
        let op = self.push(Op::Struct { idx, end: 0 }, node);
        let mut members = Vec::new();
        for (id, part) in [(0, 0), (1, 1)] {
            let start = self.push(Op::TimePart { leaf, part }, node);
            members.push(StructMember { id, start, end: start + 1, optional: None });
        }
        self.program.structs.push(Struct { extensibility, is_root: false, members });
        self.program.ops[op] = Op::Struct { idx, end: self.n_ops() };
    }

    fn member(&mut self, member: &Member) -> StructMember {
        let (id, node) = (member.id, &member.node);
        if !member.optional {
            let start = self.boundary();
            self.lower(node);
            return StructMember { id, start, end: self.boundary(), optional: None };
        }
        let idx = self.program.optionals.len();
        let mut absent = Absent::default();
        absent.collect(node, 1);
        self.program.optionals.push(absent);
        let op = self.push(Op::Optional { idx, end: 0 }, node);
        let start = self.boundary();
        self.n_optional += 1;
        self.lower(node);
        self.n_optional -= 1;
        self.valid(node);
        let end = self.boundary();
        self.program.ops[op] = Op::Optional { idx, end };
        StructMember { id, start, end, optional: Some(idx) }
    }
}

impl Absent {
    fn collect(&mut self, node: &Node, n_items: usize) {
        match &node.kind {
            NodeKind::Scalar { leaf, scalar } => {
                self.leaves.push(*leaf);
                self.n_bytes += n_items * scalar_bytes(*scalar);
            }
            // Cannot overflow: the compiler bounds the values an absent member stands for.
            NodeKind::Array { n, item } => self.collect(item, n_items * *n as usize),
            NodeKind::List { items, .. } => {
                match items {
                    Items::In(list) => self.lists.push(*list),
                    Items::Counted(leaf) => self.leaves.push(*leaf),
                }
                self.n_bytes += 4;
            }
            NodeKind::Struct { members, .. } => {
                members.iter().for_each(|it| self.collect(&it.node, n_items));
            }
            NodeKind::Union { discriminator, branches, .. } => {
                self.collect(discriminator, n_items);
                branches.iter().for_each(|it| self.collect(&it.node, n_items));
            }
        }
    }
}

/// Bytes of a scalar in the least encoding: of text and raw bytes, its length.
fn scalar_bytes(scalar: Scalar) -> usize {
    match scalar {
        Scalar::Bool => 1,
        Scalar::Number(width) | Scalar::Enum(width) => width,
        Scalar::Time(_) => 8,
        Scalar::Text | Scalar::WideText | Scalar::Blob => 4,
    }
}

/// The least a value takes in any encoding, and at least 1 so that counts are bounded by bytes.
fn bytes_min(node: &Node) -> usize {
    let n = match &node.kind {
        NodeKind::Scalar { scalar, .. } => scalar_bytes(*scalar),
        NodeKind::Array { n, item } => bytes_min(item).saturating_mul(*n as usize),
        NodeKind::List { .. } => 4,
        NodeKind::Struct { members, .. } => members
            .iter()
            .filter(|it| !it.optional)
            .fold(0, |sum: usize, it| sum.saturating_add(bytes_min(&it.node))),
        NodeKind::Union { discriminator, .. } => bytes_min(discriminator),
    };
    n.max(1)
}
