use nodedata_core::{
    DType, MediaEncoding,
    placed::{Node, Value},
};
use nodedata_normalize::{
    Align, Beyond, ByName, Clock, Constant, Cut, FarStamps, FieldFrom, FieldSpec, FieldTransform, FramesOf,
    GroupBy, PoseFrom, Rate, Start, StepSpec, TimeSource, Tolerance, TopicTime,
};

use super::{
    episodes::{self, Episodes},
    read::{Reader, choice, text, texts},
    transforms,
};

/// How rows become steps.
#[derive(Default)]
pub(super) struct Stages {
    /// What says which episode a sample belongs to.
    pub(super) grouped: Option<GroupBy>,
    /// What a step is; `None` when the file has neither `steps` nor `fields`.
    pub(super) steps: Option<StepSpec>,
}

/// How messages become steps, and samples the steps of episodes.
pub(super) fn read(reader: &mut Reader<'_>) -> Stages {
    let root = reader.root;
    let (cut, grouped) = match root.get("episodes").map(|it| episodes::read(reader, it)) {
        None => (Cut::Whole, None),
        Some(Episodes::Cut(cut)) => (cut, None),
        Some(Episodes::Grouped(by)) => (Cut::Whole, Some(by)),
    };
    let Some(node) = root.get("steps") else {
        // A way that is none is told as such.
        let cuts = |it: &Node| text(it, "by").is_some_and(|it| episodes::CUTS.contains(&it.as_str()));
        let idle = [
            ("episodes", root.get("episodes").is_some_and(cuts)),
            ("streams", root.get("streams").is_some()),
        ];
        for (key, is_idle) in idle {
            if is_idle {
                let message = format!("`{key}` has no meaning without `steps`");
                reader.add(
                    key,
                    message,
                    "add `steps: {clock: {rate_hz: 30}}`, or remove the key for tables per topic",
                );
            }
        }
        let steps = root.get("fields").map(|fields| {
            let mut spec = StepSpec::new(Clock::Own);
            self::fields(reader, fields, &mut spec);
            spec
        });
        return Stages { grouped, steps };
    };
    let clock = match grouped {
        Some(_) => {
            of_logs(reader, node);
            Clock::Own
        }
        None => clock(reader, node, cut != Cut::Whole),
    };
    let mut spec = StepSpec { episodes: cut, ..StepSpec::new(clock) };
    times(node, &mut spec);
    spec.align = align(node).unwrap_or_default();
    spec.tolerance = tolerance(node).unwrap_or_default();
    spec.skew = node.get("skew").and_then(Node::bool).unwrap_or(false);
    spec.start = match text(node, "start").as_deref() {
        Some("all") => Start::All,
        _ => Start::First,
    };
    spec.upsample = node.get("upsample").and_then(Node::bool).unwrap_or(false);
    spec.order_bound_ns = node.get("order_bound_ms").and_then(Node::number).map(nanos);
    spec.hold_across = node.get("hold_across").and_then(Node::bool).unwrap_or(false);
    spec.far_stamps = match text(node, "far_stamps").as_deref() {
        Some("fail") => FarStamps::Fail,
        _ => FarStamps::Drop,
    };
    spec.keep_streams = root.get("streams").is_some();
    spec.transform = node.get("transform").map(transforms::of_steps).unwrap_or_default();
    match root.get("fields") {
        Some(fields) => self::fields(reader, fields, &mut spec),
        None => reader.add(
            "steps",
            "there are `steps` but no `fields`",
            "add `fields: {action: /cmd.data}`; `node-data init SRC` proposes them",
        ),
    }
    Stages { grouped, steps: Some(spec) }
}

fn fields(reader: &mut Reader<'_>, fields: &Node, spec: &mut StepSpec) {
    for member in fields.members() {
        let field = field(reader, &member.key, &member.node, spec.tolerance);
        spec.fields.push(field);
    }
}

/// Refuses what is said of messages where rows of samples are the steps.
fn of_logs(reader: &mut Reader<'_>, node: &Node) {
    for member in node.members().iter().filter(|it| it.key != "transform") {
        let message = format!("`steps.{}` has no meaning with `episodes` by key or field", member.key);
        reader.add(&format!("steps.{}", member.key), message, "remove it: each row of the samples is a step");
    }
    if reader.root.get("streams").is_some() {
        let message = "`streams` has no meaning with `episodes` by key or field";
        reader.add("streams", message, "remove it: samples are no topics");
    }
}

/// `is_cut` says whether it is certain that steps are made of messages.
fn clock(reader: &mut Reader<'_>, node: &Node, is_cut: bool) -> Clock {
    let Some(clock) = node.get("clock") else {
        // Rows that are steps already need none; of what the source holds nothing is known yet.
        if is_cut {
            let hint = "add `clock`: what makes a step, a rate or the messages of a topic";
            reader.add("steps", "`steps` has no `clock`", hint);
        }
        return Clock::Own;
    };
    let rate = text(clock, "rate_hz");
    let topic = text(clock, "topic");
    let every = clock.get("every").and_then(Node::integer).and_then(|it| u64::try_from(it).ok());
    let told = [("rate_hz", rate.is_some()), ("topic", topic.is_some()), ("every", every.is_some())];
    let told: Vec<&str> = told.iter().filter(|it| it.1).map(|it| it.0).collect();
    let message = match told.as_slice() {
        [_] => None,
        [] => Some("`steps.clock` has neither `rate_hz` nor `topic` nor `every`".to_owned()),
        [one, other, ..] => Some(format!("`steps.clock` has both `{one}` and `{other}`")),
    };
    if let Some(message) = message {
        reader.add("steps.clock", message, "write `{rate_hz: 30}` or `{topic: /camera/wrist}`");
    }
    match (rate.and_then(|it| Rate::parse(&it).ok()), every, topic) {
        (Some(rate), ..) => Clock::Rate(rate),
        (None, Some(n), _) => Clock::Every(n),
        (None, None, topic) => Clock::Topic(topic.unwrap_or_default()),
    }
}

fn times(node: &Node, spec: &mut StepSpec) {
    let Some(time) = node.get("time") else { return };
    if let Some(text) = time.text() {
        spec.time = time_source(&text);
    }
    for member in time.members() {
        let Some(source) = member.node.text().map(|it| time_source(&it)) else { continue };
        match member.key.as_str() {
            "default" => spec.time = source,
            topic => spec.topic_times.push(TopicTime { topic: topic.to_owned(), time: source }),
        }
    }
}

fn time_source(text: &str) -> TimeSource {
    match text {
        "log_time" => TimeSource::LogTime,
        "publish_time" => TimeSource::PublishTime,
        field => TimeSource::Field(field.to_owned()),
    }
}

fn field(reader: &mut Reader<'_>, name: &str, node: &Node, inherited: Tolerance) -> FieldSpec {
    let path = format!("fields.{name}");
    let mut spec = FieldSpec::new(name, node.text().unwrap_or_default());
    if name.is_empty() || matches!(name, "episode_index" | "step_index" | "timestamp_ns") {
        reader.add(
            &path,
            format!("`{name}` cannot be the name of a feature"),
            "the step table has columns of that name; choose another",
        );
    }
    if node.text().is_some() {
        check_path(reader, &path, node);
        return spec;
    }
    if let Some(from) = taken_from(reader, &path, node) {
        spec.from = from;
    }
    spec.align = align(node);
    spec.tolerance = tolerance(node).map(|own| Tolerance {
        max_ns: node.get("tolerance_ms").map_or(inherited.max_ns, |_| own.max_ns),
        beyond: node.get("beyond").map_or(inherited.beyond, |_| own.beyond),
    });
    spec.dtype = text(node, "type").and_then(|it| DType::from_name(&it));
    spec.skew = node.get("skew").and_then(Node::bool);
    spec.hold_across = node.get("hold_across").and_then(Node::bool);
    spec.unit = text(node, "unit");
    spec.description = text(node, "description");
    spec.by_name = node.get("by_name").map(|it| by_name(reader, &path, it));
    spec.may_be_empty = node.get("nullable").is_some();
    spec.transform = node.get("transform").map(transforms::of_field).unwrap_or_default();
    if spec.transform.iter().any(FieldTransform::is_of_images) {
        let of_all = || text(reader.root.get("source")?, "decode");
        spec.encoding = text(node, "encoding").or_else(of_all).and_then(|it| MediaEncoding::from_name(&it));
    }
    spec.frames = match text(node, "frames").as_deref() {
        Some("vary") => FramesOf::Vary,
        _ => FramesOf::Same,
    };
    check_field(reader, &path, &spec);
    check_coding(reader, &path, node, &spec);
    spec
}

/// What a field takes its values of; `None` where that is a mistake.
fn taken_from(reader: &mut Reader<'_>, path: &str, node: &Node) -> Option<FieldFrom> {
    let (from, value) = (node.get("from"), node.get("value"));
    let pose = node.get("pose");
    for (other, _) in [("from", from), ("value", value)].iter().filter(|it| it.1.is_some() && pose.is_some())
    {
        reader.add(
            &format!("{path}.pose"),
            format!("`{path}` has both `pose` and `{other}`"),
            "keep one of them",
        );
    }
    match (from, value) {
        _ if pose.is_some() => {
            let frame = |key: &str| pose.and_then(|it| text(it, key)).unwrap_or_default();
            let from = pose.and_then(|it| it.get("from")).map(texts).unwrap_or_default();
            Some(FieldFrom::Pose(PoseFrom { of: frame("of"), within: frame("in"), from }))
        }
        (Some(from), None) => {
            for (idx, item) in from.items().iter().enumerate() {
                let is_list = matches!(from.value, Value::List(_));
                check_path(
                    reader,
                    &if is_list { format!("{path}.from[{idx}]") } else { format!("{path}.from") },
                    item,
                );
            }
            Some(FieldFrom::Paths(texts(from)))
        }
        (None, Some(value)) => Some(FieldFrom::Constant(constant(value))),
        (Some(_), Some(_)) => {
            reader.add(
                &format!("{path}.value"),
                format!("`{path}` has both `from` and `value`"),
                "keep one of them",
            );
            None
        }
        (None, None) => {
            reader.add(
                path,
                format!("`{path}` has neither `from` nor `value` nor `pose`"),
                "add `from: /topic.field`",
            );
            None
        }
    }
}

/// Whether one key alone says how frames are stored, and there are frames.
fn check_coding(reader: &mut Reader<'_>, path: &str, node: &Node, spec: &FieldSpec) {
    if let Some(coding) = spec.transform.iter().find(|it| it.is_coding())
        && node.get("encoding").is_some()
    {
        let coding = coding.kind().full_name;
        reader.add(
            &format!("{path}.encoding"),
            format!("`{path}` says in two ways how its frames are stored: `{coding}` does, too"),
            "keep one of them",
        );
    }
    if node.get("encoding").is_some() && node.get("from").and_then(Node::text).is_none() {
        reader.add(
            &format!("{path}.encoding"),
            format!("`{path}` does not take the video of one camera, so there is nothing to decode"),
            "write the camera as `from: observation.images.front`, or remove `encoding`",
        );
    }
}

/// What holds between the keys of a field, whatever the source.
fn check_field(reader: &mut Reader<'_>, path: &str, spec: &FieldSpec) {
    let is_constant = matches!(spec.from, FieldFrom::Constant(_));
    if is_constant {
        for (is_there, key) in [
            (spec.align.is_some(), "align"),
            (spec.tolerance.is_some(), "tolerance_ms"),
            (spec.by_name.is_some(), "by_name"),
            (spec.skew.is_some(), "skew"),
            (spec.hold_across.is_some(), "hold_across"),
            (spec.may_be_empty, "nullable"),
            (spec.frames != FramesOf::Same, "frames"),
            (!spec.transform.is_empty(), "transform"),
        ] {
            if is_there {
                reader.add(
                    &format!("{path}.{key}"),
                    format!("`{path}` is a constant, which has no `{key}`"),
                    format!("remove `{key}`"),
                );
            }
        }
    }
    let blends = matches!(spec.align, Some(Align::Linear | Align::Slerp));
    if blends && let Some(dtype) = spec.dtype.filter(|it| !it.is_numeric()) {
        let message = format!("`{path}` is {dtype}, and there is nothing between two values of that type");
        reader.add(&format!("{path}.align"), message, "use `align: hold` or `align: nearest`");
    }
}

fn check_path(reader: &mut Reader<'_>, path: &str, node: &Node) {
    let found = node.text().unwrap_or_default();
    if !found.starts_with('/') && !found.contains('.') && found.contains(' ') {
        reader.add(
            path,
            format!("`{found}` is no path of a field"),
            "write the topic and the field, such as `/joint_states.position`; a constant is `{value: …}`",
        );
    }
}

fn by_name(reader: &mut Reader<'_>, path: &str, node: &Node) -> ByName {
    let names = match node.get("names") {
        Some(names) => texts(names),
        None => texts(node),
    };
    let mut seen = std::collections::BTreeSet::new();
    for (idx, name) in names.iter().enumerate() {
        if !seen.insert(name) {
            let at = if node.get("names").is_some() {
                format!("{path}.by_name.names[{idx}]")
            } else {
                format!("{path}.by_name[{idx}]")
            };
            reader.add(&at, format!("`{name}` is wanted twice in `{path}.by_name`"), "remove one of them");
        }
    }
    ByName { names, at: text(node, "at"), absent: beyond(node, "absent") }
}

fn constant(node: &Node) -> Constant {
    match &node.value {
        Value::Bool(it) => Constant::Bool(*it),
        Value::Integer(it) => match i64::try_from(*it) {
            Ok(it) => Constant::Int(it),
            Err(_) => Constant::Float(*it as f64),
        },
        Value::Float(it) => Constant::Float(*it),
        Value::Text(it) => Constant::Text(it.clone()),
        Value::List(items) => Constant::Floats(items.iter().filter_map(Node::number).collect()),
        Value::Null | Value::Map(_) => Constant::Text(String::new()),
    }
}

fn align(node: &Node) -> Option<Align> {
    match text(node, "align")?.as_str() {
        "nearest" => Some(Align::Nearest),
        "hold" => Some(Align::Hold),
        "linear" => Some(Align::Linear),
        "slerp" => Some(Align::Slerp),
        _ => None,
    }
}

/// `None` when neither of its keys is there.
fn tolerance(node: &Node) -> Option<Tolerance> {
    let max_ns = node.get("tolerance_ms").and_then(|it| match it.text().as_deref() {
        Some("any") => Some(i64::MAX),
        _ => it.number().map(nanos),
    });
    let beyond = beyond(node, "beyond");
    (max_ns.is_some() || beyond.is_some()).then(|| Tolerance { max_ns, beyond: beyond.unwrap_or_default() })
}

/// What becomes of a step without a value.
fn beyond(node: &Node, key: &str) -> Option<Beyond> {
    match choice(node, key)?.as_str() {
        "drop" => Some(Beyond::Drop),
        "fail" => Some(Beyond::Fail),
        "null" => Some(Beyond::Null),
        _ => None,
    }
}

/// Milliseconds as nanoseconds.
pub(super) fn nanos(millis: f64) -> i64 {
    (millis * 1e6).round() as i64
}
