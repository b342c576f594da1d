/// What a raw picture says about itself.
#[derive(Debug)]
pub(crate) struct Picture<'a> {
    pub(crate) encoding: &'a str,
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Bytes from one row to the next.
    pub(crate) step: usize,
    pub(crate) is_bigendian: bool,
}

impl Picture<'_> {
    /// The pixels as datasets store them: no padding, red first, little endian. Written anew here, slow
    /// and plain, so that it shares no mistake with the code it is a test of.
    ///
    /// # Panics
    /// For an encoding that no truth file has, and when the sizes do not fit the bytes.
    pub(crate) fn stored(&self, data: &[u8]) -> Vec<u8> {
        let (sample_bytes, n_channels) = match self.encoding {
            "mono8" | "8UC1" => (1, 1),
            "rgb8" | "bgr8" | "8UC3" => (1, 3),
            "rgba8" | "bgra8" => (1, 4),
            "mono16" | "16UC1" => (2, 1),
            "32FC1" => (4, 1),
            other => panic!("truth with a picture in {other}"),
        };
        let mut stored = Vec::new();
        for row in 0..self.height {
            for column in 0..self.width {
                for channel in 0..n_channels {
                    let channel = match (self.encoding, channel) {
                        ("bgr8" | "bgra8", 0) => 2,
                        ("bgr8" | "bgra8", 2) => 0,
                        (_, same) => same,
                    };
                    let start = row * self.step + (column * n_channels + channel) * sample_bytes;
                    let mut sample = data[start..start + sample_bytes].to_vec();
                    if self.is_bigendian {
                        sample.reverse();
                    }
                    stored.extend(sample);
                }
            }
        }
        stored
    }
}
