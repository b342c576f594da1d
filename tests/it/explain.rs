//! Every row is walked back to the message it was made of, which another reader then finds there.

use std::{collections::BTreeMap, path::Path};

use mcap::{
    MessageStream,
    read::{ChunkReader, parse_record},
    records::Record,
};
use nodedata_testkit::{corpus, truth::sha256};
use serde_json::Value;

use crate::{
    command::{Work, for_each},
    logs::fixture,
    tables::{Dataset, definition, int64, payloads},
};

/// Log time and payload hash of a message.
pub(crate) type Message = (i64, String);

/// The messages of one input file, as the `mcap` crate reads them.
pub(crate) struct Log {
    bytes: Vec<u8>,
    /// Topic, schema name and hash of the definition by channel.
    channels: BTreeMap<u16, (String, String, Option<String>)>,
}

impl Log {
    pub(crate) fn open(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let mut channels = BTreeMap::new();
        for message in MessageStream::new(&bytes).unwrap() {
            let channel = message.unwrap().channel;
            let schema = channel.schema.as_ref();
            let name = schema.map(|it| it.name.clone()).unwrap_or_default();
            let facts = (channel.topic.clone(), name, schema.map(|it| sha256(&it.data)));
            channels.insert(channel.id, facts);
        }
        Self { bytes, channels }
    }

    /// The messages of a stream in a byte range: of the chunk that lies there, or of the records.
    pub(crate) fn messages(&self, stream: &Value, range: (usize, usize)) -> Vec<Message> {
        let facts = &stream["metadata"];
        let wanted = (
            facts["topic"].as_str().unwrap().to_owned(),
            facts["schema_name"].as_str().unwrap_or_default().to_owned(),
            definition(facts).map(|it| sha256(&it)),
        );
        let mut found = Vec::new();
        let mut take = |record: Record<'_>| {
            if let Record::Message { header, data } = record
                && self.channels[&header.channel_id] == wanted
            {
                found.push((header.log_time as i64, sha256(&data)));
            }
        };
        let mut rest = &self.bytes[range.0..range.1];
        while let Some((head, behind)) = rest.split_first_chunk::<9>() {
            let n_bytes = u64::from_le_bytes(head[1..].try_into().unwrap()) as usize;
            let (content, behind) = behind.split_at(n_bytes);
            match parse_record(head[0], content).unwrap() {
                Record::Chunk { header, data } => {
                    ChunkReader::new(header, &data).unwrap().for_each(|it| take(it.unwrap()));
                }
                other => take(other),
            }
            rest = behind;
        }
        assert_eq!(rest, [0u8; 0], "a range that ends inside a record");
        found
    }
}

pub(crate) fn pair(value: &Value) -> (usize, usize) {
    let number = |idx: usize| value[idx].as_u64().unwrap() as usize;
    (number(0), number(1))
}

/// Walks every row of `out` back, shard by shard; returns the rows walked.
fn walk(work: &Work, root: &Path, out: &str) -> usize {
    let dataset = Dataset::open(work.path(out));
    let mut logs: BTreeMap<String, Log> = BTreeMap::new();
    let mut n_rows = 0;
    for shard in dataset.manifest["shards"].as_array().unwrap() {
        let path = shard["path"].as_str().unwrap();
        let at = format!("{out}/{path}");
        let rows = dataset.table(path);
        let times = int64(&rows, "log_time_ns");
        let hashes = payloads(&rows).into_iter().map(sha256);
        let rows: Vec<Message> = times.into_iter().zip(hashes).collect();
        let stream = dataset.streams().iter().find(|it| it["name"] == shard["stream"]).unwrap();
        let told = work.run(["explain", &at, "--format", "json"]).exits(0).json()["explained"].clone();
        assert_eq!(told[0]["b3"], shard["b3"], "{at}");
        assert_eq!(pair(&told[0]["rows"]), (0, rows.len()), "{at}");
        let mut next_row = 0;
        for origin in told[0]["origins"].as_array().unwrap() {
            let source = origin["source"].as_str().unwrap();
            let log = logs.entry(source.to_owned()).or_insert_with(|| Log::open(&root.join(source)));
            let messages = log.messages(stream, pair(&origin["bytes"]));
            let (first, last) = pair(&origin["records"]);
            assert_eq!(origin["row"], next_row, "{at}: rows are left out");
            assert_eq!(messages[first..last], rows[next_row..next_row + last - first], "{at}: {origin}");
            next_row += last - first;
        }
        assert_eq!(next_row, rows.len(), "{at}: rows without an origin");
        n_rows += next_row;
    }
    n_rows
}

#[test]
fn every_row_is_found_where_it_came_from() {
    // Among them: messages outside chunks, chunks that overlap in time, and chunks of a few messages each.
    for_each(&corpus::recordings(), |log| {
        let work = Work::new();
        let name = work.copy(log);
        work.run(["convert", &name, "--out", "out", "--undecoded", "*"]).exits(0);
        let n_rows: u64 = work.json("out/manifest.json")["streams"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|it| it["rows"].as_u64())
            .sum();
        assert_eq!(walk(&work, &work.path(""), "out") as u64, n_rows, "{name}");
    });
}

#[test]
fn rows_of_a_folder_in_several_shards() {
    let work = Work::new();
    let log = std::fs::read(fixture("teleop.mcap")).unwrap();
    for idx in 0..6 {
        work.write(&format!("logs/{idx}.mcap"), &log);
    }
    let options = ["--undecoded", "*", "--shard-mb", "1", "--split", "train=0.5,val=0.5"];
    work.run(["convert", "logs", "--out", "out"].into_iter().chain(options)).exits(0);
    assert_eq!(walk(&work, &work.path("logs"), "out"), 6 * 1101);
}

#[test]
fn rows_of_a_time_range() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    let options = ["--undecoded", "*", "--start", "1700000000500000000", "--end", "1700000001500000000"];
    work.run(["convert", &log, "--out", "out"].into_iter().chain(options)).exits(0);
    let n_rows = walk(&work, &work.path(""), "out");
    assert!(400 < n_rows && n_rows < 700, "{n_rows}");
}

/// Messages that do not fit lie between those that do, and have their rows there.
#[test]
fn rows_beside_messages_that_are_kept_as_bytes() {
    let work = Work::new();
    let log = work.copy(&corpus::fixtures("mcap/broken").join("cdr_bad_payloads.mcap"));
    work.run(["convert", &log, "--out", "out"]).exits(3);
    let times = int64(&Dataset::open(work.path("out")).tables()["/s"], "log_time_ns");
    // The generator stamps each message with its position.
    assert_eq!(times, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    let told = work.run(["explain", "out", "--format", "json"]).exits(0).json()["explained"].clone();
    let file = Log::open(&work.path(&log));
    let stream = Dataset::open(work.path("out")).streams()[0].clone();
    let mut walked = Vec::new();
    for origin in told[0]["origins"].as_array().unwrap() {
        let messages = file.messages(&stream, pair(&origin["bytes"]));
        let (first, last) = pair(&origin["records"]);
        walked.extend(messages[first..last].iter().map(|it| it.0));
    }
    assert_eq!(walked, times);
}

#[test]
fn one_row_of_an_episode_or_a_shard() {
    let work = Work::new();
    let log = work.copy(&fixture("teleop.mcap"));
    work.run(["convert", &log, "--out", "out"]).exits(0);
    let ask =
        ["explain", "out", "--episode", "0", "--stream", "/imu/data", "--row", "137", "--format", "json"];
    let of_episode = work.run(ask).exits(0).json()["explained"].clone();
    assert_eq!(pair(&of_episode[0]["rows"]), (137, 1));
    let origins = of_episode[0]["origins"].as_array().unwrap();
    assert_eq!(origins.len(), 1);
    assert_eq!((&origins[0]["row"], &origins[0]["n_rows"]), (&Value::from(137), &Value::from(1)));
    let shard = format!("out/{}", of_episode[0]["shard"].as_str().unwrap());
    let of_shard =
        work.run(["explain", &shard, "--row", "137", "--format", "json"]).exits(0).json()["explained"]
            .clone();
    assert_eq!(of_shard, of_episode);
    let rows = Dataset::open(work.path("out")).table(of_shard[0]["shard"].as_str().unwrap());
    let time = int64(&rows, "log_time_ns")[137];
    let file = Log::open(&work.path(&log));
    let dataset = Dataset::open(work.path("out"));
    let stream = dataset.streams().iter().find(|it| it["name"] == "/imu/data").unwrap();
    let messages = file.messages(stream, pair(&origins[0]["bytes"]));
    assert_eq!(messages[pair(&origins[0]["records"]).0].0, time);
}

#[test]
fn questions_without_an_answer() {
    let work = Work::new();
    let log = work.copy(&fixture("json_and_cbor.mcap"));
    work.run(["convert", &log, "--out", "out"]).exits(0);
    let cases: [(&[&str], &str); 4] = [
        (&["out", "--stream", "/none"], "no stream `/none`"),
        (&["out", "--row", "3"], "needs its episode and its stream"),
        (&["out", "--episode", "0", "--stream", "/free", "--row", "40"], "no row 40"),
        (&["out/streams/none/train-00000.parquet"], "no such shard"),
    ];
    for (args, message) in cases {
        let refused = work.run(["explain"].iter().chain(args)).exits(2);
        assert!(refused.stderr.contains(message), "{args:?}: {}", refused.stderr);
    }
    work.run(["explain", &log]).exits(2);
}
