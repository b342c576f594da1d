//! What both engines are asked in: one text of SQL, with `?1`, `?2`, … for parameters, and rows whose columns have types. Where
//! the engines differ, the difference is here, in `pool.rs`, and in what makes the tables.

use std::{cell::RefCell, sync::MutexGuard};

use nodedata_core::{Error, ErrorKind, Result};
use nodedata_registry::B3;
use postgres::types::{ToSql, Type};
use rusqlite::{Connection, params_from_iter, types::ToSqlOutput};

use crate::database::{failed, pool::Leased};

/// A connection to the database, for as long as something is asked.
pub(super) enum Session<'a> {
    Sqlite(MutexGuard<'a, Connection>),
    Postgres(RefCell<Leased<'a>>),
}

/// A parameter of a statement. What is `None` is null.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Int(Option<i64>),
    Text(Option<&'a str>),
    Bytes(&'a [u8]),
}

/// A row of an answer.
pub(super) enum Row<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a postgres::Row),
}

/// What a column may be read as.
pub(super) trait Column: Sized {
    fn of(row: &Row<'_>, idx: usize) -> Result<Self>;
}

impl<T> Column for T
where
    T: rusqlite::types::FromSql + for<'b> postgres::types::FromSql<'b>,
{
    fn of(row: &Row<'_>, idx: usize) -> Result<Self> {
        match row {
            Row::Sqlite(row) => row.get(idx).map_err(failed),
            Row::Postgres(row) => row.try_get(idx).map_err(|err| {
                Error::new(ErrorKind::Io, "the server's database answered something else").with_source(err)
            }),
        }
    }
}

impl Row<'_> {
    pub(super) fn get<T: Column>(&self, idx: usize) -> Result<T> {
        T::of(self, idx)
    }

    /// A number that is 0 or 1.
    pub(super) fn flag(&self, idx: usize) -> Result<bool> {
        Ok(self.get::<i64>(idx)? != 0)
    }

    pub(super) fn digest(&self, idx: usize) -> Result<B3> {
        let bytes: Vec<u8> = self.get(idx)?;
        let digest = bytes.try_into().map(B3);
        digest.map_err(|_| Error::new(ErrorKind::Corrupt, "a digest in the database has not 32 bytes"))
    }
}

impl Session<'_> {
    /// How many rows it changed.
    pub(super) fn execute(&self, sql: &str, params: &[Value<'_>]) -> Result<u64> {
        match self {
            Self::Sqlite(connection) => connection
                .prepare_cached(sql)
                .and_then(|mut it| it.execute(params_from_iter(params)))
                .map(|n| n as u64)
                .map_err(failed),
            Self::Postgres(leased) => {
                let (sql, params) = (numbered(sql), typed(params)?);
                leased.borrow_mut().ask(|it| it.execute_typed(&sql, &params))
            }
        }
    }

    /// All rows of the answer.
    pub(super) fn rows<T>(
        &self,
        sql: &str,
        params: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        match self {
            Self::Sqlite(connection) => {
                let mut query = connection.prepare_cached(sql).map_err(failed)?;
                let mut rows = query.query(params_from_iter(params)).map_err(failed)?;
                let mut found = Vec::new();
                while let Some(row) = rows.next().map_err(failed)? {
                    found.push(read(&Row::Sqlite(row))?);
                }
                Ok(found)
            }
            Self::Postgres(leased) => {
                let (sql, params) = (numbered(sql), typed(params)?);
                let rows = leased.borrow_mut().ask(|it| it.query_typed(&sql, &params))?;
                rows.iter().map(|it| read(&Row::Postgres(it))).collect()
            }
        }
    }

    /// The first row of the answer, if there is one.
    pub(super) fn row<T>(
        &self,
        sql: &str,
        params: &[Value<'_>],
        read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        Ok(self.rows(sql, params, read)?.into_iter().next())
    }

    /// Several statements without parameters.
    pub(super) fn batch(&self, sql: &str) -> Result<()> {
        match self {
            Self::Sqlite(connection) => connection.execute_batch(sql).map_err(failed),
            Self::Postgres(leased) => leased.borrow_mut().ask(|it| it.batch_execute(sql)),
        }
    }

    /// Does all of it or nothing. Whoever else does something so waits.
    pub(super) fn at_once<T>(&self, act: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        match self {
            Self::Sqlite(connection) => connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)?,
            Self::Postgres(leased) => leased.borrow_mut().begin()?,
        }
        let open = AtOnce(self);
        let done = act(self)?;
        open.commit()?;
        Ok(done)
    }
}

/// What is undone unless it is committed.
struct AtOnce<'s, 'a>(&'s Session<'a>);

impl AtOnce<'_, '_> {
    fn commit(&self) -> Result<()> {
        match self.0 {
            Session::Sqlite(connection) => connection.execute_batch("COMMIT").map_err(failed),
            Session::Postgres(leased) => leased.borrow_mut().commit(),
        }
    }
}

impl Drop for AtOnce<'_, '_> {
    fn drop(&mut self) {
        match self.0 {
            // What it failed for is told, not that it was undone.
            Session::Sqlite(connection) if !connection.is_autocommit() => {
                drop(connection.execute_batch("ROLLBACK"));
            }
            Session::Sqlite(_) => {}
            Session::Postgres(leased) => {
                if let Ok(mut leased) = leased.try_borrow_mut() {
                    leased.roll_back();
                }
            }
        }
    }
}

/// As Postgres numbers parameters. No statement of ours has a question mark for anything else.
fn numbered(sql: &str) -> String {
    sql.replace('?', "$")
}

type Typed<'v> = (&'v (dyn ToSql + Sync), Type);

/// With the types said, Postgres answers a statement in one round.
fn typed<'v>(params: &'v [Value<'_>]) -> Result<Vec<Typed<'v>>> {
    let typed = |it: &'v Value<'_>| -> Result<Typed<'v>> {
        let typed: Typed<'v> = match it {
            Value::Int(it) => (it, Type::INT8),
            // SQLite would take it; Postgres has no such text, and we store none.
            Value::Text(Some(text)) if text.contains('\0') => {
                let message = "a text with a zero character in it is no name of anything";
                return Err(Error::new(ErrorKind::Config, message).with_hint("check what was sent"));
            }
            Value::Text(it) => (it, Type::TEXT),
            Value::Bytes(it) => (it, Type::BYTEA),
        };
        Ok(typed)
    };
    params.iter().map(typed).collect()
}

impl rusqlite::ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Int(it) => rusqlite::ToSql::to_sql(it),
            Self::Text(it) => rusqlite::ToSql::to_sql(it),
            Self::Bytes(it) => rusqlite::ToSql::to_sql(it),
        }
    }
}

impl From<i64> for Value<'_> {
    fn from(it: i64) -> Self {
        Self::Int(Some(it))
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(it: Option<i64>) -> Self {
        Self::Int(it)
    }
}

impl From<bool> for Value<'_> {
    fn from(it: bool) -> Self {
        Self::Int(Some(i64::from(it)))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(it: &'a str) -> Self {
        Self::Text(Some(it))
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(it: &'a String) -> Self {
        Self::Text(Some(it))
    }
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(it: Option<&'a str>) -> Self {
        Self::Text(it)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(it: &'a [u8]) -> Self {
        Self::Bytes(it)
    }
}

impl<'a> From<&'a [u8; 32]> for Value<'a> {
    fn from(it: &'a [u8; 32]) -> Self {
        Self::Bytes(it)
    }
}
