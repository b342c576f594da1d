use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::Path,
    sync::Arc,
};

use base64::Engine as _;
use nodedata_core::{
    DType, Error, Feature, Layout, Locus, OpenOptions, Result, StreamClock, StreamId, StreamSchema,
};

use crate::{
    definitions::{OwnedChannel, OwnedSchema},
    fault::corrupt,
    log_plan::{Cost, Damage, LogPlan},
    payload::PayloadDecoder,
    routes::{Route, Routes},
    topics,
};

/// Columns every log stream starts with: log time, publish time, sequence.
pub(crate) const N_CLOCK_COLUMNS: usize = 3;

/// One stream with what it takes to read its messages.
#[derive(Debug)]
pub(crate) struct LogStream {
    pub(crate) schema: StreamSchema,
    pub(crate) layout: Arc<Layout>,
    pub(crate) decoder: PayloadDecoder,
    /// Payloads that start like a zstd frame are rosbag2's message compression.
    pub(crate) sniffs_zstd: bool,
}

/// The streams of all files, and which channel of which file leads to which.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    pub(crate) streams: Vec<LogStream>,
    /// By input.
    pub(crate) routes: Vec<Arc<Routes>>,
    pub(crate) unselected: Vec<String>,
    pub(crate) damage: Vec<Error>,
}

/// What makes two channels the same stream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Definition {
    topic: String,
    message_encoding: String,
    schema: Option<OwnedSchema>,
}

#[derive(Debug)]
struct Draft {
    definition: Definition,
    name: String,
    /// Every value each key of the channels' metadata has.
    metadata: BTreeMap<String, BTreeSet<String>>,
    /// Where the definition was first seen, for errors.
    input: usize,
    schema_missing: bool,
}

impl Streams {
    /// Joins the channels of all files into streams and compiles a decoder for each selected one.
    ///
    /// # Errors
    /// `Config` for a topic that is not there; opened to fail, `Corrupt` for a channel whose schema is
    /// missing, and whatever the message compiler returns for a schema it cannot read.
    pub(crate) fn join(plans: &mut [LogPlan], paths: &[&Path], options: &OpenOptions) -> Result<Self> {
        let mut drafts = Drafts::default();
        let mut draft_of: Vec<BTreeMap<u16, usize>> = Vec::new();
        for (input, plan) in plans.iter_mut().enumerate() {
            let mut by_channel = BTreeMap::new();
            let LogPlan { definitions, damage, .. } = plan;
            for (id, channel) in &definitions.channels {
                let schema = definitions.schemas.get(&channel.schema_id);
                let schema_missing = channel.schema_id != 0 && schema.is_none();
                if schema_missing {
                    let error = missing_schema(*id, channel).at(Locus::path(paths[input]));
                    if !options.salvage {
                        return Err(error);
                    }
                    damage.push(Damage { error, cost: Cost::nothing("schema_missing") });
                }
                by_channel.insert(*id, drafts.add(channel, schema, input, schema_missing));
            }
            draft_of.push(by_channel);
        }
        drafts.finish(plans, &draft_of, paths, options)
    }
}

#[derive(Debug, Default)]
struct Drafts {
    drafts: Vec<Draft>,
    by_definition: BTreeMap<Definition, usize>,
    names: BTreeSet<String>,
}

impl Drafts {
    fn add(
        &mut self,
        channel: &OwnedChannel,
        schema: Option<&OwnedSchema>,
        input: usize,
        schema_missing: bool,
    ) -> usize {
        let definition = Definition {
            topic: channel.topic.clone(),
            message_encoding: channel.message_encoding.clone(),
            schema: schema.cloned(),
        };
        let idx = match self.by_definition.get(&definition) {
            Some(idx) => *idx,
            None => {
                let name = self.free_name(&definition);
                self.names.insert(name.clone());
                self.by_definition.insert(definition.clone(), self.drafts.len());
                let metadata = BTreeMap::new();
                self.drafts.push(Draft { definition, name, metadata, input, schema_missing });
                self.drafts.len() - 1
            }
        };
        for (key, value) in &channel.metadata {
            self.drafts[idx].metadata.entry(key.clone()).or_default().insert(value.clone());
        }
        idx
    }

    /// The topic for its first definition; with a hash of the definition for every other one.
    fn free_name(&self, definition: &Definition) -> String {
        let topic = &definition.topic;
        if !self.names.contains(topic) {
            return topic.clone();
        }
        let hash = definition.hash();
        let mut name = format!("{topic}#");
        for (idx, byte) in hash.iter().enumerate() {
            write!(name, "{byte:02x}").expect("writing to a string cannot fail");
            // Eight digits are enough, unless two definitions happen to share them.
            if 3 <= idx && !self.names.contains(&name) {
                break;
            }
        }
        name
    }

    fn finish(
        self,
        plans: &[LogPlan],
        draft_of: &[BTreeMap<u16, usize>],
        paths: &[&Path],
        options: &OpenOptions,
    ) -> Result<Streams> {
        let mut names: Vec<&str> = Vec::new();
        for draft in &self.drafts {
            names.extend([draft.name.as_str(), draft.definition.topic.as_str()]);
        }
        names.sort_unstable();
        names.dedup();
        topics::check_patterns("topics", options.topics.as_deref().unwrap_or_default(), &names)?;
        topics::check_patterns("undecoded", &options.undecoded, &names)?;

        let mut order: Vec<usize> = (0..self.drafts.len()).collect();
        order.sort_by_key(|it| &self.drafts[*it].name);
        let mut joined = Streams::default();
        let mut stream_of: BTreeMap<usize, usize> = BTreeMap::new();
        for idx in order {
            let draft = &self.drafts[idx];
            if options.topics.as_ref().is_some_and(|it| !draft.fits_any(it)) {
                joined.unselected.push(draft.name.clone());
                continue;
            }
            stream_of.insert(idx, joined.streams.len());
            let id = StreamId(u32::try_from(joined.streams.len()).unwrap_or(u32::MAX));
            joined.streams.push(draft.compile(id, paths, options, &mut joined.damage)?);
        }
        for (plan, by_channel) in plans.iter().zip(draft_of) {
            joined.routes.push(Arc::new(routes(plan, by_channel, &stream_of)));
        }
        Ok(joined)
    }
}

fn routes(plan: &LogPlan, by_channel: &BTreeMap<u16, usize>, stream_of: &BTreeMap<usize, usize>) -> Routes {
    let mut routes = Routes::default();
    for (channel, draft) in by_channel {
        let stream = stream_of.get(draft);
        routes.set(*channel, stream.map_or(Route::Unselected, |it| Route::Stream(*it)));
    }
    for (id, channel) in &plan.definitions.channels {
        if let Some(place) = channel.ambiguous_from {
            routes.set_ambiguous(*id, place);
        }
    }
    routes
}

impl Definition {
    fn hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        let (encoding, name, data) = match &self.schema {
            Some(schema) => (schema.encoding.as_str(), schema.name.as_str(), schema.data.as_slice()),
            None => ("", "", [].as_slice()),
        };
        for part in [encoding.as_bytes(), name.as_bytes(), data, self.message_encoding.as_bytes()] {
            // The length in front keeps ("ab", "c") apart from ("a", "bc").
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        *hasher.finalize().as_bytes()
    }
}

impl Draft {
    fn fits_any(&self, patterns: &[String]) -> bool {
        patterns.iter().any(|it| topics::fits(it, &self.name) || topics::fits(it, &self.definition.topic))
    }

    fn compile(
        &self,
        id: StreamId,
        paths: &[&Path],
        options: &OpenOptions,
        damage: &mut Vec<Error>,
    ) -> Result<LogStream> {
        let mut layout = clock_layout();
        let is_opaque = self.schema_missing || self.fits_any(&options.undecoded);
        let _ = (paths, damage);
        let decoder = PayloadDecoder::opaque(&mut layout);
        let schema = StreamSchema {
            id,
            name: self.name.as_str().into(),
            clock: StreamClock::LogTimeNanos,
            features: layout.features().cloned().collect(),
            metadata: self.metadata(),
        };
        let sniffs_zstd = !is_opaque && self.definition.message_encoding == "cdr";
        Ok(LogStream { schema, layout: Arc::new(layout), decoder, sniffs_zstd })
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        let mut metadata = BTreeMap::new();
        let mut put = |key: &str, value: &str| metadata.insert(key.to_owned(), value.to_owned());
        put("topic", &self.definition.topic);
        put("message_encoding", &self.definition.message_encoding);
        if let Some(schema) = &self.definition.schema {
            put("schema_name", &schema.name);
            put("schema_encoding", &schema.encoding);
            match str::from_utf8(&schema.data) {
                Ok(text) => put("schema", text),
                Err(_) => {
                    let coded = base64::engine::general_purpose::STANDARD.encode(&schema.data);
                    put("schema", &format!("base64:{coded}"))
                }
            };
        }
        for (key, values) in &self.metadata {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            put(&format!("channel.{key}"), &values.join("\n"));
        }
        metadata
    }
}

fn clock_layout() -> Layout {
    let mut layout = Layout::default();
    for (name, dtype) in
        [("log_time_ns", DType::Int64), ("publish_time_ns", DType::Int64), ("sequence", DType::UInt32)]
    {
        layout.leaf(Feature::new(name, dtype, Vec::new()), &[]);
    }
    layout
}

fn missing_schema(id: u16, channel: &OwnedChannel) -> Error {
    corrupt(format!("channel {id} names schema {}, which the file does not hold", channel.schema_id))
        .at(Locus::topic(&channel.topic))
        .with_hint("`--on-error salvage` keeps the messages of this topic as bytes")
}
