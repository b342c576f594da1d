use std::{collections::BTreeSet, ops::Range, path::Path, sync::Arc};

use arrow_array::RecordBatch;
use nodedata_arrow::{Leaf, ParquetFile, RowGroup, all_leaves, leaves_of};
use nodedata_core::{Error, ErrorKind, Files, Locus, OpenOptions, OptionValue, Result};

use crate::{format::NULL_COUNTS, huggingface, inputs::RESTORE_HINT, ipc::IpcFile};

/// Rows that a file may have for each of its bytes: a run of one value takes few, and footers may say anything.
const ROWS_PER_BYTE_MAX: u64 = 1 << 16;

/// What files of a source are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Parquet,
    Arrow,
}

/// A file with columns, opened.
pub(crate) enum TableFile {
    Parquet(ParquetFile),
    Arrow(Arc<IpcFile>),
}

/// What a plan has to know of a file.
pub(crate) struct Told {
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) groups: Vec<RowGroup>,
    /// Whether rows in the middle of a row group cost those before them.
    pub(crate) walks: bool,
    /// What ended it before its end.
    pub(crate) damage: Option<Error>,
    /// Bytes behind its end.
    pub(crate) n_behind: u64,
}

/// Batches of rows, in order.
pub(crate) type TableRows = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

impl TableFile {
    /// Opens a file, and tells what is in it.
    ///
    /// # Errors
    /// `Io`; `Corrupt`; `Unsupported`.
    pub(crate) fn open(
        kind: Kind,
        files: &dyn Files,
        path: &Path,
        n_bytes: u64,
        options: &OpenOptions,
    ) -> Result<(Self, Told)> {
        let (file, told) = match kind {
            Kind::Parquet => {
                let file = ParquetFile::open_with_pages(files, path, RESTORE_HINT)?;
                let file = file.verifying(options.verify_checksums);
                let trusts = options.option(&NULL_COUNTS) == OptionValue::Text("trust".to_owned());
                let mut leaves = all_leaves(&file, trusts);
                huggingface::tell(&mut leaves, file.key_value(huggingface::KEY));
                let walks = file.walks_through_pages();
                let told = Told { leaves, groups: file.row_groups(), walks, damage: None, n_behind: 0 };
                (Self::Parquet(file), told)
            }
            Kind::Arrow => {
                let mut file = IpcFile::open(files, path, options)?;
                let mut leaves = leaves_of(&file.fields);
                huggingface::tell(&mut leaves, file.key_value(huggingface::KEY));
                let groups = file.groups.clone();
                let (damage, n_behind) = (file.take_damage(), file.n_behind());
                let told = Told { leaves, groups, walks: false, damage, n_behind };
                (Self::Arrow(Arc::new(file)), told)
            }
        };
        check_rows(&told.groups, n_bytes).map_err(|err| err.at(Locus::path(path)))?;
        check_names(&file, &told.leaves).map_err(|err| err.at(Locus::path(path)))?;
        Ok((file, told))
    }

    /// The names of the top-level columns, in order.
    fn column_names(&self) -> Vec<&str> {
        match self {
            Self::Parquet(file) => file.column_names().collect(),
            Self::Arrow(file) => file.fields.iter().map(|it| it.name().as_str()).collect(),
        }
    }

    /// Batches of some rows, of the columns called so.
    ///
    /// # Errors
    /// `Corrupt`.
    pub(crate) fn rows(&self, columns: &[&str], rows: &[Range<u64>], batch_rows: usize) -> Result<TableRows> {
        match self {
            Self::Parquet(file) => Ok(Box::new(file.picked_rows(columns, rows, batch_rows)?)),
            Self::Arrow(file) => Ok(Box::new(file.picked_rows(columns, rows, batch_rows))),
        }
    }

    /// Rows that a batch may have, because a dictionary may hold long values once.
    pub(crate) fn batch_rows_max(&self) -> usize {
        match self {
            Self::Parquet(file) if !file.has_byte_arrays() => usize::MAX,
            Self::Parquet(_) | Self::Arrow(_) => 16 << 10,
        }
    }
}

/// A footer that counts more rows than bytes can hold would be planned for hours before anybody looks.
fn check_rows(groups: &[RowGroup], n_bytes: u64) -> Result<()> {
    let n_rows = groups.iter().try_fold(0u64, |sum, it| sum.checked_add(it.n_rows));
    if n_rows.is_some_and(|it| it / ROWS_PER_BYTE_MAX <= n_bytes) {
        return Ok(());
    }
    let message = match n_rows {
        Some(n_rows) => format!("the file counts {n_rows} rows in {n_bytes} bytes, which cannot be"),
        None => "the file counts more rows than 64 bits hold".to_owned(),
    };
    Err(Error::new(ErrorKind::Corrupt, message).with_hint(RESTORE_HINT))
}

/// Rows are taken from columns by name, and so are members of structs.
fn check_names(file: &TableFile, leaves: &[Leaf]) -> Result<()> {
    let mut names = file.column_names();
    names.sort_unstable();
    let column = names.windows(2).find(|it| it[0] == it[1]).map(|it| it[0].to_owned());
    let mut ways = BTreeSet::new();
    let member = || leaves.iter().find(|it| !ways.insert((&it.root, &it.members))).map(Leaf::name);
    let Some(twice) = column.or_else(member) else { return Ok(()) };
    let message = format!("two columns of the file are called `{twice}`");
    Err(Error::new(ErrorKind::Unsupported, message)
        .with_hint("write the file again with a name of its own for each column"))
}
