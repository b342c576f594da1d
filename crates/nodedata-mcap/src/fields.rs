use nodedata_core::Result;
use nodedata_log::corrupt;

/// Takes little-endian fields off the front of a record's content, never past its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    record: &'static str,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The content of one record; `record` names it in errors.
    pub(crate) fn new(record: &'static str, content: &'a [u8]) -> Self {
        Self { record, rest: content }
    }

    /// What has not been taken yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn bytes(&mut self, n_bytes: u64, field: &'static str) -> Result<&'a [u8]> {
        let taken = usize::try_from(n_bytes).ok().and_then(|it| self.rest.split_at_checked(it));
        let Some((head, rest)) = taken else {
            return Err(corrupt(format!(
                "{} bytes are left in the {} record, but its `{field}` takes {n_bytes}",
                self.rest.len(),
                self.record
            )));
        };
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N]> {
        let bytes = self.bytes(N as u64, field)?;
        let mut array = [0; N];
        array.copy_from_slice(bytes);
        Ok(array)
    }

    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16> {
        self.array(field).map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32> {
        self.array(field).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self, field: &'static str) -> Result<u64> {
        self.array(field).map(u64::from_le_bytes)
    }

    /// Bytes behind a u32 length.
    pub(crate) fn block(&mut self, field: &'static str) -> Result<&'a [u8]> {
        let n_bytes = self.u32(field)?;
        self.bytes(u64::from(n_bytes), field)
    }

    /// Text behind a u32 length.
    pub(crate) fn text(&mut self, field: &'static str) -> Result<&'a str> {
        let bytes = self.block(field)?;
        str::from_utf8(bytes).map_err(|err| {
            corrupt(format!("`{field}` of the {} record is not UTF-8", self.record)).with_source(err)
        })
    }

    /// The entries of a map or array behind a u32 length in bytes.
    pub(crate) fn entries(&mut self, field: &'static str) -> Result<Self> {
        Ok(Self { record: self.record, rest: self.block(field)? })
    }

    /// A map from text to text, in file order.
    pub(crate) fn text_map(&mut self, field: &'static str) -> Result<Vec<(&'a str, &'a str)>> {
        let mut entries = self.entries(field)?;
        let mut pairs = Vec::new();
        while !entries.rest.is_empty() {
            pairs.push((entries.text(field)?, entries.text(field)?));
        }
        Ok(pairs)
    }
}
