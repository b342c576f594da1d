use nodedata_core::{Columns, Error, ErrorKind, Layout, Locus, Result};

use crate::{
    compile,
    decode::{Decoder, Fault, What, Wire},
    definition::{Definitions, Extensibility, UNDECODED, bad_definition},
    fit::{Ending, Measured},
    program::{Framing, Op, Program},
    sink::{Nowhere, Sink},
    wide::UnitWidth,
};

/// A message type compiled for one layout of columns: decodes payloads without looking at names.
///
/// One plan serves any number of threads. Nested structs are dotted columns, lists of structs are
/// parallel lists, times are int64 nanoseconds, and variable lists of bytes are one value.
#[derive(Debug)]
pub struct RosPlan {
    /// For headers that say plain CDR, and for ROS 1.
    plain: Program,
    /// For headers that say delimited or parameter list.
    framed: Program,
    /// Whether the definitions say how types may be extended.
    has_extensibility: bool,
}

/// The four bytes in front of a CDR payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Encapsulation {
    wire: Wire,
    big_endian: bool,
    root: Extensibility,
}

/// How far a payload was read, and what was skipped on the way.
#[derive(Clone, Copy)]
struct End {
    pos: usize,
    n_odd_padding: usize,
    n_odd_texts: usize,
}

/// Bytes of the encapsulation header; alignment is counted from behind it.
const HEADER_BYTES: usize = 4;
/// Bytes of padding that writers add, to a multiple of 4.
const PADDING_MAX: usize = 3;

impl RosPlan {
    /// Appends the columns of type `root` to `layout`, and compiles the way to fill them.
    ///
    /// A field whose name a column of `layout` already has gets `message.` in front.
    ///
    /// # Errors
    /// `Corrupt` when a type is missing; `Unsupported` for types without columns (bit sets, recursive
    /// types); `Limit` for more than 4096 columns or 64 levels. The layout is then half extended.
    pub fn compile(layout: &mut Layout, definitions: &Definitions, root: &str) -> Result<Self> {
        let node = compile::compile(layout, definitions, root)?;
        Ok(Self {
            plain: Program::new(&node, Framing::Declared),
            framed: Program::new(&node, Framing::All),
            has_extensibility: definitions.has_extensibility(),
        })
    }

    /// Decodes one CDR payload, encapsulation header included, into one row.
    ///
    /// The caller ends the row, or takes it back when this fails.
    ///
    /// # Errors
    /// `Corrupt` when payload and definition disagree; `Unsupported` for an unknown representation;
    /// `Limit` when absent members stand for more than 256 times the payload. The
    /// feature is that of the failing field; bytes in the message are counted from the payload's start.
    pub fn decode_cdr(&self, payload: &[u8], columns: &mut Columns) -> Result<()> {
        let header = Encapsulation::parse(payload)?;
        self.decode(&payload[HEADER_BYTES..], header, HEADER_BYTES, columns)
    }

    /// Decodes one ROS 1 payload into one row; as [`Self::decode_cdr`].
    ///
    /// # Errors
    /// `Corrupt` when payload and definition disagree.
    pub fn decode_ros1(&self, payload: &[u8], columns: &mut Columns) -> Result<()> {
        let header = Encapsulation { wire: Wire::Ros1, big_endian: false, root: Extensibility::Final };
        self.decode(payload, header, 0, columns)
    }

    /// How a CDR payload goes with the definition, without keeping anything of it. Its sizes say that: a text that is not UTF-8
    /// costs its message the columns, and says nothing of other messages.
    pub(crate) fn measure_cdr(&self, payload: &[u8]) -> Measured {
        let Ok(header) = Encapsulation::parse(payload) else {
            return Measured { consumed: 0, ending: Ending::Wrong, is_text: true };
        };
        let data = &payload[HEADER_BYTES..];
        let unit_width =
            if self.plain.has_wide_text { self.unit_width(data, header) } else { UnitWidth::Two };
        let (end, ending, is_text) = match self.run(data, header, unit_width, &mut Nowhere) {
            Ok(End { pos, n_odd_texts, .. }) => {
                let rest = data.get(pos..).unwrap_or_default();
                let ending = match rest.len() {
                    0..=PADDING_MAX => Ending::Exact,
                    n if n <= padding(rest) => Ending::Padded,
                    _ => Ending::Wrong,
                };
                (pos, ending, n_odd_texts == 0)
            }
            Err(fault) => (fault.at, Ending::Wrong, true),
        };
        Measured { consumed: (HEADER_BYTES + end).min(payload.len()), ending, is_text }
    }

    fn decode(
        &self,
        data: &[u8],
        header: Encapsulation,
        header_bytes: usize,
        columns: &mut Columns,
    ) -> Result<()> {
        let unit_width =
            if self.plain.has_wide_text { self.unit_width(data, header) } else { UnitWidth::Two };
        let result = self.run(data, header, unit_width, columns).and_then(|End { pos: end, .. }| {
            let n = data.len() - end;
            let op = self.program(header).ops.len();
            if header.ends(data, end) { Ok(()) } else { Err(Fault { op, at: end, what: What::Left { n } }) }
        });
        result.map_err(|fault| self.report(self.program(header), fault, header_bytes, data.len(), columns))
    }

    /// The width of wide text that suits the payload best.
    ///
    /// Found by decoding into nothing, because rows cannot be taken back without what the caller pushed.
    /// Short text can fit at more than one width, shifting what follows: the right one skips no bytes
    /// with a value as padding, and leaves none behind. One under which some text is none is taken where
    /// no other reads the payload to its end: the message has no columns then, and its definition is still its.
    fn unit_width(&self, data: &[u8], header: Encapsulation) -> UnitWidth {
        let ends = UnitWidth::ALL.map(|width| {
            let end = self.run(data, header, width, &mut Nowhere).ok()?;
            Some((end, header.ends(data, end.pos), width))
        });
        let misfit = |end: &End| (end.n_odd_padding, data.len().saturating_sub(end.pos));
        let ends = ends.into_iter().flatten();
        let texts = ends.clone().filter(|(end, ..)| end.n_odd_texts == 0).min_by_key(|it| misfit(&it.0));
        let others = ends.filter(|(end, ..)| end.n_odd_texts != 0);
        let others = others.min_by_key(|(end, fits, _)| (!fits, misfit(end)));
        let best = texts.filter(|it| it.1).or(others.filter(|it| it.1)).or(texts).or(others);
        best.map_or(UnitWidth::Two, |(_, _, width)| width)
    }

    fn program(&self, header: Encapsulation) -> &Program {
        if header.root == Extensibility::Final { &self.plain } else { &self.framed }
    }

    fn run<S: Sink>(
        &self,
        data: &[u8],
        header: Encapsulation,
        unit_width: UnitWidth,
        sink: &mut S,
    ) -> Result<End, Fault> {
        let program = self.program(header);
        // XTypes: a struct that does not say is appendable. ROS 2 definitions never say, and there the
        // header speaks for all of them.
        let default = match header.root {
            Extensibility::Mutable if self.has_extensibility => Extensibility::Appendable,
            other => other,
        };
        let mut decoder = Decoder {
            data,
            origin: 0,
            wire: header.wire,
            align_mask: header.wire.align_mask(),
            root: header.root,
            default,
            unit_width,
            program,
            sink,
            text: String::new(),
            time: [None; 2],
            absent_bytes_left: absent_bytes_max(data.len()),
            n_odd_padding: 0,
            n_odd_texts: 0,
        };
        let n_ops = program.ops.len();
        let pos = if header.big_endian {
            decoder.run::<true>(0, n_ops, 0)?
        } else {
            decoder.run::<false>(0, n_ops, 0)?
        };
        let Decoder { n_odd_padding, n_odd_texts, .. } = decoder;
        Ok(End { pos, n_odd_padding, n_odd_texts })
    }

    #[cold]
    fn report(
        &self,
        program: &Program,
        fault: Fault,
        header_bytes: usize,
        n_data: usize,
        columns: &Columns,
    ) -> Error {
        let name = field_name(program, &fault, n_data, columns);
        let at = fault.at + header_bytes;
        let left = n_data.saturating_sub(fault.at);
        let message = match fault.what {
            What::Short { needed } => {
                format!("payload has {left} bytes left at byte {at}, but {needed} are needed")
            }
            What::Count { n, bytes_min } => format!(
                "list at byte {at} claims {n} items of at least {bytes_min} bytes, but {left} bytes are left"
            ),
            What::NotUtf8 => format!("string is not UTF-8 at byte {at}"),
            What::NotUtf16 => format!("wide string at byte {at} is not UTF-16 at any width in use"),
            What::NotBool { value } => format!("bool at byte {at} is {value}, expected 0 or 1"),
            What::Left { n } => {
                format!("{n} bytes left after the message at byte {at}: definition and data disagree")
            }
            What::UnknownMember { id } => {
                format!("member id {id} at byte {at} is not in the definition of the struct")
            }
            What::RepeatedMember { id } => format!("member id {id} occurs twice, again at byte {at}"),
            What::Absent => {
                format!("absent members up to byte {at} stand for more than 256 times the payload")
            }
            What::MissingMember { .. } => format!("member is missing from the struct that ends at byte {at}"),
        };
        let kind = if fault.what == What::Absent { ErrorKind::Limit } else { ErrorKind::Corrupt };
        let err = bad_definition(kind, message);
        if name.is_empty() { err } else { err.at(Locus::feature(name)) }
    }
}

/// The field a fault belongs to; empty for the message as a whole.
fn field_name(program: &Program, fault: &Fault, n_data: usize, columns: &Columns) -> String {
    let op = match fault.what {
        What::MissingMember { start } => start,
        _ => fault.op,
    };
    let name = program.names.get(op).map(|it| it.to_string()).unwrap_or_default();
    let (first, width) = match program.ops.get(op) {
        Some(Op::Numbers2 { first, .. }) => (first, 2),
        Some(Op::Numbers4 { first, .. }) => (first, 4),
        Some(Op::Numbers8 { first, .. }) => (first, 8),
        Some(Op::Numbers1 { first, .. }) => (first, 1),
        _ => return name,
    };
    // A run is checked as a whole; the field that does not fit is behind those that do.
    let n_whole = n_data.saturating_sub(fault.at) / width;
    let whole = columns.layout().features().nth(first.0 + n_whole);
    if n_whole == 0 { name } else { whole.map_or(name, |it| it.name.clone()) }
}

/// What absent members may cost: one flag byte can stand for a struct of thousands of columns.
fn absent_bytes_max(n_data: usize) -> usize {
    n_data.saturating_mul(256).saturating_add(1 << 20).min(1 << 28)
}

/// How many of the bytes behind a message may be padding.
///
/// Writers pad to 4, with whatever was in memory. Padding to 8 occurs too, but four bytes may as well be a
/// field the definition does not have (`sensor_msgs/Range` gained one), so those must be zero.
fn padding(rest: &[u8]) -> usize {
    if rest.iter().all(|it| *it == 0) { 7 } else { PADDING_MAX }
}

impl Encapsulation {
    /// Whether nothing but padding is behind a message that ends at `pos`.
    fn ends(self, data: &[u8], pos: usize) -> bool {
        let rest = data.get(pos..).unwrap_or_default();
        rest.len() <= if self.wire == Wire::Ros1 { 0 } else { padding(rest) }
    }

    fn parse(payload: &[u8]) -> Result<Self> {
        let &[first, id, _, _, ..] = payload else {
            let n = payload.len();
            return Err(bad_definition(
                ErrorKind::Corrupt,
                format!("payload has {n} bytes, expected at least the 4 of its encapsulation header"),
            ));
        };
        use Extensibility::{Appendable, Final, Mutable};
        // XTypes 1.3 and RTPS number the XCDR2 forms differently, and recordings have both.
        let (wire, root) = match (first, id & !1) {
            (0, 0x00) => (Wire::Xcdr1, Final),
            (0, 0x02) => (Wire::Xcdr1, Mutable),
            (0, 0x06 | 0x10) => (Wire::Xcdr2, Final),
            (0, 0x08 | 0x14) => (Wire::Xcdr2, Appendable),
            (0, 0x0a | 0x12) => (Wire::Xcdr2, Mutable),
            _ => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("payload has representation id 0x{first:02x}{id:02x}, expected CDR"),
                )
                .with_hint(UNDECODED));
            }
        };
        Ok(Self { wire, big_endian: id & 1 == 0, root })
    }
}
