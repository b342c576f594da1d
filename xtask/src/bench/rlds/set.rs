//! RLDS sets on disk as TFDS lays them out: three JPEG cameras, state, action, an instruction and its embedding.

use std::{
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::example::{bools, example, floats, texts, write_framed};
use crate::{
    bench::{
        noise::Noise,
        pictures::{self, HEIGHT, WIDTH},
        reference,
    },
    workspace::Result,
};

/// Changes when the bytes made here change, so that old sets are not used.
const GENERATION: u32 = 1;

/// What TFDS calls the dataset.
const DATASET: &str = "rlds_bench";
const CAMERAS: [&str; 3] = ["front_image", "overhead_image", "wrist_image"];
const N_JOINTS: usize = 7;
const N_EMBEDDED: usize = 512;
/// A shard ends with the episode that makes it so large.
const SHARD_BYTES: u64 = 64_000_000;
const N_MANY: u64 = 20_000;
const INSTRUCTIONS: [&str; 3] =
    ["pick up the red cube", "put the cube into the bowl", "open the drawer — slowly"];

/// How long the episodes of a set are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lengths {
    /// Twenty to sixty steps, as many episodes as the size wanted takes.
    Usual,
    /// One episode that takes the whole size.
    One,
    /// Twenty thousand episodes of four steps, without pictures and embedding, whatever the size.
    Many,
}

/// An RLDS set on disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Set {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) n_shards: u64,
    /// Of all files.
    pub(super) n_bytes: u64,
    pub(super) n_episodes: u64,
    pub(super) n_steps: u64,
}

/// Makes a set of `mb` megabytes, unless it is there from an earlier run.
///
/// # Errors
/// When it cannot be written.
pub(super) fn make(folder: &Path, name: &str, lengths: Lengths, mb: u64) -> Result<Set> {
    let path = folder.join(format!("{name}-{mb}mb-v{GENERATION}"));
    // Beside the set, not in it: every file in it counts.
    let facts = folder.join(format!("{name}-{mb}mb-v{GENERATION}.json"));
    let known = fs::read(&facts).ok().and_then(|it| serde_json::from_slice::<Set>(&it).ok());
    if let Some(set) = known.filter(|_| path.is_dir()) {
        return Ok(Set { path, ..set });
    }
    eprintln!("making {}", path.display());
    let failed = |err: &dyn std::fmt::Display| format!("cannot make {}: {err}", path.display());
    // Two runs at once must not write into one folder: each has its own until it is whole.
    let partial = folder.join(format!("{name}-{mb}mb-v{GENERATION}.{}.partial", std::process::id()));
    let version = partial.join(DATASET).join("1.0.0");
    fs::create_dir_all(&version).map_err(|err| failed(&err))?;
    let mut episodes = Episodes::default();
    let shard_lengths = episodes.write_all(&version, lengths, mb * 1_000_000)?;
    name_shards(&version, shard_lengths.len()).map_err(|err| failed(&err))?;
    for (file, content) in [("features.json", features(lengths)), ("dataset_info.json", info(&shard_lengths))]
    {
        fs::write(version.join(file), content.to_string()).map_err(|err| failed(&err))?;
    }
    crate::bench::remove(&path)?;
    fs::rename(&partial, &path).map_err(|err| failed(&err))?;
    let mut n_bytes = 0;
    for file in reference::files_of(&path)? {
        n_bytes += fs::metadata(file).map_err(|err| failed(&err))?.len();
    }
    let set = Set {
        name: name.to_owned(),
        path: path.clone(),
        n_shards: shard_lengths.len() as u64,
        n_bytes,
        n_episodes: episodes.n_made,
        n_steps: episodes.n_steps,
    };
    let json = serde_json::to_vec_pretty(&set).map_err(|err| failed(&err))?;
    fs::write(&facts, json).map_err(|err| failed(&err))?;
    Ok(set)
}

impl Set {
    /// The folder that TFDS opens, that of the version.
    pub(super) fn version(&self) -> PathBuf {
        self.path.join(DATASET).join("1.0.0")
    }
}

/// A shard while it is not known how many there will be.
fn unnamed(idx: usize) -> String {
    format!("shard-{idx}")
}

fn name_shards(version: &Path, n_shards: usize) -> std::io::Result<()> {
    (0..n_shards).try_for_each(|idx| {
        let name = format!("{DATASET}-train.tfrecord-{idx:05}-of-{n_shards:05}");
        fs::rename(version.join(unnamed(idx)), version.join(name))
    })
}

/// Makes episodes one after the other.
struct Episodes {
    noise: Noise,
    /// Made when first shot.
    pictures: Vec<Vec<u8>>,
    n_frames: u64,
    n_made: u64,
    n_steps: u64,
}

impl Default for Episodes {
    fn default() -> Self {
        Self { noise: Noise::new(13), pictures: Vec::new(), n_frames: 0, n_made: 0, n_steps: 0 }
    }
}

impl Episodes {
    /// Writes shards until they have `n_bytes`; returns the records of each.
    fn write_all(&mut self, version: &Path, lengths: Lengths, n_bytes: u64) -> Result<Vec<u64>> {
        let (mut shards, mut n_written) = (Vec::new(), 0);
        let is_whole = |n_written: u64, n_made: u64| match lengths {
            Lengths::Usual | Lengths::One => n_bytes <= n_written,
            Lengths::Many => N_MANY <= n_made,
        };
        while !is_whole(n_written, self.n_made) {
            let path = version.join(unnamed(shards.len()));
            let failed = |err: std::io::Error| format!("cannot write {}: {err}", path.display());
            let mut target = BufWriter::new(File::create(&path).map_err(failed)?);
            let (mut n_records, mut n_in_shard) = (0, 0);
            while !is_whole(n_written, self.n_made) && n_in_shard < SHARD_BYTES {
                let record = self.episode(lengths, n_bytes)?;
                let n = write_framed(&mut target, &record).map_err(failed)?;
                (n_records, n_in_shard, n_written) = (n_records + 1, n_in_shard + n, n_written + n);
            }
            target.flush().map_err(failed)?;
            shards.push(n_records);
        }
        Ok(shards)
    }

    /// The record of one episode.
    fn episode(&mut self, lengths: Lengths, n_bytes: u64) -> Result<Vec<u8>> {
        let n_steps_max = match lengths {
            Lengths::Usual => 20 + self.noise.next() % 41,
            Lengths::One => u64::MAX,
            Lengths::Many => 4,
        };
        let has_pictures = lengths != Lengths::Many;
        let mut cameras: [Vec<Vec<u8>>; 3] = Default::default();
        let (mut n_steps, mut n_picture_bytes) = (0, 0);
        while n_steps < n_steps_max && n_picture_bytes < n_bytes {
            for camera in cameras.iter_mut().filter(|_| has_pictures) {
                let picture = self.shoot()?;
                n_picture_bytes += picture.len() as u64;
                camera.push(picture);
            }
            n_steps += 1;
        }
        let n = n_steps as usize;
        let instruction = INSTRUCTIONS[(self.n_made % 3) as usize].as_bytes();
        let [front, overhead, wrist] = cameras.map(|it| texts(it.iter().map(Vec::as_slice)));
        // One sentence has one embedding, in every step.
        let embedding = self.numbers(N_EMBEDDED);
        let mut entries = vec![
            ("episode_metadata/file_path", texts([format!("raw/{}.hdf5", self.n_made).as_bytes()])),
            ("episode_metadata/success", bools([self.n_made.is_multiple_of(2)])),
            ("steps/action", floats(&self.numbers(n * N_JOINTS))),
            ("steps/is_first", bools((0..n).map(|it| it == 0))),
            ("steps/is_last", bools((0..n).map(|it| it == n - 1))),
            ("steps/is_terminal", bools((0..n).map(|it| it == n - 1))),
            ("steps/language_embedding", floats(&embedding.repeat(n))),
            ("steps/language_instruction", texts(std::iter::repeat_n(instruction, n))),
            ("steps/observation/front_image", front),
            ("steps/observation/overhead_image", overhead),
            ("steps/observation/state", floats(&self.numbers(n * N_JOINTS))),
            ("steps/observation/wrist_image", wrist),
            ("steps/reward", floats(&self.numbers(n))),
        ];
        entries.retain(|it| has_pictures || !is_large(it.0));
        let record = example(&entries);
        self.n_made += 1;
        self.n_steps += n_steps;
        Ok(record)
    }

    fn shoot(&mut self) -> Result<Vec<u8>> {
        if (self.pictures.len() as u64) < pictures::N_JPEG {
            self.pictures.push(pictures::jpeg(self.n_frames)?);
        }
        let mut stamped = Vec::new();
        let picture = &self.pictures[(self.n_frames % pictures::N_JPEG) as usize];
        pictures::stamp_jpeg(picture, self.n_frames, &mut stamped);
        self.n_frames += 1;
        Ok(stamped)
    }

    fn numbers(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.noise.signed_unit() as f32).collect()
    }
}

/// Whether short episodes do without a feature.
fn is_large(name: &str) -> bool {
    name.ends_with("_image") || name.ends_with("_embedding")
}

/// `features.json`.
fn features(lengths: Lengths) -> Value {
    let class = |name: &str| format!("tensorflow_datasets.core.features.{name}");
    let dict = |features: Value| json!({"pythonClassName": class("features_dict.FeaturesDict"), "featuresDict": {"features": features}});
    let scalar = |dtype: &str| json!({"pythonClassName": class("scalar.Scalar"), "tensor": {"dtype": dtype, "encoding": "none", "shape": {}}});
    let vector = |n: usize| {
        let shape = json!({"dimensions": [n.to_string()]});
        let tensor = json!({"dtype": "float32", "encoding": "none", "shape": shape});
        json!({"pythonClassName": class("tensor_feature.Tensor"), "tensor": tensor})
    };
    let text = || json!({"pythonClassName": class("text_feature.Text"), "text": {}});
    let image = || {
        let shape = json!({"dimensions": [HEIGHT.to_string(), WIDTH.to_string(), "3"]});
        let image = json!({"dtype": "uint8", "encodingFormat": "jpeg", "shape": shape});
        json!({"pythonClassName": class("image_feature.Image"), "image": image})
    };
    let mut observation: serde_json::Map<String, Value> =
        CAMERAS.iter().map(|it| ((*it).to_owned(), image())).collect();
    observation.insert("state".to_owned(), vector(N_JOINTS));
    let mut steps = json!({
        "action": vector(N_JOINTS),
        "is_first": scalar("bool"),
        "is_last": scalar("bool"),
        "is_terminal": scalar("bool"),
        "language_embedding": vector(N_EMBEDDED),
        "language_instruction": text(),
        "reward": scalar("float32"),
    });
    if lengths == Lengths::Many {
        observation.retain(|name, _| !is_large(name));
        if let Some(steps) = steps.as_object_mut() {
            steps.retain(|name, _| !is_large(name));
        }
    }
    steps["observation"] = dict(observation.into());
    let steps = dict(steps);
    let metadata = dict(json!({"file_path": text(), "success": scalar("bool")}));
    let sequence = json!({"feature": steps, "length": "-1"});
    let steps = json!({"pythonClassName": class("dataset_feature.Dataset"), "sequence": sequence});
    dict(json!({"episode_metadata": metadata, "steps": steps}))
}

/// `dataset_info.json`.
fn info(shard_lengths: &[u64]) -> Value {
    let lengths: Vec<String> = shard_lengths.iter().map(u64::to_string).collect();
    let template = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}";
    json!({
        "name": DATASET,
        "version": "1.0.0",
        "description": "Made up for a bench.",
        "fileFormat": "tfrecord",
        "splits": [{"name": "train", "filepathTemplate": template, "shardLengths": lengths}],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    #[test]
    fn sets_have_the_wanted_size_and_are_made_once() {
        let folder = workspace::target_dir().join(format!("rlds-sets-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for (lengths, n_episodes, n_bytes) in [
            (Lengths::Usual, 1, 2_000_000..4_000_000),
            (Lengths::One, 1, 2_000_000..4_000_000),
            (Lengths::Many, N_MANY, 5_000_000..30_000_000),
        ] {
            let name = format!("{lengths:?}");
            let set = make(&folder, &name, lengths, 2).unwrap();
            assert!(set.n_episodes == n_episodes && set.n_shards == 1 && set.n_steps > 2, "{set:?}");
            assert!(n_bytes.contains(&set.n_bytes), "{set:?}");
            let shard = set.version().join(format!("{DATASET}-train.tfrecord-00000-of-00001"));
            let records = tfrecord::BytesIter::open(&shard, Default::default()).unwrap();
            assert_eq!(records.map(Result::unwrap).count() as u64, set.n_episodes);
            let made = fs::metadata(&shard).unwrap().modified().unwrap();
            assert_eq!(make(&folder, &name, lengths, 2).unwrap().n_steps, set.n_steps);
            assert_eq!(fs::metadata(&shard).unwrap().modified().unwrap(), made);
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
