use nodedata_core::{Error, ErrorKind, Locus, Result};
use nodedata_log::{corrupt, too_large};

use super::{
    cell::{Cell, TablePage},
    database::Database,
    ddl::Columns,
    header::TextEncoding,
    page::PageSet,
    record::{Field, Value, fields},
    walk,
};

/// Columns of a row that are looked at.
const COLUMNS_MAX: usize = 16;
/// Columns of the table that lists all others.
const SCHEMA_COLUMNS: &str =
    "CREATE TABLE sqlite_schema(type TEXT, name TEXT, tbl_name TEXT, rootpage INTEGER, sql TEXT)";

/// A table, or an index, of which only the root is known.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) root: u32,
    pub(crate) columns: Columns,
}

/// A row of a small table.
pub(crate) struct Row<'a> {
    pub(crate) rowid: i64,
    /// Where its cell is.
    pub(crate) place: Locus,
    columns: &'a Columns,
    fields: &'a [Field],
    record: &'a [u8],
    encoding: TextEncoding,
}

/// What becomes of damage: an error ends the reading.
pub(crate) type OnDamage<'a> = &'a mut dyn FnMut(Error) -> Result<()>;

impl Row<'_> {
    fn value(&self, column: &str) -> Option<Value<'_>> {
        let at = self.columns.position(column)?;
        if self.columns.rowid == Some(at) {
            return Some(Value::Int(self.rowid));
        }
        self.fields.get(at)?.value(self.record)
    }

    /// A number; `None` where there is none.
    pub(crate) fn int(&self, column: &str) -> Option<i64> {
        match self.value(column)? {
            Value::Int(it) => Some(it),
            Value::Null | Value::Real(_) | Value::Text(_) | Value::Blob(_) => None,
        }
    }

    /// A text; `None` where there is none, or none that can be read.
    pub(crate) fn text(&self, column: &str) -> Option<String> {
        match self.value(column)? {
            Value::Text(it) => self.encoding.decode(it),
            Value::Blob(it) => String::from_utf8(it.to_vec()).ok(),
            Value::Null | Value::Int(_) | Value::Real(_) => None,
        }
    }
}

impl Database {
    /// The tables of the database.
    ///
    /// # Errors
    /// What `on_damage` returns; `Io`.
    pub(crate) fn tables(
        &self,
        limit: u64,
        reached: &mut PageSet,
        on_damage: OnDamage<'_>,
    ) -> Result<Vec<Table>> {
        let columns = Columns::parse(SCHEMA_COLUMNS).unwrap_or_default();
        let schema = Table { name: "sqlite_schema".to_owned(), root: 1, columns };
        let mut tables = Vec::new();
        self.rows(&schema, limit, reached, on_damage, |row| {
            let root = row.int("rootpage").and_then(|it| u32::try_from(it).ok()).filter(|it| 0 < *it);
            let is_table = row.text("type").is_some_and(|it| it == "table");
            let columns = row.text("sql").and_then(|it| Columns::parse(&it));
            if let (true, Some(root), Some(name), Some(columns)) = (is_table, root, row.text("name"), columns)
            {
                tables.push(Table { name, root, columns });
            }
            Ok(())
        })?;
        Ok(tables)
    }

    /// Hands out the rows of a small table, in order.
    ///
    /// # Errors
    /// What `on_damage` or `visit` returns; `Io`.
    pub(crate) fn rows(
        &self,
        table: &Table,
        limit: u64,
        reached: &mut PageSet,
        on_damage: OnDamage<'_>,
        mut visit: impl FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<()> {
        let in_table = |err: Error| match err.kind() {
            ErrorKind::Io => err,
            _ => within(&table.name, err),
        };
        let tree = walk::leaves(&self.pages, table.root, reached, self.salvage)?;
        for broken in tree.broken {
            on_damage(in_table(broken.error))?;
        }
        let mut buffer = Vec::new();
        for leaf in tree.leaves {
            let leaf = match TablePage::read(&self.pages, leaf.page) {
                Ok(leaf) => leaf,
                Err(err) => {
                    on_damage(in_table(err))?;
                    continue;
                }
            };
            for idx in 0..if leaf.is_leaf { leaf.n_cells() } else { 0 } {
                let read = self.row(table, &leaf, idx, limit, &mut buffer, &mut visit);
                if let Err(err) = read {
                    on_damage(in_table(err.at(self.pages.locus(leaf.page.place))))?;
                }
            }
        }
        Ok(())
    }

    fn row(
        &self,
        table: &Table,
        leaf: &TablePage,
        idx: usize,
        limit: u64,
        buffer: &mut Vec<u8>,
        visit: &mut impl FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<()> {
        let cell: Cell = leaf.cell(idx)?;
        if limit < cell.n_payload {
            return Err(too_large("a row", cell.n_payload, limit));
        }
        let record = if cell.spills() {
            self.pages.gather(leaf, &cell, buffer, &mut 0)?;
            &buffer[..]
        } else {
            leaf.local(&cell)
        };
        let mut found = [Field::default(); COLUMNS_MAX];
        let n = fields(record, cell.n_payload, &mut found)?;
        let Some(n) = n else { return Err(corrupt("row ends inside its head")) };
        let place = leaf.page.place.offset + cell.at as u64;
        let place = Locus { byte_offset: Some(place), ..self.pages.locus(leaf.page.place) };
        let (columns, fields, encoding) = (&table.columns, &found[..n], self.encoding);
        visit(&Row { rowid: cell.rowid, place, columns, fields, record, encoding })
    }
}

/// An error with the table it was met in.
pub(crate) fn within(table: &str, cause: Error) -> Error {
    let hint = cause.hint().unwrap_or(nodedata_log::SALVAGE_HINT).to_owned();
    Error::new(cause.kind(), format!("table `{table}` is damaged"))
        .at(cause.locus().clone())
        .with_hint(hint)
        .with_source(cause)
}
