use nodedata_core::MediaEncoding;
use nodedata_media::JPEG_QUALITY;

use super::{Argument, ArgumentKind, Arguments, Given, Scope, Transform, TransformKind, wrong};
use crate::transform::{FieldTransform, ResizeWay, Zero, units};

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
    formula: "the frame decoded and coded anew: `jpeg:Q` of quality Q from 1 to 100, `jpeg` of 95, `png` without loss, `raw` bare values",
    about: "Says how frames are stored; the last of a field's transforms. JPEG that becomes JPEG loses a little each time",
    example: "fields:\n  wrist: {from: /camera/wrist, transform: {encode: jpeg:90}}",
    arguments: &[Argument {
        name: "as",
        kind: ArgumentKind::Text,
        required: true,
        about: "`jpeg:90`, `jpeg`, `png` or `raw`",
    }],
    short: Some("as"),
    make: |it| {
        let told = it.text("as").unwrap_or_default();
        let (name, quality) =
            told.split_once(':').map_or((told, None), |(name, quality)| (name, Some(quality)));
        let Some(coding) = MediaEncoding::from_name(name) else {
            return wrong(
                Some("as"),
                format!("there is no coding `{name}`"),
                "one of: jpeg:90, jpeg, png, raw",
            );
        };
        let parsed = quality.map(|it| it.parse::<u8>().ok().filter(|it| (1..=100).contains(it)));
        let quality = match (coding, parsed) {
            // Written out: a new default changes no dataset that was made before.
            (MediaEncoding::Jpeg, None) => Some(JPEG_QUALITY),
            (MediaEncoding::Png | MediaEncoding::Raw, None) => None,
            (MediaEncoding::Jpeg, Some(Some(quality))) => Some(quality),
            (MediaEncoding::Jpeg, Some(None)) => {
                return wrong(
                    Some("as"),
                    format!("`{told}` is no quality of JPEG"),
                    "say 1 to 100: `jpeg:90`",
                );
            }
            (MediaEncoding::Png | MediaEncoding::Raw, Some(_)) => {
                let told = format!("`{name}` has no quality: nothing is lost");
                return wrong(Some("as"), told, "write the name alone");
            }
        };
        Ok(Transform::Field(FieldTransform::Encode { coding, quality }))
    },
};

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
