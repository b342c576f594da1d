use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use arrow_array::{
    ArrayRef, FixedSizeListArray, Float32Array, Int64Array, RecordBatch, builder::BinaryBuilder,
};
use arrow_schema::{DataType, Field, Schema};
use parquet::{arrow::ArrowWriter, file::properties::WriterProperties};
use serde::Serialize;

use crate::{
    bench::{noise::Noise, reference},
    workspace::Result,
};

/// Changes when the bytes made here change, so that old shards are not used.
const GENERATION: u32 = 2;

const N_SHARDS: u64 = 4;
const EPISODE_STEPS: u64 = 100;
/// A picture of a small camera as JPEG keeps it. Nothing compresses it further.
const PICTURE_BYTES: u64 = 20_000;
const N_JOINTS: i32 = 7;

/// How many small shards there are.
const N_MANY: u64 = 5000;
/// Their only episode.
const SMALL_STEPS: u64 = 10;
/// What is small is mostly what Parquet says of itself.
const SMALL_PICTURE_BYTES: u64 = 800;
/// Small shards in a folder, so that no folder is large.
const PER_FOLDER: u64 = 500;

/// Shards on disk that no tool of ours has made.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Shards {
    pub(super) path: PathBuf,
    pub(super) n_files: u64,
    /// Of all files.
    pub(super) n_bytes: u64,
}

/// Makes shards of `mb` megabytes in all, unless they are there from an earlier run.
///
/// # Errors
/// When they cannot be written.
pub(super) fn make(folder: &Path, mb: u64) -> Result<Shards> {
    let n_episodes = (mb * 1_000_000 / (N_SHARDS * EPISODE_STEPS * PICTURE_BYTES)).max(1);
    kept(folder, &format!("push-{mb}mb-v{GENERATION}"), |partial| {
        let mut noise = Noise::new(23);
        for shard in 0..N_SHARDS {
            let path = partial.join(format!("train-{shard:05}.parquet"));
            let episodes = shard * n_episodes..(shard + 1) * n_episodes;
            write(&path, episodes, EPISODE_STEPS, PICTURE_BYTES, &mut noise)?;
        }
        Ok(())
    })
}

/// Makes thousands of small shards of one episode each, unless they are there from an earlier run.
///
/// # Errors
/// When they cannot be written.
pub(super) fn make_many(folder: &Path) -> Result<Shards> {
    many(folder, N_MANY)
}

fn many(folder: &Path, n_shards: u64) -> Result<Shards> {
    kept(folder, &format!("push-many-{n_shards}-v{GENERATION}"), |partial| {
        let mut noise = Noise::new(29);
        for shard in 0..n_shards {
            let folder = partial.join(format!("{:02}", shard / PER_FOLDER));
            fs::create_dir_all(&folder).map_err(|err| format!("cannot make {}: {err}", folder.display()))?;
            let path = folder.join(format!("train-{shard:05}.parquet"));
            write(&path, shard..shard + 1, SMALL_STEPS, SMALL_PICTURE_BYTES, &mut noise)?;
        }
        Ok(())
    })
}

/// Shards from an earlier run, or new ones: `write` puts them into the folder it is given.
fn kept(folder: &Path, name: &str, write: impl FnOnce(&Path) -> Result<()>) -> Result<Shards> {
    let path = folder.join(name);
    let failed = |err: &dyn std::fmt::Display| format!("cannot make {}: {err}", path.display());
    if !path.is_dir() {
        eprintln!("making {}", path.display());
        // Two runs at once must not write into one folder: each has its own until it is whole.
        let partial = folder.join(format!("{name}.{}.partial", std::process::id()));
        fs::create_dir_all(&partial).map_err(|err| failed(&err))?;
        write(&partial)?;
        fs::rename(&partial, &path).map_err(|err| failed(&err))?;
    }
    let files = reference::files_of(&path)?;
    let mut n_bytes = 0;
    for file in &files {
        n_bytes += fs::metadata(file).map_err(|err| failed(&err))?.len();
    }
    Ok(Shards { path, n_files: files.len() as u64, n_bytes })
}

/// Writes a shard, one row group an episode.
fn write(
    path: &Path,
    episodes: std::ops::Range<u64>,
    n_steps: u64,
    picture_bytes: u64,
    noise: &mut Noise,
) -> Result<()> {
    let failed = |err: &dyn std::fmt::Display| format!("cannot write {}: {err}", path.display());
    let file = fs::File::create(path).map_err(|err| failed(&err))?;
    // Noise in a dictionary is stored twice.
    let properties = WriterProperties::builder().set_dictionary_enabled(false).build();
    let mut writer = ArrowWriter::try_new(file, schema(), Some(properties)).map_err(|err| failed(&err))?;
    for episode in episodes {
        let steps = steps(episode, n_steps, picture_bytes, noise).map_err(|err| failed(&err))?;
        writer.write(&steps).and_then(|()| writer.flush()).map_err(|err| failed(&err))?;
    }
    let file = writer.into_inner().map_err(|err| failed(&err))?;
    // What was written just now is hashed again by every push.
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)).map_err(|err| failed(&err))
}

fn joint() -> Arc<Field> {
    Arc::new(Field::new("element", DataType::Float32, false))
}

fn schema() -> Arc<Schema> {
    let field = |name: &str, of| Field::new(name, of, false);
    Arc::new(Schema::new(vec![
        field("episode_index", DataType::Int64),
        field("frame_index", DataType::Int64),
        field("action", DataType::FixedSizeList(joint(), N_JOINTS)),
        field("picture", DataType::Binary),
    ]))
}

fn steps(
    episode: u64,
    n_steps: u64,
    picture_bytes: u64,
    noise: &mut Noise,
) -> Result<RecordBatch, arrow_schema::ArrowError> {
    let joints = (0..n_steps * N_JOINTS as u64).map(|_| noise.signed_unit() as f32);
    let joints = Float32Array::from_iter_values(joints);
    let mut pictures = BinaryBuilder::new();
    for _ in 0..n_steps {
        let picture: Vec<u8> = (0..picture_bytes / 8).flat_map(|_| noise.next().to_le_bytes()).collect();
        pictures.append_value(picture);
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values((0..n_steps).map(|_| episode as i64))),
        Arc::new(Int64Array::from_iter_values(0..n_steps as i64)),
        Arc::new(FixedSizeListArray::try_new(joint(), N_JOINTS, Arc::new(joints), None)?),
        Arc::new(pictures.finish()),
    ];
    RecordBatch::try_new(schema(), columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_have_the_size_asked_for_and_are_kept() {
        let folder = std::env::temp_dir().join(format!("xtask-shards-{}", std::process::id()));
        let made = make(&folder, 16).unwrap();
        assert_eq!(made.n_files, N_SHARDS);
        assert!((16_000_000..16_200_000).contains(&made.n_bytes), "{}", made.n_bytes);
        let first = fs::metadata(made.path.join("train-00000.parquet")).unwrap().modified().unwrap();
        let again = make(&folder, 16).unwrap();
        assert_eq!(again.n_bytes, made.n_bytes);
        assert_eq!(fs::metadata(again.path.join("train-00000.parquet")).unwrap().modified().unwrap(), first);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn many_shards_are_small_and_none_is_like_another() {
        let folder = std::env::temp_dir().join(format!("xtask-many-shards-{}", std::process::id()));
        let made = many(&folder, PER_FOLDER + 2).unwrap();
        assert_eq!(made.n_files, PER_FOLDER + 2);
        assert!(made.n_bytes / made.n_files < 16_000, "{}", made.n_bytes);
        let files = reference::files_of(&made.path).unwrap();
        let mut contents: Vec<Vec<u8>> = files.iter().map(|it| fs::read(it).unwrap()).collect();
        contents.sort_unstable();
        contents.dedup();
        assert_eq!(contents.len() as u64, made.n_files);
        fs::remove_dir_all(&folder).unwrap();
    }
}
