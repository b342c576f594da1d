use nodedata_core::MediaEncoding;
use serde::{Deserialize, Serialize};

/// What frames are coded as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FrameCoding {
    /// JPEG, each by itself.
    Jpeg,
    /// PNG, each by itself.
    Png,
    /// Bare values.
    Raw,
    /// Video in groups of frames: H.264.
    H264,
}

impl FrameCoding {
    /// Every coding, with the name that pipelines use.
    pub const ALL: [(Self, &'static str); 4] =
        [(Self::Jpeg, "jpeg"), (Self::Png, "png"), (Self::Raw, "raw"), (Self::H264, "h264")];

    /// As pipelines spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::Raw => "raw",
            Self::H264 => "h264",
        }
    }

    /// The coding called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, it)| *it == name).map(|(coding, _)| coding)
    }

    /// How frames are stored that stand alone; `None` for video.
    pub fn of_frames(self) -> Option<MediaEncoding> {
        match self {
            Self::Jpeg => Some(MediaEncoding::Jpeg),
            Self::Png => Some(MediaEncoding::Png),
            Self::Raw => Some(MediaEncoding::Raw),
            Self::H264 => None,
        }
    }
}
