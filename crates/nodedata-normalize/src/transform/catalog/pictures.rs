use nodedata_media::{H264_CRF, H264_CRFS, H264_GROUP, H264_GROUPS, JPEG_QUALITY};

use super::{Argument, ArgumentKind, Arguments, Given, Scope, Transform, TransformKind, wrong};
use crate::transform::{FieldTransform, FrameCoding, ResizeWay, Zero, units};

const IMAGES: &str = "images, JPEG, PNG or raw, and coded video that can be decoded";

pub(crate) static FLIP_CHANNELS: TransformKind = TransformKind {
    full_name: "image/flip_channels@1",
    also: &[],
    scope: Scope::Field,
    takes: IMAGES,
    formula: "(a, b, c) becomes (c, b, a) at every pixel; a fourth channel stays",
    about: "Puts right pictures whose blue and red were swapped; frames are decoded, and stored as PNG unless `encoding` says else",
    example: "fields:\n  wrist: {from: observation.images.wrist, transform: image/flip_channels}",
    arguments: &[],
    short: None,
    make: |_| Ok(Transform::Field(FieldTransform::FlipChannels {})),
};

pub(crate) static ROTATE_180: TransformKind = TransformKind {
    full_name: "image/rotate_180@1",
    also: &[],
    scope: Scope::Field,
    takes: IMAGES,
    formula: "pixel (row, column) becomes pixel (height - 1 - row, width - 1 - column)",
    about: "Puts right the pictures of a camera that hangs upside down; frames are decoded, and stored as PNG unless \
            `encoding` says else",
    example: "fields:\n  front: {from: observation.images.front, encoding: jpeg, transform: image/rotate_180}",
    arguments: &[],
    short: None,
    make: |_| Ok(Transform::Field(FieldTransform::Rotate180 {})),
};

const fn pixels(name: &'static str, required: bool, about: &'static str) -> Argument {
    Argument { name, kind: ArgumentKind::Integer, required, about }
}

/// A side of at least one pixel.
fn side(arguments: &Arguments, name: &'static str) -> Result<u32, Given<String>> {
    /// As far as pictures go: 16k.
    const SIDE_MAX: u32 = 16_384;
    let side = arguments.integer(name).and_then(|it| u32::try_from(it).ok());
    match side.filter(|it| (1..=SIDE_MAX).contains(it)) {
        Some(side) => Ok(side),
        None => wrong(Some(name), format!("`{name}` is no side of a picture"), "say pixels, from 1 to 16384"),
    }
}

pub(crate) static RESIZE: TransformKind = TransformKind {
    full_name: "image/resize@1",
    also: &[],
    scope: Scope::Field,
    takes: IMAGES,
    formula: "triangle: pixel x of m that were n, with s = n / m and its middle at c = (x + 1/2) s, is the mean of old pixels i weighed \
              max(0, 1 - |i + 1/2 - c| / max(s, 1)), rows and columns one after the other (Pillow's BILINEAR); nearest: the pixel in \
              which that middle lies",
    about: "Frames of another size; they are decoded, and stored as PNG unless `encode` or `encoding` says else",
    example: "fields:\n  wrist: {from: observation.images.wrist, transform: [{image/resize: {height: 224, width: 224}}, {encode: jpeg:90}]}",
    arguments: &[
        pixels("height", true, "new height in pixels"),
        pixels("width", true, "new width in pixels"),
        Argument {
            name: "way",
            kind: ArgumentKind::Word(&["triangle", "nearest"]),
            required: false,
            about: "when absent `triangle`, but `nearest` for frames of one 16-bit channel: distances and labels have no mean",
        },
    ],
    short: None,
    make: |it| {
        let way = match it.text("way") {
            Some("triangle") => Some(ResizeWay::Triangle),
            Some("nearest") => Some(ResizeWay::Nearest),
            _ => None,
        };
        Ok(Transform::Field(FieldTransform::Resize {
            height: side(it, "height")?,
            width: side(it, "width")?,
            way,
        }))
    },
};

pub(crate) static CROP: TransformKind = TransformKind {
    full_name: "image/crop@1",
    also: &[],
    scope: Scope::Field,
    takes: IMAGES,
    formula: "pixel (row, column) is pixel (top + row, left + column) of the frame, for the rows below `height` and the columns below \
              `width`; in the middle top = ⌊(frame's height - height) / 2⌋, and left likewise",
    about: "A rectangle of each frame; one that does not hold it is an error. Frames are decoded, and stored as PNG unless `encode` or \
            `encoding` says else",
    example: "fields:\n  wrist: {from: observation.images.wrist, transform: {image/crop: {height: 200, width: 200}}}",
    arguments: &[
        pixels("height", true, "height of the rectangle in pixels"),
        pixels("width", true, "width of the rectangle in pixels"),
        pixels("top", false, "rows above it; in the middle when absent"),
        pixels("left", false, "columns left of it; in the middle when absent"),
    ],
    short: None,
    make: |it| {
        let edge = |name: &'static str| match it.integer(name).map(u32::try_from) {
            None => Ok(None),
            Some(Ok(edge)) => Ok(Some(edge)),
            Some(Err(_)) => {
                wrong(Some(name), format!("`{name}` is negative"), "count from the edge of the frame")
            }
        };
        let (height, width) = (side(it, "height")?, side(it, "width")?);
        Ok(Transform::Field(FieldTransform::Crop { height, width, top: edge("top")?, left: edge("left")? }))
    },
};

pub(crate) static ENCODE: TransformKind = TransformKind {
    full_name: "encode@1",
    also: &[],
    scope: Scope::Field,
    takes: IMAGES,
    formula: "the frame decoded and coded anew: `jpeg:Q` of quality Q from 1 to 100, `jpeg` of 95, `png` without loss, `raw` bare values; \
              `h264:F` video of libx264's constant rate factor F from 1 (finest) to 51, `h264` of 23: the frames of an episode in groups that \
              start with a key frame, in BT.601 colours, without B-frames",
    about: "Says how frames are stored; the last of a field's transforms. JPEG that becomes JPEG loses a little each time. H.264 takes RGB of \
            8 bits with even sides, a picture in every step, and an `ffmpeg` program with libx264",
    example: "fields:\n  wrist: {from: /camera/wrist, transform: {encode: jpeg:90}}\n  front: {from: /camera/front, transform: {encode: {as: h264:23, group: 2}}}",
    arguments: &[
        Argument {
            name: "as",
            kind: ArgumentKind::Text,
            required: true,
            about: "`jpeg:90`, `jpeg`, `png`, `raw`, `h264:23` or `h264`",
        },
        Argument {
            name: "group",
            kind: ArgumentKind::Integer,
            required: false,
            about: "frames of H.264 from one key frame to the next, from 1 to 1000; when absent 2, as LeRobot codes video: larger groups take \
                    less room, and a frame takes the decoding of those before it",
        },
    ],
    short: Some("as"),
    make: encode,
};

fn encode(arguments: &Arguments) -> Result<Transform, Given<String>> {
    let told = arguments.text("as").unwrap_or_default();
    let (name, quality) = told.split_once(':').map_or((told, None), |(name, quality)| (name, Some(quality)));
    let Some(coding) = FrameCoding::from_name(name) else {
        let hint = "one of: jpeg:90, jpeg, png, raw, h264:23, h264";
        return wrong(Some("as"), format!("there is no coding `{name}`"), hint);
    };
    // What nobody gave is written out: a new default changes no dataset that was made before.
    let (known, or_else, of, hint) = match coding {
        FrameCoding::Jpeg => (1..=100, JPEG_QUALITY, "quality of JPEG", "say 1 to 100: `jpeg:90`"),
        FrameCoding::H264 => (
            H264_CRFS,
            H264_CRF,
            "rate factor of H.264",
            "say 1, the finest, to 51: `h264:23`; without loss there is `png`",
        ),
        FrameCoding::Png | FrameCoding::Raw => {
            if quality.is_some() {
                let told = format!("`{name}` has no quality: nothing is lost");
                return wrong(Some("as"), told, "write the name alone");
            }
            refuse_group(arguments, name)?;
            let (quality, group, encoder) = (None, None, None);
            return Ok(Transform::Field(FieldTransform::Encode { coding, quality, group, encoder }));
        }
    };
    let quality = match quality.map(|it| it.parse::<u8>().ok().filter(|it| known.contains(it))) {
        None => Some(or_else),
        Some(Some(quality)) => Some(quality),
        Some(None) => return wrong(Some("as"), format!("`{told}` is no {of}"), hint),
    };
    let group = match (coding, arguments.integer("group").map(u32::try_from)) {
        (FrameCoding::H264, None) => Some(H264_GROUP),
        (FrameCoding::H264, Some(Ok(group))) if H264_GROUPS.contains(&group) => Some(group),
        (FrameCoding::H264, Some(_)) => {
            let hint = "say how many frames there are from one key frame to the next, from 1 to 1000";
            return wrong(Some("group"), "`group` is no length of a group".to_owned(), hint);
        }
        _ => {
            refuse_group(arguments, name)?;
            None
        }
    };
    Ok(Transform::Field(FieldTransform::Encode { coding, quality, group, encoder: None }))
}

/// Pictures that stand alone have no groups.
fn refuse_group(arguments: &Arguments, name: &str) -> Result<(), Given<String>> {
    match arguments.integer("group") {
        None => Ok(()),
        Some(_) => wrong(
            Some("group"),
            format!("pictures of `{name}` stand alone, so there are no groups"),
            "remove `group`, or say `as: h264`",
        ),
    }
}

pub(crate) static DEPTH: TransformKind = TransformKind {
    full_name: "depth@1",
    also: &[],
    scope: Scope::Field,
    takes: "depth images of one 16-bit channel, PNG or raw, and video that decodes to them",
    formula: "x · (one `from` in `to`), in float64, rounded once to float32: bare values of height × width; 0 stays 0, or becomes NaN",
    about: "Makes distances of the whole numbers that a depth camera sends; the last of a field's transforms",
    example: "fields:\n  depth: {from: /camera/depth/image_raw, transform: {depth: {to: m}}}",
    arguments: &[
        Argument {
            name: "to",
            kind: ArgumentKind::Text,
            required: true,
            about: "the length that distances become counted in: m, km, dm, cm, mm, um, in, ft",
        },
        Argument {
            name: "from",
            kind: ArgumentKind::Text,
            required: false,
            about: "the length that they are counted in; when absent the `unit` that the field or its source says, and where neither \
                    does millimetres, as ROS has 16-bit depth images (REP 118)",
        },
        Argument {
            name: "zero",
            kind: ArgumentKind::Word(&["keep", "nan"]),
            required: false,
            about: "what becomes of 0, by which cameras say that they saw nothing: `keep` (when absent), or `nan`",
        },
    ],
    short: Some("to"),
    make: |it| {
        let (from, to) = (it.text("from"), it.text("to").unwrap_or_default());
        for (argument, name) in [("from", from.unwrap_or("m")), ("to", to)] {
            check_length(argument, name)?;
        }
        let zero = if it.text("zero") == Some("nan") { Zero::Nan } else { Zero::Keep };
        Ok(Transform::Field(FieldTransform::Depth { from: from.map(str::to_owned), to: to.to_owned(), zero }))
    },
};

fn check_length(argument: &'static str, name: &str) -> Result<(), Given<String>> {
    let hint = "one of: m, km, dm, cm, mm, um, in, ft";
    match units::find(name) {
        Some(unit) if unit.quantity == "a length" => Ok(()),
        Some(unit) => wrong(Some(argument), format!("`{name}` is {}, no length", unit.quantity), hint),
        None => wrong(Some(argument), format!("there is no unit `{name}`"), hint),
    }
}
