//! A revision by its reference: manifest, schema, card, tables, shards, Croissant.

use std::sync::Arc;

use axum::http::header;
use nodedata_core::{Error, ErrorKind, ReadAt as _};
use nodedata_registry::{
    AttachmentEntry, BlobReader, Revision, RevisionEntry,
    attach::{DOCUMENT_BYTES_MAX, DpReport},
    gate::Standing,
    record::{AttachmentKind, BlobRef, FileRef, ShardRef},
};
use nodedata_schema::Schema;
use serde_json::json;

use crate::{
    access::Asked,
    app::App,
    call::Call,
    catalog::summary,
    handlers::blobs::serve,
    numbers, published,
    refusal::{Answered, Refusal},
    reply::Reply,
    views::DatasetView,
};

/// Longest schema or card that is read, in bytes.
const TEXT_BYTES_MAX: u64 = 16 << 20;

const JSON: &str = "application/json";
const PARQUET: &str = "application/vnd.apache.parquet";

/// A revision that somebody sees.
pub(crate) struct Found {
    pub(crate) view: Arc<DatasetView>,
    pub(crate) entry: RevisionEntry,
    pub(crate) revision: Revision,
}

impl Found {
    /// The revision that `{name}@{revision}` means; the newest without one.
    pub(crate) fn of(app: &App, call: &Call) -> Answered<Self> {
        let reference = call.reference()?;
        let view = app.see(&call.principal, &reference.dataset)?;
        let entry = reference.resolve(&view.state);
        let entry = entry.map_err(|err| Refusal::of(404, "not-found", &err))?.clone();
        app.see_revision(&call.principal, &view, &entry)?;
        let revision = published::revision(&app.remote, &reference.dataset, &entry)?;
        Ok(Self { view, entry, revision })
    }

    /// What stands before it.
    pub(crate) fn standing(&self) -> Standing {
        let state = &self.view.state;
        let declared = || Standing { visibility: state.visibility, sensitivity: state.sensitivity.clone() };
        self.view.standing(&self.entry).cloned().unwrap_or_else(declared)
    }

    /// A text of it that everybody who sees it may read.
    pub(crate) fn text(&self, app: &App, blob: &BlobRef) -> Answered<String> {
        if blob.bytes > TEXT_BYTES_MAX {
            let err = Error::new(ErrorKind::Limit, format!("the text has {} bytes", blob.bytes));
            return Err(Refusal::invalid(&err.with_hint("read it as a blob")));
        }
        app.blob_of(&self.view, &blob.b3)?;
        let bytes = self.revision.read(blob)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    pub(crate) fn schema(&self, app: &App) -> Answered<Schema> {
        let text = self.text(app, &self.revision.manifest().schema.file.blob)?;
        Schema::from_json(&text)
            .map_err(|_| Error::new(ErrorKind::Corrupt, "the revision's schema cannot be read").into())
    }

    /// The reports of differential privacy that were attached to it, newest last. Those that cannot be read
    /// are left out: they were checked when they came.
    pub(crate) fn dp_reports(&self, app: &App) -> Vec<DpReport> {
        let about =
            |it: &&AttachmentEntry| it.kind == AttachmentKind::DpReport && it.manifest == self.entry.manifest;
        let reports = self.view.state.attachments.iter().filter(about).filter_map(|it| {
            if it.blob.bytes > DOCUMENT_BYTES_MAX {
                return None;
            }
            let reader =
                BlobReader::open(&app.remote, &self.view.state.dataset, &it.blob.b3, it.blob.bytes).ok()?;
            DpReport::parse(&reader.read_at(0..it.blob.bytes).ok()?).ok()
        });
        reports.collect()
    }

    fn shard(&self, idx: u64) -> Answered<ShardRef> {
        let shards = self.revision.shards()?;
        let found = usize::try_from(idx).ok().and_then(|it| shards.get(it));
        found.cloned().ok_or_else(|| Refusal::missing("shard"))
    }

    fn serve(
        &self,
        app: &Arc<App>,
        call: &Call,
        blob: &BlobRef,
        media_type: &'static str,
    ) -> Answered<Reply> {
        let found = app.blob_of(&self.view, &blob.b3)?;
        serve(app, call, &self.view, &blob.b3, &found, media_type)
    }
}

/// The dataset, or one revision of it.
pub(crate) fn show(app: &Arc<App>, call: &Call) -> Answered<Reply> {
    let reference = call.reference()?;
    let view = app.see(&call.principal, &reference.dataset)?;
    if !call.param("name").contains('@') {
        let revisions: Vec<_> = view.state.revisions.iter().map(|it| json!(it)).collect();
        return Reply::json(&json!({
            "dataset": summary(&view.state),
            "revisions": revisions,
            "tags": view.state.tags,
            "attachments": view.state.attachments,
        }));
    }
    let found = Found::of(app, call)?;
    Reply::json(
        &json!({"dataset": summary(&view.state), "revision": found.entry, "manifest": found.revision.manifest()}),
    )
}

pub(crate) fn manifest(app: &Arc<App>, call: &Call) -> Answered<Reply> {
    let found = Found::of(app, call)?;
    let blob = app.blob_of(&found.view, &found.entry.manifest)?;
    serve(app, call, &found.view, &found.entry.manifest, &blob, JSON)
}

pub(crate) fn schema(app: &Arc<App>, call: &Call) -> Answered<Reply> {
    let found = Found::of(app, call)?;
    found.serve(app, call, &found.revision.manifest().schema.file.blob, JSON)
}

pub(crate) fn readme(app: &Arc<App>, call: &Call) -> Answered<Reply> {
    let found = Found::of(app, call)?;
    // Plain text: what somebody wrote into it is no page of ours.
    found.serve(app, call, &found.revision.manifest().readme.blob, "text/plain; charset=utf-8")
}

pub(crate) fn index(app: &Arc<App>, call: &Call) -> Answered<Reply> {
    let found = Found::of(app, call)?;
    let table = found.revision.manifest().index.get(call.param("table"));
    let table = table.ok_or_else(|| Refusal::missing("index table"))?;
    let media_type = if table.path.ends_with(".json") { JSON } else { PARQUET };
    found.serve(app, call, &table.blob, media_type)
}

pub(crate) fn shard(app: &Arc<App>, call: &Call) -> Answered<Reply> {
    let found = Found::of(app, call)?;
    let shard = found.shard(call.number(&numbers::SHARD)?)?;
    found.serve(app, call, &shard.blob, PARQUET)
}

pub(crate) fn provenance(app: &Arc<App>, call: &Call) -> Answered<Reply> {
    let found = Found::of(app, call)?;
    let is_provenance = |it: &&FileRef| it.path == "provenance.jsonl";
    let file = found.revision.manifest().files.iter().find(is_provenance);
    let file = file.ok_or_else(|| Refusal::missing("provenance"))?;
    found.serve(app, call, &file.blob, "application/jsonl; charset=utf-8")
}

/// The revision in the words of Croissant. It tells of files and columns, not what is in them, so it is as
/// open as the manifest.
pub(crate) fn croissant(app: &Arc<App>, call: &Call) -> Answered<Reply> {
    let found = Found::of(app, call)?;
    let manifest = found.revision.manifest();
    let facts = nodedata_export::CroissantFacts {
        published: &found.entry.at,
        base_url: None,
        dp_reports: &found.dp_reports(app),
        shards: found.revision.shards()?,
    };
    let description = found.text(app, &manifest.readme.blob)?;
    let document = nodedata_export::croissant(manifest, &found.schema(app)?, &description, &facts);
    Ok(Reply::json(&document)?.with_header(header::CONTENT_TYPE, "application/ld+json"))
}

/// A file of the revision by its path.
pub(crate) fn file(app: &Arc<App>, call: &Call) -> Answered<Reply> {
    let found = Found::of(app, call)?;
    let path = call.param("path");
    let manifest = found.revision.manifest();
    let files = [&manifest.readme, &manifest.schema.file].into_iter().chain(manifest.index.values());
    let file = files.chain(&manifest.files).find(|it| it.path == path).map(|it| it.blob.clone());
    let blob = match file {
        Some(blob) => blob,
        None => {
            let shard = found.revision.shards()?.iter().find(|it| it.path == path);
            shard.ok_or_else(|| Refusal::missing("file"))?.blob.clone()
        }
    };
    found.serve(app, call, &blob, "application/octet-stream")
}

/// Statistics of the revision's columns: they come from the data, so the gate stands before them.
pub(crate) fn stats(app: &App, call: &Call, found: &Found) -> Answered<Option<serde_json::Value>> {
    let Some(file) = found.revision.manifest().index.get("stats") else { return Ok(None) };
    if file.blob.bytes > TEXT_BYTES_MAX {
        return Ok(None);
    }
    let blob = app.blob_of(&found.view, &file.blob.b3)?;
    let asked = Asked { action: "page", subject: file.blob.b3.to_string(), n_bytes: file.blob.bytes };
    app.admit(&call.principal, &found.view, &blob, &asked)?;
    let bytes = found.revision.read(&file.blob)?;
    Ok(serde_json::from_slice(&bytes).ok())
}
