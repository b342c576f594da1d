use nodedata_core::{Feature, Storage, StreamSchema, suggest};

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Position of the stream.
    pub(crate) stream: usize,
    /// Positions of the columns: one, or the scalar members of a struct in order.
    pub(crate) columns: Vec<usize>,
    /// What stands in brackets.
    pub(crate) pick: Option<Brackets>,
}

/// `[3]`, or `[0,2]` and `[0:7]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Brackets {
    One(usize),
    Several(Vec<usize>),
}

/// Why a path leads nowhere, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl Lost {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

/// Most items one selection may name: longer ones are slips of the keyboard.
const ITEMS_MAX: usize = 100_000;

/// Finds what `path` leads to: `/topic`, `/topic.field`, `/topic.field[0:7]`; of a step source `feature[3]`.
pub(crate) fn resolve(path: &str, streams: &[StreamSchema]) -> Result<Found, Lost> {
    let (plain, pick) = brackets(path)?;
    if let [rows] = streams
        && rows.kind.is_one_table()
    {
        return Ok(Found { stream: 0, columns: columns_of(rows, plain)?, pick });
    }
    let (stream, field) = split(plain, streams)?;
    let columns = match field {
        Some(field) => columns_of(&streams[stream], field)?,
        None => vec![whole_message(&streams[stream])?],
    };
    Ok(Found { stream, columns, pick })
}

/// The stream called `topic`, or that of a topic with several definitions under its plain name.
pub(crate) fn stream_of(topic: &str, streams: &[StreamSchema]) -> Result<usize, Lost> {
    streams.iter().position(|it| &*it.name == topic).ok_or_else(|| {
        let names = streams.iter().map(|it| &*it.name);
        Lost::new(format!("there is no topic `{topic}`"), suggest(topic, names))
    })
}

/// The column of one scalar field of a stream.
pub(crate) fn column_of(stream: &StreamSchema, field: &str) -> Result<usize, Lost> {
    match columns_of(stream, field)?.as_slice() {
        [column] => Ok(*column),
        _ => Err(Lost::new(
            format!("`{field}` of `{}` is a struct, but one of its fields is needed", stream.name),
            format!("add the name of a field: `{field}.…`"),
        )),
    }
}

/// Takes the brackets off a path.
fn brackets(path: &str) -> Result<(&str, Option<Brackets>), Lost> {
    let Some(inner) = path.strip_suffix(']') else { return Ok((path, None)) };
    let wrong = || {
        Lost::new(
            format!("`{path}` ends with brackets that select nothing"),
            "write `[3]`, `[0,2,5]` or `[0:7]`, which stops before 7",
        )
    };
    let (plain, inside) = inner.rsplit_once('[').ok_or_else(wrong)?;
    let number = |text: &str| text.trim().parse::<usize>().map_err(|_| wrong());
    let picked = if let Some((start, end)) = inside.split_once(':') {
        let range = number(start)?..number(end)?;
        if range.is_empty() || ITEMS_MAX < range.len() {
            return Err(wrong());
        }
        Brackets::Several(range.collect())
    } else if inside.contains(',') {
        Brackets::Several(inside.split(',').map(number).collect::<Result<_, _>>()?)
    } else {
        Brackets::One(number(inside)?)
    };
    Ok((plain, Some(picked)))
}

/// Splits a path into its topic and what follows: the longest topic that fits, because names may hold dots.
fn split<'a>(path: &'a str, streams: &[StreamSchema]) -> Result<(usize, Option<&'a str>), Lost> {
    let fits = |name: &str| {
        let rest = path.strip_prefix(name)?;
        if rest.is_empty() { Some(None) } else { rest.strip_prefix('.').map(Some) }
    };
    let found =
        streams.iter().enumerate().filter_map(|(idx, it)| Some((it.name.len(), idx, fits(&it.name)?)));
    if let Some((_, stream, field)) = found.max_by_key(|it| it.0) {
        return Ok((stream, field));
    }
    let topic = match path.rsplit_once('/') {
        Some((_, last)) => &path[..path.len() - last.len() + last.find('.').unwrap_or(last.len())],
        None => path,
    };
    let names = streams.iter().map(|it| &*it.name);
    Err(Lost::new(format!("there is no topic `{topic}`"), suggest(topic, names)))
}

fn columns_of(stream: &StreamSchema, field: &str) -> Result<Vec<usize>, Lost> {
    let named = |name: &str| stream.features.iter().position(|it| it.name == name);
    // A field that shares its name with a built-in column was renamed.
    if let Some(column) = named(field).or_else(|| named(&format!("message.{field}"))) {
        return Ok(vec![column]);
    }
    let prefix = format!("{field}.");
    let members: Vec<usize> =
        (0..stream.features.len()).filter(|it| stream.features[*it].name.starts_with(&prefix)).collect();
    let Some(first) = members.first().map(|it| &stream.features[*it]) else {
        let names = stream.features.iter().map(|it| it.name.as_str());
        let message = format!("`{}` has no field `{field}`", stream.name);
        return Err(Lost::new(message, suggest(field, names)));
    };
    let alike = |it: &Feature| it.shape.is_empty() && it.dtype == first.dtype && it.dtype.is_numeric();
    if members.iter().all(|it| alike(&stream.features[*it])) {
        return Ok(members);
    }
    let names: Vec<String> =
        members.iter().take(8).map(|it| format!("`{}`", stream.features[*it].name)).collect();
    Err(Lost::new(
        format!("`{field}` of `{}` is a struct whose fields are not numbers of one type", stream.name),
        format!("name its fields: {}", names.join(", ")),
    ))
}

/// The image of a message, or its only field.
fn whole_message(stream: &StreamSchema) -> Result<usize, Lost> {
    let media: Vec<usize> =
        (0..stream.features.len()).filter(|it| stream.features[*it].storage != Storage::Plain).collect();
    if let [column] = media.as_slice() {
        return Ok(*column);
    }
    // After the three stamps.
    if stream.features.len() == 4 {
        return Ok(3);
    }
    let names: Vec<String> =
        stream.features.iter().skip(3).take(8).map(|it| format!("`{}.{}`", stream.name, it.name)).collect();
    Err(Lost::new(
        format!("`{}` has several fields and no image, so a field must be named", stream.name),
        format!("such as {}", names.join(", ")),
    ))
}

#[cfg(test)]
mod tests {
    use nodedata_core::{DType, Dim, StreamId, StreamKind};

    use super::*;

    fn stream(name: &str, features: Vec<Feature>) -> StreamSchema {
        let clock = ["log_time_ns", "publish_time_ns"].map(|it| Feature::new(it, DType::Int64, Vec::new()));
        let sequence = Feature::new("sequence", DType::UInt32, Vec::new());
        StreamSchema {
            id: StreamId(0),
            name: name.into(),
            kind: StreamKind::Messages,
            features: clock.into_iter().chain([sequence]).chain(features).collect(),
            metadata: Default::default(),
        }
    }

    fn streams() -> Vec<StreamSchema> {
        let scalar = |name: &str| Feature::new(name, DType::Float64, Vec::new());
        let image =
            Feature { storage: Storage::EncodedMedia, ..Feature::new("data", DType::Bytes, Vec::new()) };
        vec![
            stream(
                "/joint_states",
                vec![Feature::new("position", DType::Float64, vec![Dim::Variable]), scalar("x")],
            ),
            stream(
                "/pose",
                vec![scalar("p.x"), scalar("p.y"), Feature::new("p.name", DType::String, Vec::new())],
            ),
            stream("/pose.q", vec![scalar("o.x"), scalar("o.y")]),
            stream("/cam", vec![Feature::new("format", DType::String, Vec::new()), image]),
            stream("/cmd", vec![scalar("data")]),
        ]
    }

    #[track_caller]
    fn check(path: &str, stream: usize, columns: &[usize], pick: Option<Brackets>) {
        assert_eq!(resolve(path, &streams()), Ok(Found { stream, columns: columns.to_vec(), pick }));
    }

    #[track_caller]
    fn refused(path: &str, message: &str, hint: &str) {
        let lost = resolve(path, &streams()).unwrap_err();
        assert!(lost.message.contains(message) && lost.hint.contains(hint), "{lost:?}");
    }

    #[test]
    fn paths_lead_to_columns() {
        check("/joint_states.position", 0, &[3], None);
        check("/joint_states.position[2]", 0, &[3], Some(Brackets::One(2)));
        check("/joint_states.position[0:3]", 0, &[3], Some(Brackets::Several(vec![0, 1, 2])));
        check("/joint_states.position[4, 0]", 0, &[3], Some(Brackets::Several(vec![4, 0])));
        check("/pose.p.x", 1, &[3], None);
        check("/pose.q.o", 2, &[3, 4], None);
        check("/cam", 3, &[4], None);
        check("/cmd", 4, &[3], None);
        check("/cmd.log_time_ns", 4, &[0], None);
    }

    #[test]
    fn lost_paths_name_their_neighbours() {
        refused("/joint_state.position", "no topic `/joint_state`", "`/joint_states`");
        refused("/joint_states.positoin", "no field `positoin`", "`position`");
        refused("/joint_states", "several fields", "`/joint_states.position`");
        refused("/pose.p", "not numbers of one type", "`p.x`");
        refused("/cmd.data[]", "select nothing", "[0:7]");
        refused("/cmd.data[3:3]", "select nothing", "[0:7]");
    }
}
