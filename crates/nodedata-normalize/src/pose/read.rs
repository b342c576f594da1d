use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use arrow_array::{
    Array, Float64Array, Int64Array, ListArray, RecordBatch, StringArray,
    cast::AsArray,
    types::{Float64Type, Int64Type},
};
use nodedata_core::{Error, ErrorKind, Locus, Result};

use super::{
    placed::Placed,
    tree::{Sample, Tree},
};
use crate::{
    mapping::PoseTopic,
    stamp::NO_TIME,
    store::{Held, Store},
    survey::Survey,
};

/// Recordings whose transforms are kept: pieces of few are read at a time.
const KEPT_MAX: usize = 4;
/// Transforms of one recording that are kept: 80 bytes each, so two thirds of a gigabyte of them.
const SAMPLES_MAX: usize = 8 << 20;

/// The transforms of the recordings that were read last.
#[derive(Default)]
pub(crate) struct Trees {
    kept: Mutex<VecDeque<(Asked, Arc<Tree>)>>,
}

/// Which recording, and the topics.
type Asked = (usize, Vec<PoseTopic>);

impl Trees {
    /// The transforms of a recording on some topics. Whoever asks meanwhile waits.
    ///
    /// # Errors
    /// What reading the topics reports; `Limit` for more transforms than are kept.
    pub(crate) fn of(
        &self,
        store: &Store,
        recording: usize,
        survey: &Survey,
        topics: &[PoseTopic],
    ) -> Result<Arc<Tree>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |it: &&(Asked, Arc<Tree>)| it.0.0 == recording && it.0.1 == topics;
        if let Some((_, tree)) = kept.iter().find(is_it) {
            return Ok(Arc::clone(tree));
        }
        let tree = Arc::new(read(store, survey, topics)?);
        kept.push_back(((recording, topics.to_vec()), Arc::clone(&tree)));
        if KEPT_MAX < kept.len() {
            kept.pop_front();
        }
        Ok(tree)
    }
}

fn read(store: &Store, survey: &Survey, topics: &[PoseTopic]) -> Result<Tree> {
    let nothing_held = Held::new();
    let mut tree = Tree::default();
    let mut n_samples = 0;
    for topic in topics {
        let spans = &survey.lookups[topic.stream].spans;
        for (partition, _) in survey.partitions.iter().zip(spans).filter(|it| it.1.0 <= it.1.1) {
            let loaded = store.stream_of(*partition, topic.stream, &nothing_held)?;
            let stream = &loaded.streams[topic.stream];
            let columns: Vec<Columns<'_>> =
                stream.batches.iter().filter_map(|it| Columns::new(&it.rows, topic)).collect();
            for (stamp, batch, row) in &stream.rows {
                let Some(columns) = columns.get(*batch as usize) else { continue };
                n_samples += columns.add(&mut tree, *row as usize, *stamp, topic.is_fixed);
            }
            if SAMPLES_MAX < n_samples {
                let name = store.mapping.streams[topic.stream].name.to_string();
                let message = format!("a recording has more than {SAMPLES_MAX} transforms");
                return Err(Error::new(ErrorKind::Limit, message)
                    .at(Locus::topic(&*name))
                    .with_hint("cut the recording with `source.start` and `source.end`"));
            }
        }
    }
    tree.settle();
    Ok(tree)
}

/// The lists of a batch of messages.
struct Columns<'a> {
    stamp: Option<&'a ListArray>,
    parent: &'a ListArray,
    child: &'a ListArray,
    numbers: [&'a ListArray; 7],
}

impl<'a> Columns<'a> {
    /// `None` where they are no lists.
    fn new(rows: &'a RecordBatch, topic: &PoseTopic) -> Option<Self> {
        let list = |column: usize| rows.column(column).as_list_opt::<i32>();
        let mut numbers = [list(topic.child)?; 7];
        for (slot, column) in numbers.iter_mut().zip(topic.numbers) {
            *slot = list(column)?;
        }
        let stamp = match topic.stamp {
            Some(column) => Some(list(column)?),
            None => None,
        };
        Some(Self { stamp, parent: list(topic.parent)?, child: list(topic.child)?, numbers })
    }

    /// Takes in the transforms of a message; tells how many.
    fn add(&self, tree: &mut Tree, row: usize, message_ns: i64, is_fixed: bool) -> usize {
        let texts = |list: &ListArray| list.value(row).as_string_opt::<i32>().cloned();
        let (Some(children), Some(parents)) = (texts(self.child), texts(self.parent)) else { return 0 };
        let floats = |list: &&ListArray| list.value(row).as_primitive_opt::<Float64Type>().cloned();
        let numbers: Option<Vec<Float64Array>> = self.numbers.iter().map(floats).collect();
        let Some(numbers) = numbers else { return 0 };
        let stamps: Option<Int64Array> =
            self.stamp.and_then(|it| it.value(row).as_primitive_opt::<Int64Type>().cloned());
        let n = numbers.iter().map(Array::len).chain([children.len(), parents.len()]).min().unwrap_or(0);
        for idx in 0..n {
            let number = |it: usize| numbers[it].value(idx);
            let placed = Placed::new(std::array::from_fn(number), std::array::from_fn(|it| number(it + 3)));
            let Some(placed) = placed else { continue };
            let own = stamps.as_ref().filter(|it| idx < it.len()).map(|it| it.value(idx));
            let stamp = own.filter(|it| *it != 0 && *it != NO_TIME).unwrap_or(message_ns);
            let parent = frame(&parents, idx).into();
            tree.add(frame(&children, idx), Sample { stamp, parent, placed }, is_fixed);
        }
        n
    }
}

/// The name of a frame, which tf2 writes without the slash that tf had before it.
fn frame(of: &StringArray, idx: usize) -> &str {
    of.value(idx).trim_start_matches('/')
}
