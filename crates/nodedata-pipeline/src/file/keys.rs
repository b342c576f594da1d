use nodedata_normalize::Scope;

use super::episode_keys::EPISODES;

/// A key of a mapping: what the parser takes and what the JSON Schema for editors says. There is one table
/// for both.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) required: bool,
    pub(super) kind: Kind,
}

/// What may stand behind a key.
pub(super) enum Kind {
    /// Text; numbers are taken as they are written.
    Text,
    /// `true` or `false`.
    Bool,
    /// A whole number, both ends included.
    Integer(i64, i64),
    /// A number, both ends included.
    Number(f64, f64),
    /// `30`, `29.97` or `30000/1001`.
    Rate,
    /// A date with its zone, or a number with its unit; with `true` also an offset from the start of the recording.
    Moment(bool),
    /// One of some words.
    Choice(&'static [&'static str]),
    /// `{env: NAME}`.
    Secret,
    /// Anything that every step may have: a scalar, or a list of numbers.
    Constant,
    /// A list with at least one item.
    List(&'static Self),
    /// A mapping with these keys.
    Map(&'static [Key]),
    /// A mapping from names of the user's own, beside these keys.
    Names(&'static [Key], &'static Self),
    /// Transforms by name: one, or one with arguments, or a list of these.
    Transforms(Scope),
    /// The first of these that fits the shape of the value.
    Either(&'static [Self]),
}

pub(super) const fn key(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, about, required: false, kind }
}

pub(super) const fn required(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, about, required: true, kind }
}

pub(super) const TEXTS: Kind = Kind::List(&Kind::Text);
pub(super) const TEXT_OR_TEXTS: Kind = Kind::Either(&[Kind::Text, TEXTS]);
const MILLIS: Kind = Kind::Number(0.0, 1e12);
const TOLERANCE: Kind = Kind::Either(&[MILLIS, Kind::Choice(&["any"])]);
const ALIGN: Kind = Kind::Choice(&["nearest", "hold", "linear", "slerp"]);
const ENCODING: Kind = Kind::Choice(&["jpeg", "png", "raw"]);
const BEYOND: Kind = Kind::Choice(&["null", "drop", "fail"]);
const LEVEL: Kind = Kind::Choice(&["off", "warn", "quarantine", "fail"]);
/// Nanoseconds since 1970.
pub(super) const TIME_NS: Kind = Kind::Integer(i64::MIN, i64::MAX);

/// The whole file, in the order of its stages.
pub(super) const FILE: &[Key] = &[
    required("version", Kind::Integer(1, 1), "Version of the pipeline format: 1"),
    key("description", Kind::Text, "What the pipeline is for, for people"),
    required(
        "source",
        Kind::Either(&[Kind::Text, Kind::Map(SOURCE)]),
        "What is read; a path alone stands for `{path: …}`",
    ),
    key(
        "episodes",
        Kind::Map(EPISODES),
        "How recordings are cut into episodes, with `steps`; or which episodes samples belong to, `by: key` or `by: field`; which \
         episodes are taken, and what else is known of each",
    ),
    key(
        "steps",
        Kind::Map(STEPS),
        "What one step is. Absent: one table per topic, lossless; rows that are steps or samples already stay as they are",
    ),
    key(
        "fields",
        Kind::Names(&[], &FIELD),
        "The features of a step by name, in column order; of a log only with `steps`",
    ),
    key("streams", Kind::Choice(&["keep"]), "`keep` writes the topics as tables beside the steps"),
    key("schema", Kind::Text, "Path of the declared schema.json. Absent: inferred and written back"),
    key(
        "quality",
        Kind::Map(QUALITY),
        "Rules that every episode is held against before anything is written. Rules that are not named are off",
    ),
    key(
        "splits",
        Kind::Names(SPLITS, &SPLIT),
        "Fraction of each split, adding up to 1; or the episodes of each split",
    ),
    key("shards", Kind::Map(SHARDS), "How the tables are cut into files"),
    key(
        "on_error",
        Kind::Choice(&["fail", "salvage"]),
        "What becomes of damaged input: `fail` ends the run; `salvage` keeps what is sound, lists the rest, and exits with 3",
    ),
    key(
        "on_misfit",
        Kind::Choice(&["keep", "fail"]),
        "What becomes of sound messages that do not fit their columns: `keep`, the default, keeps each in its row as bytes, lists it, and exits with 3; `fail` ends the run",
    ),
    key("out", Kind::Text, "Folder of the dataset; `--out` goes first"),
    key("publish", Kind::Map(PUBLISH), "Where the dataset is published, and under which terms"),
    key(
        "tests",
        Kind::List(&Kind::Map(TEST)),
        "What must come out for inputs that are known, run by `node-data pipeline test`",
    ),
];

const SOURCE: &[Key] = &[
    required(
        "path",
        TEXT_OR_TEXTS,
        "A file, a folder, a glob or a URL (`s3://bucket/prefix`), or several; relative to the pipeline file",
    ),
    key("format", Kind::Text, "Name of the format; detected when absent"),
    key(
        "topics",
        TEXT_OR_TEXTS,
        "Only these topics are read; `*` stands for any letters, `?` for one, `[a-z]` for one of these",
    ),
    key(
        "message_paths",
        TEXT_OR_TEXTS,
        "Message definitions for topics whose recordings have none: `.msg`, `.srv`, `.action` and `.idl` files, folders, workspaces; relative to the pipeline file",
    ),
    key("undecoded", TEXT_OR_TEXTS, "Topics whose messages stay bytes, with their schema beside them"),
    key(
        "start",
        Kind::Moment(true),
        "Only records logged at or after this time: a date with its zone (`2026-06-11T09:30:00Z`), a number with its unit (`1700000000s`), or an offset from the start of the recording (`+12.5s`, `+1m30s`)",
    ),
    key("end", Kind::Moment(true), "Only records logged before this time, written as `start` is"),
    key("start_ns", TIME_NS, "`start` in nanoseconds since 1970"),
    key("end_ns", TIME_NS, "`end` in nanoseconds since 1970"),
    key(
        "decode",
        ENCODING,
        "Decodes the coded video of every camera, of a source of steps or of a log that steps are made of, and stores frames so; absent: \
         samples pass through where each of them is a step",
    ),
    key(
        "embed",
        Kind::Names(&[], &REFERENCE),
        "Fields whose text refers to a picture, a sound or a video, and how: `path` of a file, relative to the file that names it, \
         or its bytes in `base64`; `data:` URIs are taken by both. The medium takes the place of the text",
    ),
    key("verify_checksums", Kind::Bool, "Whether checksums of the source are verified; yes by default"),
    key(
        "options",
        Kind::Names(&[], &OPTION),
        "Options of the one format, by name; `node-data formats` lists them",
    ),
];

const REFERENCE: Kind = Kind::Choice(&["path", "base64"]);
const OPTION: Kind = Kind::Either(&[Kind::Bool, Kind::Integer(i64::MIN, i64::MAX), Kind::Text]);

const STEPS: &[Key] = &[
    key(
        "clock",
        Kind::Map(CLOCK),
        "What makes a step: a rate, or the messages of a topic. Of a source of steps: another rate than its own brings its rows to \
         that grid by the same rules, `every` takes one in so many, and absent each row is a step; not with `episodes` by key or field",
    ),
    key(
        "time",
        Kind::Either(&[Kind::Text, Kind::Names(&[], &Kind::Text)]),
        "When a message happened: `log_time` (the default), `publish_time`, or a field such as `header.stamp`; or one of these by topic, with `default` for the others",
    ),
    key("align", ALIGN, "Which message gives a step its value; `nearest` by default"),
    key(
        "tolerance_ms",
        TOLERANCE,
        "How far that message may be from the step, in milliseconds, or `any`. When absent ten times the mean time between the \
         messages of its topic, where it has at least three, and what is interpolated between is at most so far apart; what \
         latched topics hold is never too old. Steps without a value are counted under `beyond_tolerance`",
    ),
    key(
        "beyond",
        BEYOND,
        "What becomes of a step without a message in reach: `null` (the default), `drop` the step, `fail` the run",
    ),
    key("skew", Kind::Bool, "Whether each field brings a column `<name>.skew_ns`: message minus step"),
    key(
        "hold_across",
        Kind::Bool,
        "Whether `align: hold` keeps messages of an earlier episode of the recording; no by default, and always of latched \
         topics. Nothing else is ever taken from another episode",
    ),
    key(
        "start",
        Kind::Choice(&["first", "all"]),
        "Where an episode starts when its fields do not start together",
    ),
    key(
        "upsample",
        Kind::Bool,
        "Whether a grid may be finer than every topic that it reads, so that messages are repeated; no by default",
    ),
    key(
        "order_bound_ms",
        MILLIS,
        "How far stamps may stray from log times beyond what samples show; 500 by default",
    ),
    key(
        "far_stamps",
        Kind::Choice(&["drop", "fail"]),
        "What becomes of messages whose stamps are more than ten seconds (or `order_bound_ms`) farther from log time than those of \
         19 in 20 messages of the topic: `drop`, the default, leaves them out, counts and tells them, and the run exits with 3; \
         `fail` ends the run",
    ),
    key(
        "transform",
        Kind::Transforms(Scope::Steps),
        "What becomes of whole steps, before the values of fields are transformed; `node-data transforms` lists what there is",
    ),
];

const CLOCK: &[Key] = &[
    key("rate_hz", Kind::Rate, "Steps per second on an exact grid: `30`, `29.97` or `30000/1001`"),
    key("topic", Kind::Text, "One step per message of this topic"),
    key(
        "every",
        Kind::Integer(2, 1 << 32),
        "Of a source of steps: one in so many of its rows is a step, the first of each episode and so on",
    ),
];

const FIELD: Kind = Kind::Either(&[Kind::Text, Kind::Map(FIELD_KEYS)]);

const FIELD_KEYS: &[Key] = &[
    key(
        "from",
        TEXT_OR_TEXTS,
        "Path such as `/joint_states.position`, `/cmd.data[0:7]` or a topic alone; several are joined to one vector",
    ),
    key("value", Kind::Constant, "The same value at every step, instead of `from`"),
    key(
        "pose",
        Kind::Map(POSE),
        "Where one frame stands in another at each step, instead of `from`: float64[7], x, y, z and a rotation x, y, z, w, by the \
         transforms of the recording, interpolated as whoever listens to them would; null where one of the chain has none on \
         either side of the step (within `tolerance_ms`, or ten of its periods)",
    ),
    key(
        "by_name",
        Kind::Either(&[TEXTS, Kind::Map(BY_NAME)]),
        "Names of the elements wanted, found among the names that the feature itself has, as those of LeRobot, or in each message's own \
         name array; one that nobody holds is a mistake",
    ),
    key(
        "encoding",
        ENCODING,
        "Decodes the coded video that `from` names, of a source of steps or a topic of a log, and stores frames so; with a transform of \
         images, or where a log's video is not the clock, what its frames are stored as: `png` when absent",
    ),
    key("align", ALIGN, "As in `steps`, for this field"),
    key("tolerance_ms", TOLERANCE, "As in `steps`, for this field"),
    key("beyond", BEYOND, "As in `steps`, for this field"),
    key("hold_across", Kind::Bool, "As in `steps`, for this field"),
    key(
        "type",
        Kind::Choice(&[
            "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16",
            "float32", "float64", "string", "bytes",
        ]),
        "Element type; a value that does not fit is an error",
    ),
    key(
        "transform",
        Kind::Transforms(Scope::Field),
        "What becomes of the values once they are aligned and cast: `gripper/invert`, `{clip: {min: -1, max: 1}}`, \
         or a list of these, in order; `node-data transforms` lists what there is",
    ),
    key("skew", Kind::Bool, "As in `steps`, for this field"),
    key(
        "frames",
        Kind::Choice(&["same", "vary"]),
        "Bare frames of messages: `same` (when absent) where all are of one height, width and layout, which the metadata of the field \
         says; `vary` where each step says it, in the columns `<name>.height`, `<name>.width` and `<name>.encoding`",
    ),
    key(
        "nullable",
        Kind::Choice(&["always"]),
        "`always`: no step need have a value. Otherwise a field that is null at every step ends the run",
    ),
    key("unit", Kind::Text, "Unit of the values; written down, never converted"),
    key("description", Kind::Text, "What the values are, for people"),
];

const POSE: &[Key] = &[
    required("of", Kind::Text, "The frame, such as `gripper`"),
    required("in", Kind::Text, "The frame that it is seen in, such as `base`"),
    key(
        "from",
        TEXT_OR_TEXTS,
        "Topics of transforms; those of `/tf` and `/tf_static` that are there when absent. Transforms of topics called `tf_static` \
         and of latched ones stand for all time",
    ),
];

const BY_NAME: &[Key] = &[
    required("names", TEXTS, "The names wanted, in order"),
    key("at", Kind::Text, "The array of names, relative to the topic; `name` beside the values when absent"),
    key(
        "absent",
        BEYOND,
        "What becomes of a step whose message lacks one of the names: `null`, `drop` the step, `fail` the run; as `beyond` when absent. All are counted",
    ),
];

const SPLITS: &[Key] = &[
    key(
        "key",
        Kind::Text,
        "What is hashed: `episode` (the default), `task`, or metadata by `episode.<name>` or `metadata.<name>`, so that near-twins share a split; of samples `row` (their default) or `field.<name>`",
    ),
    key("by", Kind::Choice(&["hash", "source"]), "`source` takes the splits that the source itself names"),
];

const SPLIT: Kind = Kind::Either(&[Kind::Number(0.0, 1.0), TEXTS]);

const SHARDS: &[Key] = &[
    key("target_mb", Kind::Integer(1, 1 << 20), "Mebibytes of source that one shard covers; 512 by default"),
    key(
        "compression",
        Kind::Choice(&["zstd:1"]),
        "How numbers and text are compressed; encoded media never are",
    ),
    key(
        "access",
        Kind::Choice(&["random", "balanced", "scan"]),
        "What the pages of pictures, video, sound and other bytes are made for: steps in any order (`random`, a page for each \
         row), rows in their order (`scan`, 64 rows a page), or both (`balanced`, 8 rows; the default)",
    ),
];

const LEVEL_KEY: Key = required(
    "level",
    LEVEL,
    "`warn` reports, `quarantine` keeps the episode out of the splits, `fail` ends the run",
);
const PLAIN_RULE: Kind = Kind::Either(&[LEVEL, Kind::Map(&[LEVEL_KEY])]);

const QUALITY: &[Key] = &[
    key(
        "rate",
        Kind::Map(&[
            LEVEL_KEY,
            required("streams", Kind::Names(&[], &Kind::Map(RATE_BOUNDS)), "Bounds by stream"),
        ]),
        "ND-Q001: rows per second outside of bounds",
    ),
    key(
        "gap",
        Kind::Either(&[
            LEVEL,
            Kind::Map(&[
                LEVEL_KEY,
                key(
                    "max_ms",
                    Kind::Number(0.000_001, 1e12),
                    "Longest silence, in milliseconds; a second or ten medians when absent",
                ),
            ]),
        ]),
        "ND-Q002: a long silence between neighbouring rows",
    ),
    key(
        "clock_jump",
        Kind::Either(&[
            LEVEL,
            Kind::Map(&[
                LEVEL_KEY,
                key("max_ms", Kind::Number(0.000_001, 1e12), "Largest change; 500 by default"),
            ]),
        ]),
        "ND-Q003: a sudden change between stamp and log time",
    ),
    key("backward_time", PLAIN_RULE, "ND-Q004: a row that is earlier than its predecessor"),
    key(
        "frozen",
        Kind::Either(&[
            LEVEL,
            Kind::Map(&[
                LEVEL_KEY,
                key(
                    "min_ms",
                    Kind::Number(0.000_001, 1e12),
                    "How long a signal may stand still; 5000 by default",
                ),
            ]),
        ]),
        "ND-Q005: a signal that moves all the time and then stands still",
    ),
    key(
        "duplicate_frames",
        Kind::Either(&[
            LEVEL,
            Kind::Map(&[
                LEVEL_KEY,
                key(
                    "max",
                    Kind::Integer(1, i64::MAX),
                    "Equal frames in a row that are allowed; 5 by default",
                ),
            ]),
        ]),
        "ND-Q006: the same frame several times in a row",
    ),
    key("non_finite", PLAIN_RULE, "ND-Q007: NaN or infinite numbers"),
    key(
        "range",
        Kind::Either(&[
            LEVEL,
            Kind::Map(&[
                LEVEL_KEY,
                key(
                    "features",
                    Kind::Names(&[], &Kind::Map(RANGE_BOUNDS)),
                    "Bounds by feature, or by `stream.feature`; those of the schema count as well",
                ),
            ]),
        ]),
        "ND-Q008: numbers outside of the range declared",
    ),
    key(
        "dead_joint",
        Kind::Either(&[
            LEVEL,
            Kind::Map(&[
                LEVEL_KEY,
                key("min_rows", Kind::Integer(2, i64::MAX), "Rows needed to judge; 100 by default"),
            ]),
        ]),
        "ND-Q009: an element of a vector that never moves while others do",
    ),
    key("row_count", PLAIN_RULE, "ND-Q010: fewer frames than rows"),
    key("duplicate_episode", PLAIN_RULE, "ND-Q011: an episode with the content of another one"),
    key(
        "nulls",
        Kind::Either(&[
            LEVEL,
            Kind::Map(&[
                LEVEL_KEY,
                key(
                    "max_share",
                    Kind::Number(0.0, 1.0),
                    "Share of an episode's rows that may be without a value; 0 by default",
                ),
                key(
                    "fields",
                    TEXT_OR_TEXTS,
                    "Features looked at, or `stream.feature`, which may be patterns; all of step tables when absent",
                ),
            ]),
        ]),
        "ND-Q012: rows without a value",
    ),
];

const RATE_BOUNDS: &[Key] = &[
    key("min_hz", Kind::Number(0.0, 1e9), "Rows per second at the least"),
    key("max_hz", Kind::Number(0.0, 1e9), "Rows per second at the most"),
];

const RANGE_BOUNDS: &[Key] = &[
    key("min", Kind::Number(f64::MIN, f64::MAX), "Least value"),
    key("max", Kind::Number(f64::MIN, f64::MAX), "Greatest value"),
];

const PUBLISH: &[Key] = &[
    required("dataset", Kind::Text, "Name of the dataset: `owner/name`, or a name alone"),
    key(
        "revision",
        Kind::Text,
        "`auto` (the default: proved from the content), or a version such as `1.2.0`",
    ),
    required("license", Kind::Text, "SPDX expression of the licence"),
    key("price_usd", Kind::Number(0.0, 1e9), "Price in US dollars; free when absent"),
    key("modality", TEXT_OR_TEXTS, "What the data holds, such as `rgb`, `depth`, `proprioception`, `action`"),
    key(
        "sensitivity",
        TEXT_OR_TEXTS,
        "Personal data it may show, or `none`; undeclared datasets stay private",
    ),
    key("token", Kind::Secret, "The registry's token: `{env: NAME}`"),
];

const TEST: &[Key] = &[
    required("name", Kind::Text, "What is tested, for people"),
    required("source", Kind::Text, "A fixture, relative to the pipeline file"),
    required("expect", Kind::Map(EXPECT), "What must come out"),
];

const EXPECT: &[Key] = &[
    key("episodes", Kind::Integer(0, i64::MAX), "Episodes of the dataset"),
    key(
        "rows",
        Kind::Either(&[Kind::Integer(0, i64::MAX), Kind::Names(&[], &Kind::Integer(0, i64::MAX))]),
        "Rows of all streams, or by stream; `steps` is the step table",
    ),
    key("content_root", Kind::Text, "Hash over the content of all episodes: `b3:…`"),
    key("quarantined", Kind::Integer(0, i64::MAX), "Episodes that the quality gate keeps out of the splits"),
    key(
        "dropped",
        Kind::Names(&[], &Kind::Integer(0, i64::MAX)),
        "Records left out, by reason, over all streams",
    ),
];
