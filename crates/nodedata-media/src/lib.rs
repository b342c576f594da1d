//! What media bytes say about themselves: which codec they are, how large the image and how long the clip of sound is, whether a
//! video sample is a key frame, how raw pixels lie, and where an mp4 file keeps its video. Every look is bounded and
//! allocates nothing but the tables it returns; only [`decode_image`], [`decode_image_into`],
//! [`check_audio`], [`flac_to_samples`] and [`video`] decode, and only
//! [`encode_png`], [`encode_jpeg`], [`wav_to_flac`] and [`H264Encoder`] encode.
//! With the feature `resize` the module of that name makes frames of another size.

mod annexb;
mod audio;
mod container;
mod decode;
mod depth;
mod encode;
mod encoding;
mod h264_encoder;
mod image_header;
mod image_shape;
mod keyframe;
pub mod mp4;
mod normalize;
mod program;
mod raw_layout;
#[cfg(feature = "resize")]
pub mod resize;
pub mod video;

pub use annexb::{VideoCodec, is_keyframe};
pub use audio::{
    AudioCodec, AudioHeader, AudioSamples, audio_header, check_audio, flac_to_samples, wav_to_flac,
};
pub use container::{sniff_clip, sniff_file};
pub use decode::{Decoded, decode_image, decode_image_into};
pub use depth::{DepthQuantization, DepthUnit};
pub use encode::{JPEG_QUALITY, encode_jpeg, encode_png, encode_png_of_video};
pub use encoding::{Encoding, sniff};
pub use h264_encoder::{
    CodedPicture, H264_CRF, H264_CRFS, H264_GROUP, H264_GROUPS, H264Encoder, H264Options, H264Size,
    h264_encoder,
};
pub use image_header::{ImageHeader, image_header};
pub use image_shape::ImageShape;
pub use normalize::{Normalized, RawImage, Stored, normalize};
pub use raw_layout::{EncodingName, PixelOrder, RawLayout};
