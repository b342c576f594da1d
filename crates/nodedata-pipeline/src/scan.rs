use nodedata_core::{Formats, OpenOptions, ReadOptions, Result, Silent, Source};
use nodedata_schema::{RowPlace, Schema, SchemaBuilder, SchemaCheck, Violations};

use crate::{
    OpenedSource,
    misfits::holding_misfits,
    open_source,
    window::{ReadPart, read_window, windows},
};

/// Learns the schema of a source from all of its rows, without writing anything.
///
/// # Errors
/// What opening and reading the source report.
pub fn infer_schema(
    formats: &Formats,
    sources: &[String],
    from: Option<&str>,
    open: &OpenOptions,
) -> Result<Schema> {
    holding_misfits((formats, sources, from), open, &Silent, |open| {
        let opened = open_source(formats, sources, from, &open)?;
        let mut builder = SchemaBuilder::new(&opened.source.plan().streams);
        each_window(opened.source.as_ref(), open.salvage, |parts| {
            for batch in parts.iter().flat_map(|it| &it.batches) {
                builder.observe(batch);
            }
            Ok(())
        })?;
        Ok(builder.finish())
    })
}

/// Holds all rows of a source against a declared schema, without writing anything.
///
/// # Errors
/// What opening and reading the source report. What breaks the schema is returned, not an error.
pub fn check_schema(
    formats: &Formats,
    sources: &[String],
    from: Option<&str>,
    open: &OpenOptions,
    declared: &Schema,
) -> Result<Vec<nodedata_schema::Violation>> {
    holding_misfits((formats, sources, from), open, &Silent, |open| {
        check_opened(&open_source(formats, sources, from, &open)?, open.salvage, declared)
    })
}

fn check_opened(
    opened: &OpenedSource,
    salvage: bool,
    declared: &Schema,
) -> Result<Vec<nodedata_schema::Violation>> {
    let check = match SchemaCheck::new(declared, &opened.source.plan().streams) {
        Ok(check) => check,
        Err(violations) => return Ok(violations),
    };
    let mut all = Violations::default();
    let mut rows = std::collections::BTreeMap::new();
    each_window(opened.source.as_ref(), salvage, |parts| {
        for part in &parts {
            let episode = opened.source.plan().partitions[part.partition].episode;
            for batch in &part.batches {
                let first_row: &mut u64 = rows.entry((episode, batch.stream)).or_default();
                let place = RowPlace { episode: episode as u64, first_row: *first_row };
                *first_row += batch.rows.num_rows() as u64;
                if let Err(found) = check.batch(batch, place) {
                    all.merge(found);
                }
            }
        }
        Ok(())
    })?;
    Ok(all.iter().cloned().collect())
}

/// Reads a source window by window, in order.
pub(crate) fn each_window(
    source: &dyn Source,
    salvage: bool,
    mut visit: impl FnMut(Vec<ReadPart>) -> Result<()>,
) -> Result<()> {
    let options = ReadOptions::default();
    let partitions = &source.plan().partitions;
    for window in windows(partitions.iter()) {
        visit(read_window(source, &window.collect::<Vec<_>>(), &options, salvage)?)?;
    }
    Ok(())
}
