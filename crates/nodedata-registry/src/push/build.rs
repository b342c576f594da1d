use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use nodedata_core::{
    Error, ErrorKind, Progress, Result, Silent,
    patterns::{check_pattern, fits},
    suggest,
};
use nodedata_schema::{Mode, Schema};

use crate::{
    content::Contents,
    digest::B3,
    folder::{
        CardFacts, Draft, EpisodeKeys, PlainModel, PlainShard, ScanOptions, read_converted, reassign,
        restore, scan, with_card, without_episodes,
    },
    hashing::read_error,
    push::{PushOptions, deep, facts::Said},
    record::Facts,
    revision::Revision,
};

/// What was named on the command line, hashed and read once.
pub(crate) enum Pushed {
    /// A converted dataset: published as it is.
    Converted(Box<Draft>),
    /// Plain shards.
    Plain(Box<PlainModel>),
    /// Nothing: the data stays.
    Facts,
    /// What is published, without the rows that it leaves out: shards are written again below the folder.
    Rewritten(PathBuf),
}

impl Pushed {
    /// Reads what is pushed. `parent` is the revision it will follow.
    pub(crate) fn read(
        options: &PushOptions,
        parent: Option<&Revision>,
        progress: &dyn Progress,
    ) -> Result<Self> {
        if let Some(folder) = &options.rewrite {
            return Ok(Self::Rewritten(folder.clone()));
        }
        match options.paths.as_slice() {
            [] if options.append => {
                Err(Error::new(ErrorKind::Config, "--append adds shards, and none is named")
                    .with_hint("name the shards to add"))
            }
            [] => Ok(Self::Facts),
            [folder] if folder.join("manifest.json").is_file() => {
                for (flag, is_given) in [
                    ("--schema", options.schema.is_some()),
                    ("--sample-index", options.sample_index.is_some()),
                ] {
                    if is_given {
                        let message =
                            format!("{flag} is for plain shards, but a converted dataset brings its own");
                        return Err(Error::new(ErrorKind::Config, message)
                            .with_hint("leave it out, or convert again with `--schema`"));
                    }
                }
                for (flag, is_given) in [
                    ("--assign", !options.assign.is_empty()),
                    ("--split", !options.new_splits.is_empty()),
                    ("--readme", options.readme.is_some()),
                ] {
                    if is_given {
                        let message =
                            format!("{flag} has no effect on a converted dataset while it is pushed");
                        return Err(Error::new(ErrorKind::Config, message)
                            .with_hint(format!("push it, and then push `{flag}` without a path")));
                    }
                }
                if options.append {
                    let message = "--append adds plain shards, but a converted dataset takes the place of what is published";
                    return Err(Error::new(ErrorKind::Config, message).with_hint(
                        "convert the new recordings together with the old ones (what is finished is used again), and push that without `--append`",
                    ));
                }
                let draft = read_converted(folder, &options.cache, progress)?;
                Ok(Self::Converted(Box::new(draft)))
            }
            paths => {
                let mut schema = options.schema.clone();
                if let (true, None, Some(parent)) = (options.append, &schema, parent) {
                    // What is added must follow what was declared.
                    schema = Some(restore(parent)?.schema).filter(|it| it.mode == Some(Mode::Declared));
                }
                let scan_options = ScanOptions {
                    schema,
                    sample_index: options.sample_index.clone(),
                    readme: options.readme.clone(),
                };
                Ok(Self::Plain(Box::new(scan(paths, &scan_options, &options.cache, progress)?)))
            }
        }
    }

    /// Reads every row of what was named; what is published already was checked when it came.
    ///
    /// # Errors
    /// `SchemaMismatch` with what was found; `Io`; `Interrupted` when `progress` says to stop.
    pub(crate) fn check_rows(&self, options: &PushOptions, progress: &dyn Progress) -> Result<()> {
        match self {
            Self::Converted(draft) => deep::check(draft, &options.paths, progress),
            Self::Plain(mine) => deep::check(&mine.render(&CardFacts::default())?, &options.paths, progress),
            Self::Facts | Self::Rewritten(_) => Ok(()),
        }
    }

    /// The dataset to publish after `head`, when `base` was the head at the start.
    ///
    /// # Errors
    /// `Conflict` when others have published meanwhile what this cannot be merged with.
    pub(crate) fn draft(
        &self,
        options: &PushOptions,
        said: &Said,
        base: Option<&Revision>,
        head: Option<&Revision>,
    ) -> Result<Draft> {
        let has_moved = base.map(Revision::digest) != head.map(Revision::digest);
        let mut model = match self {
            Self::Converted(draft) => {
                let is_same = |it: &Revision| {
                    let root = it.contents().map(|it| it.root());
                    root.is_ok_and(|it| it == draft.contents.root())
                };
                if has_moved && !head.is_some_and(is_same) {
                    return Err(conflict(
                        "revision-exists",
                        "another revision was published meanwhile, and a converted dataset cannot be merged",
                    ));
                }
                let draft = (**draft).clone();
                return match &said.card {
                    Some(card) => with_card(draft, card),
                    None => Ok(draft),
                };
            }
            Self::Rewritten(folder) => {
                let head = head.ok_or_else(|| Error::new(ErrorKind::Config, "there is no revision yet"))?;
                let gone = EpisodeKeys::left_out(head.manifest());
                if gone.is_empty() {
                    // It would be published as it is, and taken for one without the rows.
                    let message = "the newest revision leaves no episode out any more";
                    return Err(Error::new(ErrorKind::Conflict, message)
                        .with_hint("`node-data dataset log` shows who took the episodes in again"));
                }
                return without_episodes(head, Arc::new(head.clone()), &gone, folder, &Silent);
            }
            Self::Facts => {
                let head = head.ok_or_else(|| {
                    Error::new(ErrorKind::Config, "there is no revision yet whose facts could change")
                        .with_hint("name the shards to push")
                })?;
                if options.assign.is_empty() && options.readme.is_none() {
                    return Draft::of_revision(head);
                }
                if !head.manifest().index.contains_key("contents") {
                    return reassigned(head, options);
                }
                restore(head)?
            }
            Self::Plain(mine) if options.append => match head {
                None => (**mine).clone(),
                Some(head) => added(restore(head)?, mine)?,
            },
            Self::Plain(mine) if has_moved => {
                let of = |it: Option<&Revision>| it.map(restore).transpose();
                merged(of(base)?, mine, of(head)?)?
            }
            Self::Plain(mine) => (**mine).clone(),
        };
        if let (Self::Facts, Some(file)) = (self, &options.readme) {
            model.readme = Some(read_text(file)?);
        }
        if model.readme.is_none() {
            model.readme.clone_from(&said.card);
        }
        assign(&mut model, options)?;
        model.render(&card_facts(options, &said.facts))
    }
}

impl Draft {
    /// A published revision as it is: nothing need be sent.
    pub(crate) fn of_revision(revision: &Revision) -> Result<Self> {
        let manifest = revision.manifest();
        let mut roles: BTreeMap<String, String> =
            manifest.index.iter().map(|(name, it)| (name.clone(), it.path.clone())).collect();
        roles.insert("readme".to_owned(), manifest.readme.path.clone());
        roles.insert("schema".to_owned(), manifest.schema.file.path.clone());
        let files = [&manifest.readme, &manifest.schema.file].into_iter();
        let files = files.chain(manifest.index.values()).chain(&manifest.files).cloned().collect();
        let splits = manifest.splits.iter().map(|(name, it)| {
            let mut split = it.clone();
            split.exclude.clear();
            (name.clone(), split)
        });
        let shards = revision.shards()?.to_vec();
        let mut draft = Self {
            shards,
            files,
            roles,
            sources: BTreeMap::new(),
            schema_mode: manifest.schema.mode.clone(),
            splits: splits.collect(),
            contents: revision.all_contents()?,
            provenance_root: manifest.provenance_root,
            warnings: Vec::new(),
        };
        // The counts of the manifest leave out what is excluded; the draft's do not.
        for (name, split) in &mut draft.splits {
            let excluded = manifest.splits.get(name).map(|it| it.exclude.as_slice()).unwrap_or_default();
            split.episodes += excluded.len() as u64;
            let rows =
                draft.contents.0.iter().filter(|(id, _)| id.split == *name && excluded.contains(&id.key));
            split.frames += rows.map(|(_, it)| it.rows).sum::<u64>();
        }
        Ok(draft)
    }
}

/// The episodes of `mine` after those that are published.
fn added(mut model: PlainModel, mine: &PlainModel) -> Result<PlainModel> {
    model.schema = joined(&model.schema, &mine.schema)?;
    if mine.readme.is_some() {
        model.readme.clone_from(&mine.readme);
    }
    model.add(mine.shards.clone())?;
    Ok(model)
}

fn joined(published: &Schema, mine: &Schema) -> Result<Schema> {
    if published.fields == mine.fields && published.mode == mine.mode {
        let mut schema = published.clone();
        schema.splits.extend(mine.splits.iter().filter(|it| !published.splits.contains(it)).cloned());
        return Ok(schema);
    }
    match (published.mode, mine.mode) {
        (Some(Mode::Inferred), Some(Mode::Inferred)) => crate::folder::join_schemas(published, mine),
        _ => Err(conflict("schema", "the schema is another than the one that is published")),
    }
}

/// What `mine` changes of `base`, done to `head`.
fn merged(base: Option<PlainModel>, mine: &PlainModel, head: Option<PlainModel>) -> Result<PlainModel> {
    let Some(mut model) = head else { return Ok(mine.clone()) };
    let base = base.map(|it| it.shards).unwrap_or_default();
    let mine_changed = touched(&base, &mine.shards);
    let theirs_changed = touched(&base, &model.shards);
    if mine_changed.iter().any(|it| theirs_changed.contains(it)) && model.contents() != mine.contents() {
        return Err(conflict("episode-conflict", "another push has changed the same episodes meanwhile"));
    }
    let has = |shards: &[PlainShard], b3: B3| shards.iter().any(|it| it.blob.b3 == b3);
    let removed: BTreeSet<B3> =
        base.iter().map(|it| it.blob.b3).filter(|it| !has(&mine.shards, *it)).collect();
    let added: Vec<PlainShard> = mine.shards.iter().filter(|it| !has(&base, it.blob.b3)).cloned().collect();
    model.schema = joined(&model.schema, &mine.schema)?;
    model.shards.retain(|it| !removed.contains(&it.blob.b3));
    model.add(added)?;
    Ok(model)
}

/// Split and key of every episode that lies in a shard only one of the two has.
fn touched(base: &[PlainShard], new: &[PlainShard]) -> BTreeSet<(String, String)> {
    let only = |a: &[PlainShard], b: &[PlainShard]| {
        let known: BTreeSet<B3> = b.iter().map(|it| it.blob.b3).collect();
        let ids = |it: &PlainShard| {
            let split = it.split.clone();
            it.episodes.iter().map(move |episode| (split.clone(), episode.key.clone())).collect::<Vec<_>>()
        };
        a.iter().filter(|it| !known.contains(&it.blob.b3)).flat_map(ids).collect::<BTreeSet<_>>()
    };
    let mut all = only(base, new);
    all.extend(only(new, base));
    all
}

/// Counts shards to other splits.
fn assign(model: &mut PlainModel, options: &PushOptions) -> Result<()> {
    check_patterns(&options.assign, model.shards.iter().map(|it| it.path.as_str()))?;
    let known = model.shards.iter().map(|it| it.split.as_str());
    check_splits(options, known.chain(model.schema.splits.iter().map(String::as_str)))?;
    for shard in &mut model.shards {
        if let Some(split) = split_of(&options.assign, &shard.path) {
            shard.split.clone_from(split);
            if !model.schema.splits.contains(split) {
                model.schema.splits.push(split.clone());
            }
        }
    }
    model.check_episodes()
}

/// The same for a dataset that was converted.
fn reassigned(head: &Revision, options: &PushOptions) -> Result<Draft> {
    let draft = Draft::of_revision(head)?;
    check_patterns(&options.assign, draft.shards.iter().map(|it| it.path.as_str()))?;
    check_splits(options, draft.splits.keys().map(String::as_str))?;
    let readme = options.readme.as_deref().map(read_text).transpose()?;
    reassign(head, draft, &|path| split_of(&options.assign, path).cloned(), readme.as_deref())
}

fn read_text(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).map_err(|err| read_error(file, err))
}

fn split_of<'a>(assign: &'a BTreeMap<String, String>, path: &str) -> Option<&'a String> {
    let inside = path.strip_prefix("data/").unwrap_or(path);
    assign.iter().find(|(pattern, _)| fits(pattern, path) || fits(pattern, inside)).map(|(_, it)| it)
}

fn check_patterns<'a>(assign: &BTreeMap<String, String>, paths: impl Iterator<Item = &'a str>) -> Result<()> {
    let paths: Vec<&str> = paths.collect();
    for (pattern, split) in assign {
        let one = [(pattern.clone(), split.clone())].into();
        if !paths.iter().any(|it| split_of(&one, it).is_some()) {
            check_pattern(pattern)?;
            let inside = paths.iter().map(|it| it.strip_prefix("data/").unwrap_or(*it));
            return Err(Error::new(ErrorKind::Config, format!("no shard is called `{pattern}`"))
                .with_hint(format!("{}; `dataset show --shards` lists them", suggest(pattern, inside))));
        }
    }
    Ok(())
}

/// Refuses splits that are not there and that nobody asked for, and new ones that get nothing.
fn check_splits<'a>(options: &PushOptions, known: impl Iterator<Item = &'a str>) -> Result<()> {
    let known: BTreeSet<&str> = known.collect();
    let refused = |message: String, hint: String| Err(Error::new(ErrorKind::Config, message).with_hint(hint));
    let is_new = |it: &&String| !known.contains(it.as_str()) && !options.new_splits.contains(it);
    if let Some(split) = options.assign.values().find(is_new) {
        let hint = suggest(split, known.iter().copied());
        return refused(
            format!("`--assign {split}=…`: the dataset has no split `{split}`"),
            format!("{hint}; `--split {split}` makes it"),
        );
    }
    match options.new_splits.iter().find(|it| options.assign.values().all(|split| split != *it)) {
        Some(idle) => refused(
            format!("`--split {idle}`: no shard is assigned to it"),
            format!("add `--assign {idle}=SHARD`, or leave it out"),
        ),
        None => Ok(()),
    }
}

fn card_facts(options: &PushOptions, facts: &Facts) -> CardFacts {
    CardFacts {
        title: facts.title.clone().unwrap_or_else(|| options.dataset.name().to_owned()),
        license: facts.license.clone(),
        tags: facts.tags.clone().unwrap_or_default(),
    }
}

/// A push that came second, with the protocol's word for why.
pub(crate) fn conflict(kind: &str, message: &str) -> Error {
    Error::new(ErrorKind::Conflict, format!("{message} ({kind})"))
        .with_hint("look at `node-data dataset log`, then push again on top of it")
}

/// The contents that count: without what is left out.
pub(crate) fn without_excluded(contents: &Contents, is_excluded: impl Fn(&str, &str) -> bool) -> Contents {
    let kept = contents.0.iter().filter(|(id, _)| !is_excluded(&id.split, &id.key));
    Contents(kept.map(|(id, it)| (id.clone(), it.clone())).collect())
}
