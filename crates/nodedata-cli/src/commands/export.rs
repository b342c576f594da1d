use std::path::{Path, PathBuf};

use clap::Subcommand;
use nodedata_client::{Opening, Registry};
use nodedata_core::{
    Error, Result,
    placed::mistakes_to_error,
    visible::{visible, visible_json},
};
use nodedata_dataset::Dataset;
use nodedata_export::{CroissantFacts, ExportReport, HubFacts, croissant, export_hugging_face};
use nodedata_io::io_error;
use nodedata_registry::{
    DatasetState, REVISION_FILE, Revision,
    attach::{DOCUMENT_BYTES_MAX, DpReport},
    pull,
    record::{AttachmentKind, RevisionManifest},
};
use nodedata_schema::Schema;

use crate::{Outcome, args::Output, commands::dataset_args::StoreArgs, documents, human, message};

/// Write a dataset as other tools want it.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ExportCommand {
    /// A folder for the Hugging Face Hub, which `load_dataset` opens: hard links where the disk allows.
    Hf {
        /// Folder of a dataset, or a revision.
        #[arg(value_name = "DIR|REF")]
        source: String,
        /// The new folder.
        #[arg(value_name = "OUT")]
        out: PathBuf,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Croissant 1.1 with RAI, as JSON-LD, of a revision.
    Croissant {
        /// A revision.
        #[arg(value_name = "REF")]
        source: String,
        /// Address of the server whose files it names; relative paths when absent.
        #[arg(long, value_name = "URL")]
        base_url: Option<String>,
        #[command(flatten)]
        store: StoreArgs,
    },
}

/// `node-data export`.
pub(crate) fn run(command: &ExportCommand, output: Output) -> Result<Outcome> {
    match command {
        ExportCommand::Hf { source, out, store } => hugging_face(source, out, store, output),
        ExportCommand::Croissant { source, base_url, store } => {
            tell_croissant(source, base_url.as_deref(), store)
        }
    }
}

fn hugging_face(source: &str, out: &Path, store: &StoreArgs, output: Output) -> Result<Outcome> {
    let report = if Path::new(source).join("manifest.json").is_file() {
        export_folder(Path::new(source), out)?
    } else {
        let registry = Registry::open(store, Opening::Existing)?;
        let reference = registry.reference(source)?;
        let state = DatasetState::open(&*registry.remote, &reference.dataset)?;
        let revision = Revision::open(&registry.remote, &reference.dataset, reference.resolve(&state)?)?;
        // Beside the folder, so that it can be linked from there.
        let parent = out.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = tempfile::Builder::new()
            .prefix(".nodedata-export-")
            .tempdir_in(parent)
            .map_err(|err| io_error("cannot make a folder", parent, err))?;
        let pulled = folder.path().join("dataset");
        pull(&revision, &pulled, false, &nodedata_core::Silent)?;
        export_folder(&pulled, out)?
    };
    match output {
        Output::Json => {
            let ExportReport { files, bytes, copied } = report;
            message::to_stdout(&documents::line(&documents::HubExport { out, files, bytes, copied })?)?;
        }
        Output::Text => {
            let (files, bytes) = (human::plural(report.files, "file"), human::bytes(report.bytes));
            message::to_stdout(&format!(
                "{}  {files}, {bytes}, {} copied\n",
                visible(&out.to_string_lossy()),
                report.copied
            ))?;
        }
    }
    Ok(Outcome::Complete)
}

/// What a revision says of itself lies in the folder of a pull; a converted dataset says nothing.
fn export_folder(folder: &Path, out: &Path) -> Result<ExportReport> {
    let facts = match std::fs::read(folder.join(REVISION_FILE)) {
        Ok(bytes) => {
            let manifest = RevisionManifest::parse(&bytes)?;
            let gate = manifest.sensitivity.gate.is_some();
            HubFacts {
                license: manifest.license,
                title: manifest.title,
                tags: manifest.tags.into_iter().chain(manifest.modality).collect(),
                gate: gate.then(|| "This dataset is gated: readers attest to an agreement.".to_owned()),
            }
        }
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => HubFacts::default(),
        Err(err) => return Err(err.into()),
    };
    export_hugging_face(&Dataset::open(folder)?, out, &facts)
}

fn tell_croissant(source: &str, base_url: Option<&str>, store: &StoreArgs) -> Result<Outcome> {
    let registry = Registry::open(store, Opening::Existing)?;
    let reference = registry.reference(source)?;
    let state = DatasetState::open(&*registry.remote, &reference.dataset)?;
    let entry = reference.resolve(&state)?;
    let revision = Revision::open(&registry.remote, &reference.dataset, entry)?;
    let text = |blob| Ok::<_, Error>(String::from_utf8_lossy(&revision.read(blob)?).into_owned());
    let manifest = revision.manifest();
    let schema = Schema::from_json(&text(&manifest.schema.file.blob)?)
        .map_err(|mistakes| mistakes_to_error(&mistakes, Some(Path::new("schema.json"))))?;
    let reports = state.attachments.iter().filter(|it| {
        it.kind == AttachmentKind::DpReport
            && it.manifest == entry.manifest
            && it.blob.bytes <= DOCUMENT_BYTES_MAX
    });
    let reports = reports.map(|it| DpReport::parse(&revision.read(&it.blob)?)).collect::<Result<Vec<_>>>()?;
    let facts =
        CroissantFacts { published: &entry.at, base_url, dp_reports: &reports, shards: revision.shards()? };
    if manifest.splits.values().any(|it| !it.exclude.is_empty()) {
        message::note(
            "warning: the files that are named still hold rows of withdrawn episodes, which the document names; \
             `node-data dataset purge` publishes files without them",
        );
    }
    let document = croissant(manifest, &schema, &text(&manifest.readme.blob)?, &facts);
    let pretty = serde_json::to_string_pretty(&document).map_err(std::io::Error::from)?;
    message::to_stdout(&visible_json(&format!("{pretty}\n")))?;
    Ok(Outcome::Complete)
}
