//! A small CDR writer that shares no code with the reader.

/// The encodings the writer knows; `Ros1` is packed and has no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Ros1,
    Xcdr1 { big: bool },
    Xcdr2 { big: bool },
}

impl Encoding {
    pub(crate) const CDR: [Self; 4] = [
        Self::Xcdr1 { big: false },
        Self::Xcdr1 { big: true },
        Self::Xcdr2 { big: false },
        Self::Xcdr2 { big: true },
    ];

    fn big(self) -> bool {
        matches!(self, Self::Xcdr1 { big: true } | Self::Xcdr2 { big: true })
    }
}

pub(crate) struct Writer {
    encoding: Encoding,
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn new(encoding: Encoding) -> Self {
        let id = match encoding {
            Encoding::Ros1 => None,
            Encoding::Xcdr1 { big } => Some(u8::from(!big)),
            Encoding::Xcdr2 { big } => Some(6 + u8::from(!big)),
        };
        Self { encoding, bytes: id.map_or(Vec::new(), |id| vec![0, id, 0, 0]) }
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    fn align(&mut self, n: usize) {
        let n = match self.encoding {
            Encoding::Ros1 => 1,
            Encoding::Xcdr1 { .. } => n,
            Encoding::Xcdr2 { .. } => n.min(4),
        };
        while self.bytes.len() % n != 4 % n {
            self.bytes.push(0xaa);
        }
    }

    /// One number as little-endian bytes.
    pub(crate) fn number<const N: usize>(&mut self, little: [u8; N]) -> &mut Self {
        self.align(N);
        let mut bytes = little;
        if self.encoding.big() {
            bytes.reverse();
        }
        self.bytes.extend(bytes);
        self
    }

    pub(crate) fn u8(&mut self, value: u8) -> &mut Self {
        self.number([value])
    }

    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.number(value.to_le_bytes())
    }

    pub(crate) fn f64(&mut self, value: f64) -> &mut Self {
        self.number(value.to_le_bytes())
    }

    pub(crate) fn string(&mut self, text: &str) -> &mut Self {
        let has_nul = self.encoding != Encoding::Ros1;
        self.u32(text.len() as u32 + u32::from(has_nul));
        self.bytes.extend(text.bytes());
        if has_nul {
            self.bytes.push(0);
        }
        self
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.u32(bytes.len() as u32);
        self.bytes.extend(bytes);
        self
    }

    /// What XCDR2 writes behind its byte length and the others write plainly: lists of strings or structs.
    pub(crate) fn framed(&mut self, write: impl FnOnce(&mut Self)) -> &mut Self {
        if !matches!(self.encoding, Encoding::Xcdr2 { .. }) {
            write(self);
            return self;
        }
        self.u32(0);
        let start = self.bytes.len();
        write(self);
        let n = (self.bytes.len() - start) as u32;
        let n = if self.encoding.big() { n.to_be_bytes() } else { n.to_le_bytes() };
        self.bytes[start - 4..start].copy_from_slice(&n);
        self
    }
}
