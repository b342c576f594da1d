//! Writes FlatBuffers, and binary schemas, for tests.

/// A value behind a field.
#[derive(Clone)]
pub(crate) enum Node {
    /// A number or struct, as it lies in the table.
    Inline(Vec<u8>),
    Text(&'static str),
    /// Length and raw items.
    Vector(usize, Vec<u8>),
    /// A vector of offsets.
    Nodes(Vec<Self>),
    /// Fields by id.
    Table(Vec<(usize, Self)>),
}

/// A number or struct from little-endian numbers.
#[macro_export]
macro_rules! inline {
    ($($number:expr),+) => { $crate::flatbuffer::tests::writer::Node::Inline([$($number.to_le_bytes().to_vec()),+].concat()) };
}

/// A finished buffer with `root` as its table.
pub(crate) fn finish(root: &Node, identifier: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 4];
    out.extend_from_slice(identifier);
    let at = place(&mut out, root);
    patch(&mut out, 0, at);
    out
}

/// Writes what lies behind an offset, and returns where.
fn place(out: &mut Vec<u8>, node: &Node) -> usize {
    out.resize(out.len().next_multiple_of(4), 0);
    let at = out.len();
    match node {
        // A struct of a union, alone behind its offset.
        Node::Inline(bytes) => out.extend_from_slice(bytes),
        Node::Text(text) => {
            out.extend_from_slice(&u32::try_from(text.len()).unwrap().to_le_bytes());
            out.extend_from_slice(text.as_bytes());
            out.push(0);
        }
        Node::Vector(len, bytes) => {
            out.extend_from_slice(&u32::try_from(*len).unwrap().to_le_bytes());
            out.extend_from_slice(bytes);
        }
        Node::Nodes(items) => {
            out.extend_from_slice(&u32::try_from(items.len()).unwrap().to_le_bytes());
            out.resize(at + 4 + 4 * items.len(), 0);
            for (idx, item) in items.iter().enumerate() {
                let target = place(out, item);
                patch(out, at + 4 + 4 * idx, target);
            }
        }
        Node::Table(fields) => return place_table(out, fields),
    }
    at
}

fn place_table(out: &mut Vec<u8>, fields: &[(usize, Node)]) -> usize {
    let vtable = out.len();
    let n_slots = fields.iter().map(|it| it.0 + 1).max().unwrap_or(0);
    out.resize((vtable + 4 + 2 * n_slots).next_multiple_of(4), 0);
    let table = out.len();
    out.extend_from_slice(&i32::try_from(table - vtable).unwrap().to_le_bytes());
    let mut behind = Vec::new();
    for (id, node) in fields {
        let offset = u16::try_from(out.len() - table).unwrap();
        out[vtable + 4 + 2 * id..][..2].copy_from_slice(&offset.to_le_bytes());
        if let Node::Inline(bytes) = node {
            out.extend_from_slice(bytes);
        } else {
            behind.push((out.len(), node));
            out.extend_from_slice(&[0; 4]);
        }
    }
    let n_vtable_bytes = u16::try_from(4 + 2 * n_slots).unwrap();
    let n_table_bytes = u16::try_from(out.len() - table).unwrap();
    out[vtable..][..2].copy_from_slice(&n_vtable_bytes.to_le_bytes());
    out[vtable + 2..][..2].copy_from_slice(&n_table_bytes.to_le_bytes());
    for (slot, node) in behind {
        let target = match node {
            // The member of a union that is a struct, marked by a table of one nameless field.
            Node::Table(fields) if fields.len() == 1 && fields[0].0 == usize::MAX => place(out, &fields[0].1),
            node => place(out, node),
        };
        patch(out, slot, target);
    }
    table
}

fn patch(out: &mut [u8], slot: usize, target: usize) {
    out[slot..][..4].copy_from_slice(&u32::try_from(target - slot).unwrap().to_le_bytes());
}

/// A value that lies behind an offset although it could lie in the table.
pub(crate) fn behind(node: Node) -> Node {
    Node::Table(vec![(usize::MAX, node)])
}

/// `reflection.Type`; `index` is that of an object or enumeration.
pub(crate) fn of(base: u8, element: u8, index: i32, fixed_length: u16) -> Node {
    Node::Table(vec![
        (0, inline!(base)),
        (1, inline!(element)),
        (2, inline!(index)),
        (3, inline!(fixed_length)),
    ])
}

/// `reflection.Field`, with more fields of it by id.
pub(crate) fn field(name: &'static str, id: u16, offset: u16, of: Node, more: Vec<(usize, Node)>) -> Node {
    let mut fields = vec![(0, Node::Text(name)), (1, of), (2, inline!(id)), (3, inline!(offset))];
    fields.extend(more);
    Node::Table(fields)
}

/// `reflection.Object` of a table.
pub(crate) fn table(name: &'static str, fields: Vec<Node>) -> Node {
    Node::Table(vec![(0, Node::Text(name)), (1, Node::Nodes(fields))])
}

/// `reflection.Object` of a struct.
pub(crate) fn structure(name: &'static str, n_bytes: i32, fields: Vec<Node>) -> Node {
    let mut object = vec![(0, Node::Text(name)), (1, Node::Nodes(fields)), (2, inline!(1u8))];
    object.push((4, inline!(n_bytes)));
    Node::Table(object)
}

/// `reflection.Enum`, from names, numbers and, for a union, the types of its members.
pub(crate) fn enumeration(name: &'static str, values: Vec<(&'static str, i64, Option<Node>)>) -> Node {
    let values = values.into_iter().map(|(name, value, member)| {
        let mut fields = vec![(0, Node::Text(name)), (1, inline!(value))];
        fields.extend(member.map(|it| (3, it)));
        Node::Table(fields)
    });
    Node::Table(vec![(0, Node::Text(name)), (1, Node::Nodes(values.collect()))])
}

/// A `.bfbs` schema.
pub(crate) fn schema(objects: Vec<Node>, enums: Vec<Node>) -> Vec<u8> {
    finish(&Node::Table(vec![(0, Node::Nodes(objects)), (1, Node::Nodes(enums))]), b"BFBS")
}
