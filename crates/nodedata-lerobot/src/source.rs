use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use arrow_schema::SchemaRef;
use nodedata_core::{
    Confidence, Detection, EpisodeInfo, EpisodeStream, EpisodeVideo, Error, Files, Format, InputFile,
    Listing, OpenOptions, Partition, ReadOptions, Result, Source, StreamClock, StreamSchema,
};

use crate::{
    findings::{Findings, STEPS},
    listing::{INFO, is_metadata_table},
    parquet_file::ParquetFile,
    plan::{Plan, plan},
    rows::PieceRows,
    tracks::VideoCache,
};

/// The LeRobot format.
#[derive(Debug)]
pub struct LeRobot;

/// The LeRobot format, for the list of formats.
pub static LEROBOT: LeRobot = LeRobot;

/// The key of `meta/info.json` that no other format has.
const VERSION_KEY: &[u8] = b"\"codebase_version\"";

impl Format for LeRobot {
    fn name(&self) -> &'static str {
        "lerobot"
    }

    fn about(&self) -> &'static str {
        "LeRobot datasets v2.0, v2.1 and v3.0: pointers audited, video passed through or decoded"
    }

    fn detect(&self, listing: &Listing<'_>) -> Detection {
        let found = listing.folders_with(INFO);
        let Some(first) = found.first() else { return Detection::no() };
        // Other projects have a `meta/info.json`, too.
        let is_dataset = |root: &PathBuf| {
            let head = listing.head(&root.join(INFO));
            let is_table = |it: &Path| it.strip_prefix(root).is_ok_and(is_metadata_table);
            head.windows(VERSION_KEY.len()).any(|it| it == VERSION_KEY)
                || listing
                    .below(&root.join("data"))
                    .any(|it| it.extension().is_some_and(|it| it == "parquet"))
                || listing.below(&root.join("meta")).any(is_table)
        };
        let roots: Vec<PathBuf> = found.iter().filter(|it| is_dataset(it)).cloned().collect();
        match roots.first() {
            Some(root) => {
                let why = format!("`{}` is the head of a LeRobot dataset", root.join(INFO).display());
                Detection::of_roots(listing, Confidence::Layout, roots, why)
            }
            None => {
                let why = format!("`{}` is called as in LeRobot datasets", first.join(INFO).display());
                Detection::of_roots(listing, Confidence::Name, found, why)
            }
        }
    }

    fn decodes_video(&self) -> bool {
        true
    }

    fn open(&self, files: Arc<dyn Files>, options: &OpenOptions) -> Result<Box<dyn Source>> {
        let mut findings = Findings::default();
        let plan = plan(files, options, &mut findings)?;
        Ok(Box::new(LeRobotSource(Arc::new(Opened::new(plan, findings)))))
    }
}

/// An opened dataset.
struct LeRobotSource(Arc<Opened>);

/// What the streams of a source share.
pub(crate) struct Opened {
    pub(crate) plan: Plan,
    streams: Vec<StreamSchema>,
    /// Of a batch.
    pub(crate) schema: SchemaRef,
    repairs: Vec<Error>,
    damage: Vec<Error>,
    warnings: Vec<Error>,
    open_data: Mutex<Vec<(usize, Arc<ParquetFile>)>>,
    pub(crate) videos: VideoCache,
}

/// Data files kept open: footers of many row groups are large.
const DATA_FILES_KEPT: usize = 4;

impl Opened {
    fn new(plan: Plan, mut findings: Findings) -> Self {
        let streams = vec![StreamSchema {
            id: STEPS,
            name: "steps".into(),
            clock: StreamClock::Step,
            features: plan.columns.iter().map(|it| it.feature.clone()).collect(),
            metadata: metadata(&plan),
        }];
        Self {
            plan,
            schema: streams[0].arrow(),
            streams,
            repairs: findings.take_repairs(),
            damage: findings.damage,
            warnings: findings.warnings,
            open_data: Mutex::new(Vec::new()),
            videos: VideoCache::new(),
        }
    }

    /// The data file at a position, opened where it is not open.
    pub(crate) fn data_file(&self, position: usize) -> Result<Arc<ParquetFile>> {
        let lock = || self.open_data.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((_, file)) = lock().iter().find(|(it, _)| *it == position) {
            return Ok(Arc::clone(file));
        }
        let path = &self.plan.data.files[position].path;
        let file = Arc::new(ParquetFile::open(self.plan.listing.files().as_ref(), path)?);
        let mut open = lock();
        if open.len() >= DATA_FILES_KEPT {
            open.remove(0);
        }
        open.push((position, Arc::clone(&file)));
        Ok(file)
    }
}

/// What the dataset says of itself as a whole.
fn metadata(plan: &Plan) -> BTreeMap<String, String> {
    let info = &plan.tables.info;
    let mut all = BTreeMap::from([
        ("codebase_version".to_owned(), info.codebase_version.clone()),
        ("fps".to_owned(), info.fps.to_string()),
        ("lerobot:info".to_owned(), info.text.clone()),
    ]);
    if let Some(robot) = &info.robot_type {
        all.insert("robot_type".to_owned(), robot.clone());
    }
    if let Some(stats) = &plan.tables.stats {
        all.insert("lerobot:stats".to_owned(), stats.clone());
    }
    if !plan.tables.tasks.is_empty() {
        let tasks: serde_json::Map<String, serde_json::Value> =
            plan.tables.tasks.iter().map(|(index, text)| (index.to_string(), text.clone().into())).collect();
        all.insert("tasks".to_owned(), serde_json::Value::Object(tasks).to_string());
    }
    all
}

impl Source for LeRobotSource {
    fn streams(&self) -> &[StreamSchema] {
        &self.0.streams
    }

    fn inputs(&self) -> &[InputFile] {
        &self.0.plan.inputs.files
    }

    fn episodes(&self) -> &[EpisodeInfo] {
        &self.0.plan.infos
    }

    fn partitions(&self) -> &[Partition] {
        &self.0.plan.partitions
    }

    fn read(&self, partition: &Partition, options: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        Ok(Box::new(PieceRows::new(Arc::clone(&self.0), partition, options)?))
    }

    fn whole_inputs(&self, partition: &Partition) -> Vec<usize> {
        let plan = &self.0.plan;
        let videos = plan.episodes[partition.episode].frames.iter().zip(&plan.inputs.videos);
        let videos = videos.map(|((file, _), inputs)| inputs[*file]);
        let own = std::iter::once(partition.input);
        own.chain(videos).chain(plan.inputs.tables.iter().copied()).collect()
    }

    fn damage(&self) -> &[Error] {
        &self.0.damage
    }

    fn warnings(&self) -> &[Error] {
        &self.0.warnings
    }

    fn repairs(&self) -> &[Error] {
        &self.0.repairs
    }

    fn videos(&self) -> &[EpisodeVideo] {
        &self.0.plan.videos
    }

    fn unselected(&self) -> &[String] {
        &self.0.plan.not_selected
    }
}
