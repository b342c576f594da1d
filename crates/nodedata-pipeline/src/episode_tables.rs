use std::{collections::BTreeMap, path::Path};

use arrow_array::RecordBatch;
use nodedata_core::{
    DType, Error, ErrorKind, Fact, Formats, Locus, OpenOptions, ReadOptions, Result, StreamSchema, suggest,
};
use nodedata_normalize::{EpisodeList, EpisodeSpec, FactType, MetadataFrom, TableFile, fact_at, is_scalar};

use crate::{EpisodesStage, OpenedSource, TableAsked, TableOf, inputs::hash_of, open::open_source};

/// A table of episodes is read as a whole, and a part of recipes: so many bytes of the file, and of the texts that are taken of it,
/// which a small file may have many of.
const TABLE_BYTES_MAX: u64 = 256 << 20;
const TABLE_HINT: &str = "keep what is said of episodes apart from larger tables";

/// Reads the tables that say which episodes are taken, and what is known of them.
///
/// # Errors
/// `Config` for a file that is no table, a column that it does not have, a row without a key, and two rows with one; `Limit` for a
/// table of more than 256 MiB, or of more bytes of text; what reading reports. Each with the path of the table.
pub(crate) fn read_tables(formats: &Formats, stage: &EpisodesStage) -> Result<EpisodeSpec> {
    let mut spec = stage.spec.clone();
    for asked in &stage.tables {
        let at = |err: Error| err.at(Locus::path(&asked.path));
        read_table(formats, asked, &mut spec).map_err(at)?;
    }
    if let Some(mistake) = spec.mistakes().first() {
        return Err(Error::new(ErrorKind::Config, mistake.to_string())
            .with_hint(mistake.hint.clone().unwrap_or_default()));
    }
    Ok(spec)
}

fn read_table(formats: &Formats, asked: &TableAsked, spec: &mut EpisodeSpec) -> Result<()> {
    match asked.of {
        TableOf::Include => read_list(formats, &asked.path, spec.include.as_mut()),
        TableOf::Exclude => read_list(formats, &asked.path, spec.exclude.as_mut()),
        TableOf::Metadata(idx) => {
            let Some(MetadataFrom::Table(table)) = spec.metadata.get_mut(idx) else { return Ok(()) };
            let opened = Opened::new(formats, &asked.path)?;
            let key = opened.column(&table.key)?;
            let columns: Vec<(String, usize)> = match &asked.columns {
                Some(named) => named
                    .iter()
                    .map(|(name, column)| Ok((name.clone(), opened.column(column)?)))
                    .collect::<Result<_>>()?,
                None => opened.others(key),
            };
            let is_taken = |name: &String| columns.iter().any(|it| it.0 == *name);
            if let Some(name) = asked.types.keys().find(|it| !is_taken(it)) {
                let names = columns.iter().map(|it| it.0.as_str());
                let message = format!("`types` names `{name}`, which is not taken of the table");
                return Err(Error::new(ErrorKind::Config, message).with_hint(suggest(name, names)));
            }
            let taken: Vec<usize> = columns.iter().map(|it| it.1).collect();
            let rows = opened.rows(key, &taken)?;
            let dtype = |(idx, (name, column)): (usize, &(String, usize))| {
                let declared = asked.types.get(name).copied();
                let texts = rows.values().filter_map(|it| it.get(idx)?.as_deref());
                declared.unwrap_or_else(|| opened.fact_type(*column, texts))
            };
            table.columns = columns.iter().enumerate().map(|it| (it.1.0.clone(), dtype(it))).collect();
            table.file.b3 = opened.b3()?;
            table.rows = rows;
            Ok(())
        }
    }
}

fn read_list(formats: &Formats, path: &Path, list: Option<&mut EpisodeList>) -> Result<()> {
    let Some(table) = list.and_then(|it| it.table.as_mut()) else { return Ok(()) };
    let opened = Opened::new(formats, path)?;
    let rows = opened.rows(opened.column(&table.key)?, &[])?;
    table.names = rows.into_keys().collect();
    table.file = TableFile { path: table.file.path.clone(), b3: opened.b3()? };
    Ok(())
}

/// A table that is open.
struct Opened {
    opened: OpenedSource,
    stream: StreamSchema,
}

impl Opened {
    fn new(formats: &Formats, path: &Path) -> Result<Self> {
        let sources = [path.display().to_string()];
        let opened = open_source(formats, &sources, None, &OpenOptions::default())?;
        let plan = opened.source.plan();
        let no_table = |message: String| {
            let hint = "a table of episodes is one file: CSV, JSON, JSON Lines, Parquet or Arrow";
            Error::new(ErrorKind::Config, message).with_hint(hint)
        };
        let ([input], [stream]) = (plan.inputs.as_slice(), plan.streams.as_slice()) else {
            let message =
                format!("{} files and {} streams are no table", plan.inputs.len(), plan.streams.len());
            return Err(no_table(message));
        };
        if !stream.kind.is_one_table() {
            return Err(no_table(format!("a file of {} is no table", opened.format.name())));
        }
        if TABLE_BYTES_MAX < input.n_bytes {
            let message = format!("the table has {} bytes, more than {TABLE_BYTES_MAX}", input.n_bytes);
            return Err(Error::new(ErrorKind::Limit, message).with_hint(TABLE_HINT));
        }
        Ok(Self { stream: stream.clone(), opened })
    }

    fn b3(&self) -> Result<String> {
        let input = self.opened.source.plan().inputs.first();
        input.map_or_else(|| Ok(String::new()), |it| hash_of(self.opened.files.as_ref(), &it.path))
    }

    /// The columns of the table's own.
    fn names(&self) -> impl Iterator<Item = (usize, &str)> {
        let of_stream = self.stream.features.iter().enumerate();
        of_stream.filter(|it| !self.stream.is_built_in(it.0)).map(|(idx, it)| (idx, it.name.as_str()))
    }

    fn column(&self, name: &str) -> Result<usize> {
        let Some((column, _)) = self.names().find(|it| it.1 == name) else {
            let message = format!("the table has no column `{name}`");
            return Err(
                Error::new(ErrorKind::Config, message).with_hint(suggest(name, self.names().map(|it| it.1)))
            );
        };
        if is_scalar(&self.stream.features[column]) {
            return Ok(column);
        }
        let told = self.stream.features[column].told();
        Err(Error::new(ErrorKind::Config, format!("column `{name}` of the table is {told}"))
            .with_hint("numbers, bools and texts can be told of an episode"))
    }

    /// All columns but one that can be told of an episode.
    fn others(&self, key: usize) -> Vec<(String, usize)> {
        let others = self.names().filter(|it| it.0 != key && is_scalar(&self.stream.features[it.0]));
        others.map(|(column, name)| (name.to_owned(), column)).collect()
    }

    /// The type of a column where nobody says: that of the table; of texts in CSV, which has no bools, what all of them are.
    fn fact_type<'a>(&self, column: usize, texts: impl Iterator<Item = &'a str>) -> FactType {
        match self.stream.features[column].dtype {
            DType::Bool => FactType::Bool,
            DType::Float16 | DType::Float32 | DType::Float64 => FactType::Float,
            DType::String if self.opened.format.name() == "csv" => match FactType::inferred(texts) {
                FactType::Bool => FactType::Bool,
                FactType::Int | FactType::Float | FactType::Text => FactType::Text,
            },
            DType::String | DType::Bytes => FactType::Text,
            // Numbers that no int64 is stay what they are.
            DType::UInt64 => FactType::inferred(texts),
            _ => FactType::Int,
        }
    }

    /// The values of some columns as text, by that of the key.
    fn rows(&self, key: usize, columns: &[usize]) -> Result<BTreeMap<String, Vec<Option<String>>>> {
        let source = self.opened.source.as_ref();
        let mut rows = Rows::new(TABLE_BYTES_MAX);
        for partition in 0..source.plan().partitions.len() {
            let mut reading = source.read(partition, &ReadOptions::default())?;
            while let Some(batch) = reading.next_batch()? {
                rows.take(&batch.rows, key, columns)?;
            }
        }
        Ok(rows.by_key)
    }
}

/// The rows of a table, as far as they were read.
struct Rows {
    by_key: BTreeMap<String, Vec<Option<String>>>,
    n_rows: u64,
    /// Bytes of their texts, and the most that there may be.
    n_bytes: u64,
    n_bytes_max: u64,
}

impl Rows {
    fn new(n_bytes_max: u64) -> Self {
        Self { by_key: BTreeMap::new(), n_rows: 0, n_bytes: 0, n_bytes_max }
    }

    fn take(&mut self, batch: &RecordBatch, key: usize, columns: &[usize]) -> Result<()> {
        let text = |column: usize, row: usize| {
            fact_at(batch.column(column).as_ref(), row).as_ref().map(Fact::to_string)
        };
        for row in 0..batch.num_rows() {
            let step_idx = Some(self.n_rows);
            let refused = |kind: ErrorKind, message: String, hint: &str| {
                Err(Error::new(kind, message).at(Locus { step_idx, ..Locus::default() }).with_hint(hint))
            };
            let Some(name) = text(key, row) else {
                let hint = "every row of a table of episodes names one";
                return refused(ErrorKind::Config, "the row has no key".to_owned(), hint);
            };
            let values: Vec<Option<String>> = columns.iter().map(|it| text(*it, row)).collect();
            let texts = values.iter().flatten().chain([&name]);
            self.n_bytes += texts.map(|it| it.len() as u64).sum::<u64>();
            if self.n_bytes_max < self.n_bytes {
                let message = format!("the texts of the table have more than {} bytes", self.n_bytes_max);
                return refused(ErrorKind::Limit, message, TABLE_HINT);
            }
            if self.by_key.insert(name.clone(), values).is_some() {
                let message = format!("`{name}` has two rows in the table");
                let hint = "remove one of them: nobody can know which is meant";
                return refused(ErrorKind::Config, message, hint);
            }
            self.n_rows += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, StringArray};

    use super::*;

    #[test]
    fn the_texts_of_a_table_are_bounded_whatever_its_file_is() {
        let column = |texts: [&str; 3]| Arc::new(StringArray::from(texts.to_vec())) as ArrayRef;
        let columns = [("run", column(["a", "b", "c"])), ("note", column(["12345"; 3]))];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let err = Rows::new(12).take(&batch, 0, &[1]).unwrap_err();
        assert_eq!((err.kind(), err.locus().step_idx), (ErrorKind::Limit, Some(2)));
        let mut rows = Rows::new(18);
        rows.take(&batch, 0, &[1]).unwrap();
        assert_eq!((rows.by_key.len(), rows.n_rows), (3, 3));
    }
}
