//! Clips of sound from end to end: what is said of them, what readers see, and how they are held against their headers.

use arrow_array::{Array as _, RecordBatch, cast::AsArray as _};
use nodedata_media::{audio_header, check_audio, wav_to_flac};
use nodedata_testkit::corpus;
use serde_json::{Value, json};

use crate::{
    command::Work,
    tables::{Dataset, int64, texts},
    webdataset::member,
};

fn clip(name: &str) -> Vec<u8> {
    std::fs::read(corpus::fixtures("audio").join(name)).unwrap()
}

/// An archive of members.
fn archive(work: &Work, members: &[(&str, Vec<u8>)]) {
    let members = members.iter().flat_map(|(name, contents)| member(name, contents));
    work.write("a.tar", members.chain([0; 1024]).collect::<Vec<u8>>());
}

fn steps(work: &Work, name: &str) -> RecordBatch {
    Dataset::open(work.path(name)).tables().remove("steps").unwrap()
}

/// The bytes of each clip of a column.
fn clips(rows: &RecordBatch, name: &str) -> Vec<Option<Vec<u8>>> {
    let column = rows.column_by_name(name).unwrap().as_struct();
    let bytes = column.column_by_name("bytes").unwrap().as_binary::<i32>();
    (0..rows.num_rows()).map(|it| column.is_valid(it).then(|| bytes.value(it).to_vec())).collect()
}

/// What Hugging Face readers are told of a column.
fn shown(rows: &RecordBatch, name: &str) -> Value {
    let told: Value = serde_json::from_str(&rows.schema().metadata()["huggingface"]).unwrap();
    told["info"]["features"][name].clone()
}

/// Type, shape, coding and rate of a field of the schema that was learned.
fn told(work: &Work, out: &str, name: &str) -> Value {
    let field = &work.json(format!("{out}/schema.json").as_str())["fields"][name];
    json!([field["type"], field["shape"], field["encoding"], field["rate_hz"]])
}

#[test]
fn clips_are_described_and_show_as_sound() {
    let work = Work::new();
    let names = ["tone.flac", "tone.mp3", "tone.ogg", "tone.opus", "tone.rf64.wav"];
    let of = |key: &str| names.map(|it| (format!("{key}.{}", it.rsplit('.').next().unwrap()), clip(it)));
    let members = [of("a"), of("b")].concat();
    let members: Vec<(&str, Vec<u8>)> = members.iter().map(|it| (it.0.as_str(), it.1.clone())).collect();
    archive(&work, &members);
    let ran = work.run(["convert", "a.tar", "--out", "out"]).exits(0);
    assert_eq!(ran.stderr, "");
    let rows = steps(&work, "out");
    for (name, expected) in [
        ("flac", json!(["int16", [-1, 1600, 2], "flac", 16000])),
        ("mp3", json!(["float32", [-1, 1600, 1], "mp3", 16000])),
        ("ogg", json!(["float32", [-1, 1600, 2], "ogg", 16000])),
        // At the rate that it decodes to.
        ("opus", json!(["float32", [-1, 4800, 1], "opus", 48000])),
        ("wav", json!(["int16", [-1, 1600, 2], "wav", 16000])),
    ] {
        assert_eq!(told(&work, "out", name), expected, "{name}");
        assert_eq!(shown(&rows, name), json!({"_type": "Audio"}), "{name}");
        let whole = names.iter().find(|it| it.ends_with(name)).map(|it| clip(it));
        assert_eq!(clips(&rows, name), [whole.clone(), whole], "{name}");
    }
    let validated = work.run(["validate", "--deep", "out", "--format", "json"]).exits(0).json();
    // FLAC and WAV of both samples; the others have no decoder here.
    assert_eq!((&validated["clips"], &validated["frames"]), (&json!(4), &json!(0)));
    let validated = work.run(["validate", "--deep", "out"]).exits(0);
    assert!(validated.stdout.contains("0 frames and 4 clips decoded"), "{}", validated.stdout);
}

#[test]
fn lengths_and_rates_that_differ_are_left_open() {
    let work = Work::new();
    let (short, long) = (wav(1, 16, 16_000, &tone(100)), wav(1, 16, 16_000, &tone(300)));
    archive(&work, &[("a.wav", short.clone()), ("b.wav", long)]);
    work.run(["convert", "a.tar", "--out", "out"]).exits(0);
    assert_eq!(told(&work, "out", "wav"), json!(["int16", [-1, -1, 1], "wav", 16000]));
    archive(&work, &[("a.wav", short), ("b.wav", wav(1, 16, 8_000, &tone(100)))]);
    work.run(["convert", "a.tar", "--out", "other"]).exits(0);
    assert_eq!(told(&work, "other", "wav"), json!(["int16", [-1, 100, 1], "wav", null]));
    let refused = work.run(["convert", "a.tar", "--out", "no", "--schema", "out/schema.json"]).exits(1);
    let expected = "feature `wav` has 8000 samples a second, but the schema declares 16000";
    assert!(refused.stderr.contains(expected), "{}", refused.stderr);
}

/// Writes another number of samples into the header of a FLAC file.
fn lying(flac: &[u8]) -> Vec<u8> {
    let mut lying = flac.to_vec();
    lying[22..26].copy_from_slice(&9_999u32.to_be_bytes());
    lying
}

#[test]
fn headers_are_held_against_what_is_there() {
    let work = Work::new();
    let flac = clip("tone.flac");
    let cut = clip("tone.rf64.wav");
    let cut = cut[..cut.len() - 4].to_vec();
    archive(&work, &[("a.flac", flac.clone()), ("b.flac", lying(&flac)), ("c.flac", flac), ("c.wav", cut)]);
    work.run(["convert", "a.tar", "--out", "out"]).exits(0);
    // It is as long as its header says, and it is what it was.
    work.run(["validate", "out"]).exits(0);
    let found = work.run(["validate", "--deep", "out", "--format", "json"]).exits(1).json();
    let findings = found["findings"].as_array().unwrap();
    let of = |name: &str| {
        let is_of = |it: &&Value| it["at"].as_str().unwrap().ends_with(&format!("feature `{name}`"));
        let all: Vec<&Value> = findings.iter().filter(is_of).collect();
        assert_eq!((all.len(), &all[0]["code"]), (1, &json!("undecodable-clip")), "{findings:?}");
        let text = |key: &str| all[0][key].as_str().unwrap().to_owned();
        (text("at"), text("message"))
    };
    let (at, message) = of("flac");
    assert!(at.contains("row 1, "), "{at}");
    assert!(
        message.contains("each channel of the FLAC file has 9999 samples, and 1600 are there"),
        "{message}"
    );
    let (at, message) = of("wav");
    assert!(at.contains("row 2, "), "{at}");
    assert!(message.contains("6400 bytes of samples, and 6396 are there"), "{message}");
    assert_eq!((findings.len(), &found["clips"]), (2, &json!(2)));
}

/// Of many clips with which the same is wrong the first are named; how many more there are is told, to people and to programs.
#[test]
fn how_many_more_clips_are_bad_is_told() {
    let work = Work::new();
    let sound = clip("tone.flac");
    // The MD5 of the samples, as the header has it.
    let mut lying = sound.clone();
    lying[30] ^= 1;
    let names: Vec<String> = (0..25).map(|it| format!("{it:02}.flac")).collect();
    let content = |idx: usize| if idx == 0 { sound.clone() } else { lying.clone() };
    let members: Vec<(&str, Vec<u8>)> =
        names.iter().enumerate().map(|(idx, it)| (it.as_str(), content(idx))).collect();
    archive(&work, &members);
    work.run(["convert", "a.tar", "--out", "out"]).exits(0);
    let found = work.run(["validate", "--deep", "out", "--format", "json"]).exits(1).json();
    let findings = found["findings"].as_array().unwrap();
    assert_eq!((findings.len(), &found["clips"]), (11, &json!(1)));
    assert!(findings.iter().all(|it| it["code"] == "undecodable-clip"), "{findings:?}");
    let message = findings[0]["message"].as_str().unwrap();
    assert!(message.contains("the samples of the FLAC file have the MD5"), "{message}");
    assert_eq!(findings[10]["message"], "14 more of this feature cannot be decoded");
    assert_eq!(findings[10]["at"], findings[9]["at"]);
    let text = work.run(["validate", "--deep", "out"]).exits(1).stdout;
    assert!(text.contains("undecodable-clip: 14 more of this feature cannot be decoded"), "{text}");
    assert!(text.contains("11 problems found"), "{text}");
}

/// Whole numbers in more bytes than they need, in a file that does not say how: readers differ, so nothing is made up.
#[test]
fn clips_that_readers_understand_differently_are_kept_and_told() {
    let work = Work::new();
    let mut padded = wav(1, 24, 48_000, &tone(200));
    padded[32] = 4;
    let mut broadcast = clip("tone.rf64.wav");
    broadcast[..4].copy_from_slice(b"BW64");
    archive(&work, &[("a.wav", padded.clone()), ("a.long", broadcast)]);
    work.run(["convert", "a.tar", "--out", "out"]).exits(0);
    let rows = steps(&work, "out");
    assert_eq!(clips(&rows, "wav"), [Some(padded)]);
    assert_eq!(shown(&rows, "wav"), json!({"_type": "Audio"}));
    assert_eq!(told(&work, "out", "wav")[3], 48_000);
    assert_eq!(told(&work, "out", "long"), json!(["int16", [-1, 1600, 2], "wav", 16000]));
    let validated = work.run(["validate", "--deep", "out", "--format", "json"]).exits(0).json();
    assert_eq!(validated["clips"], 1);
    let unchecked = validated["unchecked"].to_string();
    assert!(unchecked.contains("samples of 24 bits in 4 bytes each"), "{unchecked}");
    work.write(
        "p.yaml",
        "version: 1\nsource: a.tar\nfields:\n  speech: {from: wav, transform: audio/flac}\n",
    );
    let refused = work.run(["run", "p.yaml", "--out", "no"]).exits(1).stderr;
    assert!(refused.contains("samples of 24 bits in 4 bytes each"), "{refused}");
}

/// Beside clips, what is none is damage; alone, nobody can tell.
#[test]
fn bytes_that_are_no_clip_are_named() {
    let work = Work::new();
    let noise = b"no sound at all".to_vec();
    archive(&work, &[("a.flac", clip("tone.flac")), ("b.flac", noise.clone()), ("c.bin", noise)]);
    let ran = work.run(["convert", "a.tar", "--out", "out"]);
    assert!(ran.stderr.contains("1 members `flac` are no picture or clip of a known kind"), "{}", ran.stderr);
    // It is not all sound.
    assert_eq!(shown(&steps(&work, "out"), "flac")["bytes"], json!({"_type": "Value", "dtype": "binary"}));
    let found = work.run(["validate", "--deep", "out", "--format", "json"]).exits(1).json();
    assert_eq!(found["findings"].as_array().unwrap().len(), 1, "{found}");
    let finding = &found["findings"][0];
    assert_eq!(finding["code"], "undecodable-clip");
    let message = finding["message"].as_str().unwrap();
    assert_eq!(message, "15 bytes that begin with `no sound` are no clip of a coding that is known");
}

/// A WAV file of one channel.
fn wav(tag: u16, bits: u16, rate_hz: u32, data: &[u8]) -> Vec<u8> {
    let block = bits / 8;
    let mut file =
        [b"RIFF".as_slice(), &(36 + data.len() as u32).to_le_bytes(), b"WAVEfmt \x10\0\0\0"].concat();
    file.extend([tag.to_le_bytes(), 1u16.to_le_bytes()].concat());
    file.extend([rate_hz.to_le_bytes(), (rate_hz * u32::from(block)).to_le_bytes()].concat());
    file.extend([block.to_le_bytes(), bits.to_le_bytes()].concat());
    [file.as_slice(), b"data", &(data.len() as u32).to_le_bytes(), data].concat()
}

/// Samples of 16 bits.
fn tone(n_samples: u32) -> Vec<u8> {
    let sample = |at: u32| ((f64::from(at) * 0.1).sin() * 9_000.0) as i16;
    (0..n_samples).flat_map(|at| sample(at).to_le_bytes()).collect()
}

const TO_FLAC: &str =
    "version: 1\nsource: a.tar\nfields:\n  speech: {from: wav, transform: audio/flac}\n  words: txt\n";

#[test]
fn wav_is_stored_as_flac_on_request() {
    let work = Work::new();
    let spoken = wav(1, 16, 16_000, &tone(20_000));
    let flac = clip("tone.flac");
    archive(
        &work,
        &[
            ("a.wav", spoken.clone()),
            ("a.txt", b"one".to_vec()),
            // One that is FLAC stays, and one that is not there.
            ("b.wav", flac.clone()),
            ("b.txt", b"two".to_vec()),
            ("c.txt", b"three".to_vec()),
        ],
    );
    work.write("p.yaml", TO_FLAC);
    let planned = work.run(["run", "p.yaml", "--dry-run"]).exits(0);
    assert!(planned.stdout.contains("by audio/flac@1"), "{}", planned.stdout);
    work.run(["run", "p.yaml", "--out", "out"]).exits(0);
    work.run(["validate", "--deep", "out"]).exits(0);
    let rows = steps(&work, "out");
    let coded = wav_to_flac(&spoken).unwrap();
    assert!(2 * coded.len() < spoken.len() && check_audio(&coded).unwrap());
    let header = audio_header(&coded).unwrap();
    assert_eq!(
        (header.rate_hz, header.channels, header.bits, header.n_samples),
        (16_000, 1, Some(16), Some(20_000))
    );
    assert_eq!(clips(&rows, "speech"), [Some(coded), Some(flac), None]);
    assert_eq!(texts(&rows, "words").into_iter().flatten().collect::<Vec<_>>(), ["one", "two", "three"]);
    assert_eq!(shown(&rows, "speech"), json!({"_type": "Audio"}));
    assert_eq!(told(&work, "out", "speech"), json!(["int16", [-1, -1, -1], "flac", 16000]));
    let schema = rows.schema();
    let facts = schema.field_with_name("speech").unwrap().metadata();
    assert_eq!(facts["nodedata:transform"], "[\"audio/flac@1\"]");
    let recipe = work.json("out/recipe.json").to_string();
    assert!(recipe.contains("{\"audio/flac@1\":{}}"), "{recipe}");
    work.run(["explain", "out", "--rebuild", "--source", "a.tar"]).exits(0);
    let listed = work.run(["transforms"]).exits(0);
    assert!(listed.stdout.contains("audio/flac@1"), "{}", listed.stdout);
}

#[test]
fn clips_that_flac_cannot_hold_are_refused_or_left_out() {
    let work = Work::new();
    let float: Vec<u8> = (0..50).flat_map(|it| (it as f32 / 100.0).to_le_bytes()).collect();
    archive(
        &work,
        &[
            ("a.wav", wav(1, 16, 16_000, &tone(100))),
            ("a.txt", b"one".to_vec()),
            ("b.wav", wav(3, 32, 16_000, &float)),
            ("b.txt", b"two".to_vec()),
            ("c.wav", wav(1, 16, 16_000, &tone(100))),
            ("c.txt", b"three".to_vec()),
        ],
    );
    work.write("p.yaml", TO_FLAC);
    let refused = work.run(["run", "p.yaml", "--out", "no"]).exits(1).stderr;
    for expected in ["floating point numbers of 32 bits", "a.tar", "speech", "pcm_s24le"] {
        assert!(refused.contains(expected), "no {expected}: {refused}");
    }
    work.write("p.yaml", format!("{TO_FLAC}on_error: salvage\n"));
    work.run(["run", "p.yaml", "--out", "out"]).exits(3);
    work.run(["validate", "--deep", "out"]).exits(0);
    let rows = steps(&work, "out");
    assert_eq!(texts(&rows, "words").into_iter().flatten().collect::<Vec<_>>(), ["one", "three"]);
    assert_eq!(int64(&rows, "step_index"), [0, 2]);
    let report = work.json("out/report.json");
    assert_eq!(report["streams"]["steps"]["dropped"], json!({"not_transformed": 1}));
    // Text is no clip.
    work.write("p.yaml", TO_FLAC.replace("from: wav", "from: txt"));
    let refused = work.run(["run", "p.yaml", "--out", "no"]).exits(2).stderr;
    assert!(refused.contains("`audio/flac@1` takes clips of sound"), "{refused}");
}

/// What `datasets` wrote as sound is sound again, at the rate that it asked for.
#[test]
fn sound_of_the_corpus_stays_sound() {
    let work = Work::new();
    let folder = |name: &str| corpus::folder(name).map(|it| it.display().to_string());
    let Some(tables) = folder("episodes/hf_parquet") else { return };
    let Some(archives) = folder("episodes/webdataset/frames") else { return };
    work.run(["convert", &tables, "--out", "tables"]).exits(0);
    let rows = steps(&work, "tables");
    assert_eq!(shown(&rows, "audio"), json!({"_type": "Audio", "sampling_rate": 16000}));
    assert_eq!(told(&work, "tables", "audio"), json!(["int16", [-1, 4000, 1], "flac", 16000]));
    let validated = work.run(["validate", "--deep", "tables", "--format", "json"]).exits(0).json();
    assert_eq!(validated["clips"], rows.num_rows());

    work.run(["convert", &archives, "--out", "archives"]).exits(0);
    let rows = steps(&work, "archives");
    assert_eq!(shown(&rows, "audio.flac"), json!({"_type": "Audio"}));
    assert_eq!(told(&work, "archives", "audio.flac"), json!(["int16", [-1, 4000, 1], "flac", 16000]));
    let n_clips = clips(&rows, "audio.flac").iter().flatten().count();
    assert!(0 < n_clips && n_clips < rows.num_rows());
    let validated = work.run(["validate", "--deep", "archives", "--format", "json"]).exits(0).json();
    assert_eq!(validated["clips"], n_clips);
}
