mod kept_fields;

use std::sync::Arc;

use bytes::Bytes;
use nodedata_core::{Error, ErrorKind, Feature, Locus, Result, suggest};
use nodedata_reader::{
    Data, Fetched, Field, Fields, FrameAxes, Needs, Rooms, Rows, Split, StepRange, VideoCache,
};
use serde_json::json;

use crate::{
    Extent, Pad, SourceId, Unit, Window,
    engine::{
        feed::{Feed, Portion, Wanted},
        layout::{Part, PlacedField},
        lines::Line,
        options::StreamOptions,
        stream_plan::Prepared,
    },
};
use kept_fields::KeptField;

/// The rows of a split, part by part.
#[derive(Debug)]
struct SplitFeed {
    split: Split,
    parts: Arc<[PartFields]>,
    axes: FrameAxes,
}

/// The fields of a part.
#[derive(Debug)]
struct PartFields {
    /// All of them, in the order of their places.
    all: Fields,
    /// Those that are decoded each time.
    fields: Fields,
    /// Those that are kept once they are decoded, in the order of their places.
    kept: Vec<KeptField>,
}

impl PartFields {
    /// Fields of which none is kept.
    fn decoded(fields: Fields) -> Self {
        Self { all: fields.clone(), fields, kept: Vec::new() }
    }
}

/// What was brought of it.
#[derive(Debug)]
struct SplitPortion {
    split: Split,
    parts: Arc<[PartFields]>,
    axes: FrameAxes,
    /// What all parts need, but for rows that are kept; nothing where the source is mapped.
    fetched: Fetched,
    /// Coded bytes in memory; 0 where the source is mapped.
    n_bytes: u64,
}

/// A split with what is read of it, or all that is wrong with that.
pub(super) fn prepare(split: &Split, options: StreamOptions) -> Result<Prepared, Vec<Error>> {
    let StreamOptions { selection, order, fields, windows, pad, axes, decoded_cache } = options;
    let fields = match split.fields(&fields) {
        Ok(fields) => fields,
        Err(err) => return Err(vec![err]),
    };
    let mistakes = mistakes(&fields, selection.unit, &windows, pad);
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    if selection.unit == Unit::Episode {
        // Where that fails the samples tell it, which need the table for more than where they are cut.
        split.bring_videos(&fields).ok();
    }
    let (parts, of_parts) = parts(&fields, &windows);
    let of_parts = match &decoded_cache {
        Some(cache) => kept_fields::keep(split, of_parts, cache).map_err(|err| vec![err])?,
        None => of_parts.into_iter().map(PartFields::decoded).collect(),
    };
    let selection = windows.iter().fold(selection, |it, (_, window)| window.narrowed(&it, pad));
    let reader = split.reader();
    let id = SourceId {
        dataset: reader.id().unwrap_or_default(),
        revision: reader.revision().unwrap_or_default(),
        manifest: reader.manifest_digest(),
        split: split.name().to_owned(),
        stream: split.stream().to_owned(),
    };
    let extent = Extent {
        shard_bytes: split.shard_bytes(),
        n_rows: split.n_steps(),
        n_episodes: split.n_episodes() as u64,
    };
    Ok(Prepared {
        id,
        extent,
        lengths: split.lengths().into(),
        selection,
        order,
        fields_hash: hash(&fields, &windows, pad),
        parts,
        pad,
        feed: Arc::new(SplitFeed { split: split.clone(), parts: of_parts.into(), axes }),
    })
}

/// All that is wrong with fields and windows.
fn mistakes(fields: &Fields, unit: Unit, windows: &[(String, Window)], pad: Pad) -> Vec<Error> {
    let mistake = |message: String, hint: &str| Error::new(ErrorKind::Config, message).with_hint(hint);
    let mut mistakes = Vec::new();
    if fields.is_empty() {
        mistakes.push(mistake("samples have no fields".to_owned(), "name at least one in `fields`"));
    }
    if unit == Unit::Episode && !windows.is_empty() {
        let message = "`window` has no effect where samples are episodes".to_owned();
        mistakes.push(mistake(message, "stream steps (`unit=\"step\"`), or leave it out"));
    }
    if windows.is_empty() && pad != Pad::default() {
        let message = "`pad` has no effect where there are no windows".to_owned();
        mistakes.push(mistake(message, "give windows, or leave it out"));
    }
    for (idx, (name, _)) in windows.iter().enumerate() {
        let locus = Locus::feature(name);
        let Some(field) = fields.get(name) else {
            let hint = suggest(name, fields.iter().map(|it| &*it.info.name));
            let message = format!("there is a window of `{name}`, which is not read");
            mistakes.push(mistake(message, &hint).at(locus));
            continue;
        };
        if windows.iter().take(idx).any(|(other, _)| other == name) {
            mistakes.push(mistake(format!("`{name}` has two windows"), "give it one").at(locus));
        }
        // What is padded is what is read, not what is stored.
        let read = Feature::new(&*field.info.name, field.info.dtype, Vec::new());
        mistakes.extend(pad.check(&read).err());
    }
    mistakes
}

/// The fields by their windows.
fn parts(fields: &Fields, windows: &[(String, Window)]) -> (Vec<Part>, Vec<Fields>) {
    let window_of = |it: &Field| {
        let found = windows.iter().find(|(name, _)| *name == *it.info.name);
        found.map(|(_, window)| window)
    };
    let mut parts: Vec<Part> = Vec::new();
    for (idx, field) in fields.iter().enumerate() {
        let (window, n_bytes) = (window_of(field), field.row_bytes());
        let place = parts.iter().position(|it| it.window.as_ref() == window).unwrap_or_else(|| {
            let window = window.cloned();
            let (fields, placed) = (Vec::new(), Vec::new());
            parts.push(Part { window, fields, fixed_bytes: 0, varies: false, placed });
            parts.len() - 1
        });
        let Some(part) = parts.get_mut(place) else { continue };
        part.fields.push(idx);
        part.fixed_bytes = part.fixed_bytes.saturating_add(n_bytes.unwrap_or(0));
        part.varies |= n_bytes.is_none();
        let row_bytes = n_bytes.filter(|_| field.has_room()).and_then(|it| usize::try_from(it).ok());
        let name = &field.info.name;
        part.placed.extend(row_bytes.map(|row_bytes| PlacedField { name: Arc::clone(name), row_bytes }));
    }
    let of_parts = parts.iter().map(|part| fields.only(|it| window_of(it) == part.window.as_ref()));
    let of_parts = of_parts.collect();
    (parts, of_parts)
}

/// A digest of all that decides what a sample holds.
fn hash(fields: &Fields, windows: &[(String, Window)], pad: Pad) -> String {
    // By field, in the order of the fields: that in which windows were named decides nothing.
    let mut told: Vec<_> = windows.iter().map(|(name, window)| json!([name, window.offsets()])).collect();
    told.sort_by_key(ToString::to_string);
    let pad = match pad {
        _ if windows.is_empty() => None,
        Pad::Edge => Some("edge"),
        Pad::Zero => Some("zero"),
        Pad::Nan => Some("nan"),
        Pad::Drop => Some("drop"),
    };
    let all = json!([fields.canonical(), told, pad]).to_string();
    format!("b3:{}", blake3::hash(all.as_bytes()).to_hex())
}

impl Feed for SplitFeed {
    fn at_hand(&self) -> Option<Arc<dyn Portion>> {
        self.split.is_mapped().then(|| self.portion(Fetched::default()))
    }

    fn fetch(&self, wanted: &[Wanted], line: Line<'_>) -> Result<Arc<dyn Portion>> {
        Ok(self.portion(self.in_one_round(wanted, line, Split::fetch)?))
    }

    fn fetch_again(&self, wanted: &[Wanted], line: Line<'_>) -> Result<Arc<dyn Portion>> {
        Ok(self.portion(self.in_one_round(wanted, line, Split::fetch_anyway)?))
    }

    fn keep(&self, wanted: &[Wanted], line: Line<'_>) -> Result<()> {
        match self.in_one_round(wanted, line, Split::keep) {
            Err(err) if matches!(err.kind(), ErrorKind::Io | ErrorKind::Denied | ErrorKind::Interrupted) => {
                Err(err)
            }
            // Of the rest a step beside it may be the cause: what is wrong with the step itself is told when it is fetched.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn disk_bytes(&self) -> u64 {
        self.split.disk_bytes()
    }

    fn cuts(&self, part: usize, episode: usize) -> Vec<u64> {
        self.parts.get(part).map_or_else(Vec::new, |it| self.split.group_starts(episode, &it.all))
    }

    fn warnings(&self) -> Vec<String> {
        let kept = self.parts.iter().flat_map(|it| &it.kept).filter_map(KeptField::warning);
        let of_disk = self.split.reader().cache_stats().failure;
        let of_disk = of_disk.map(|it| format!("nothing more is kept in the cache on the disk: {it}"));
        kept.chain(of_disk).collect()
    }

    fn n_found(&self) -> u64 {
        self.parts.iter().flat_map(|it| &it.kept).map(KeptField::n_found).sum()
    }

    fn locus(&self, episode: usize, step: u64) -> Locus {
        // As the dataset counts them.
        let episode = self.split.head(episode).ok().map(|it| it.index);
        Locus { episode_idx: episode, step_idx: Some(step), ..Locus::default() }
    }
}

impl SplitFeed {
    /// Does something with what all parts need, in one round: their fields lie in the same rows, and often in the same ranges.
    fn in_one_round<T>(
        &self,
        wanted: &[Wanted],
        line: Line<'_>,
        fetch: impl FnOnce(&Split, &Needs) -> Result<T>,
    ) -> Result<T> {
        let mut needs = Needs::default();
        for (idx, part) in self.parts.iter().enumerate() {
            let ranges = joined(wanted.iter().filter(|it| it.part == idx));
            needs = needs.and(self.split.needs(&ranges, &part.fields)?);
            for kept in &part.kept {
                needs = needs.and(self.split.needs(&kept.missing(&ranges), kept.fields())?);
            }
        }
        let _taken = line.take(needs.n_ranges())?;
        fetch(&self.split, &needs)
    }

    fn portion(&self, fetched: Fetched) -> Arc<dyn Portion> {
        let (split, parts) = (self.split.clone(), Arc::clone(&self.parts));
        Arc::new(SplitPortion { split, parts, axes: self.axes, n_bytes: fetched.n_bytes(), fetched })
    }
}

impl Portion for SplitPortion {
    fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    fn decode(&self, wanted: &Wanted, rooms: &Rooms, video: &VideoCache) -> Result<Rows> {
        let Wanted { part, episode, steps } = wanted;
        let part = self.parts.get(*part).ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, "the plan has no such fields").with_hint("open the revision again")
        })?;
        let (fetched, steps) = (&self.fetched, steps.clone());
        let mut rows = self.split.decode_into(fetched, *episode, steps, &part.fields, video, rooms)?;
        for kept in &part.kept {
            kept.add_to(&mut rows, &self.split, fetched, wanted, video, rooms)?;
        }
        // Here and not behind the stream: by all threads, and what is kept is the same for everybody.
        self.axes.put(&part.all, &mut rows)?;
        if self.n_bytes > 0 {
            rows.columns.iter_mut().for_each(|it| detach(&mut it.data));
        }
        Ok(rows)
    }
}

/// Copies bytes that are views of all that was fetched, so that a sample that waits keeps no more in memory than its own.
fn detach(data: &mut Data) {
    if let Data::Bytes(values) = data {
        for value in values {
            *value = Bytes::copy_from_slice(value);
        }
    }
}

/// The steps that are wanted of a part, those together that lie side by side.
fn joined<'a>(wanted: impl Iterator<Item = &'a Wanted>) -> Vec<StepRange> {
    let mut ranges: Vec<StepRange> =
        wanted.map(|it| StepRange { episode: it.episode, steps: it.steps.clone() }).collect();
    ranges.sort_by_key(|it| (it.episode, it.steps.start));
    ranges.dedup_by(|next, last| {
        let is_near = next.episode == last.episode && next.steps.start <= last.steps.end;
        if is_near {
            last.steps.end = last.steps.end.max(next.steps.end);
        }
        is_near
    });
    ranges
}
