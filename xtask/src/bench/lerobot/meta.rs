//! What lies below `meta/`.

use std::{fs, path::Path};

use serde_json::{Map, Value, json};

use super::{
    arm::{Motion, N_JOINTS, Stats, stats},
    shape::{CAMERAS, Layout, RATE_HZ, Shape, TASKS},
    tables,
};
use crate::workspace::Result;

/// Writes everything below `meta/`, statistics of state and action included.
///
/// # Errors
/// When a file cannot be written.
pub(super) fn write(root: &Path, shape: &Shape) -> Result<()> {
    let folder = root.join("meta");
    make_folder(&folder)?;
    write_json(&folder.join("info.json"), &info(shape))?;
    let motions = shape.episodes.iter().map(Motion::of);
    let of_episodes: Vec<[Stats; 2]> = motions.map(|it| [stats(&it.state), stats(&it.action)]).collect();
    match shape.layout {
        Layout::V21 => write_lines(&folder, shape, &of_episodes),
        Layout::V30 => {
            write_json(&folder.join("stats.json"), &of_set(shape))?;
            tables::write_tasks(&folder.join("tasks.parquet"))?;
            let chunk = folder.join("episodes").join("chunk-000");
            make_folder(&chunk)?;
            tables::write_episodes(&chunk.join("file-000.parquet"), shape, &of_episodes)
        }
    }
}

/// Makes a folder and those above it.
///
/// # Errors
/// When it cannot be made.
pub(super) fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|err| format!("cannot make {}: {err}", path.display()))
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|err| err.to_string())?;
    fs::write(path, text).map_err(|err| format!("cannot write {}: {err}", path.display()))
}

/// The tables of version 2.1, a line a row.
fn write_lines(folder: &Path, shape: &Shape, stats: &[[Stats; 2]]) -> Result<()> {
    let mut episodes = shape
        .episodes
        .iter()
        .map(|it| json!({"episode_index": it.idx, "tasks": [TASKS[it.task()]], "length": it.n_steps}));
    let mut tasks = TASKS.iter().enumerate().map(|(idx, task)| json!({"task_index": idx, "task": task}));
    let mut stats = shape
        .episodes
        .iter()
        .zip(stats)
        .map(|(it, stats)| json!({"episode_index": it.idx, "stats": by_feature(stats)}));
    let lines = |name: &str, rows: &mut dyn Iterator<Item = Value>| {
        let path = folder.join(name);
        let text: String = rows.map(|it| format!("{it}\n")).collect();
        fs::write(&path, text).map_err(|err| format!("cannot write {}: {err}", path.display()))
    };
    lines("episodes.jsonl", &mut episodes)?;
    lines("tasks.jsonl", &mut tasks)?;
    lines("episodes_stats.jsonl", &mut stats)
}

/// Statistics of the whole set.
fn of_set(shape: &Shape) -> Value {
    let motions: Vec<Motion> = shape.episodes.iter().map(Motion::of).collect();
    let state: Vec<_> = motions.iter().flat_map(|it| it.state.iter().copied()).collect();
    let action: Vec<_> = motions.iter().flat_map(|it| it.action.iter().copied()).collect();
    by_feature(&[stats(&state), stats(&action)])
}

fn by_feature([state, action]: &[Stats; 2]) -> Value {
    json!({"observation.state": state, "action": action})
}

fn info(shape: &Shape) -> Value {
    let n_episodes = shape.episodes.len();
    let mut info = json!({
        "codebase_version": "v3.0",
        "robot_type": "so100",
        "total_episodes": n_episodes,
        "total_frames": shape.n_steps(),
        "total_tasks": TASKS.len(),
        "chunks_size": 1000,
        "fps": RATE_HZ,
        "splits": {"train": format!("0:{n_episodes}")},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "features": features(shape),
    });
    match shape.layout {
        Layout::V21 => {
            info["codebase_version"] = "v2.1".into();
            info["data_path"] = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet".into();
            info["video_path"] =
                "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4".into();
            info["total_videos"] = (n_episodes * CAMERAS.len()).into();
            info["total_chunks"] = 1.into();
        }
        Layout::V30 => {
            info["data_files_size_in_mb"] = 100.into();
            info["video_files_size_in_mb"] = 200.into();
        }
    }
    info
}

fn features(shape: &Shape) -> Value {
    let names: Vec<String> = (0..N_JOINTS).map(|it| format!("joint_{it}.pos")).collect();
    let joints = json!({"dtype": "float32", "shape": [N_JOINTS], "names": names});
    let [height, width] = shape.size;
    let camera = json!({
        "dtype": "video",
        "shape": [height, width, 3],
        "names": ["height", "width", "channels"],
        "info": {
            "video.height": height, "video.width": width, "video.codec": shape.codec, "video.pix_fmt": "yuv420p",
            "video.fps": RATE_HZ, "video.channels": 3, "has_audio": false, "is_depth_map": false,
        },
    });
    let mut features = Map::new();
    features.insert("observation.state".to_owned(), joints.clone());
    features.insert("action".to_owned(), joints);
    for key in CAMERAS {
        features.insert(key.to_owned(), camera.clone());
    }
    features.insert("timestamp".to_owned(), json!({"dtype": "float32", "shape": [1], "names": null}));
    for name in ["frame_index", "episode_index", "index", "task_index"] {
        features.insert(name.to_owned(), json!({"dtype": "int64", "shape": [1], "names": null}));
    }
    Value::Object(features)
}
