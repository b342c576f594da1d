use std::collections::VecDeque;

use nodedata_core::{Error, ErrorKind, Result};
use re_rav1d::{
    Decoder, Error as Av1Error, Picture, PixelLayout, PlanarImageComponent, Settings,
    pixel::{MatrixCoefficients, YUVRange},
};

use super::{Chroma, DecodeOptions, FrameDecoder, VideoFrame};

/// Fields of `av1C` in front of its OBUs.
const CONFIG_HEAD_BYTES: usize = 4;

/// AV1 through `re_rav1d`.
pub(super) struct Av1 {
    decoder: Decoder,
    /// The OBUs of the configuration, which come first.
    head: Vec<u8>,
    ready: VecDeque<VideoFrame>,
}

impl Av1 {
    pub(super) fn new(config: &[u8], options: &DecodeOptions) -> Result<Self> {
        let mut settings = Settings::new();
        // Parallelism is the caller's; one frame in, one frame out.
        settings.set_n_threads(1);
        settings.set_max_frame_delay(1);
        settings.set_all_layers(false);
        settings.set_frame_size_limit(u32::try_from(options.pixels_max).unwrap_or(u32::MAX));
        let decoder = Decoder::with_settings(&settings).map_err(explain)?;
        let head = config.get(CONFIG_HEAD_BYTES..).unwrap_or_default().to_vec();
        let mut decoder = Self { decoder, head, ready: VecDeque::new() };
        decoder.feed_head()?;
        Ok(decoder)
    }

    fn feed_head(&mut self) -> Result<()> {
        if self.head.is_empty() {
            return Ok(());
        }
        let head = self.head.clone();
        self.decode(&head, 0)
    }

    fn drain(&mut self) -> Result<()> {
        loop {
            match self.decoder.get_picture() {
                Ok(picture) => self.ready.push_back(frame(&picture)?),
                Err(Av1Error::Again) => return Ok(()),
                Err(err) => return Err(explain(err)),
            }
        }
    }
}

impl FrameDecoder for Av1 {
    fn decode(&mut self, sample: &[u8], order: i64) -> Result<()> {
        if sample.is_empty() {
            return Err(Error::new(ErrorKind::Corrupt, "an AV1 sample is empty"));
        }
        let mut sent = self.decoder.send_data(sample.to_vec(), None, Some(order), None);
        loop {
            let before = self.ready.len();
            self.drain()?;
            match sent {
                Ok(()) => return Ok(()),
                Err(Av1Error::Again) => {}
                Err(err) => return Err(explain(err)),
            }
            sent = self.decoder.send_pending_data();
            if matches!(sent, Err(Av1Error::Again)) && self.ready.len() == before {
                return Err(Error::new(ErrorKind::Corrupt, "the AV1 decoder takes no more of a sample"));
            }
        }
    }

    fn finish(&mut self) -> Result<()> {
        self.drain()
    }

    fn next_frame(&mut self) -> Result<Option<VideoFrame>> {
        Ok(self.ready.pop_front())
    }

    fn reset(&mut self) -> Result<()> {
        self.decoder.flush();
        self.ready.clear();
        self.feed_head()
    }
}

fn frame(picture: &Picture) -> Result<VideoFrame> {
    let chroma = match picture.pixel_layout() {
        PixelLayout::I400 => Chroma::None,
        PixelLayout::I420 => Chroma::Yuv420,
        PixelLayout::I422 => Chroma::Yuv422,
        PixelLayout::I444 => Chroma::Yuv444,
    };
    let bit_depth = picture.bit_depth() as u8;
    let (width, height) = (picture.width(), picture.height());
    let (chroma_width, chroma_height) = chroma.plane_size(width, height);
    let value_bytes = if bit_depth > 8 { 2 } else { 1 };
    let components = [PlanarImageComponent::Y, PlanarImageComponent::U, PlanarImageComponent::V];
    let sizes = [(width, height), (chroma_width, chroma_height), (chroma_width, chroma_height)];
    let mut planes = Vec::with_capacity(chroma.n_planes());
    for (component, (columns, rows)) in components.into_iter().zip(sizes).take(chroma.n_planes()) {
        let stride = picture.stride(component) as usize;
        let plane = picture.plane(component);
        let row_bytes = columns as usize * value_bytes;
        let mut bytes = Vec::with_capacity(row_bytes * rows as usize);
        for row in plane.chunks_exact(stride).take(rows as usize) {
            bytes.extend_from_slice(&row[..row_bytes]);
        }
        planes.push(bytes);
    }
    let full_range = picture.color_range() == YUVRange::Full;
    let matrix = matrix(picture.matrix_coefficients());
    // Every picture is made of data that was sent with its order.
    let order = picture.timestamp().unwrap_or(i64::MIN);
    VideoFrame { order, width, height, chroma, bit_depth, full_range, matrix, planes }.checked()
}

/// Back to the number of ITU-T H.273.
fn matrix(matrix: MatrixCoefficients) -> u8 {
    match matrix {
        MatrixCoefficients::Identity => 0,
        MatrixCoefficients::BT709 => 1,
        MatrixCoefficients::BT470M => 4,
        MatrixCoefficients::BT470BG => 5,
        MatrixCoefficients::ST170M => 6,
        MatrixCoefficients::ST240M => 7,
        MatrixCoefficients::YCgCo => 8,
        MatrixCoefficients::BT2020NonConstantLuminance => 9,
        MatrixCoefficients::BT2020ConstantLuminance => 10,
        _ => 2,
    }
}

fn explain(err: Av1Error) -> Error {
    let (kind, message) = match err {
        Av1Error::UnsupportedBitstream => (ErrorKind::Unsupported, "this kind of AV1 is not decoded"),
        // The only name that the library gives the error of its limit on frame sizes.
        Av1Error::UnknownError(cause) if format!("{cause:?}") == "ERANGE" => {
            (ErrorKind::Limit, "the AV1 video has too large frames")
        }
        Av1Error::NotEnoughMemory => (ErrorKind::Limit, "the AV1 video has too large frames"),
        _ => (ErrorKind::Corrupt, "the AV1 video is damaged"),
    };
    Error::new(kind, message).with_source(err)
}
