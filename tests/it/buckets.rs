//! Sources in a bucket: what is fetched of them.

use crate::{
    command::Work,
    rlds_damage::built::{self, Value, entries, example, framed},
    tables::differing,
    web::Web,
};

/// An RLDS set whose episodes have two texts of so many bytes; its files by name.
fn set(n_episodes: i64, text_bytes: usize) -> Vec<(String, Vec<u8>)> {
    let record = |id: i64| {
        let mut of_episode = entries(id, 2);
        of_episode.retain(|it| it.0 != "steps/language_instruction");
        let texts = [0, 1].map(|step| format!("{id}{step}").repeat(text_bytes / 2).into_bytes());
        of_episode.push(("steps/language_instruction", Value::Texts(texts.into())));
        framed(&example(&of_episode))
    };
    let shard: Vec<u8> = (0..n_episodes).flat_map(record).collect();
    let info = format!(
        r#"{{"name": "arm", "version": "1.2.0", "fileFormat": "tfrecord", "splits": [{{"name": "train", "shardLengths": ["{n_episodes}"]}}]}}"#
    );
    let files = [
        ("arm-train.tfrecord-00000-of-00001", shard),
        ("dataset_info.json", info.into_bytes()),
        ("features.json", built::FEATURES.into()),
    ];
    files.map(|(name, bytes)| (format!("arm/1.2.0/{name}"), bytes)).into()
}

/// Framing, rows and the hash of the input take each byte of a record from the one request that it came with.
#[test]
fn an_rlds_set_is_fetched_once() {
    for (n_episodes, text_bytes) in [(12, 300 << 10), (30, 60 << 10)] {
        let work = Work::new();
        let files = set(n_episodes, text_bytes);
        let n_bytes: u64 = files.iter().map(|it| it.1.len() as u64).sum();
        for (name, bytes) in &files {
            work.write(&format!("src/{name}"), bytes);
        }
        let web = Web::new(files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())));
        work.run(["convert", "src", "--out", "near"]).exits(0);
        let variables = [
            ("AWS_ENDPOINT", web.url.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_SKIP_SIGNATURE", "true"),
            ("AWS_REGION", "us-east-1"),
        ];
        work.run_with(&variables, ["convert", "s3://bucket", "--out", "far"]).exits(0);
        let fetched = web.fetched();
        assert!(
            n_bytes <= fetched && fetched <= n_bytes + n_bytes / 10,
            "{fetched} of {n_bytes}: {:?}",
            web.asked()
        );
        assert_eq!(differing(&work.path("near"), &work.path("far")), ["report.json"]);
    }
}
