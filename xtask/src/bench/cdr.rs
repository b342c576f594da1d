/// Writes little-endian CDR (XCDR1), just enough for the messages of the bench.
pub(super) struct CdrWriter {
    bytes: Vec<u8>,
}

/// Bytes of the encapsulation header; alignment counts from behind it.
const HEADER: [u8; 4] = [0, 1, 0, 0];

impl CdrWriter {
    /// An empty message.
    pub(super) fn new() -> Self {
        Self { bytes: HEADER.to_vec() }
    }

    /// Starts the next message in the same memory.
    pub(super) fn clear(&mut self) {
        self.bytes.truncate(HEADER.len());
    }

    /// The message with its encapsulation header.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn align(&mut self, to: usize) {
        let n_body = self.bytes.len() - HEADER.len();
        self.bytes.resize(HEADER.len() + n_body.next_multiple_of(to), 0);
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.align(4);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// A length, as sequences and strings have it.
    fn len(&mut self, n: usize) {
        self.u32(u32::try_from(n).expect("bench messages are far below 4 GiB"));
    }

    pub(super) fn string(&mut self, value: &str) {
        self.len(value.len() + 1);
        self.bytes.extend_from_slice(value.as_bytes());
        self.bytes.push(0);
    }

    pub(super) fn octets(&mut self, value: &[u8]) {
        self.len(value.len());
        self.bytes.extend_from_slice(value);
    }

    pub(super) fn strings(&mut self, values: &[&str]) {
        self.len(values.len());
        for value in values {
            self.string(value);
        }
    }

    pub(super) fn doubles(&mut self, values: &[f64]) {
        self.len(values.len());
        if !values.is_empty() {
            self.align(8);
        }
        for value in values {
            self.bytes.extend_from_slice(&value.to_le_bytes());
        }
    }

    /// `std_msgs/Header`.
    pub(super) fn header(&mut self, time_ns: u64, frame_id: &str) {
        let seconds = u32::try_from(time_ns / 1_000_000_000).expect("bench times lie before 2106");
        self.u32(seconds);
        self.u32((time_ns % 1_000_000_000) as u32);
        self.string(frame_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_aligned_behind_the_header() {
        let mut writer = CdrWriter::new();
        writer.string("ab");
        writer.doubles(&[1.0]);
        let mut expected = vec![0, 1, 0, 0, 3, 0, 0, 0, b'a', b'b', 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
        expected.truncate(16);
        // 12 bytes of body so far; the doubles begin at 16.
        expected.extend_from_slice(&[0, 0, 0, 0]);
        expected.extend_from_slice(&1.0_f64.to_le_bytes());
        assert_eq!(writer.bytes(), expected);
        writer.clear();
        assert_eq!(writer.bytes(), HEADER);
    }
}
