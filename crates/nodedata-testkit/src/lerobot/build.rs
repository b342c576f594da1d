use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, Int64Array, RecordBatch, StringArray};
use serde_json::{Map, Value, json};

use super::{
    folder::Folder,
    parquet_bytes::{WriteOptions, to_parquet},
    repack::batch,
};

/// A version 3 dataset as some other writer would leave it, without video.
#[derive(Debug, Clone)]
pub struct Build {
    /// Frames a second.
    pub fps: u32,
    /// Number and rows of each episode. Numbers may have gaps.
    pub episodes: Vec<(u64, usize)>,
    /// Columns beside the built-in ones, each with one value a row over all episodes.
    pub columns: Vec<FeatureColumn>,
    /// Whether built-in columns come first, as the official writer never has them.
    pub built_in_first: bool,
    /// Name of the column of task texts.
    pub task_column: &'static str,
    /// How the data file is written.
    pub data: WriteOptions,
}

/// One column of a [`Build`].
#[derive(Debug, Clone)]
pub struct FeatureColumn {
    /// Its name.
    pub name: &'static str,
    /// Its values.
    pub values: ArrayRef,
    /// What `info.json` says of it; `None` where it says nothing.
    pub told: Option<Value>,
}

impl FeatureColumn {
    /// A column that `info.json` tells with type and shape.
    pub fn new(name: &'static str, dtype: &str, shape: &[u64], values: ArrayRef) -> Self {
        Self { name, values, told: Some(json!({"dtype": dtype, "shape": shape, "names": null})) }
    }
}

impl Default for Build {
    fn default() -> Self {
        Self {
            fps: 20,
            episodes: vec![(0, 3), (1, 4)],
            columns: Vec::new(),
            built_in_first: false,
            task_column: "task",
            data: WriteOptions::default(),
        }
    }
}

impl Build {
    /// Rows over all episodes.
    pub fn n_rows(&self) -> usize {
        self.episodes.iter().map(|it| it.1).sum()
    }

    /// The text of task `index`.
    pub fn task(index: u64) -> String {
        format!("task number {index} — done gently")
    }

    /// Task index of each row: the row's parity.
    pub fn task_index(row: usize) -> u64 {
        row as u64 % 2
    }

    /// The files.
    ///
    /// # Panics
    /// When a column has another number of rows than the episodes.
    pub fn folder(&self) -> Folder {
        let mut folder = Folder::default();
        folder.put("data/chunk-000/file-000.parquet", to_parquet(&self.rows(), &self.data));
        folder.put_table("meta/episodes/chunk-000/file-000.parquet", &self.episodes_table());
        let tasks: StringArray = (0..2).map(|it| Some(Self::task(it))).collect();
        folder.put_table(
            "meta/tasks.parquet",
            &batch(vec![
                ("task_index".to_owned(), Arc::new(Int64Array::from(vec![0, 1]))),
                (self.task_column.to_owned(), Arc::new(tasks)),
            ]),
        );
        folder.put("meta/info.json", self.info().to_string());
        folder
    }

    fn rows(&self) -> RecordBatch {
        let mut built_in = self.built_in();
        let mut columns: Vec<(String, ArrayRef)> =
            self.columns.iter().map(|it| (it.name.to_owned(), Arc::clone(&it.values))).collect();
        if self.built_in_first {
            built_in.extend(columns);
            return batch(built_in);
        }
        columns.extend(built_in);
        batch(columns)
    }

    fn built_in(&self) -> Vec<(String, ArrayRef)> {
        let each = || self.episodes.iter().flat_map(|(index, n)| (0..*n).map(move |frame| (*index, frame)));
        let whole = |values: Vec<i64>| -> ArrayRef { Arc::new(Int64Array::from(values)) };
        let seconds: Float32Array = each().map(|it| Some(it.1 as f32 / self.fps as f32)).collect();
        let tasks = (0..self.n_rows()).map(|it| Self::task_index(it) as i64);
        vec![
            ("task_index".to_owned(), whole(tasks.collect())),
            ("timestamp".to_owned(), Arc::new(seconds)),
            ("index".to_owned(), whole((0..self.n_rows() as i64).collect())),
            ("episode_index".to_owned(), whole(each().map(|it| it.0 as i64).collect())),
            ("frame_index".to_owned(), whole(each().map(|it| it.1 as i64).collect())),
        ]
    }

    fn episodes_table(&self) -> RecordBatch {
        let whole = |values: Vec<u64>| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(values.into_iter().map(|it| it as i64)))
        };
        let n = self.episodes.len();
        let mut ends: Vec<u64> = Vec::new();
        for (_, length) in &self.episodes {
            ends.push(ends.last().copied().unwrap_or(0) + *length as u64);
        }
        let starts = ends.iter().zip(&self.episodes).map(|(end, it)| end - it.1 as u64).collect();
        batch(vec![
            ("data/file_index".to_owned(), whole(vec![0; n])),
            ("data/chunk_index".to_owned(), whole(vec![0; n])),
            ("length".to_owned(), whole(self.episodes.iter().map(|it| it.1 as u64).collect())),
            ("dataset_from_index".to_owned(), whole(starts)),
            ("dataset_to_index".to_owned(), whole(ends)),
            ("episode_index".to_owned(), whole(self.episodes.iter().map(|it| it.0).collect())),
        ])
    }

    fn info(&self) -> Value {
        let mut features = Map::new();
        for (name, dtype) in [
            ("timestamp", "float32"),
            ("frame_index", "int64"),
            ("episode_index", "int64"),
            ("index", "int64"),
            ("task_index", "int64"),
        ] {
            features.insert(name.to_owned(), json!({"dtype": dtype, "shape": [1], "names": null}));
        }
        for column in &self.columns {
            if let Some(told) = &column.told {
                features.insert(column.name.to_owned(), told.clone());
            }
        }
        let last = self.episodes.iter().map(|it| it.0 + 1).max().unwrap_or(0);
        json!({
            "codebase_version": "v3.0",
            "robot_type": null,
            "fps": self.fps,
            "total_episodes": self.episodes.len(),
            "total_frames": self.n_rows(),
            "total_tasks": 2,
            "chunks_size": 1000,
            "splits": {"train": format!("0:{last}")},
            "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
            "video_path": null,
            "features": features,
        })
    }
}
