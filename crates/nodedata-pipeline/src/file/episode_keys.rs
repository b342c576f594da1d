use super::keys::{Key, Kind, TEXT_OR_TEXTS, TEXTS, TIME_NS, key, required};

/// What becomes of whole episodes.
pub(super) const EPISODES: &[Key] = &[
    key(
        "by",
        Kind::Choice(&["file", "source", "marker", "change", "gap", "ranges", "key", "field"]),
        "`file` and `source`: as the source says, as where it is absent; `marker`: values of a field; `change`: each value of a field; `gap`: silence; `ranges`: times given here. \
         Of samples, whose rows become steps: `key`: their own keys; `field`: a value of the row",
    ),
    key(
        "field",
        Kind::Text,
        "marker: the field whose values open and close episodes, such as `/episode.kind`; change: the field of a topic each value of \
         which is an episode, for as long as it stays the same; field: the one whose value is the \
         key of the row's episode: text, a whole number or a bool",
    ),
    key(
        "pattern",
        Kind::Text,
        "key: a regular expression that fits whole keys of samples, such as `(?<episode>ep\\d+)_(?<step>\\d+)`: its group \
         `episode` is the key of the episode, its group `step`, which may be left out, orders the rows in it",
    ),
    key(
        "order",
        Kind::Text,
        "field: the field whose numbers order the rows of an episode, each once; absent: rows are in order as they are",
    ),
    key("start", TEXT_OR_TEXTS, "marker: values that start an episode"),
    key("end", TEXT_OR_TEXTS, "marker: values that end it"),
    key("discard", TEXT_OR_TEXTS, "marker: values that end it and throw it away"),
    key("without", TEXT_OR_TEXTS, "change: values that are no episode, such as `0`"),
    key(
        "task",
        Kind::Text,
        "marker, change: a text field of the same topic that names the task, such as `task`",
    ),
    key(
        "gap_ms",
        Kind::Number(0.000_001, 1e12),
        "gap: the longest silence inside an episode, in milliseconds",
    ),
    key("topic", Kind::Text, "gap: the topic listened to; all that are mapped and not held when absent"),
    key("ranges", Kind::List(&Kind::Map(RANGE)), "ranges: the episodes, by their times"),
    key(
        "join",
        Kind::Map(JOIN),
        "Files of a log that are one recording, before it is cut: what a topic said last in one file still holds in the next",
    ),
    key(
        "trim",
        Kind::Map(TRIM),
        "Steps of a log that are left out at the ends of episodes, and where nothing moves",
    ),
    key(
        "drop_steps",
        Kind::Names(&[], &TEXT_OR_TEXTS),
        "Steps that are left out because a column of theirs has one of some values, such as `{mode: [idle, reset]}`, counted as \
         `excluded_step`; columns as steps have them in the end",
    ),
    key(
        "include",
        LIST,
        "Only these episodes are taken: keys, patterns of keys, or the rows of a table; also keys of recordings that are cut into \
         several. The others are counted as `not_included_episode`",
    ),
    key(
        "exclude",
        LIST,
        "These episodes are left out, named as in `include`, and counted as `excluded_episode`. A name that no episode has is a mistake",
    ),
    key(
        "min_steps",
        Kind::Integer(1, i64::MAX),
        "Episodes of fewer steps are left out, and counted as `short_episode`; steps of the clock, before rules leave out single ones",
    ),
    key(
        "min_s",
        Kind::Number(0.000_001, 1e9),
        "Episodes whose last step is less than so many seconds behind the first are left out, and counted as `short_episode`",
    ),
    key(
        "metadata",
        Kind::Either(&[Kind::Map(METADATA), Kind::List(&Kind::Map(METADATA))]),
        "What else is known of each episode: each entry takes it from the `path` of its file, from a `topic`, or from a `table`. It goes \
         to the index of episodes; `task` is the task",
    ),
    key(
        "columns",
        Kind::Either(&[Kind::Text, TEXTS, Kind::Names(&[], &Kind::Text)]),
        "Metadata that every step has as a column, behind all others: names, or names of columns with that of the metadata",
    ),
];

const JOIN: &[Key] = &[
    key(
        "pattern",
        Kind::Text,
        "A regular expression that fits whole keys of files, such as `(?<recording>.+)_\\d+\\.mcap`: files with the same `recording` are \
         one of that key; the others stay as they are",
    ),
    key(
        "gap_ms",
        Kind::Number(0.0, 1e12),
        "Each file goes on with the one that ends at most so many milliseconds before or behind its start",
    ),
];

const TRIM: &[Key] = &[
    key(
        "start_s",
        Kind::Number(0.0, 1e9),
        "Steps less than so many seconds behind the start of the episode, counted as `trimmed`",
    ),
    key(
        "end_s",
        Kind::Number(0.0, 1e9),
        "Steps less than so many seconds before its end, counted as `trimmed`",
    ),
    key(
        "idle",
        Kind::Map(IDLE),
        "Steps before a field first moves and behind where it last does, counted as `idle`",
    ),
];

const IDLE: &[Key] = &[
    required("field", Kind::Text, "Path of a number or a vector, such as `/joint_states.position`"),
    required(
        "below",
        Kind::Number(1e-300, 1e300),
        "It moves between two messages where one of its elements changes at least so fast, in its unit a second",
    ),
    key(
        "keep_s",
        Kind::Number(0.0, 1e9),
        "Seconds that are kept before and behind where it moves; 0 by default",
    ),
    key(
        "stretches_s",
        Kind::Number(0.0, 1e9),
        "Stretches inside of an episode in which it stands still for at least so many seconds are left out as well",
    ),
];

const LIST: Kind = Kind::Either(&[Kind::Text, TEXTS, Kind::Map(LIST_TABLE)]);
const MISSING: Kind = Kind::Choice(&["error", "null"]);
const TYPE: Kind = Kind::Choice(&["bool", "int", "float", "text"]);

const LIST_TABLE: &[Key] = &[
    required("table", Kind::Text, TABLE),
    required("key", Kind::Text, "The column that names episodes"),
    key(
        "equals",
        Kind::Text,
        "What of an episode that column equals: `key` (the default), `recording`, `file` or `stem`",
    ),
    key(
        "missing",
        MISSING,
        "Whether a row that names no episode is an `error` (the default) or passed over, by `null`",
    ),
];

const TABLE: &str =
    "A CSV, JSON or JSON Lines file, or a table in Parquet or Arrow, relative to the pipeline file";

const METADATA: &[Key] = &[
    key(
        "path",
        Kind::Text,
        "A regular expression with named groups, such as `(?<operator>[^/]+)/(?<scene>[^/]+)/`, looked for in the path of the \
         episode's file: each group is the metadata of its name",
    ),
    key("topic", Kind::Text, "Path of one number, bool or text of a topic, such as `/task.data`"),
    key("table", Kind::Text, TABLE),
    key("name", Kind::Text, "topic: what the value is called"),
    key(
        "take",
        Kind::Choice(&["first", "last", "latched"]),
        "topic: the `first` message in the episode (the default), the `last` one, or the one `latched` at its start: the last one \
         before it, or else the first in it",
    ),
    key("type", TYPE, "topic: the type of the value; that of the field when absent"),
    key(
        "key",
        Kind::Text,
        "table: the column that says which episode a row is about; no two rows are about one",
    ),
    key(
        "equals",
        Kind::Text,
        "table: what of an episode that column equals: its `key` (the default), the key of the `recording` that it is cut from, the \
         name of its `file`, the `stem` of that, which is without its ending, or `metadata.<name>` of an entry before",
    ),
    key(
        "columns",
        Kind::Either(&[Kind::Text, TEXTS, Kind::Names(&[], &Kind::Text)]),
        "table: the columns taken, or names of metadata with their columns; all but the key when absent",
    ),
    key(
        "types",
        Kind::Names(&[], &TYPE),
        "path, table: types by name. Absent: `bool` where all values are `true` or `false`, `int` where all are whole numbers without \
         zeros in front, `float` where all are numbers, otherwise `text`; of tables that say types, these",
    ),
    key(
        "missing",
        MISSING,
        "Whether an episode for which there is no value (no row, no message, another path) is an `error` (the default) or has none, by \
         `null`",
    ),
];

const RANGE: &[Key] = &[
    key("recording", Kind::Text, "Key of the recording; every recording when absent"),
    key(
        "start",
        Kind::Moment(false),
        "First time inside: a date with its zone (`2026-06-11T09:30:00Z`), or a number with its unit (`1700000000s`)",
    ),
    key("end", Kind::Moment(false), "First time after, written as `start` is"),
    key("start_ns", TIME_NS, "`start` in nanoseconds since 1970"),
    key("end_ns", TIME_NS, "`end` in nanoseconds since 1970"),
];
