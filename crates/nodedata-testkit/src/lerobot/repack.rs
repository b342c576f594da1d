use std::sync::Arc;

use arrow_array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray,
    builder::{ListBuilder, StringBuilder},
};
use arrow_schema::{Field, Schema};
use arrow_select::concat::concat_batches;
use serde_json::Value;

use super::folder::Folder;

/// How [`as_v30`] lays the episodes of a version 2 dataset out.
#[derive(Debug, Clone)]
pub struct Repack {
    /// Episodes of each data file, in order. Videos get a file an episode: they cannot be joined without a muxer.
    pub episodes_per_data_file: Vec<usize>,
    /// Files of a folder `chunk-…`.
    pub chunks_size: u64,
}

/// A version 3 dataset of the same rows and videos as a version 2 one: data and video files roll over at
/// different episodes, so that each camera and the data need numbers of their own.
///
/// # Panics
/// When the dataset is not whole.
pub fn as_v30(v2: &Folder, repack: &Repack) -> Folder {
    let mut v3 = Folder::default();
    let info = v2.json("meta/info.json");
    let keys = video_keys(&info);
    let episodes = v2.lines("meta/episodes.jsonl");
    let lengths: Vec<usize> =
        episodes.iter().map(|it| it["length"].as_u64().expect("a length") as usize).collect();
    assert_eq!(
        repack.episodes_per_data_file.iter().sum::<usize>(),
        lengths.len(),
        "every episode has a file"
    );
    let place = |file: u64| (file / repack.chunks_size, file % repack.chunks_size);
    let mut data_files = Vec::new();
    let mut episode = 0;
    for (file, n_episodes) in repack.episodes_per_data_file.iter().enumerate() {
        let place = place(file as u64);
        let tables: Vec<RecordBatch> = (episode..episode + n_episodes)
            .map(|it| v2.table(&format!("data/chunk-000/episode_{it:06}.parquet")))
            .collect();
        let rows = concat_batches(&tables[0].schema(), &tables).expect("files of one schema");
        v3.put_table(&format!("data/chunk-{:03}/file-{:03}.parquet", place.0, place.1), &rows);
        data_files.extend(std::iter::repeat_n(place, *n_episodes));
        episode += n_episodes;
    }
    let video_files: Vec<(u64, u64)> = (0..lengths.len() as u64).map(place).collect();
    for key in &keys {
        for (episode, (chunk, file)) in video_files.iter().enumerate() {
            let video = v2.bytes(&format!("videos/chunk-000/{key}/episode_{episode:06}.mp4"));
            v3.put(&format!("videos/{key}/chunk-{chunk:03}/file-{file:03}.mp4"), video);
        }
    }
    let fps = info["fps"].as_f64().expect("a rate");
    v3.put_table(
        "meta/episodes/chunk-000/file-000.parquet",
        &episodes_table(&episodes, &lengths, fps, &data_files, &video_files, &keys),
    );
    v3.put_table("meta/tasks.parquet", &tasks_table(&v2.lines("meta/tasks.jsonl")));
    v3.put("meta/info.json", info_of_v3(info, repack.chunks_size).to_string());
    v3
}

fn video_keys(info: &Value) -> Vec<String> {
    let features = info["features"].as_object().expect("features");
    features.iter().filter(|it| it.1["dtype"] == "video").map(|it| it.0.clone()).collect()
}

fn info_of_v3(mut info: Value, chunks_size: u64) -> Value {
    info["codebase_version"] = "v3.0".into();
    info["chunks_size"] = chunks_size.into();
    info["data_path"] = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet".into();
    info["video_path"] = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4".into();
    info
}

fn episodes_table(
    episodes: &[Value],
    lengths: &[usize],
    fps: f64,
    data_files: &[(u64, u64)],
    video_files: &[(u64, u64)],
    keys: &[String],
) -> RecordBatch {
    let whole = |values: Vec<u64>| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(values.into_iter().map(|it| it as i64)))
    };
    let ends: Vec<u64> = lengths
        .iter()
        .scan(0, |sum, it| {
            *sum += *it as u64;
            Some(*sum)
        })
        .collect();
    let starts = ends.iter().zip(lengths).map(|(end, length)| end - *length as u64).collect();
    let mut tasks = ListBuilder::new(StringBuilder::new());
    for episode in episodes {
        for task in episode["tasks"].as_array().into_iter().flatten() {
            tasks.values().append_value(task.as_str().expect("a task"));
        }
        tasks.append(true);
    }
    let mut columns: Vec<(String, ArrayRef)> = vec![
        ("length".to_owned(), whole(lengths.iter().map(|it| *it as u64).collect())),
        ("tasks".to_owned(), Arc::new(tasks.finish())),
        ("data/file_index".to_owned(), whole(data_files.iter().map(|it| it.1).collect())),
        ("data/chunk_index".to_owned(), whole(data_files.iter().map(|it| it.0).collect())),
        ("dataset_to_index".to_owned(), whole(ends)),
        ("dataset_from_index".to_owned(), whole(starts)),
        ("episode_index".to_owned(), whole((0..lengths.len() as u64).collect())),
    ];
    for key in keys {
        let column = |fact: &str| format!("videos/{key}/{fact}");
        let to: Float64Array = lengths.iter().map(|it| Some(*it as f64 / fps)).collect();
        columns.push((column("chunk_index"), whole(video_files.iter().map(|it| it.0).collect())));
        columns.push((column("file_index"), whole(video_files.iter().map(|it| it.1).collect())));
        columns.push((column("to_timestamp"), Arc::new(to)));
        let from: ArrayRef = Arc::new(Float64Array::from(vec![0.0; lengths.len()]));
        columns.push((column("from_timestamp"), from));
    }
    batch(columns)
}

fn tasks_table(lines: &[Value]) -> RecordBatch {
    let index = lines.iter().map(|it| it["task_index"].as_i64());
    let text = lines.iter().map(|it| it["task"].as_str());
    batch(vec![
        ("task_index".to_owned(), Arc::new(index.collect::<Int64Array>())),
        ("__index_level_0__".to_owned(), Arc::new(text.collect::<StringArray>())),
    ])
}

/// Columns of equal length.
pub(super) fn batch(columns: Vec<(String, ArrayRef)>) -> RecordBatch {
    let field = |it: &(String, ArrayRef)| Field::new(&it.0, it.1.data_type().clone(), true);
    let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|it| it.1).collect())
        .expect("equal lengths")
}
