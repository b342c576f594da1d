use std::sync::Arc;

use nodedata_core::{Error, ErrorKind, Result};

use crate::{
    Blocks, Lanes, Order, OrderState, Samples, Selection, Unit, order,
    shape::{self, Extent},
};

/// The rule of sources that are not shuffled, as states say it.
const NUMBERED: &str = "numbered/1";

/// Which revision, split and stream of a dataset is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceId {
    /// Name of the dataset.
    pub dataset: String,
    /// Name of the revision.
    pub revision: String,
    /// Digest of its manifest.
    pub manifest: String,
    /// The split.
    pub split: String,
    /// The stream.
    pub stream: String,
}

/// How samples are shuffled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Shuffle {
    /// Not at all: in the order of the index.
    #[default]
    Off,
    /// As far as memory allows: as a whole where all samples are no more than 2 GiB, in windows of lanes otherwise.
    On,
    /// As a whole, however much that is.
    Uniform,
}

/// What decides the order of one source. What is `None` follows from the manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrderOptions {
    /// Whether and how far samples are shuffled.
    pub shuffle: Shuffle,
    /// What the order follows from.
    pub seed: u64,
    /// The first epoch.
    pub epoch: u64,
    /// Samples of a block.
    pub block: Option<u64>,
    /// Lanes of the line.
    pub lanes: Option<u64>,
    /// Samples of a lane that are shuffled among each other.
    pub window: Option<u64>,
}

/// A source as it is asked for.
#[derive(Debug, Clone)]
pub struct SourceRequest<'a> {
    /// What it is.
    pub id: SourceId,
    /// What the manifest says of its size.
    pub extent: Extent,
    /// Steps of each episode, in the order of the table of episodes.
    pub lengths: &'a [u64],
    /// Which samples are read.
    pub selection: Selection,
    /// In which order.
    pub order: OrderOptions,
    /// Digest of the fields and of what is done to them: two streams that deliver different values have different ones.
    pub fields_hash: String,
}

/// One source of a plan.
#[derive(Debug)]
pub struct PlannedSource {
    id: SourceId,
    samples: Arc<Samples>,
    shuffled: Option<Shuffled>,
    first_epoch: u64,
    order_state: OrderState,
}

#[derive(Debug)]
struct Shuffled {
    blocks: Arc<Blocks>,
    seed: u64,
    lanes: Lanes,
}

impl PlannedSource {
    /// Plans what was asked for, or tells all that is wrong with it.
    pub(super) fn new(request: &SourceRequest<'_>) -> Result<Self, Vec<Error>> {
        let mut mistakes = ineffective(request);
        let samples = match Samples::new(request.lengths, &request.selection) {
            Ok(samples) => Arc::new(samples),
            Err(err) => {
                mistakes.push(err);
                return Err(mistakes);
            }
        };
        // A split may be empty; a selection that leaves nothing of one that is not would train on nothing without a word.
        if samples.is_empty() && request.lengths.iter().any(|it| *it > 0) {
            let nothing = Error::new(ErrorKind::Config, "no step of the split is selected");
            let hint =
                "name episodes, leave out fewer steps of each, or pad windows instead of dropping steps";
            mistakes.push(nothing.with_hint(hint));
            return Err(mistakes);
        }
        let shuffled = match request.order.shuffle {
            Shuffle::Off => None,
            Shuffle::On | Shuffle::Uniform => match Shuffled::new(request, &samples) {
                Ok(shuffled) => Some(shuffled),
                Err(of_shuffle) => {
                    mistakes.extend(of_shuffle);
                    None
                }
            },
        };
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let order_state = order_state(request, shuffled.as_ref());
        let (id, first_epoch) = (request.id.clone(), request.order.epoch);
        Ok(Self { id, samples, shuffled: shuffled.map(|(it, _)| it), first_epoch, order_state })
    }

    /// What it is.
    pub fn id(&self) -> &SourceId {
        &self.id
    }

    /// Its samples.
    pub fn samples(&self) -> &Arc<Samples> {
        &self.samples
    }

    /// Its blocks, where it is shuffled: what is best fetched together.
    pub fn blocks(&self) -> Option<&Arc<Blocks>> {
        self.shuffled.as_ref().map(|it| &it.blocks)
    }

    /// How far it is shuffled.
    pub fn lanes(&self) -> Option<Lanes> {
        self.shuffled.as_ref().map(|it| it.lanes)
    }

    /// Its order in one epoch. Takes time and memory that follow the number of episodes.
    ///
    /// # Errors
    /// None: the plan has checked what may be wrong.
    pub fn order(&self, epoch: u64) -> Result<Order> {
        match &self.shuffled {
            None => Ok(Order::as_numbered(&self.samples)),
            Some(it) => Order::shuffled(Arc::clone(&it.blocks), it.seed, epoch, it.lanes),
        }
    }

    /// The epoch that it begins with.
    pub fn first_epoch(&self) -> u64 {
        self.first_epoch
    }

    /// What a state says of its order.
    pub(super) fn order_state(&self) -> &OrderState {
        &self.order_state
    }
}

impl Shuffled {
    /// The samples shuffled, and how long their blocks are.
    fn new(request: &SourceRequest<'_>, samples: &Arc<Samples>) -> Result<(Self, u64), Vec<Error>> {
        let OrderOptions { shuffle, seed, epoch: _, block, lanes, window } = request.order;
        let sample_bytes = request.extent.sample_bytes(request.selection.unit);
        let block = block.unwrap_or_else(|| shape::block(sample_bytes, request.selection.unit));
        let lanes = match shuffle {
            Shuffle::Uniform => Lanes { lanes: 1, window: samples.len().max(1) },
            Shuffle::On | Shuffle::Off => shape::lanes(samples.len(), sample_bytes, lanes, window),
        };
        match (Blocks::new(Arc::clone(samples), block), lanes.check(samples.len())) {
            (Ok(blocks), Ok(())) => Ok((Self { blocks: Arc::new(blocks), seed, lanes }, block)),
            (blocks, lanes) => Err(blocks.err().into_iter().chain(lanes.err()).collect()),
        }
    }
}

/// Options that were given and would do nothing.
fn ineffective(request: &SourceRequest<'_>) -> Vec<Error> {
    let OrderOptions { shuffle, seed: _, epoch: _, block, lanes, window } = request.order;
    let given = [("block", block), ("lanes", lanes), ("window", window)];
    let given = given.into_iter().filter_map(|(name, value)| value.map(|_| name));
    let why = |name: &str| match shuffle {
        Shuffle::Off => Some(("samples are not shuffled", "shuffle them, or leave it out")),
        Shuffle::Uniform if name != "block" => {
            Some(("all samples are shuffled as one", "`shuffle` without \"uniform\" has lanes"))
        }
        Shuffle::On | Shuffle::Uniform if name == "block" && request.selection.unit == Unit::Episode => {
            Some(("a block is an episode", "leave it out"))
        }
        Shuffle::On | Shuffle::Uniform => None,
    };
    let mistakes = given.filter_map(|name| {
        let (why, hint) = why(name)?;
        let message = format!("`{name}` has no effect where {why}");
        Some(Error::new(ErrorKind::Config, message).with_hint(hint))
    });
    mistakes.collect()
}

/// What a state says of an order: everything that was asked for, and what followed from the manifest.
fn order_state(request: &SourceRequest<'_>, shuffled: Option<&(Shuffled, u64)>) -> OrderState {
    let Selection { unit, drop_first, drop_last, episodes } = &request.selection;
    // All of them by number are all of them.
    let some = episodes.as_ref().filter(|it| it.len() < request.lengths.len());
    OrderState {
        order: if shuffled.is_some() { order::LANES } else { NUMBERED }.to_owned(),
        seed: shuffled.map(|(it, _)| it.seed),
        block: shuffled.map(|(_, block)| *block),
        lanes: shuffled.map(|(it, _)| it.lanes.lanes),
        window: shuffled.map(|(it, _)| it.lanes.window),
        unit: *unit,
        drop_first: *drop_first,
        drop_last: *drop_last,
        episodes: some.map(|it| digest_of(it)),
        fields_hash: request.fields_hash.clone(),
    }
}

/// A digest of numbers of episodes, whatever their order.
fn digest_of(episodes: &[u64]) -> String {
    let mut episodes = episodes.to_vec();
    episodes.sort_unstable();
    let mut hasher = blake3::Hasher::new();
    for episode in episodes {
        hasher.update(&episode.to_le_bytes());
    }
    format!("b3:{}", hasher.finalize().to_hex())
}
