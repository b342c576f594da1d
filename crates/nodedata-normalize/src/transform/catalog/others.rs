use super::{Argument, ArgumentKind, Scope, Transform, TransformKind, wrong};
use crate::transform::{FieldTransform, StepTransform};

pub(crate) static FLAC: TransformKind = TransformKind {
    full_name: "audio/flac@1",
    also: &[],
    scope: Scope::Field,
    takes: "clips of sound, WAV of whole numbers (8, 16 or 24 bits) or FLAC, which stays as it is",
    formula: "a FLAC file that decodes to the samples of the WAV file; its other chunks, such as tags, are left out",
    about: "Stores clips smaller and without loss: each is decoded again and compared, sample by sample, before it is written",
    example: "fields:\n  speech: {from: speech.wav, transform: audio/flac}",
    arguments: &[],
    short: None,
    make: |_| Ok(Transform::Field(FieldTransform::Flac {})),
};

pub(crate) static FROM_CODES: TransformKind = TransformKind {
    full_name: "text/from_codes@1",
    also: &[],
    scope: Scope::Field,
    takes: "vectors of whole numbers",
    formula: "text whose UTF-8 bytes are the numbers that are not 0",
    about: "Reads instructions that a dataset such as language_table stores as numbers, filled up with zeros",
    example: "fields:\n  instruction: {from: observation.instruction, transform: text/from_codes}",
    arguments: &[],
    short: None,
    make: |_| Ok(Transform::Field(FieldTransform::FromCodes {})),
};

pub(crate) static POINTS: TransformKind = TransformKind {
    full_name: "points@1",
    also: &[],
    scope: Scope::Field,
    takes: "a topic of sensor_msgs/PointCloud2, named alone as `from`",
    formula: "float32[n, fields]: of each point the fields in the order in which they are given, rounded to float32, row by row of the \
              cloud; of more than `max` points those numbered ⌊k n / max⌋ for k below `max`. With `fill: nan` float32[max, fields], and \
              NaN where a cloud has no more points",
    about: "Makes numbers of the bytes of a point cloud",
    example: "fields:\n  cloud: {from: /points, transform: {points: {fields: [x, y, z, intensity], max: 4096}}}",
    arguments: &[
        Argument {
            name: "fields",
            kind: ArgumentKind::Texts,
            required: true,
            about: "which fields of a point, by the names that messages give them",
        },
        Argument {
            name: "max",
            kind: ArgumentKind::Integer,
            required: false,
            about: "how many points of a cloud at most; all when absent",
        },
        Argument {
            name: "fill",
            kind: ArgumentKind::Word(&["nan"]),
            required: false,
            about: "`nan`: every step has `max` points, NaN behind those that the cloud has; when absent as many as there are",
        },
    ],
    short: Some("fields"),
    make: |it| {
        let fields = it.names.get("fields").cloned().unwrap_or_default();
        if let Some(twice) = fields.iter().enumerate().find(|(idx, it)| fields[..*idx].contains(it)) {
            let told = format!("`{}` stands twice in `fields`", twice.1);
            return wrong(Some("fields"), told, "remove one of them");
        }
        let max = match it.integer("max").map(u32::try_from) {
            None => None,
            Some(Ok(max)) if (1..=POINTS_MAX).contains(&max) => Some(max),
            Some(_) => {
                let hint = "say from 1 to 1048576";
                return wrong(Some("max"), "`max` is no number of points".to_owned(), hint);
            }
        };
        let fill = it.text("fill").is_some();
        if fill && max.is_none() {
            let told = "`fill` needs a number of points to fill up to".to_owned();
            return wrong(Some("fill"), told, "add `max`");
        }
        Ok(Transform::Field(FieldTransform::Points { fields, max, fill }))
    },
};

/// Points that a step may have where it always has as many: 2^20.
const POINTS_MAX: u32 = 1 << 20;

pub(crate) static DROP_LAST_PADDING: TransformKind = TransformKind {
    full_name: "rlds/drop_last_padding@1",
    also: &[],
    scope: Scope::Steps,
    takes: "steps with a bool that is true at the last one",
    formula: "the last step of an episode is left out where `field` is true there",
    about: "By RLDS' rule the action of an episode's last step is padding; such a step is left out, and counted under this \
            name",
    example: "steps: {transform: rlds/drop_last_padding}",
    arguments: &[Argument {
        name: "field",
        kind: ArgumentKind::Text,
        required: false,
        about: "the bool that is true at the last step, by its name in a source of steps, or that of a field of steps made of \
                messages; `is_last` when absent",
    }],
    short: None,
    make: |it| {
        let field = it.text("field").unwrap_or("is_last").to_owned();
        Ok(Transform::Steps(StepTransform::DropLastPadding { field }))
    },
};
