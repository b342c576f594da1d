use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use nodedata_core::{DType, Dim, Feature, Storage, meta, placed::Mistake, suggest};

use super::{
    Compiler, Pose, Reach, Video, Way,
    beside::{Beside, Frames, beside_cloud, cloud_of},
    element_names::element_names,
};
use crate::{
    Align, Beyond, Constant, FieldFrom, FieldSpec, FieldTransform, FramesOf, Tolerance,
    cast::{can_cast, cast},
    flat::constant_of,
    latched::is_latched,
    path::{Brackets, Found, Lost, resolve, stream_of},
};

/// One feature of a step, ready to be filled.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) feature: Feature,
    pub(crate) value: Value,
    pub(crate) way: Way,
    pub(crate) beyond: Beyond,
    /// What becomes of a step whose message lacks a name that is wanted.
    pub(crate) absent: Beyond,
    pub(crate) skew: bool,
    /// Columns of the same messages that its transforms need.
    pub(crate) beside: Vec<Beside>,
    /// What the messages say of bare frames; `None` for other values.
    pub(crate) frames: Option<Frames>,
    /// How its coded messages become pictures; `None` for other values, and for those that pass through.
    pub(crate) video: Option<Video>,
}

/// How the values of a field are made.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// An array of one row.
    Constant(ArrayRef),
    /// A column as it is, but for a cast of its elements.
    Column(Part),
    /// Scalars and vectors joined to one vector, or a single item.
    Joined(Vec<Part>),
    /// Where a frame stands in another.
    Pose(Box<Pose>),
}

/// One column that a field takes values of.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) stream: usize,
    pub(crate) column: usize,
    pub(crate) pick: Pick,
}

/// Which items of a vector are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pick {
    All,
    Items(Vec<usize>),
    /// Those that stand where the message's own names, in column `at`, are these.
    Names {
        at: usize,
        wanted: Arc<[String]>,
    },
}

impl Value {
    pub(crate) fn parts(&self) -> &[Part] {
        match self {
            Self::Constant(_) | Self::Pose(_) => &[],
            Self::Column(part) => std::slice::from_ref(part),
            Self::Joined(parts) => parts,
        }
    }

    pub(super) fn pose_mut(&mut self) -> Option<&mut Pose> {
        match self {
            Self::Pose(pose) => Some(pose),
            Self::Constant(_) | Self::Column(_) | Self::Joined(_) => None,
        }
    }

    pub(super) fn parts_mut(&mut self) -> &mut [Part] {
        match self {
            Self::Constant(_) | Self::Pose(_) => &mut [],
            Self::Column(part) => std::slice::from_mut(part),
            Self::Joined(parts) => parts,
        }
    }
}

/// What the paths of a field amount to.
struct Sources {
    parts: Vec<Part>,
    dtypes: Vec<DType>,
    /// Items of each part; `None` where only the messages tell.
    widths: Vec<Option<usize>>,
    /// Whether it is one item of one vector.
    is_item: bool,
}

impl Compiler<'_> {
    /// Checks one field; `None` when it has mistakes.
    pub(super) fn field(&mut self, field: &FieldSpec) -> Option<Field> {
        let n_before = self.mistakes.len();
        let key = format!("fields.{}", field.name);
        let tolerance = field.tolerance.unwrap_or(self.spec.tolerance);
        if field.tolerance.and_then(|it| it.max_ns).is_some_and(|it| it < 0) {
            self.mistakes.push(Mistake::new(format!("{key}.tolerance_ms"), "a tolerance cannot be negative"));
        }
        if field.name.is_empty() {
            self.mistakes.push(Mistake::new(&key, "a field needs a name"));
        }
        let found = match &field.from {
            FieldFrom::Constant(constant) => self.constant(field, &key, constant),
            FieldFrom::Paths(paths) => self.paths(field, &key, paths, tolerance),
            FieldFrom::Pose(pose) => self.pose(field, &key, pose, tolerance),
        };
        let mut found = found.filter(|_| self.mistakes.len() == n_before)?;
        for (fact, text) in [(meta::UNIT, &field.unit), (meta::DESCRIPTION, &field.description)] {
            if let Some(text) = text {
                found.feature.metadata.insert(fact.to_owned(), text.clone());
            }
        }
        for part in found.value.parts() {
            self.needed[part.stream].insert(part.column);
            if let Pick::Names { at, .. } = &part.pick {
                self.needed[part.stream].insert(*at);
            }
            self.needed[part.stream].extend(found.beside.iter().map(|it| it.column));
            self.needed[part.stream].extend(found.frames.iter().flat_map(Frames::columns));
            self.needed[part.stream].extend(found.video.iter().filter_map(|it| it.format));
            self.ways[part.stream].insert(found.way);
        }
        Some(found)
    }

    fn constant(&mut self, field: &FieldSpec, key: &str, constant: &Constant) -> Option<Field> {
        let (array, shape): (ArrayRef, Vec<Dim>) = match constant {
            Constant::Bool(it) => (Arc::new(BooleanArray::from(vec![*it])), Vec::new()),
            Constant::Int(it) => (Arc::new(Int64Array::from(vec![*it])), Vec::new()),
            Constant::Float(it) => (Arc::new(Float64Array::from(vec![*it])), Vec::new()),
            Constant::Text(it) => (Arc::new(StringArray::from(vec![it.as_str()])), Vec::new()),
            Constant::Floats(it) => (
                Arc::new(Float64Array::from(it.clone())),
                vec![Dim::Fixed(u32::try_from(it.len()).unwrap_or(u32::MAX))],
            ),
        };
        let own = DType::from_arrow(array.data_type())?;
        let dtype = field.dtype.unwrap_or(own);
        let type_key = format!("{key}.type");
        if !can_cast(own, dtype) {
            self.mistakes.push(Mistake::new(type_key, format!("{own} cannot become {dtype}")));
            return None;
        }
        let array = match cast(&array, dtype) {
            Ok(array) => array,
            Err(misfit) => {
                self.mistakes.push(Mistake::new(type_key, misfit.message));
                return None;
            }
        };
        let feature = Feature::new(&field.name, dtype, shape);
        let value = Value::Constant(constant_of(array, &feature));
        let way = Way { align: Align::Hold, reach: Reach::Endless, crosses: true };
        let (beyond, absent) = (Beyond::Null, Beyond::Null);
        let (beside, frames) = (Vec::new(), None);
        let (skew, video) = (false, None);
        Some(Field { feature, value, way, beyond, absent, skew, beside, frames, video })
    }

    fn paths(
        &mut self,
        field: &FieldSpec,
        key: &str,
        paths: &[String],
        tolerance: Tolerance,
    ) -> Option<Field> {
        let align = field.align.unwrap_or(self.spec.align);
        let sources = self.sources(field, key, paths)?;
        let single = sources.parts.len() == 1 && sources.parts[0].pick == Pick::All;
        let own = self.common_type(field, key, &sources.dtypes, align)?;
        let dtype = field.dtype.unwrap_or(own);
        for from in &sources.dtypes {
            if !can_cast(*from, dtype) {
                let message = format!("{from} cannot become {dtype}");
                self.mistakes.push(Mistake::new(format!("{key}.type"), message));
            }
        }
        let mut feature = if single {
            let part = &sources.parts[0];
            let source = &self.streams[part.stream].features[part.column];
            if source.storage != Storage::Plain && field.dtype.is_some_and(|it| it != source.dtype) {
                let message = "an image keeps the type of its pixels";
                self.mistakes.push(Mistake::new(format!("{key}.type"), message));
            }
            let dtype = if source.storage == Storage::Plain { dtype } else { source.dtype };
            Feature { name: field.name.clone(), dtype, ..source.clone() }
        } else {
            let width = sources.widths.iter().try_fold(0usize, |sum, it| it.map(|it| sum + it));
            let shape = match width {
                _ if sources.is_item => Vec::new(),
                Some(width) => vec![Dim::Fixed(u32::try_from(width).unwrap_or(u32::MAX))],
                None => vec![Dim::Variable],
            };
            let mut feature = Feature::new(&field.name, dtype, shape);
            feature.nullable =
                sources.parts.iter().any(|it| self.streams[it.stream].features[it.column].nullable);
            let is_vector = feature.shape.len() == 1;
            if let Some(names) = element_names(&sources.parts, self.streams).filter(|_| is_vector) {
                feature.metadata.insert(meta::NAMES.to_owned(), names);
            }
            feature
        };
        let absent = field.by_name.as_ref().and_then(|it| it.absent).unwrap_or(tolerance.beyond);
        feature.nullable |= tolerance.beyond == Beyond::Null || absent == Beyond::Null;
        self.interpolation(key, &feature, align, &sources.parts);
        let (beside, frames) = self.beside(field, key, sources.parts.first().filter(|_| single));
        let video = sources.parts.first().filter(|_| single).and_then(|it| self.video(field, it, &feature));
        if let Some(video) = &video {
            feature = video.feature(feature);
        }
        let is_latched = sources.parts.iter().all(|it| is_latched(&self.streams[it.stream]));
        let value = match sources.parts {
            parts if !single => Value::Joined(parts),
            mut parts => Value::Column(parts.swap_remove(0)),
        };
        let way = self.way(field, align, tolerance, is_latched);
        let skew = field.skew.unwrap_or(self.spec.skew);
        Some(Field { feature, value, way, beyond: tolerance.beyond, absent, skew, beside, frames, video })
    }

    /// What the messages of a field say of its values: `part` where it takes a whole column.
    fn beside(&mut self, field: &FieldSpec, key: &str, part: Option<&Part>) -> (Vec<Beside>, Option<Frames>) {
        let streams = self.streams;
        let stream = part.map(|it| (&streams[it.stream], it.column));
        let vary = field.frames == FramesOf::Vary;
        let frames = stream.and_then(|(stream, column)| Frames::of(stream, column, vary));
        if vary && frames.is_none() {
            let message = format!("`{}` has no bare frames of messages, whose size could vary", field.name);
            let mistake = Mistake::new(format!("{key}.frames"), message);
            self.mistakes
                .push(mistake.with_hint("remove it: pictures that are coded say their size themselves"));
        }
        let Some(points) = field.transform.iter().position(|it| matches!(it, FieldTransform::Points { .. }))
        else {
            return (Vec::new(), frames);
        };
        let beside = stream.and_then(|(stream, column)| beside_cloud(stream, column, &field.name));
        if beside.is_none() {
            let message =
                format!("`points@1` takes a topic of PointCloud2, and `{}` takes no such", field.name);
            let mistake = Mistake::new(format!("{key}.transform[{points}]"), message);
            self.mistakes.push(mistake.with_hint("name the topic alone: `from: /points`"));
        }
        (beside.unwrap_or_default(), frames)
    }

    fn sources(&mut self, field: &FieldSpec, key: &str, paths: &[String]) -> Option<Sources> {
        if paths.is_empty() {
            self.mistakes.push(Mistake::new(format!("{key}.from"), "a field needs at least one path"));
            return None;
        }
        let mut sources =
            Sources { parts: Vec::new(), dtypes: Vec::new(), widths: Vec::new(), is_item: false };
        for (idx, path) in paths.iter().enumerate() {
            let key = if paths.len() == 1 { format!("{key}.from") } else { format!("{key}.from[{idx}]") };
            let Some(found) = self.found(&key, self.resolved(field, path)) else { continue };
            let stream = &self.streams[found.stream];
            let joins =
                1 < paths.len() || 1 < found.columns.len() || found.pick.is_some() || field.by_name.is_some();
            let picks = found.pick.is_some() || field.by_name.is_some();
            for column in &found.columns {
                let feature = &stream.features[*column];
                let refused = match feature.shape.as_slice() {
                    _ if feature.storage != Storage::Plain && joins => {
                        Some("is an image, which stands alone")
                    }
                    [] if picks => Some("is a single value, so nothing can be selected from it"),
                    [] | [_] => None,
                    _ if joins => Some("has more than one dimension, so it stands alone"),
                    _ => None,
                };
                if let Some(refused) = refused {
                    self.mistakes.push(Mistake::new(&key, format!("`{path}` {refused}")));
                    continue;
                }
                let pick = match (&found.pick, &field.by_name) {
                    (None, None) => Pick::All,
                    (Some(Brackets::One(item)), None) => Pick::Items(vec![*item]),
                    (Some(Brackets::Several(items)), None) => Pick::Items(items.clone()),
                    (None, Some(_)) => match self.names(field, &key, found.stream, *column) {
                        Some(pick) => pick,
                        None => continue,
                    },
                    (Some(_), Some(_)) => {
                        let message = "values are selected by position or by name, not by both";
                        self.mistakes.push(Mistake::new(&key, message));
                        continue;
                    }
                };
                self.items_exist(&key, path, feature, &pick);
                sources.is_item = paths.len() == 1 && matches!(found.pick, Some(Brackets::One(_)));
                sources.widths.push(match (&pick, feature.shape.as_slice()) {
                    (Pick::Items(items), _) => Some(items.len()),
                    (Pick::Names { wanted, .. }, _) => Some(wanted.len()),
                    (Pick::All, []) => Some(1),
                    (Pick::All, [Dim::Fixed(n), ..]) => Some(*n as usize),
                    (Pick::All, [Dim::Variable, ..]) => None,
                });
                sources.dtypes.push(feature.dtype);
                sources.parts.push(Part { stream: found.stream, column: *column, pick });
            }
        }
        (!sources.parts.is_empty()).then_some(sources)
    }

    /// Where a path leads. Of point clouds a topic alone is their bytes, where points are made of them.
    fn resolved(&self, field: &FieldSpec, path: &str) -> Result<Found, Lost> {
        let makes_points = field.transform.iter().any(|it| matches!(it, FieldTransform::Points { .. }));
        let stream = stream_of(path, self.streams).ok().filter(|_| makes_points);
        match stream.and_then(|it| Some((it, cloud_of(&self.streams[it])?))) {
            Some((stream, column)) => Ok(Found { stream, columns: vec![column], pick: None }),
            None => resolve(path, self.streams),
        }
    }

    fn items_exist(&mut self, key: &str, path: &str, feature: &Feature, pick: &Pick) {
        if let (Pick::Items(items), [Dim::Fixed(n)]) = (pick, feature.shape.as_slice())
            && let Some(item) = items.iter().find(|it| **it >= *n as usize)
        {
            let message = format!("`{path}` selects item {item}, but there are {n}, counted from 0");
            self.mistakes.push(Mistake::new(key, message));
        }
    }

    /// The column that names the items of another.
    fn names(&mut self, field: &FieldSpec, key: &str, stream: usize, column: usize) -> Option<Pick> {
        let by_name = field.by_name.as_ref()?;
        let stream = &self.streams[stream];
        let name_key = format!("fields.{}.by_name", field.name);
        if by_name.names.is_empty() {
            self.mistakes.push(Mistake::new(&name_key, "no name is wanted"));
            return None;
        }
        for (idx, name) in by_name.names.iter().enumerate() {
            if by_name.names[..idx].contains(name) {
                self.mistakes
                    .push(Mistake::new(format!("{name_key}[{idx}]"), format!("`{name}` is wanted twice")));
            }
        }
        if by_name.at.is_none()
            && let Some(own) = own_names(&stream.features[column])
        {
            if by_name.absent.is_some() {
                let message = "the feature names its own elements, so that no step lacks one";
                self.mistakes
                    .push(Mistake::new(format!("{name_key}.absent"), message).with_hint("remove it"));
            }
            return self.own_names(&name_key, &own, &by_name.names);
        }
        let values = &stream.features[column].name;
        let beside = match values.rsplit_once('.') {
            Some((parent, _)) => format!("{parent}.name"),
            None => "name".to_owned(),
        };
        let wanted = by_name.at.clone().unwrap_or(beside);
        let texts = |it: &Feature| it.dtype == DType::String && it.shape.len() == 1;
        let Some(at) = stream.features.iter().position(|it| it.name == wanted && texts(it)) else {
            let names = stream.features.iter().filter(|it| texts(it)).map(|it| it.name.as_str());
            let message = format!("`{}` has no array of names `{wanted}`", stream.name);
            self.mistakes.push(Mistake::new(key, message).with_hint(suggest(&wanted, names)));
            return None;
        };
        Some(Pick::Names { at, wanted: by_name.names.clone().into() })
    }

    /// The items of a vector whose feature names all of them.
    fn own_names(&mut self, key: &str, own: &[String], wanted: &[String]) -> Option<Pick> {
        let mut items = Vec::with_capacity(wanted.len());
        for (idx, name) in wanted.iter().enumerate() {
            match own.iter().position(|it| it == name) {
                Some(item) => items.push(item),
                None => {
                    let mistake =
                        Mistake::new(format!("{key}[{idx}]"), format!("no element is called `{name}`"));
                    self.mistakes.push(mistake.with_hint(suggest(name, own.iter().map(String::as_str))));
                }
            }
        }
        (items.len() == wanted.len()).then_some(Pick::Items(items))
    }

    /// The type of the values before a cast that was asked for.
    fn common_type(&mut self, field: &FieldSpec, key: &str, dtypes: &[DType], align: Align) -> Option<DType> {
        let first = *dtypes.first()?;
        let interpolates = matches!(align, Align::Linear | Align::Slerp);
        if field.dtype.is_none() && dtypes.iter().any(|it| *it != first) {
            let names: Vec<&str> = dtypes.iter().map(|it| it.name()).collect();
            let mistake = Mistake::new(
                format!("{key}.from"),
                format!("values of different types are joined: {}", names.join(", ")),
            );
            self.mistakes.push(mistake.with_hint(format!("say which they become: `{key}.type: float64`")));
            return None;
        }
        Some(if interpolates && !is_float(first) && first.is_numeric() { DType::Float64 } else { first })
    }

    /// What can be interpolated at all.
    fn interpolation(&mut self, key: &str, feature: &Feature, align: Align, parts: &[Part]) {
        let refused = match align {
            Align::Nearest | Align::Hold => return,
            _ if feature.storage != Storage::Plain || !feature.dtype.is_numeric() => {
                Some(format!("only numbers can be interpolated, and this is {}", feature.dtype))
            }
            _ if !is_float(feature.dtype) => {
                Some(format!("interpolated values are no whole numbers, so they cannot be {}", feature.dtype))
            }
            Align::Linear if 1 < feature.shape.len() && feature.shape.contains(&Dim::Variable) => {
                Some("lists of lists cannot be interpolated".to_owned())
            }
            Align::Linear => None,
            Align::Slerp if feature.shape != [Dim::Fixed(4)] => {
                Some("slerp needs a quaternion of 4 numbers: x, y, z, w".to_owned())
            }
            Align::Slerp if parts.iter().any(|it| it.stream != parts[0].stream) => {
                Some("the parts of a quaternion must come from one topic".to_owned())
            }
            Align::Slerp => None,
        };
        if let Some(message) = refused {
            let mistake = Mistake::new(format!("{key}.align"), message);
            self.mistakes.push(mistake.with_hint("`nearest` and `hold` take messages as they are"));
        }
    }
}

/// Names of all elements of a vector, where the source gives them for the whole feature.
fn own_names(feature: &Feature) -> Option<Vec<String>> {
    let names: Vec<String> = serde_json::from_str(feature.metadata.get(meta::NAMES)?).ok()?;
    let fits = |it: &Dim| matches!(it, Dim::Fixed(n) if *n as usize == names.len());
    (feature.shape.len() == 1 && feature.shape.iter().all(fits)).then_some(names)
}

fn is_float(dtype: DType) -> bool {
    matches!(dtype, DType::Float16 | DType::Float32 | DType::Float64)
}
