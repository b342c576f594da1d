//! What media bytes say about themselves: which codec they are, how large the image is, whether a video
//! sample is a key frame, and how raw pixels lie. Every look is bounded and allocates nothing; only
//! [`decode_image`] decodes.

mod annexb;
mod decode;
mod encoding;
mod image_header;
mod normalize;
mod raw_layout;

pub use annexb::{VideoCodec, is_keyframe};
pub use decode::{Decoded, decode_image};
pub use encoding::{Encoding, sniff};
pub use image_header::{ImageHeader, image_header};
pub use normalize::{Normalized, RawImage, Stored, normalize};
pub use raw_layout::{EncodingName, PixelOrder, RawLayout};
