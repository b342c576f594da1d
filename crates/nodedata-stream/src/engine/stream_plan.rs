use std::{ops::Range, sync::Arc};

use nodedata_core::{Error, ErrorKind, Result, human};
use nodedata_reader::Split;

use crate::{
    Blocks, Extent, MixOptions, OrderOptions, Pad, Plan, PlannedSource, Samples, Selection, Share, SourceId,
    SourceRequest, Unit,
    engine::{
        feed::{Feed, Portion},
        layout::{Layout, Part},
        options::{EngineOptions, StreamOptions},
        split_feed,
    },
    plan::joined,
};

/// What a stream delivers and how it makes that ready: the splits that are read, the order of their samples, and the share of them that is
/// this process's.
///
/// Making it reads no rows. It may be kept, and used by several streams.
#[derive(Debug)]
pub struct StreamPlan {
    order: Arc<Plan>,
    sources: Vec<Source>,
    share: Share,
    engine: EngineOptions,
}

/// A source, as the engine reads it.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) feed: Arc<dyn Feed>,
    /// All of its rows, where nothing need be fetched.
    pub(crate) at_hand: Option<Arc<dyn Portion>>,
    pub(crate) layout: Arc<Layout>,
    samples: Arc<Samples>,
    /// Its blocks, where these are fetched whole and kept: as many as are needed at a time fit memory, or the disk.
    kept_blocks: Option<(Arc<Blocks>, Keeper)>,
    /// Coded bytes of the blocks that are needed at a time, where there is room for them nowhere.
    homeless_bytes: Option<u64>,
}

/// What blocks are kept by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeper {
    /// Each is one portion of the engine.
    Memory,
    /// Each is brought to the cache on the disk, and samples are read from there.
    Disk,
}

/// A block that is fetched whole.
#[derive(Debug, Clone)]
pub(crate) struct KeptBlock {
    pub(crate) number: u64,
    /// The steps of its samples.
    pub(crate) steps: Range<u64>,
    pub(crate) keeper: Keeper,
}

/// A source before it is planned.
pub(crate) struct Prepared {
    pub(crate) id: SourceId,
    pub(crate) extent: Extent,
    pub(crate) lengths: Arc<[u64]>,
    pub(crate) selection: Selection,
    pub(crate) order: OrderOptions,
    pub(crate) fields_hash: String,
    pub(crate) parts: Vec<Part>,
    pub(crate) pad: Pad,
    pub(crate) feed: Arc<dyn Feed>,
}

impl StreamPlan {
    /// Plans what one source delivers, or several that are mixed.
    ///
    /// # Errors
    /// `Config` with every mistake of fields, windows and the engine, and once there are none, those of [`Plan::of_source`] and
    /// [`Plan::of_mixture`]; `Io` where decoded rows are to be kept and there can be no file of them.
    pub fn new(
        sources: Vec<(Split, StreamOptions)>,
        mix: Option<&MixOptions>,
        share: Share,
        engine: EngineOptions,
    ) -> Result<Arc<Self>> {
        let (mut prepared, mut mistakes) = (Vec::with_capacity(sources.len()), engine.mistakes());
        for (idx, (split, options)) in sources.into_iter().enumerate() {
            match split_feed::prepare(&split, options) {
                Ok(source) => prepared.push(source),
                Err(of_source) if mix.is_some() => {
                    mistakes.push(joined(of_source, &format!("source {idx}: ")));
                }
                Err(of_source) => mistakes.extend(of_source),
            }
        }
        if mistakes.is_empty() {
            return Self::of(prepared, mix, share, engine);
        }
        Err(joined(mistakes, ""))
    }

    /// The same of sources that are prepared.
    pub(crate) fn of(
        prepared: Vec<Prepared>,
        mix: Option<&MixOptions>,
        share: Share,
        engine: EngineOptions,
    ) -> Result<Arc<Self>> {
        let requests: Vec<SourceRequest<'_>> = prepared.iter().map(Prepared::request).collect();
        let order = match (mix, requests.as_slice()) {
            (Some(mix), requests) => Plan::of_mixture(requests, mix)?,
            (None, [request]) => Plan::of_source(request)?,
            (None, requests) => {
                let message =
                    format!("there are {} sources, and nothing says how they are mixed", requests.len());
                return Err(Error::new(ErrorKind::Config, message).with_hint("give one source, or weights"));
            }
        };
        let sources = prepared.into_iter().zip(order.sources());
        let sources = sources.map(|(prepared, planned)| Source::new(prepared, planned)).collect();
        let plan = Self { order: Arc::new(order), sources, share, engine };
        Ok(Arc::new(plan.with_kept_blocks()))
    }

    /// The same for another share: another rank, or a worker of this one.
    #[must_use]
    pub fn with_share(&self, share: Share) -> Arc<Self> {
        let Self { order, sources, share: _, engine } = self;
        let plan = Self { order: Arc::clone(order), sources: sources.clone(), share, engine: *engine };
        Arc::new(plan.with_kept_blocks())
    }

    /// Which sample stands at which place.
    pub fn order(&self) -> &Arc<Plan> {
        &self.order
    }

    /// Places of one pass, of all ranks together.
    pub fn n_places(&self) -> u64 {
        self.order.n_places()
    }

    /// Whose places are read.
    pub fn share(&self) -> &Share {
        &self.share
    }

    /// How samples are made ready.
    pub fn engine(&self) -> &EngineOptions {
        &self.engine
    }

    /// The sources.
    pub(crate) fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// One of them.
    pub(crate) fn source(&self, idx: usize) -> Option<&Source> {
        self.sources.get(idx)
    }

    /// What whoever reads should know, each of it once: that more is fetched than need be, and that a cache is not written any more.
    pub fn warnings(&self) -> Vec<String> {
        let homeless = self.sources.iter().filter_map(|it| it.homeless_bytes).map(|n_bytes| {
            let (needed, prefetch_bytes) = (human::bytes(n_bytes), human::bytes(self.engine.prefetch_bytes));
            format!(
                "what lies beside a sample is fetched again for other samples: those that are shuffled among each other lie in {needed}, \
                 which is more than `prefetch_bytes` ({prefetch_bytes}) and than the cache on the disk has room for; give either more, or a \
                 smaller `window`"
            )
        });
        homeless.chain(self.sources.iter().flat_map(|it| it.feed.warnings())).collect()
    }

    /// Decides of which sources blocks are kept, and where: in memory if those that are needed at a time fit, of all sources together, and
    /// on the disk otherwise.
    fn with_kept_blocks(mut self) -> Self {
        let (mut memory_left, mut disk_bytes) = (self.engine.prefetch_bytes, 0_u64);
        // Places of a mixture fall to ranks whatever their lanes: each has all of these.
        let n_parts = if self.order.is_mixture() { 1 } else { self.share.world() };
        for (source, planned) in self.sources.iter_mut().zip(self.order.sources()) {
            (source.kept_blocks, source.homeless_bytes) = (None, None);
            let Some((blocks, needed)) = planned.blocks().zip(source.bytes_at_a_time(planned, n_parts))
            else {
                continue;
            };
            if needed <= memory_left {
                memory_left -= needed;
                source.kept_blocks = Some((Arc::clone(blocks), Keeper::Memory));
            } else if disk_bytes.saturating_add(needed) <= source.feed.disk_bytes() {
                disk_bytes += needed;
                // It passes through memory; where that is too little each sample is brought for itself, and is on the disk as well.
                let block_bytes = blocks.size().saturating_mul(source.layout.coded_bytes);
                let fits = block_bytes <= self.engine.prefetch_bytes;
                source.kept_blocks = fits.then(|| (Arc::clone(blocks), Keeper::Disk));
            } else {
                source.homeless_bytes = Some(needed);
            }
        }
        self
    }
}

impl Prepared {
    fn request(&self) -> SourceRequest<'_> {
        SourceRequest {
            id: self.id.clone(),
            extent: self.extent,
            lengths: &self.lengths,
            selection: self.selection.clone(),
            order: self.order.clone(),
            fields_hash: self.fields_hash.clone(),
        }
    }
}

impl Source {
    fn new(prepared: Prepared, planned: &PlannedSource) -> Self {
        let Prepared { extent, lengths, selection, parts, pad, feed, .. } = prepared;
        let coded_bytes = extent.sample_bytes(Unit::Step);
        let layout = Layout { lengths, unit: selection.unit, parts, pad, coded_bytes };
        Self {
            at_hand: feed.at_hand(),
            feed,
            layout: Arc::new(layout),
            samples: Arc::clone(planned.samples()),
            kept_blocks: None,
            homeless_bytes: None,
        }
    }

    /// The block of a sample, where blocks are fetched whole.
    pub(crate) fn block_of(&self, sample: u64) -> Option<KeptBlock> {
        let (blocks, keeper) = self.kept_blocks.as_ref()?;
        let (number, samples) = blocks.block_of(sample)?;
        let first = self.samples.locate(samples.start)?.steps.start;
        Some(KeptBlock { number, steps: first..first + (samples.end - samples.start), keeper: *keeper })
    }

    /// Coded bytes of the blocks among which the next samples of a rank lie, about, where lanes are shared by so many. `None` where
    /// samples come as they are stored, or nothing is fetched.
    fn bytes_at_a_time(&self, planned: &PlannedSource, n_parts: u64) -> Option<u64> {
        let (blocks, lanes) = planned.blocks().zip(planned.lanes())?;
        if self.at_hand.is_some() || self.layout.unit == Unit::Episode {
            return None;
        }
        let n_lanes = if lanes.lanes.is_multiple_of(n_parts) { lanes.lanes / n_parts } else { lanes.lanes };
        // The blocks of a window and of the one behind it, which begins while it ends, and those that they cut.
        let of_lane = lanes.window.saturating_add(blocks.size()).saturating_mul(2);
        let n_samples = of_lane.saturating_mul(n_lanes).min(self.samples.len());
        Some(n_samples.saturating_mul(self.layout.coded_bytes))
    }
}
