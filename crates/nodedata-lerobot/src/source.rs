use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use arrow_schema::SchemaRef;
use nodedata_arrow::ParquetFile;
use nodedata_core::{
    Attachment, Confidence, DatasetFacts, Detection, EpisodeStream, Files, Format, Listing, OpenOptions,
    ReadOptions, Result, Source, SourcePlan, StreamKind, StreamSchema,
};
use nodedata_steps::STEPS;

use crate::{
    findings::{Findings, RESTORE_HINT},
    layout::{INFO, is_metadata_table},
    plan::{Plan, plan},
    player::Parked,
    rows::piece_stream,
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
    /// What others are told.
    pub(crate) told: SourcePlan,
    pub(crate) plan: Plan,
    /// Of a batch.
    pub(crate) schema: SchemaRef,
    open_data: Mutex<Vec<(usize, Arc<ParquetFile>)>>,
    pub(crate) videos: VideoCache,
    pub(crate) parked: Parked,
}

/// Data files kept open: footers of many row groups are large.
const DATA_FILES_KEPT: usize = 4;

impl Opened {
    fn new(mut plan: Plan, findings: Findings) -> Self {
        let steps = StreamSchema {
            id: STEPS,
            name: nodedata_core::STEPS.into(),
            kind: StreamKind::Steps,
            features: plan.columns.iter().map(|it| it.feature.clone()).collect(),
            metadata: metadata(&plan),
        };
        let schema = steps.arrow();
        let told = SourcePlan {
            facts: facts(&plan),
            streams: vec![steps],
            unselected: std::mem::take(&mut plan.not_selected),
            inputs: std::mem::take(&mut plan.inputs.files),
            attachments: attachments(&mut plan),
            episodes: std::mem::take(&mut plan.infos),
            partitions: std::mem::take(&mut plan.partitions),
            videos: std::mem::take(&mut plan.videos),
            findings: findings.finish(),
            ..SourcePlan::default()
        };
        Self {
            schema,
            told,
            plan,
            open_data: Mutex::new(Vec::new()),
            videos: VideoCache::new(),
            parked: Parked::default(),
        }
    }

    /// The data file at a position, opened where it is not open.
    pub(crate) fn data_file(&self, position: usize) -> Result<Arc<ParquetFile>> {
        let lock = || self.open_data.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((_, file)) = lock().iter().find(|(it, _)| *it == position) {
            return Ok(Arc::clone(file));
        }
        let path = &self.plan.data.files[position].path;
        let file = Arc::new(ParquetFile::open(self.plan.listing.files().as_ref(), path, RESTORE_HINT)?);
        let mut open = lock();
        if open.len() >= DATA_FILES_KEPT {
            open.remove(0);
        }
        open.push((position, Arc::clone(&file)));
        Ok(file)
    }
}

/// What is carried as it is. Attachments are of an episode: a dataset without any carries nothing.
fn attachments(plan: &mut Plan) -> Vec<Attachment> {
    let all = std::mem::take(&mut plan.inputs.attachments);
    if plan.infos.is_empty() { Vec::new() } else { all }
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
    if let Some(modality) = &plan.tables.modality {
        all.insert("lerobot:modality".to_owned(), modality.text.clone());
    }
    for (name, texts) in [("tasks", &plan.tables.tasks), ("subtasks", &plan.tables.subtasks)] {
        if !texts.is_empty() {
            let texts: serde_json::Map<String, serde_json::Value> =
                texts.iter().map(|(index, text)| (index.to_string(), text.clone().into())).collect();
            all.insert(name.to_owned(), serde_json::Value::Object(texts).to_string());
        }
    }
    all
}

/// The same in the words that all sources share.
fn facts(plan: &Plan) -> DatasetFacts {
    let info = &plan.tables.info;
    DatasetFacts {
        robot: info.robot_type.clone(),
        fps: Some(info.fps),
        tasks: plan.tables.tasks.values().cloned().collect(),
        version: Some(info.codebase_version.clone()),
        ..DatasetFacts::default()
    }
}

impl Source for LeRobotSource {
    fn plan(&self) -> &SourcePlan {
        &self.0.told
    }

    fn read(&self, partition: usize, options: &ReadOptions) -> Result<Box<dyn EpisodeStream>> {
        piece_stream(&self.0, partition, options)
    }
}
