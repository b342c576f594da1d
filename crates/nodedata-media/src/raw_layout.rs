use nodedata_core::DType;

/// How the samples of one raw pixel are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PixelOrder {
    /// Channels in the order they are stored; also single channels and Bayer mosaics.
    Plain,
    /// Blue first, with or without alpha: stored as red first.
    BlueFirst,
    /// 4:2:2, two samples a pixel: the shape is height × width × 2.
    Yuv422,
    /// 4:2:0, a luma plane, then interleaved chroma of half the height: 3/2 × height rows of width samples.
    Yuv420Planes,
    /// 4:4:4, a luma plane, then interleaved chroma: 3 × height rows of width samples.
    Yuv444Planes,
}

/// What a ROS (or Foxglove) `encoding` name says about raw pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawLayout {
    /// The name as the source wrote it.
    pub name: EncodingName,
    /// Type of one sample.
    pub dtype: DType,
    /// Samples of one pixel; 1 for planar layouts.
    pub channels: u32,
    /// Their order.
    pub order: PixelOrder,
}

/// A short encoding name held without allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EncodingName {
    bytes: [u8; Self::BYTES_MAX],
    n_bytes: u8,
}

impl EncodingName {
    const BYTES_MAX: usize = 16;

    /// Holds `name`; `None` when it is longer than any known encoding.
    pub fn new(name: &str) -> Option<Self> {
        let mut bytes = [0; Self::BYTES_MAX];
        bytes.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        Some(Self { bytes, n_bytes: u8::try_from(name.len()).ok()? })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.n_bytes)]).unwrap_or_default()
    }
}

impl RawLayout {
    /// Reads an encoding name of `sensor_msgs/image_encodings.hpp` or of `foxglove.RawImage`; `None` when
    /// it is not known.
    pub fn from_name(name: &str) -> Option<Self> {
        use PixelOrder::{BlueFirst, Plain, Yuv420Planes, Yuv422, Yuv444Planes};
        let (dtype, channels, order) = match name {
            "mono8" => (DType::UInt8, 1, Plain),
            "mono16" => (DType::UInt16, 1, Plain),
            "rgb8" => (DType::UInt8, 3, Plain),
            "rgba8" => (DType::UInt8, 4, Plain),
            "rgb16" => (DType::UInt16, 3, Plain),
            "rgba16" => (DType::UInt16, 4, Plain),
            "bgr8" => (DType::UInt8, 3, BlueFirst),
            "bgra8" => (DType::UInt8, 4, BlueFirst),
            "bgr16" => (DType::UInt16, 3, BlueFirst),
            "bgra16" => (DType::UInt16, 4, BlueFirst),
            "bayer_rggb8" | "bayer_bggr8" | "bayer_gbrg8" | "bayer_grbg8" => (DType::UInt8, 1, Plain),
            "bayer_rggb16" | "bayer_bggr16" | "bayer_gbrg16" | "bayer_grbg16" => (DType::UInt16, 1, Plain),
            "yuv422" | "uyvy" | "yuv422_yuy2" | "yuyv" => (DType::UInt8, 2, Yuv422),
            "nv12" | "nv21" => (DType::UInt8, 1, Yuv420Planes),
            "nv24" => (DType::UInt8, 1, Yuv444Planes),
            _ => {
                let (dtype, channels) = generic(name)?;
                (dtype, channels, Plain)
            }
        };
        Some(Self { name: EncodingName::new(name)?, dtype, channels, order })
    }

    /// Bytes of one sample.
    pub fn sample_bytes(&self) -> usize {
        self.dtype.byte_width().unwrap_or(1)
    }

    /// The name of the layout after normalisation: red first where blue was.
    pub fn stored_name(&self) -> EncodingName {
        let renamed = match self.name.as_str() {
            "bgr8" => EncodingName::new("rgb8"),
            "bgra8" => EncodingName::new("rgba8"),
            "bgr16" => EncodingName::new("rgb16"),
            "bgra16" => EncodingName::new("rgba16"),
            _ => None,
        };
        renamed.unwrap_or(self.name)
    }
}

/// OpenCV's `<bits><U|S|F>C<channels>`; a missing count means one channel.
fn generic(name: &str) -> Option<(DType, u32)> {
    let (kind, channels) = name.split_once('C')?;
    let dtype = match kind {
        "8U" => DType::UInt8,
        "8S" => DType::Int8,
        "16U" => DType::UInt16,
        "16S" => DType::Int16,
        "16F" => DType::Float16,
        "32U" => DType::UInt32,
        "32S" => DType::Int32,
        "32F" => DType::Float32,
        "64F" => DType::Float64,
        _ => return None,
    };
    let channels = match channels {
        "" => 1,
        digits if digits.bytes().all(|it| it.is_ascii_digit()) => digits.parse().ok()?,
        _ => return None,
    };
    // OpenCV's own bound on channels.
    (1..=512).contains(&channels).then_some((dtype, channels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: Option<(DType, u32, PixelOrder, &str)>) {
        let layout = RawLayout::from_name(name);
        let stored = layout.map(|it| it.stored_name());
        let found = layout.map(|it| (it.dtype, it.channels, it.order));
        assert_eq!(found, expected.map(|it| (it.0, it.1, it.2)), "{name}");
        assert_eq!(stored.as_ref().map(EncodingName::as_str), expected.map(|it| it.3), "{name}");
    }

    #[test]
    fn names_tell_type_channels_and_order() {
        use PixelOrder::{BlueFirst, Plain, Yuv420Planes, Yuv422, Yuv444Planes};
        check("rgb8", Some((DType::UInt8, 3, Plain, "rgb8")));
        check("bgr8", Some((DType::UInt8, 3, BlueFirst, "rgb8")));
        check("rgba8", Some((DType::UInt8, 4, Plain, "rgba8")));
        check("bgra8", Some((DType::UInt8, 4, BlueFirst, "rgba8")));
        check("bgr16", Some((DType::UInt16, 3, BlueFirst, "rgb16")));
        check("bgra16", Some((DType::UInt16, 4, BlueFirst, "rgba16")));
        check("mono8", Some((DType::UInt8, 1, Plain, "mono8")));
        check("mono16", Some((DType::UInt16, 1, Plain, "mono16")));
        check("bayer_rggb8", Some((DType::UInt8, 1, Plain, "bayer_rggb8")));
        check("bayer_grbg16", Some((DType::UInt16, 1, Plain, "bayer_grbg16")));
        check("yuv422", Some((DType::UInt8, 2, Yuv422, "yuv422")));
        check("yuv422_yuy2", Some((DType::UInt8, 2, Yuv422, "yuv422_yuy2")));
        check("nv21", Some((DType::UInt8, 1, Yuv420Planes, "nv21")));
        check("nv24", Some((DType::UInt8, 1, Yuv444Planes, "nv24")));
    }

    #[test]
    fn generic_names_are_read_digit_by_digit() {
        use PixelOrder::Plain;
        check("8UC1", Some((DType::UInt8, 1, Plain, "8UC1")));
        check("16UC1", Some((DType::UInt16, 1, Plain, "16UC1")));
        check("16SC2", Some((DType::Int16, 2, Plain, "16SC2")));
        check("32FC1", Some((DType::Float32, 1, Plain, "32FC1")));
        check("32SC4", Some((DType::Int32, 4, Plain, "32SC4")));
        check("64FC12", Some((DType::Float64, 12, Plain, "64FC12")));
        check("8UC", Some((DType::UInt8, 1, Plain, "8UC")));
        for unknown in ["", "C", "8UC0", "8UC-1", "8UC+3", "24UC1", "8UC99999999999", "8UC513", "rgb565"] {
            check(unknown, None);
        }
    }
}
