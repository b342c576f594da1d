use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::Path,
    sync::Arc,
};

use base64::Engine as _;
use nodedata_core::{
    DType, Error, ErrorKind, Feature, Finding, FindingKind, Layout, LeafId, Locus, OnMisfit, OpenOptions,
    PUBLISH_TIME_NS, Result, SEQUENCE, StreamId, StreamKind, StreamSchema, meta, patterns,
};
use nodedata_message::{JsonInference, MessageDecoder, MessageSchema};

use crate::{
    ClockColumns, Cost, Damage, LogChannel, LogFacts, LogSchema, Route, Routes, corrupt,
    misfits::{Misfits, reason},
    missing::Provenance,
};

/// The column that says which channel a message came from.
const CHANNEL: &str = "_channel";
/// Where it is: behind the built-in ones.
const CHANNEL_ID: LeafId = LeafId(3);

/// One stream with what it takes to read its messages.
#[derive(Debug)]
pub(crate) struct LogStream {
    pub(crate) schema: StreamSchema,
    pub(crate) layout: Arc<Layout>,
    pub(crate) decoder: MessageDecoder,
    /// Payloads that start like a zstd frame are rosbag2's message compression.
    pub(crate) sniffs_zstd: bool,
    /// The column that says which channel a message came from, where a file has several.
    pub(crate) channel: Option<LeafId>,
    /// Whether messages that do not fit the columns are kept.
    pub(crate) keeps: Keeps,
    /// Why the definition cannot be used, so that all messages stay bytes.
    pub(crate) unusable: Option<Finding>,
}

/// Whether a stream keeps messages that do not fit its columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// It has none, as far as is known: one is reported as [`nodedata_core::ErrorKind::Misfit`].
    NotYet,
    /// It never will.
    Never,
    /// In this column; a stream of bytes needs none.
    In(Option<LeafId>),
}

/// The streams of all files before their decoders are compiled, and which channel leads to which.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    drafts: Vec<Draft>,
    /// By input.
    pub(crate) routes: Vec<Arc<Routes>>,
    pub(crate) unselected: Vec<String>,
}

/// What makes two channels the same stream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Definition {
    topic: String,
    message_encoding: String,
    schema: Option<LogSchema>,
}

#[derive(Debug)]
struct Draft {
    definition: Definition,
    name: String,
    /// Every value each key of the channels' metadata has.
    metadata: BTreeMap<String, BTreeSet<String>>,
    /// Its channels by input.
    channels: BTreeMap<usize, BTreeMap<u32, BTreeMap<String, String>>>,
    /// Where the definition was first seen, for errors.
    input: usize,
    schema_missing: bool,
    provenance: Provenance,
}

/// A topic of ROS 2 messages, as its recordings define it.
pub(crate) struct RosTopic {
    /// Position of its stream.
    pub(crate) stream: usize,
    /// Name of its stream.
    pub(crate) name: String,
    /// As the recordings name it.
    pub(crate) type_name: String,
    /// Its definition; empty where they only name its type.
    pub(crate) text: String,
    /// Whether that is IDL.
    pub(crate) is_idl: bool,
    /// Whether the empty definition may be meant: that of a type without fields is.
    pub(crate) may_be_empty: bool,
    /// The files it is in.
    pub(crate) inputs: Vec<usize>,
}

impl Joined {
    /// Joins the channels of all files into streams.
    ///
    /// # Errors
    /// `Config` for a topic that is not there; opened to fail, `Corrupt` for a channel whose schema is
    /// missing.
    pub(crate) fn new(files: &mut [LogFacts], paths: &[&Path], options: &OpenOptions) -> Result<Self> {
        let mut drafts = Drafts::default();
        let mut draft_of: Vec<BTreeMap<u32, usize>> = Vec::new();
        for (input, facts) in files.iter_mut().enumerate() {
            let mut by_channel = BTreeMap::new();
            let LogFacts { definitions, damage, .. } = facts;
            for (id, channel) in &definitions.channels {
                let schema = channel.schema_id.and_then(|it| definitions.schemas.get(&it));
                let schema_missing = channel.schema_id.is_some() && schema.is_none();
                if schema_missing {
                    let error = missing_schema(*id, channel).at(Locus::path(paths[input]));
                    if !options.salvage {
                        return Err(error);
                    }
                    damage.push(Damage { error, cost: Cost::nothing("schema_missing") });
                }
                by_channel.insert(*id, drafts.add((*id, channel), schema, input, schema_missing));
            }
            draft_of.push(by_channel);
        }
        drafts.select(files, &draft_of, options)
    }

    /// The topics of ROS 2 messages whose type is named, unless they are to stay bytes.
    pub(crate) fn ros_topics(&self, options: &OpenOptions) -> Vec<RosTopic> {
        let drafts = self.drafts.iter().enumerate().filter(|(_, draft)| !draft.stays_opaque(options));
        let of_draft = |(stream, draft): (usize, &Draft)| {
            let (schema, text) = draft.definition.of_ros2()?;
            Some(RosTopic {
                stream,
                name: draft.name.clone(),
                type_name: schema.name.clone(),
                text: text.to_owned(),
                is_idl: schema.encoding != "ros2msg",
                may_be_empty: schema.may_be_empty(),
                inputs: draft.channels.keys().copied().collect(),
            })
        };
        drafts.filter_map(of_draft).collect()
    }

    /// The type that the messages of a stream are said to be of.
    pub(crate) fn type_of(&self, stream: usize) -> &str {
        self.drafts[stream].definition.schema_parts().1
    }

    /// Says where the definition of a stream is from.
    pub(crate) fn define(&mut self, stream: usize, provenance: Provenance) {
        self.drafts[stream].provenance = provenance;
    }

    /// For each stream, what its types have to be inferred with; `None` when its schema says them.
    pub(crate) fn inferences(&self, options: &OpenOptions) -> Vec<Option<JsonInference>> {
        let inference = |draft: &Draft| {
            let needed = !draft.stays_opaque(options) && draft.definition.schema().needs_inference();
            needed.then(|| match draft.definition.message_encoding.as_str() {
                "cbor" => JsonInference::cbor(),
                _ => JsonInference::default(),
            })
        };
        self.drafts.iter().map(inference).collect()
    }

    /// The streams of this opening that have messages that do not fit: those known before, and those at these positions.
    pub(crate) fn misfits(&self, known: &Misfits, found: &BTreeSet<usize>) -> Misfits {
        let drafts = self.drafts.iter().enumerate();
        let names = drafts.filter(|(idx, it)| found.contains(idx) || known.holds(&it.name));
        let definitions =
            self.drafts.iter().filter_map(|it| Some((it.name.clone(), it.provenance.to_found()?)));
        Misfits {
            misfits: names.map(|(_, it)| it.name.clone()).collect(),
            definitions: definitions.collect(),
        }
    }

    /// Compiles a decoder for each stream. `inferences` has seen the messages. The messages of a schema that cannot be used stay
    /// bytes, which whoever reads one is told.
    pub(crate) fn compile(
        self,
        inferences: Vec<Option<JsonInference>>,
        misfits: &Misfits,
        clocks: &[Option<ClockColumns>],
        paths: &[&Path],
        options: &OpenOptions,
        warnings: &mut Vec<Error>,
    ) -> Vec<LogStream> {
        let mut streams = Vec::new();
        for (idx, (draft, inference)) in self.drafts.iter().zip(inferences).enumerate() {
            let holds_misfits = misfits.holds(&draft.name);
            let clock = draft.clock(clocks);
            let mut layout = draft.layout(clock);
            let n_own = layout.features().len();
            let place = || Locus { topic: Some(draft.name.clone()), ..Locus::path(paths[draft.input]) };
            let mut unusable = None;
            let decoder = match draft.decoder(&mut layout, inference, holds_misfits, options) {
                Ok(decoder) => decoder,
                Err(err) => {
                    let (err, reason) = match draft.provenance.reason() {
                        Some(reason) => (err, reason),
                        None => (draft.unusable_schema(err), reason::SCHEMA),
                    };
                    let finding = Finding::new(FindingKind::Repair, &err.at(place()), |_| None);
                    unusable = Some(Finding { reason: reason.to_owned(), ..finding });
                    layout = draft.layout(clock);
                    MessageDecoder::opaque(&mut layout)
                }
            };
            warnings.extend(draft.provenance.warning().map(|it| it.at(place())));
            warnings.extend(decoder.told_apart().iter().map(|it| told_apart(it).at(place())));
            let keeps = match options.on_misfit {
                OnMisfit::Fail => Keeps::Never,
                OnMisfit::Keep if !holds_misfits => Keeps::NotYet,
                OnMisfit::Keep => Keeps::In(hold_misfits(&mut layout, LeafId(n_own), &decoder)),
            };
            let id = StreamId(u32::try_from(idx).unwrap_or(u32::MAX));
            streams.push(draft.stream(id, layout, decoder, paths, keeps, unusable));
        }
        streams
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
        (id, channel): (u32, &LogChannel),
        schema: Option<&LogSchema>,
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
                let (metadata, channels) = (BTreeMap::new(), BTreeMap::new());
                let provenance = Provenance::default();
                self.drafts.push(Draft {
                    definition,
                    name,
                    metadata,
                    channels,
                    input,
                    schema_missing,
                    provenance,
                });
                self.drafts.len() - 1
            }
        };
        for (key, value) in &channel.metadata {
            self.drafts[idx].metadata.entry(key.clone()).or_default().insert(value.clone());
        }
        self.drafts[idx].channels.entry(input).or_default().insert(id, channel.metadata.clone());
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

    fn select(
        self,
        files: &[LogFacts],
        draft_of: &[BTreeMap<u32, usize>],
        options: &OpenOptions,
    ) -> Result<Joined> {
        let mut names: Vec<&str> = Vec::new();
        for draft in &self.drafts {
            names.extend([draft.name.as_str(), draft.definition.topic.as_str()]);
        }
        patterns::check_patterns("topic", "topics", options.topics.as_deref().unwrap_or_default(), &names)?;
        patterns::check_patterns("topic", "undecoded", &options.undecoded, &names)?;

        // By name, so that a stream's number does not depend on which file happens to come first.
        let mut ordered: Vec<(usize, Draft)> = self.drafts.into_iter().enumerate().collect();
        ordered.sort_by(|left, right| left.1.name.cmp(&right.1.name));
        let mut joined = Joined::default();
        let mut stream_of: BTreeMap<usize, usize> = BTreeMap::new();
        for (idx, draft) in ordered {
            if options.topics.as_ref().is_some_and(|it| !draft.fits_any(it)) {
                joined.unselected.push(draft.name);
                continue;
            }
            stream_of.insert(idx, joined.drafts.len());
            joined.drafts.push(draft);
        }
        for (facts, by_channel) in files.iter().zip(draft_of) {
            joined.routes.push(Arc::new(routes(facts, by_channel, &stream_of)));
        }
        Ok(joined)
    }
}

fn routes(facts: &LogFacts, by_channel: &BTreeMap<u32, usize>, stream_of: &BTreeMap<usize, usize>) -> Routes {
    let mut routes = Routes::default();
    for (channel, draft) in by_channel {
        let stream = stream_of.get(draft);
        routes.set(*channel, stream.map_or(Route::Unselected, |it| Route::Stream(*it)));
    }
    for (id, channel) in &facts.definitions.channels {
        if let Some(place) = facts.definitions.ambiguous_from(channel) {
            routes.set_ambiguous(*id, place);
        }
    }
    routes
}

impl Definition {
    fn schema(&self) -> MessageSchema<'_> {
        let (schema_encoding, schema_name, schema) = self.schema_parts();
        MessageSchema { message_encoding: &self.message_encoding, schema_encoding, schema_name, schema }
    }

    /// The schema of ROS 2 messages that names their type, with what it says of it: nothing where the text is empty.
    fn of_ros2(&self) -> Option<(&LogSchema, &str)> {
        let schema =
            self.schema.as_ref().filter(|it| self.message_encoding == "cdr" && !it.name.trim().is_empty())?;
        let text = str::from_utf8(&schema.data).ok()?;
        match schema.encoding.as_str() {
            _ if text.trim_ascii().is_empty() => Some((schema, "")),
            "ros2msg" | "ros2idl" | "omgidl" => Some((schema, text)),
            _ => None,
        }
    }

    /// The schema, where it names the type of ROS 2 messages and says nothing more of it.
    fn undefined(&self) -> Option<&LogSchema> {
        self.of_ros2().filter(|it| it.1.is_empty()).map(|it| it.0)
    }

    /// Whether there is nothing but the name of a type that says itself how its messages lie, as ROS 1 has them where the
    /// publisher sent no definition.
    fn only_names_its_type(&self) -> bool {
        self.message_encoding == "ros1"
            && self.schema.as_ref().is_some_and(|it| it.encoding.is_empty() && it.data.is_empty())
    }

    /// Encoding, name and content of the schema; empty when there is none.
    fn schema_parts(&self) -> (&str, &str, &[u8]) {
        let schema = self.schema.as_ref();
        schema.map_or(("", "", &[]), |it| (&it.encoding, &it.name, &it.data))
    }

    fn hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        let (encoding, name, data) = self.schema_parts();
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
        patterns.iter().any(|it| patterns::fits(it, &self.name) || patterns::fits(it, &self.definition.topic))
    }

    fn stays_opaque(&self, options: &OpenOptions) -> bool {
        self.schema_missing || self.fits_any(&options.undecoded)
    }

    fn decoder(
        &self,
        layout: &mut Layout,
        inference: Option<JsonInference>,
        holds_misfits: bool,
        options: &OpenOptions,
    ) -> Result<MessageDecoder> {
        match inference {
            Some(inference) => inference.compile(layout),
            None if self.stays_opaque(options) => Ok(MessageDecoder::opaque(layout)),
            None if self.definition.only_names_its_type() => {
                Err(Error::new(ErrorKind::Unsupported, "the recording names the type and does not define it"))
            }
            None => match self.provenance.refusal(self.definition.schema_parts().1, &self.name) {
                Some(err) => Err(err.at(Locus::topic(&self.definition.topic))),
                None if holds_misfits => MessageDecoder::compile_loose(layout, &self.schema()),
                None => MessageDecoder::compile(layout, &self.schema()),
            },
        }
    }

    /// Where the definition of ROS 2 messages is from; `None` where nobody looked for one.
    fn verdict(&self) -> Option<&str> {
        let definition = &self.definition;
        let is_looked_for = definition.undefined().is_none_or(LogSchema::may_be_empty);
        let embedded = definition.message_encoding == "cdr" && definition.schema.is_some() && is_looked_for;
        self.provenance.verdict().or(embedded.then_some("embedded"))
    }

    /// The schema that its messages are read by.
    fn schema(&self) -> MessageSchema<'_> {
        let own = self.definition.schema();
        match &self.provenance {
            Provenance::Chosen { text, .. } => {
                MessageSchema { schema_encoding: "ros2msg", schema: text.as_bytes(), ..own }
            }
            Provenance::Recording | Provenance::Nowhere { .. } => own,
        }
    }

    fn stream(
        &self,
        id: StreamId,
        layout: Layout,
        decoder: MessageDecoder,
        paths: &[&Path],
        keeps: Keeps,
        unusable: Option<Finding>,
    ) -> LogStream {
        let schema = StreamSchema {
            id,
            name: self.name.as_str().into(),
            kind: StreamKind::Messages,
            features: layout.features().cloned().collect(),
            metadata: self.metadata(paths),
        };
        let sniffs_zstd = !decoder.is_opaque() && self.definition.message_encoding == "cdr";
        let channel = self.has_several_channels().then_some(CHANNEL_ID);
        LogStream { schema, layout: Arc::new(layout), decoder, sniffs_zstd, channel, keeps, unusable }
    }

    /// The columns beside the log time that its messages have in every one of its files.
    fn clock(&self, clocks: &[Option<ClockColumns>]) -> ClockColumns {
        let all = ClockColumns { publish_time: true, sequence: true };
        let of_files = self.channels.keys().filter_map(|it| clocks[*it]);
        of_files.fold(all, ClockColumns::shared_with)
    }

    /// The columns of the log itself.
    fn layout(&self, clock: ClockColumns) -> Layout {
        let mut layout = clock_layout(clock);
        if self.has_several_channels() {
            let about =
                "the channel it came from, as its file calls it; `channels` of the stream says more of each";
            let feature = Feature::new(CHANNEL, DType::UInt32, Vec::new());
            layout.leaf(feature.with_meta(meta::DESCRIPTION, about), &[]);
        }
        layout
    }

    /// Whether a file has several publishers of the topic, so that rows say which one they came from.
    fn has_several_channels(&self) -> bool {
        self.channels.values().any(|it| 1 < it.len())
    }

    fn unusable_schema(&self, cause: Error) -> Error {
        let MessageSchema { schema_name, schema_encoding, .. } = self.definition.schema();
        let message = match schema_encoding {
            "" => format!("type `{schema_name}` has no definition, so its messages stay bytes"),
            _ => format!(
                "schema `{schema_name}` with encoding `{schema_encoding}` cannot be used, so its messages stay bytes"
            ),
        };
        Error::new(cause.kind(), message)
            .at(Locus::topic(&self.definition.topic))
            .with_hint(format!(
                "`--undecoded {}` asks for the bytes, and then nothing is wrong with them",
                self.name
            ))
            .with_source(cause)
    }

    fn metadata(&self, paths: &[&Path]) -> BTreeMap<String, String> {
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
        if let Some(verdict) = self.verdict() {
            put("definition", verdict);
        }
        if let Provenance::Chosen { text, .. } = &self.provenance {
            put("definition_text", text);
        }
        for (key, values) in &self.metadata {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            put(&format!("channel.{key}"), &values.join("\n"));
        }
        if self.has_several_channels() {
            let by_path: BTreeMap<String, _> =
                self.channels.iter().map(|(input, it)| (paths[*input].display().to_string(), it)).collect();
            // Maps whose keys are texts and numbers are always JSON.
            put("channels", &serde_json::to_string(&by_path).unwrap_or_default());
        }
        metadata
    }
}

fn clock_layout(clock: ClockColumns) -> Layout {
    let mut layout = Layout::default();
    for built_in in StreamKind::Messages.built_in() {
        let feature = Feature::new(built_in.name, built_in.dtype, Vec::new());
        let is_always_there = match built_in.name {
            PUBLISH_TIME_NS => clock.publish_time,
            SEQUENCE => clock.sequence,
            _ => true,
        };
        layout.leaf(if is_always_there { feature } else { feature.nullable() }, &[]);
    }
    layout
}

/// Says which column a field is, where another field has the name that one would look for.
fn told_apart((field, column): &(String, String)) -> Error {
    let message = format!(
        "field `{field}` is the column `{column}`: its own name is that of a column that every topic has, and another field is \
         called `message.{field}`"
    );
    Error::new(ErrorKind::Config, message)
}

/// Makes room for messages that do not fit: every column of theirs may be null, and so may the publish time. Messages that
/// stay bytes always fit.
fn hold_misfits(layout: &mut Layout, first: LeafId, decoder: &MessageDecoder) -> Option<LeafId> {
    let publish_time = layout.features().take(first.0).position(|it| it.name == PUBLISH_TIME_NS);
    if let Some(at) = publish_time {
        layout.feature_mut(LeafId(at)).nullable = true;
    }
    (!decoder.is_opaque()).then(|| decoder.hold_misfits(layout, first))
}

fn missing_schema(id: u32, channel: &LogChannel) -> Error {
    let schema = channel.schema_id.unwrap_or_default();
    corrupt(format!("channel {id} names schema {schema}, which the file does not hold"))
        .at(Locus::topic(&channel.topic))
        .with_hint("`--on-error salvage` keeps the messages of this topic as bytes")
}
