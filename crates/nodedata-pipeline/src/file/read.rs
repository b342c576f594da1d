use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use nodedata_core::{
    MediaEncoding, Moments, OnMisfit, OptionValue, Reference,
    placed::{Member, Mistake, Node},
};
use nodedata_dataset::Access;
use nodedata_normalize::FieldTransform;

use super::{
    check::{Places, word},
    metadata, publish, quality, splits,
    stages::{Expected, PipelineFile, PipelineTest, SourceStage},
    steps::{self, Stages},
    times, transforms,
};
use crate::OnError;

/// Turns a checked document into stages, and finds the mistakes that lie between keys.
pub(super) struct Reader<'a> {
    pub(super) root: &'a Node,
    pub(super) places: &'a Places,
    pub(super) mistakes: Vec<Mistake>,
    /// Folder of the file.
    folder: PathBuf,
}

impl<'a> Reader<'a> {
    pub(super) fn new(root: &'a Node, places: &'a Places, file: &Path) -> Self {
        let folder = file.parent().map(Path::to_owned).unwrap_or_default();
        Self { root, places, mistakes: Vec::new(), folder }
    }

    /// Notes a mistake at a key.
    pub(super) fn add(&mut self, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.mistakes.push(Mistake::new(self.places.of(path), message).with_hint(hint));
    }

    pub(super) fn file(&mut self, path: &Path) -> PipelineFile {
        let root = self.root;
        let on_error = match root.get("on_error").and_then(Node::text).as_deref() {
            Some("salvage") => OnError::Salvage,
            _ => OnError::Fail,
        };
        let on_misfit = match root.get("on_misfit").and_then(Node::text).as_deref() {
            Some("fail") => OnMisfit::Fail,
            _ => OnMisfit::Keep,
        };
        let target_mb = root.get("shards").and_then(|it| it.get("target_mb")).and_then(Node::integer);
        let target_mb = target_mb.and_then(|it| u64::try_from(it).ok()).unwrap_or(512);
        let access = root.get("shards").and_then(|it| it.get("access")).and_then(Node::text);
        let access = access.and_then(|it| Access::from_name(&it)).unwrap_or_default();
        let Stages { grouped, steps } = steps::read(self);
        let episodes = metadata::read(self);
        PipelineFile {
            path: path.to_owned(),
            description: text(root, "description"),
            source: self.source(),
            grouped,
            episodes,
            steps,
            schema: text(root, "schema").map(|it| self.beside(&it)),
            quality: root.get("quality").map(|it| quality::read(self, it)),
            splits: splits::read(self),
            shard_bytes: target_mb.saturating_mul(1 << 20),
            access,
            on_error,
            on_misfit,
            out: text(root, "out").map(|it| self.beside(&it)),
            publish: root.get("publish").map(|it| publish::read(self, it)),
            tests: self.tests(),
        }
    }

    fn source(&mut self) -> SourceStage {
        let plain = |paths| SourceStage {
            paths,
            format: None,
            topics: None,
            undecoded: Vec::new(),
            message_paths: Vec::new(),
            decode: self.decode(),
            embed: BTreeMap::new(),
            moments: Moments::default(),
            verify_checksums: true,
            options: BTreeMap::new(),
        };
        // What an option may be, only the format says.
        let option = |it: &Member| Some((it.key.clone(), OptionValue::Text(it.node.text()?)));
        let Some(node) = self.root.get("source") else { return plain(Vec::new()) };
        if let Some(path) = node.text() {
            return plain(vec![self.source_path(&path)]);
        }
        let moments = times::read(self, node, "source");
        SourceStage {
            paths: node
                .get("path")
                .map(texts)
                .unwrap_or_default()
                .iter()
                .map(|it| self.source_path(it))
                .collect(),
            format: text(node, "format"),
            topics: node.get("topics").map(texts),
            undecoded: node.get("undecoded").map(texts).unwrap_or_default(),
            message_paths: node
                .get("message_paths")
                .map(texts)
                .unwrap_or_default()
                .iter()
                .map(|it| self.beside(it))
                .collect(),
            decode: self.decode(),
            embed: node
                .get("embed")
                .map(Node::members)
                .unwrap_or_default()
                .iter()
                .filter_map(|it| Some((it.key.clone(), Reference::from_name(&it.node.text()?)?)))
                .collect(),
            moments,
            verify_checksums: node.get("verify_checksums").and_then(Node::bool).unwrap_or(true),
            options: node
                .get("options")
                .map(Node::members)
                .unwrap_or_default()
                .iter()
                .filter_map(option)
                .collect(),
        }
    }

    /// What video is decoded to: every camera's by `source.decode`, one field's by its `encoding`.
    fn decode(&self) -> BTreeMap<String, MediaEncoding> {
        let encoding = |node: Option<&Node>| MediaEncoding::from_name(&node?.text()?);
        let all = encoding(self.root.get("source").and_then(|it| it.get("decode")));
        let fields = self.root.get("fields").map(Node::members).unwrap_or_default();
        // What is done to pictures decides itself what it needs: see `FieldSpec::encoding`.
        let is_changed = |it: &&Member| {
            it.node
                .get("transform")
                .map(transforms::of_field)
                .unwrap_or_default()
                .iter()
                .any(FieldTransform::is_of_images)
        };
        let of_field = fields.iter().filter(|it| !is_changed(it)).filter_map(|it| {
            let camera = it.node.get("from").and_then(Node::text)?;
            Some((camera, encoding(it.node.get("encoding"))?))
        });
        all.map(|it| ("*".to_owned(), it)).into_iter().chain(of_field).collect()
    }

    fn tests(&mut self) -> Vec<PipelineTest> {
        let nodes = self.root.get("tests").map(Node::items).unwrap_or_default();
        let mut tests = Vec::new();
        for (idx, node) in nodes.iter().enumerate() {
            let name = text(node, "name").unwrap_or_default();
            let expect = node.get("expect").map(expected).unwrap_or_default();
            if expect == Expected::default() {
                self.add(
                    &format!("tests[{idx}].expect"),
                    "`expect` names nothing",
                    "add `episodes`, `rows` or `content_root`",
                );
            }
            let source = self.source_path(&text(node, "source").unwrap_or_default());
            tests.push(PipelineTest { name, source, expect });
        }
        tests
    }

    /// A path of the file, which starts where the file lies.
    pub(super) fn beside(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    fn source_path(&self, path: &str) -> String {
        if path.contains("://") { path.to_owned() } else { self.beside(path).display().to_string() }
    }
}

fn expected(node: &Node) -> Expected {
    let count = |node: &Node| node.integer().and_then(|it| u64::try_from(it).ok());
    let named = |key: &str| {
        let members = node.get(key).map(Node::members).unwrap_or_default();
        members.iter().filter_map(|it| Some((it.key.clone(), count(&it.node)?))).collect()
    };
    Expected {
        episodes: node.get("episodes").and_then(count),
        rows: node.get("rows").and_then(count),
        rows_by_stream: named("rows"),
        content_root: text(node, "content_root"),
        quarantined: node.get("quarantined").and_then(count),
        dropped: named("dropped"),
    }
}

pub(super) fn text(node: &Node, key: &str) -> Option<String> {
    node.get(key)?.text().map(|it| it.trim().to_owned())
}

pub(super) fn texts(node: &Node) -> Vec<String> {
    node.items().iter().filter_map(Node::text).collect()
}

/// The word of a choice.
pub(super) fn choice(node: &Node, key: &str) -> Option<String> {
    word(node.get(key)?)
}
