//! What the commands print and exit with. Hashes, sizes and times are left out of the snapshots.

use expect_test::{Expect, expect};
use serde_json::Value;

use crate::{
    command::{Ran, Work},
    logs::fixture,
};

/// Snapshot of a whole run: stdout, stderr, exit code.
#[track_caller]
fn check(ran: &Ran, expected: &Expect) {
    expected.assert_eq(&normalized(&ran.transcript()));
}

/// Digests become `<hash>`; what a line says of sizes and times of a run becomes `<…>`.
fn normalized(text: &str) -> String {
    let mut lines = String::new();
    for line in text.split_inclusive('\n') {
        let line = match line.find(" shards: ").or_else(|| line.find(" shard: ")) {
            Some(at) => {
                format!("{}: <sizes, seconds>\n", &line[..at + line[at..].find(':').unwrap_or_default()])
            }
            None => line.to_owned(),
        };
        lines.push_str(&without_hashes(&line));
    }
    lines
}

/// Runs of 64 hexadecimal digits become `<hash>`.
fn without_hashes(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some(start) = rest.find(|it: char| it.is_ascii_hexdigit()) {
        let n_digits = rest[start..].bytes().take_while(u8::is_ascii_hexdigit).count();
        text.push_str(&rest[..start]);
        text.push_str(if n_digits == 64 { "<hash>" } else { &rest[start..start + n_digits] });
        rest = &rest[start + n_digits..];
    }
    text + rest
}

#[test]
fn convert_and_validate() {
    let work = Work::new();
    let log = work.copy(&fixture("json_and_cbor.mcap"));
    check(
        &work.run(["convert", &log, "--out", "out"]),
        &expect![[r#"
        stream                 read       written  dropped
        /arm                     20            20
        /arm#fb4f4cc6            20            20
        /cbor                    40            40
        /free                    40            40
        /opaque                   4             4
        nulls in /arm#fb4f4cc6: gripper 10 of 20
        nulls in /cbor: gripper 10 of 40
        1 episode, 124 rows in 5 shards: <sizes, seconds>
        b3:<hash> written to out
        --- exit 0
    "#]],
    );
    let validated = work.run(["validate", "--deep", "out"]);
    let validated = Ran {
        stdout: validated.stdout.split_inclusive('(').next().unwrap_or_default().to_owned(),
        ..validated
    };
    check(
        &validated,
        &expect![[r#"
        sound: 14 files (--- exit 0
    "#]],
    );
    check(
        &work.run(["convert", &log, "--out", "out"]),
        &expect![[r#"
        stream                 read       written  dropped
        /arm                     20            20
        /arm#fb4f4cc6            20            20
        /cbor                    40            40
        /free                    40            40
        /opaque                   4             4
        nulls in /arm#fb4f4cc6: gripper 10 of 20
        nulls in /cbor: gripper 10 of 40
        1 episode, 124 rows in 5 shards: <sizes, seconds>
        b3:<hash> is already complete in out
        --- exit 0
    "#]],
    );
    check(
        &work.run(["convert", &log, "--out", "free", "--topic", "/fr*"]),
        &expect![[r#"
        stream          read       written  dropped
        /free             40            40
        1 episode, 40 rows in 1 shard: <sizes, seconds>
        b3:<hash> written to free
        --- exit 0
    "#]],
    );
    assert_eq!(work.json("free/report.json")["not_selected"].as_array().unwrap().len(), 4);
}

#[test]
fn inspect() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    check(
        &work.run(["inspect", &log]),
        &expect![[r#"
            mcap: 1 file, 374.9 KiB, 1 episode
            time: 1700000000000000000 to 1700000001999000000 ns (2.00 s)

            stream                            records       bytes    seconds       rate     jitter         gap  gaps       stamp  message
            /camera/depth/image_raw                20   121.2 KiB       1.90    10.0 Hz     1.4 ms    102.3 ms           -1.6 ms  sensor_msgs/msg/Image cdr
            /camera/scene/image/compressed         60   184.5 KiB       1.97    30.0 Hz     1.1 ms     35.7 ms           -1.7 ms  sensor_msgs/msg/CompressedImage cdr
            /camera/thumb/image_raw                 4     3.1 KiB       1.50     2.0 Hz     0.0 ms    500.0 ms            0.0 ms  sensor_msgs/msg/Image cdr
            /camera/wrist/image/compressed         60   157.3 KiB       1.97    30.0 Hz     1.2 ms     36.1 ms           -1.6 ms  sensor_msgs/msg/CompressedImage cdr
            /cmd/gripper                           20       240 B       1.90    10.0 Hz     0.0 ms    100.0 ms                    std_msgs/msg/Float64 cdr
            /cmd/joints                            20     1.6 KiB       1.90    10.0 Hz     0.0 ms    100.0 ms                    std_msgs/msg/Float64MultiArray cdr
            /cmd/pose                             200    16.4 KiB       1.99   100.0 Hz     0.0 ms     10.1 ms           -0.0 ms  geometry_msgs/msg/PoseStamped cdr
            /diag/all_types                         8     1.4 KiB       1.75     4.0 Hz     0.0 ms    250.0 ms                    lab_msgs/msg/AllTypes cdr
            /episode                                4       246 B       2.00     1.5 Hz   576.2 ms    999.0 ms            0.0 ms  lab_msgs/msg/EpisodeEvent cdr
            /gripper/state                         40     8.7 KiB       1.95    20.0 Hz     0.2 ms     50.4 ms           -0.3 ms  lab_msgs/msg/GripperState cdr
            /heartbeat                              4        20 B       1.50     2.0 Hz     0.0 ms    500.0 ms                    std_msgs/msg/Empty cdr
            /imu/data                             400   126.6 KiB       2.00   200.0 Hz     0.0 ms      5.1 ms           -0.0 ms  sensor_msgs/msg/Imu cdr
            /joint_states                         200    53.7 KiB       1.99   100.0 Hz     0.1 ms     10.2 ms           -0.1 ms  sensor_msgs/msg/JointState cdr
            /language_instruction                   2        69 B       1.00     1.0 Hz              1000.0 ms                    std_msgs/msg/String cdr
            /pick/_action/feedback                  8       272 B       1.75     4.0 Hz     0.0 ms    250.0 ms                    lab_msgs/action/Pick_FeedbackMessage cdr
            /points                                10    21.6 KiB       1.80     5.0 Hz     0.0 ms    200.0 ms            0.0 ms  sensor_msgs/msg/PointCloud2 cdr
            /tf                                    40     7.3 KiB       1.95    20.0 Hz     0.0 ms     50.1 ms                    tf2_msgs/msg/TFMessage cdr
            /tf_static                              1       204 B       0.00                                                      tf2_msgs/msg/TFMessage cdr

            stream                          records over time, 0.033 s a column
            /camera/depth/image_raw         █··█··█·█···█··█··█·█···█··█··█·█···█··█··█·█···█··█··█·█···
            /camera/scene/image/compressed  ▅▅▅▅▅▅█▅▅▅▅·▅▅▅▅▅▅█▅▅▅▅·▅▅▅▅▅▅█▅▅▅·▅▅▅▅▅▅▅█▅▅▅▅·▅▅▅▅▅▅█▅▅·▅▅
            /camera/thumb/image_raw         █··············█··············█·············█···············
            /camera/wrist/image/compressed  ▅▅▅▅▅▅▅▅█▅▅▅·▅▅▅▅▅▅▅█▅▅▅▅·▅▅▅▅▅▅█▅▅▅▅·▅▅▅▅▅▅█▅▅▅·▅▅▅▅▅▅▅█▅▅·
            /cmd/gripper                    █··█··█·█···█··█··█·█···█··█··█·█···█··█··█·█···█··█··█·█···
            /cmd/joints                     █··█··█·█···█··█··█·█···█··█··█·█···█··█··█·█···█··█··█·█···
            /cmd/pose                       ▇▆▆▆▆▇▇▇▆▆▆▆▇▆▆▆▆▇▇▇▆▆▆▇▆▆▆▆▆▇█▆▆▆▆▇▆▆▆▆▆▇█▆▆▆▆▆▇▆▆▆▆▇▇▇▆▆▆▆
            /diag/all_types                 █······█·······█······█·······█······█······█·······█·······
            /episode                        ▅·····························█····························▅
            /gripper/state                  ██·██·███·██·█·██·███·█·██·██·███·█·██·██·███·██·█·██·███·█·
            /heartbeat                      █··············█··············█·············█···············
            /imu/data                       ▇▆▇▆▆▇█▇▆▇▆▇▆▆▇▆▇▆█▇▆▇▆▆▇▆▇▆▆▇█▇▆▇▆▇▆▆▇▆▆▇█▇▆▇▆▆▇▆▇▆▆▇█▇▆▇▆▆
            /joint_states                   ▇▆▆▆▆▇█▆▆▆▆▇▆▆▆▆▇▆█▆▆▆▆▆▇▆▆▆▇▆█▆▆▆▆▇▆▆▆▆▆▇▇▇▆▆▆▇▆▆▆▆▇▆▇▇▆▆▆▆
            /language_instruction           █·····························█·····························
            /pick/_action/feedback          █······█·······█······█·······█······█······█·······█·······
            /points                         █·····█·····█·····█·····█·····█·····█·····█·····█·····█·····
            /tf                             ██·██·███·██·█·██·███·█·██·██·███·██·█·██·███·██·█·██·███·█·
            /tf_static                      █···························································
            attachment calibration.yaml (20 B)
            attachment empty.bin (0 B)
            --- exit 0
        "#]],
    );
}

#[test]
fn inspect_features_and_damage() {
    let work = Work::new();
    let log = work.copy(&fixture("foxglove_protobuf_zstd.mcap"));
    check(
        &work.run(["inspect", &log, "--features", "--topic", "/joints"]),
        &expect![[r#"
            mcap: 1 file, 32.6 KiB, 1 episode
            time: 1700000000000001000 to 1700000001966667666 ns (1.97 s)

            stream     records       bytes    seconds       rate     jitter         gap  gaps       stamp  message
            /joints         60    11.5 KiB       1.97    30.0 Hz     0.0 ms     33.3 ms           -0.0 ms  foxglove.JointStates protobuf
                log_time_ns: int64
                publish_time_ns: int64
                sequence: uint32
                timestamp: int64
                joints.name: string[-1]
                joints.position: float64[-1]
                joints.velocity: float64[-1]
                joints.acceleration: float64[-1]
                joints.effort: float64[-1]
                _unknown: bytes

            stream   records over time, 0.033 s a column
            /joints  ▅▅▅▅▅▅▅▅▅▅█·▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅·▅▅█▅▅▅▅▅▅▅▅
            --- exit 0
        "#]],
    );
    let mut cut = std::fs::read(work.path(&log)).unwrap();
    cut.truncate(cut.len() / 2);
    work.write("cut.mcap", cut);
    check(
        &work.run(["inspect", "cut.mcap"]),
        &expect![[r#"
            mcap: 1 file, 16.3 KiB, 1 episode

            stream    records       bytes    seconds       rate     jitter         gap  gaps       stamp  message
            damage: file ends inside a record: 16624 bytes are left, but the record with opcode 0x06 has 19154
              --> cut.mcap, byte 70
            damage: file ends without the closing MCAP magic
              --> cut.mcap, byte 16703
            damage: the end of the file cuts this chunk off: no further record of the chunk is there
              --> cut.mcap, byte 70
            --- exit 3
        "#]],
    );
}

#[test]
fn a_tampered_dataset() {
    let work = Work::new();
    let log = work.copy(&fixture("ros1_profile.mcap"));
    work.run(["convert", &log, "--out", "out"]).exits(0);
    let shard = work.json("out/manifest.json")["shards"][1]["path"].as_str().unwrap().to_owned();
    let path = work.path(format!("out/{shard}"));
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let told = work.run(["validate", "out"]).exits(1);
    assert!(told.stdout.contains(&shard) && told.stdout.contains("hint: "), "{}", told.stdout);
    std::fs::remove_file(path).unwrap();
    let told = work.run(["validate", "out", "--format", "json"]).exits(1).json();
    assert!(
        told["findings"].as_array().unwrap().iter().any(|it| it["at"].as_str().unwrap().contains(&shard))
    );
}

#[test]
fn explain() {
    let work = Work::new();
    let log = work.copy(&fixture("ros1_profile.mcap"));
    work.run(["convert", &log, "--out", "out"]).exits(0);
    check(
        &work.run(["explain", "out/streams/custom/train-00000.parquet", "--row", "19"]),
        &expect![[r#"
        shard       streams/custom/train-00000.parquet (train)
        stream      /custom
        rows        19
        blake3      <hash>
        provenance  b3:<hash>
        recipe      b3:<hash>
        made by     node-data 0.1.0
        input       ros1_profile.mcap (48.0 KiB, blake3 <hash>)
        origin      row 19: ros1_profile.mcap, bytes 41319..46739, record 2 of topic /custom there
        --- exit 0
    "#]],
    );
    check(
        &work.run(["explain", "out", "--stream", "/joint_states"]),
        &expect![[r#"
        shard       streams/joint_states/train-00000.parquet (train)
        stream      /joint_states
        rows        0 to 99
        blake3      <hash>
        provenance  b3:<hash>
        recipe      b3:<hash>
        made by     node-data 0.1.0
        input       ros1_profile.mcap (48.0 KiB, blake3 <hash>)
        origin      row 0: ros1_profile.mcap, bytes 32..19879, records 0 to 40 of topic /joint_states there
        origin      row 41: ros1_profile.mcap, bytes 20883..40235, records 0 to 44 of topic /joint_states there
        origin      row 86: ros1_profile.mcap, bytes 41319..46739, records 0 to 13 of topic /joint_states there
        --- exit 0
    "#]],
    );
}

#[test]
fn salvage() {
    let work = Work::new();
    let mut log = std::fs::read(fixture("json_and_cbor.mcap")).unwrap();
    log.truncate(log.len() / 2);
    work.write("cut.mcap", log);
    check(
        &work.run(["convert", "cut.mcap", "--out", "out"]),
        &expect![[r#"
        --- stderr
        error: file ends inside the record at byte 4222: 115 of its bytes are there
          --> cut.mcap, byte 4222
        hint: `--on-error salvage` keeps every sound record and lists what is lost
        --- exit 1
    "#]],
    );
    check(
        &work.run(["convert", "cut.mcap", "--out", "out", "--on-error", "salvage"]),
        &expect![[r#"
        stream                 read       written  dropped
        /arm                     15            15
        /arm#fb4f4cc6            16            16
        /cbor                    31            31
        /free                    31            31
        /opaque                   3             3
        nulls in /arm#fb4f4cc6: gripper 8 of 16
        nulls in /cbor: gripper 8 of 31
        1 episode, 96 rows in 5 shards: <sizes, seconds>
        b3:<hash> written to out
        --- stderr
        left out: file ends inside a record: 106 bytes are left, but the record with opcode 0x07 has 502
          --> cut.mcap, byte 4222
        damaged: file ends without the closing MCAP magic
          --> cut.mcap, byte 4337
        the source is damaged: report.json names everything that was left out
        --- exit 3
    "#]],
    );
}

#[test]
fn wrong_usage_exits_with_2() {
    let work = Work::new();
    let log = work.copy(&fixture("ros1_profile.mcap"));
    let cases: [&[&str]; 8] = [
        &[],
        &["convert"],
        &["convert", &log],
        &["nonsense"],
        &["convert", &log, "--out", "out", "--split", "train=0.9,val=0.3"],
        &["convert", &log, "--out", "out", "--from", "rosbag9"],
        &["convert", &log, "--out", "out", "--topic", "/nope"],
        &["convert", &log, "--out", "out", "--threads", "0"],
    ];
    let mut told = String::new();
    for args in cases {
        let ran = work.run(args).exits(2);
        assert_eq!(ran.stdout, "", "{args:?}");
        let first = ran.stderr.lines().next().unwrap_or_default();
        told.push_str(&format!("{}: {first}\n", args.join(" ")));
        assert_eq!(work.names(), [log.as_str()], "{args:?}");
    }
    expect![[r#"
        : Turn robot recordings into schema-checked Parquet datasets, with nothing lost and every origin
        convert: error: the following required arguments were not provided:
        convert ros1_profile.mcap: error: no folder for the dataset is named
        nonsense: error: unrecognized subcommand 'nonsense'
        convert ros1_profile.mcap --out out --split train=0.9,val=0.3: error: the fractions add up to 1.2, not to 1
        convert ros1_profile.mcap --out out --from rosbag9: error: there is no format `rosbag9`
        convert ros1_profile.mcap --out out --topic /nope: error: no topic fits `/nope` in `topics`
        convert ros1_profile.mcap --out out --threads 0: error: invalid value '0' for '--threads <N>': 0 is not in 1..=1024
    "#]].assert_eq(&told);
}

#[test]
fn formats_completions_and_manual() {
    let work = Work::new();
    check(
        &work.run(["formats"]),
        &expect![[r#"
        mcap         MCAP logs, one episode a file: chunked or not, indexed or not, whole or damaged
        rosbag2      ROS 2 bags, one episode a bag: SQLite or MCAP, split, compressed, described or not, whole or damaged
                     --set source.unpack_ratio_max=…  files that are packed as a whole (gzip, zstd, bzip2, xz) are refused where more than so many bytes come out of each of theirs, and more than 64 MiB in all: a whole number from 1 to 4294967296; 200 by default
        rosbag1      ROS 1 bags, one episode a file: indexed or not, left open by their recorder, whole or damaged
        lerobot      LeRobot datasets v2.0, v2.1 and v3.0: pointers audited, video passed through or decoded
        jsonl        JSON Lines and lists in JSON, one sample an object: types learned from all rows, files that they name embedded on request
                     --set source.mixed=…  what becomes of a field that is of several kinds: `json` keeps it as JSON text and says so, `refuse` names two rows; `text` keeps as their own text also values that no reader of JSON holds as they are written (1e400, whole numbers beyond 64 bits, NaN, halves of surrogate pairs, objects that name a key twice), which else cost their row: one of: json, refuse, text; json by default
                     --set source.missing=…  what becomes of a row that refers to a file that is not there, where files are embedded: it is refused, or has null in its place: one of: fail, null; fail by default
                     --set source.embed_bytes_max=…  bytes that a file may have that is embedded: a whole number from 1 to 268435456; 67108864 by default
                     --set source.unpack_ratio_max=…  files that are packed as a whole (gzip, zstd, bzip2, xz) are refused where more than so many bytes come out of each of theirs, and more than 64 MiB in all: a whole number from 1 to 4294967296; 200 by default
        rlds         RLDS (TFDS) episodes, as TensorFlow Datasets writes them, and TFRecord files alone
                     --set source.episode_key=…  the feature of the whole episode that is its key, such as `episode_metadata.episode_id`; without it the key is the file and the number of the record in it, which writing the dataset anew may change: text; none by default
                     --set source.unpack_ratio_max=…  files that are packed as a whole (gzip, zstd, bzip2, xz) are refused where more than so many bytes come out of each of theirs, and more than 64 MiB in all: a whole number from 1 to 4294967296; 200 by default
        webdataset   WebDataset, samples in tar files, packed or not: types learned from all members, rows dealt to splits
                     --set source.unpack_ratio_max=…  files that are packed as a whole (gzip, zstd, bzip2, xz) are refused where more than so many bytes come out of each of theirs, and more than 64 MiB in all: a whole number from 1 to 4294967296; 200 by default
                     --set source.shard_md5=…  whether each archive is read once more and held against the MD5 that an index of shards beside it (`index.json` of wids) tells; one that has another is damaged: `true` or `false`; false by default
        parquet      Parquet files of any schema, one sample a row; Hugging Face features kept
                     --set source.null_counts=…  whether a column is taken to have no nulls where the footers count none; some old writers counted wrongly: one of: trust, ignore; trust by default
                     --set source.references=…  what becomes of an image, a sound or a video of which a table holds the name of a file and no bytes, and that is not embedded: it is refused, or null; `path` keeps all media as the two columns that they are made of, `<name>.bytes` and `<name>.path`: one of: fail, null, path; fail by default
                     --set source.missing=…  what becomes of a row that refers to a file that is not there, where files are embedded: it is refused, or has null in its place: one of: fail, null; fail by default
                     --set source.embed_bytes_max=…  bytes that a file may have that is embedded: a whole number from 1 to 268435456; 67108864 by default
        arrow        Arrow IPC files and streams (Feather, the cache of Hugging Face `datasets`), one sample a row
                     --set source.references=…  what becomes of an image, a sound or a video of which a table holds the name of a file and no bytes, and that is not embedded: it is refused, or null; `path` keeps all media as the two columns that they are made of, `<name>.bytes` and `<name>.path`: one of: fail, null, path; fail by default
                     --set source.missing=…  what becomes of a row that refers to a file that is not there, where files are embedded: it is refused, or has null in its place: one of: fail, null; fail by default
                     --set source.embed_bytes_max=…  bytes that a file may have that is embedded: a whole number from 1 to 268435456; 67108864 by default
        csv          CSV and TSV, one sample a row: dialect told by the beginning, types learned from all rows
                     --set source.delimiter=…  what separates the fields of a row; `auto` goes by the first 1 MiB of each file: one of: auto, comma, tab, semicolon, pipe, space; auto by default
                     --set source.quote=…  the quotes around fields that hold separators or line ends: one of: double, single, none; double by default
                     --set source.header=…  whether the first row names the columns, or they are called `column_0` and so on: one of: first, none; first by default
                     --set source.unpack_ratio_max=…  files that are packed as a whole (gzip, zstd, bzip2, xz) are refused where more than so many bytes come out of each of theirs, and more than 64 MiB in all: a whole number from 1 to 4294967296; 200 by default
                     --set source.missing=…  what becomes of a row that refers to a file that is not there, where files are embedded: it is refused, or has null in its place: one of: fail, null; fail by default
                     --set source.embed_bytes_max=…  bytes that a file may have that is embedded: a whole number from 1 to 268435456; 67108864 by default

        recognised, and refused with what to do instead:
        nodedata     datasets that node-data wrote
        zarr         Zarr stores
        lance        Lance tables
        hdf5         HDF5 files
        rrd          Rerun recordings
        svo          ZED recordings (SVO)
        pickle       pickles
        npz          NumPy files
        lfs          Git LFS pointers
        compressed   files compressed as a whole
        video        video files alone
        --- exit 0
    "#]],
    );
    for shell in ["bash", "zsh", "fish"] {
        let ran = work.run(["completions", shell]).exits(0);
        assert!(ran.stdout.contains("node-data") && ran.stdout.contains("validate"), "{shell}");
    }
    assert!(work.run(["man"]).exits(0).stdout.contains(".TH node-data"));
    let version = work.run(["--version"]).exits(0).stdout;
    assert!(version.starts_with("node-data "), "{version}");
}

/// One JSON document on stdout, and errors as JSON on stderr.
#[test]
fn json_everywhere() {
    let work = Work::new();
    let log = work.copy(&fixture("json_and_cbor.mcap"));
    let converted = work.run(["convert", &log, "--out", "out", "--format", "json"]).exits(0);
    assert_eq!(converted.stderr, "");
    assert_eq!(converted.json()["report"]["streams"]["/free"]["written"], 40);
    let inspected = work.run(["inspect", &log, "--format", "json"]).exits(0).json();
    assert_eq!(inspected["streams"].as_array().unwrap().len(), 5);
    assert_eq!(
        work.run(["validate", "out", "--format", "json"]).exits(0).json()["findings"],
        Value::Array(vec![])
    );
    assert_eq!(work.run(["formats", "--format", "json"]).exits(0).json()["formats"][0]["name"], "mcap");
    for args in [["explain", "out"], ["schema", "infer"]] {
        let target = if args[0] == "schema" { Some(log.as_str()) } else { None };
        work.run(args.into_iter().chain(target).chain(["--format", "json"])).exits(0).json();
    }
    let failed = work.run(["convert", "missing.mcap", "--out", "out2", "--format", "json"]).exits(1);
    assert_eq!(failed.stdout, "");
    let error: Value = serde_json::from_str(&failed.stderr).unwrap();
    assert_eq!(error["error"]["at"], "missing.mcap");
    assert!(error["error"]["hint"].is_string() && error["error"]["kind"].is_string(), "{error}");
}

/// Progress events are JSON lines on stderr; without a terminal nothing else is there.
#[test]
fn progress() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    assert_eq!(work.run(["convert", &log, "--out", "silent"]).exits(0).stderr, "");
    let ran = work.run(["convert", &log, "--out", "told", "--progress", "json"]).exits(0);
    let events: Vec<Value> = ran.stderr.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert!(!events.is_empty());
}

/// Nothing but text when stderr is no terminal, with and without `NO_COLOR`.
#[test]
fn no_color() {
    let work = Work::new();
    let plain = work.run(["convert", "missing.mcap", "--out", "out"]).exits(1);
    assert!(!plain.stderr.contains('\x1b'), "{:?}", plain.stderr);
    let asked = work
        .run_with(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], ["convert", "missing.mcap", "--out", "out"]);
    assert_eq!(asked.stderr, plain.stderr);
    let usage = work.run_with(&[("NO_COLOR", "1")], ["convert"]);
    assert!(!usage.stderr.contains('\x1b'), "{:?}", usage.stderr);
}
